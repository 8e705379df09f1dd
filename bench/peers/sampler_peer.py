"""Drawing pictures with denoising-diffusion-pytorch and diffusers from one network: the peers of
the samplers.

Needs torch==2.11.0, denoising-diffusion-pytorch==2.3.4, diffusers==0.42.1.
"""

import re
import sys
from unittest import mock

import torch
from denoising_diffusion_pytorch import GaussianDiffusion

PREDICTION = {"pred_noise": "epsilon", "pred_x0": "sample", "pred_v": "v_prediction"}


class Case:
    """d64-s32-b512-ddim50: dim, size, batch, sampler (ddim, dpmpp or ddpm) with its passes. Without
    d: no network."""

    def __init__(self, name):
        found = re.fullmatch(
            r"(?:d(\d+)-s(\d+)-b(\d+)-(ddim|dpmpp|ddpm)(\d+))|"
            r"(?:(ddim|leading|dpmpp|ddpm)(\d+)-s(\d+)-b(\d+))",
            name,
        )
        if not found:
            sys.exit(
                f"no case: '{name}' (write d64-s32-b512-ddim50, or ddim50-s32-b8 without a network)"
            )
        part = found.groups()
        self.name, self.sampler = name, part[3] or part[5]
        self.dim, self.size, self.batch, self.steps = (
            int(n or 0)
            for n in (
                (part[0], part[1], part[2], part[4]) if part[3] else (0, part[7], part[8], part[6])
            )
        )
        self.timesteps = self.steps if self.sampler == "ddpm" else 1000
        self.shape = (self.batch, 3, self.size, self.size)


class Network(torch.nn.Module):
    """What GaussianDiffusion asks of a network, around any function of (x, t)."""

    channels = out_dim = 3
    self_condition = random_or_learned_sinusoidal_cond = False

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.anchor = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x, t, x_self_cond=None):
        return self.function(x, t)


def lucidrains(network, case, objective="pred_v", beta_schedule="sigmoid"):
    return GaussianDiffusion(
        network,
        image_size=case.size,
        timesteps=case.timesteps,
        objective=objective,
        beta_schedule=beta_schedule,
        sampling_timesteps=None if case.sampler == "ddpm" else case.steps,
    ).to(next(network.parameters()).device)


def draw_lucidrains(diffusion, case, noise=None):
    """Pictures in [0, 1] by the package's own loop; `noise` in place of its start, for
    comparing."""
    loop = diffusion.p_sample_loop if case.sampler == "ddpm" else diffusion.ddim_sample
    with (
        torch.no_grad(),
        mock.patch(
            "denoising_diffusion_pytorch.denoising_diffusion_pytorch.tqdm", lambda steps, **_: steps
        ),
    ):
        if noise is None:
            return loop(case.shape)
        with mock.patch("torch.randn", lambda *_, **__: noise.clone()):
            return loop(case.shape)


def scheduler(diffusion, case, objective="pred_v"):
    import diffusers  # not needed for the other package's loops

    common = {
        "num_train_timesteps": case.timesteps,
        "trained_betas": diffusion.betas.cpu().numpy(),
        "prediction_type": PREDICTION[objective],
    }
    if case.sampler == "dpmpp":
        return diffusers.DPMSolverMultistepScheduler(
            **common, algorithm_type="dpmsolver++", solver_order=2
        )
    if case.sampler == "ddpm":
        return diffusers.DDPMScheduler(**common, clip_sample=True)
    return diffusers.DDIMScheduler(**common, clip_sample=True, set_alpha_to_one=True)


def draw_diffusers(network, schedule, case, noise=None):
    """Pictures in [0, 1], not clamped, by the loop of diffusers' unconditional pipelines."""
    device = next(network.parameters()).device
    with torch.no_grad():
        schedule.set_timesteps(case.steps, device=device)
        x = torch.randn(case.shape, device=device) if noise is None else noise.clone()
        for t in schedule.timesteps:
            out = network(x, t.expand(case.batch))
            x = schedule.step(out.float(), t, x).prev_sample
    return (x + 1) / 2
