"""The Sudoku seed's training step in PyTorch, as its notebook has it: the peer of the benchmarks.

K_MAX whole forwards over all rows with masks, a break when no row is active (which waits for the
device, as the seed did), AdamW (fused) at 1e-3 with weight decay 1e-4, gradients clipped at 1,
autocast, and a GradScaler under float16. The network is the generator of golden numbers
(tests/tasks/golden/make_seed_conv.py).
"""

import re
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/tasks/golden"))
from make_seed_conv import Net, make_sequences  # noqa: E402


class Case:
    """The sizes that a case's name says: c64-l9-e15-k6-b64."""

    def __init__(self, name):
        found = re.fullmatch(r"c(\d+)-l(\d+)-e(\d+)-k(\d+)-b(\d+)", name)
        if not found:
            sys.exit(
                f"no case: '{name}' (write c64-l9-e15-k6-b64: hidden_dim, layers, embedding, "
                f"k_max, batch)"
            )
        self.name = name
        self.channels, self.layers, self.embedding, self.k_max, self.batch = map(
            int, found.groups()
        )

    def with_batch(self, batch):
        return Case(re.sub(r"\d+$", str(batch), self.name))

    def forward_flops(self):
        """Multiplications and additions of convolutions and heads, one grid."""
        c, inputs = self.channels, max(1, self.embedding)
        return 2 * 81 * 9 * c * (inputs + (2 * self.layers + 1) * c) + 2 * (2 * 81 * c * c + c * 91)


class Peer:
    def __init__(self, case, device, compiled=False, mode=None, autocast=None):
        self.case, self.device, self.autocast = Case(case), torch.device(device), autocast
        torch.manual_seed(1)
        sizes = self.case
        self.net = Net(sizes.channels, sizes.layers, 3, 8, sizes.embedding).to(device)
        self.forward = torch.compile(self.net, mode=mode) if compiled else self.net
        self.sequences = make_sequences(sizes.batch).to(device)
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=1e-3, weight_decay=1e-4, fused=True
        )
        self.scaler = (
            torch.amp.GradScaler(self.device.type)
            if autocast == torch.float16 and self.device.type == "cuda"
            else None
        )
        self.flops = 0

    def windows(self):
        k_max, rows = self.case.k_max, self.case.batch
        return (
            torch.randint(0, 81 - k_max, (rows,), device=self.device),
            torch.randint(1, k_max + 1, (rows,), device=self.device),
        )

    def loss(self, start, count):
        rows = torch.arange(len(self.sequences), device=self.device)
        now, total = self.sequences[rows, start].float(), 0.0
        self.flops = 0
        for step in range(self.case.k_max):
            t = start + step
            active = (step < count) & (t < 81)
            target = self.sequences[rows, (t + 1).clamp(max=81)].float()
            changed = (target != now).view(-1, 81)
            active &= changed.any(1)
            if not active.any():
                break
            position = changed.float().argmax(1)
            value = target.view(-1, 81)[rows, position].long()
            position_logits, value_logits = self.forward(now, t)
            position_logits = position_logits.float().masked_fill(
                now.view(-1, 81) != 0, float("-inf")
            )
            total = total + F.cross_entropy(
                position_logits[active], position[active], reduction="sum"
            )
            total = total + F.cross_entropy(
                value_logits.float()[active], value[active], reduction="sum"
            )
            now = target
            self.flops += 3 * self.case.forward_flops() * len(rows)
        return total / count.sum()

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(
            self.device.type, self.autocast or torch.bfloat16, enabled=self.autocast is not None
        ):
            loss = self.loss(*self.windows())
        if self.scaler:
            self.scaler.scale(loss).backward()
            self.scaler.unscale_(self.optimizer)
        else:
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        return loss.detach()

    def check(self, file):
        """Loss and gradient norm without autocast; weights and inputs are written for the other
        program."""
        from safetensors.torch import save_file

        start, count = self.windows()
        tensors = {"weight." + name: p.detach().cpu() for name, p in self.net.named_parameters()}
        tensors |= {"sequences": self.sequences.cpu(), "start": start.cpu(), "count": count.cpu()}
        save_file({name: value.contiguous() for name, value in tensors.items()}, file)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(start, count)
        loss.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.net.parameters()])
        self.optimizer.zero_grad(set_to_none=True)
        return {"loss": loss.item(), "gradient_norm": norm.item()}
