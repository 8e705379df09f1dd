"""denoising-diffusion-pytorch's training step and sampling, as its Trainer runs them: the peer of
the UNet's benchmarks.

Needs torch==2.11.0, denoising-diffusion-pytorch==2.3.4, ema-pytorch (with it), safetensors==0.8.0.
"""

import re
import sys

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Unet
from ema_pytorch import EMA

AMP = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Case:
    """The sizes that a case's name says: d64-s32-b16-a2 is dim 64, 32 x 32, batch 16, two
    micro-batches."""

    def __init__(self, name):
        found = re.fullmatch(r"d(\d+)-s(\d+)-b(\d+)(?:-a(\d+))?", name)
        if not found:
            sys.exit(f"no case: '{name}' (write d64-s32-b16-a2: dim, size, batch, micro-batches)")
        self.name = name
        self.dim, self.size, self.batch, self.accumulate = (
            int(text or 1) for text in found.groups()
        )


def forward_flops(net, size):
    """Multiplications and additions of convolutions, linear layers and attention's products, one
    picture."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    was = net.training
    net.eval()
    device = next(net.parameters()).device
    with counter, torch.no_grad():
        net(
            torch.zeros(1, 3, size, size, device=device),
            torch.zeros(1, dtype=torch.long, device=device),
        )
    net.train(was)
    return counter.get_total_flops()


class Trainer:
    """The step of the package's Trainer: accumulation, autocast, clipping at 1, Adam, EMA every ten
    updates."""

    def __init__(
        self, case, device, compiled=False, mode=None, amp=None, flash=False, channels_last=False
    ):
        self.case, self.device, self.amp = Case(case), torch.device(device), amp
        torch.manual_seed(1)
        self.net = Unet(self.case.dim, flash_attn=flash).to(device)
        if channels_last:
            self.net = self.net.to(memory_format=torch.channels_last)
        self.diffusion = GaussianDiffusion(self.net, image_size=self.case.size).to(device)
        self.ema = EMA(self.diffusion, beta=0.995, update_every=10)
        self.optimizer = torch.optim.Adam(
            self.diffusion.parameters(), lr=1e-4, betas=(0.9, 0.99), fused=True
        )
        self.scaler = (
            torch.amp.GradScaler(self.device.type)
            if amp == torch.float16 and self.device.type == "cuda"
            else None
        )
        if compiled:
            self.diffusion.model = torch.compile(self.net, mode=mode)
        self.flops = (
            3 * forward_flops(self.net, self.case.size) * self.case.batch * self.case.accumulate
        )

    def step(self, batches=None):
        """One update; `batches` gives pictures in [0, 1], else they are made up."""
        total = 0.0
        for _ in range(self.case.accumulate):
            images = (
                next(batches).to(self.device, non_blocking=True)
                if batches
                else torch.rand(
                    self.case.batch, 3, self.case.size, self.case.size, device=self.device
                )
            )
            with torch.autocast(
                self.device.type, self.amp or torch.bfloat16, enabled=self.amp is not None
            ):
                loss = self.diffusion(images) / self.case.accumulate
            total = total + loss.detach()
            (self.scaler.scale(loss) if self.scaler else loss).backward()
        if self.scaler:
            self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.diffusion.parameters(), 1.0)
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update()
        return total

    def check(self, file):
        """Loss and gradient norm in float32; weights and inputs are written for the other
        program."""
        from safetensors.torch import save_file

        generator = torch.Generator().manual_seed(7)
        shape = (self.case.batch, 3, self.case.size, self.case.size)
        x, noise = (
            torch.rand(shape, generator=generator) * 2 - 1,
            torch.randn(shape, generator=generator),
        )
        t = torch.randint(0, 1000, shape[:1], generator=generator)
        weights = {
            "weight." + name: value.detach().cpu().contiguous()
            for name, value in self.net.state_dict().items()
        }
        save_file(weights | {"x": x, "noise": noise, "t": t}, file)
        return self.loss_and_norm(x, t, noise)

    def loss_and_norm(self, x, t, noise):
        self.optimizer.zero_grad()
        loss = self.diffusion.p_losses(x.to(self.device), t.to(self.device), noise.to(self.device))
        loss.backward()
        norm = torch.nn.utils.get_total_norm(
            [p.grad for p in self.net.parameters() if p.grad is not None]
        )
        self.optimizer.zero_grad()
        return {"loss": loss.item(), "gradient_norm": norm.item()}
