#!/usr/bin/env python3
"""Losses of denoising-diffusion-pytorch on a network that is a formula, and their gradient by its
output.

    pip install torch==2.11.0 denoising-diffusion-pytorch==2.3.4 scipy==1.17.0 safetensors==0.8.0
    python3 make_image_losses.py image_losses.safetensors

The "network" is out = 0.6 x + 0.3 sin(2 x + t / T) in float32, with cos(x) behind it where the
variance is learned. Also a least-cost pairing by SciPy.
"""

import sys

import torch
from denoising_diffusion_pytorch import GaussianDiffusion
from denoising_diffusion_pytorch.learned_gaussian_diffusion import LearnedGaussianDiffusion
from safetensors.torch import save_file
from scipy.optimize import linear_sum_assignment

B, C, S, T = 5, 2, 4, 50


class Formula(torch.nn.Module):
    channels, self_condition, random_or_learned_sinusoidal_cond = C, False, False

    def __init__(self, outputs):
        super().__init__()
        self.out_dim, self.output = outputs, None

    def forward(self, x, t, x_self_cond=None):
        out = 0.6 * x + 0.3 * torch.sin(2 * x + (t.float() / T)[:, None, None, None])
        self.output = out if self.out_dim == C else torch.cat([out, torch.cos(x)], 1)
        return self.output.requires_grad_()


def record(out, name, kind, outputs, objective, **named):
    model = Formula(outputs)
    made = kind(
        model, image_size=S, timesteps=T, objective=objective, beta_schedule="cosine", **named
    )
    losses = made.p_losses(out["x"], out["t"], noise=out["noise"].clone(), loss_reduction="none")
    losses.mean().backward()
    out |= {f"{name}.losses": losses.detach(), f"{name}.gradient": model.output.grad}


def main(path):
    torch.manual_seed(3)
    torch.set_num_threads(1)
    # Pixels at the ends of the range as well, where the decoder's likelihood has open bins.
    out = {
        "x": (torch.randn(B, C, S, S) * 0.8).clamp(-1, 1),
        "noise": torch.randn(B, C, S, S),
        "t": torch.tensor([0, 1, 17, 49, 0]),
    }
    for objective in ("pred_noise", "pred_x0", "pred_v"):
        record(out, objective, GaussianDiffusion, C, objective)
        record(
            out,
            objective + ".min_snr",
            GaussianDiffusion,
            C,
            objective,
            min_snr_loss_weight=True,
            min_snr_gamma=2,
        )
    record(out, "learned", LearnedGaussianDiffusion, 2 * C, "pred_noise")
    distance = torch.cdist(out["x"].flatten(1), out["noise"].flatten(1))
    out["pairing"] = torch.from_numpy(linear_sum_assignment(distance.numpy())[1])
    costs = torch.rand(40, 40, dtype=torch.float64)
    rows, columns = linear_sum_assignment(costs.numpy())
    out |= {"costs": costs, "least_cost": costs[rows, columns].sum()}
    save_file({name: value.contiguous() for name, value in out.items()}, path)


main(sys.argv[1])
