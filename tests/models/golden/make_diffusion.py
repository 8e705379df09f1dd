#!/usr/bin/env python3
"""Schedules and samplers of denoising-diffusion-pytorch and diffusers, on a network that is a
formula.

    pip install torch==2.11.0 denoising-diffusion-pytorch==2.3.4 diffusers==0.42.1
        safetensors==0.8.0
    python3 make_diffusion.py FOLDER

Writes schedules.safetensors (the 13 buffers), and lucidrains.safetensors and diffusers.safetensors
(all states of each sampler, start first, with the noise that went in). The "network" is out = 0.6 x
+ 0.3 sin(2 x + t / T) in float32.
"""

import sys

import torch
from denoising_diffusion_pytorch import GaussianDiffusion
from denoising_diffusion_pytorch.learned_gaussian_diffusion import LearnedGaussianDiffusion
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from safetensors.torch import save_file

B, C, S = 2, 3, 4
PREDICTION = {"pred_noise": "epsilon", "pred_x0": "sample", "pred_v": "v_prediction"}


class Formula(torch.nn.Module):
    channels, out_dim, self_condition, random_or_learned_sinusoidal_cond = C, C, False, False

    def __init__(self, timesteps, outputs=C, self_condition=False):
        super().__init__()
        self.timesteps, self.out_dim, self.self_condition = timesteps, outputs, self_condition

    def forward(self, x, t, x_self_cond=None):
        if self.self_condition:
            x = x + 0.1 * (torch.zeros_like(x) if x_self_cond is None else x_self_cond)
        out = 0.6 * x + 0.3 * torch.sin(2 * x + (t.float() / self.timesteps)[:, None, None, None])
        return out if self.out_dim == C else torch.cat([out, torch.cos(x)], 1)


def diffusion(model, timesteps, objective, schedule, kind=GaussianDiffusion, **named):
    return kind(
        model,
        image_size=S,
        timesteps=timesteps,
        objective=objective,
        beta_schedule=schedule,
        **named,
    )


def schedules(path):
    out = {}
    for schedule in ("linear", "cosine", "sigmoid"):
        made = diffusion(Formula(1000), 1000, "pred_v", schedule)
        for name, value in made.named_buffers():
            out[f"{schedule}.{name}"] = value
    for objective in PREDICTION:
        made = diffusion(
            Formula(60), 60, objective, "cosine", min_snr_loss_weight=True, min_snr_gamma=3
        )
        out[f"min_snr.{objective}"] = made.loss_weight
    save_file({name: value.contiguous() for name, value in out.items()}, path)


class Feed:
    """Stands in for torch.randn and torch.randn_like: hands out prepared noise in order."""

    def __init__(self, start, steps):
        self.queue = [start, *steps]

    def __call__(self, *_, **__):
        return self.queue.pop(0).clone()


def upstream(out, name, made, steps):
    start = torch.randn(B, C, S, S)
    noise = torch.randn(steps, B, C, S, S)
    keep = torch.randn, torch.randn_like
    torch.randn = torch.randn_like = Feed(start, noise)
    made.unnormalize = lambda x: x
    try:
        states = made.sample(batch_size=B, return_all_timesteps=True)
    finally:
        torch.randn, torch.randn_like = keep
    out |= {f"{name}.noise": start, f"{name}.step_noise": noise, f"{name}.trajectory": states}


def lucidrains(out):
    for objective in PREDICTION:
        upstream(out, f"ddpm.{objective}", diffusion(Formula(20), 20, objective, "cosine"), 20)
        upstream(
            out,
            f"ddim.{objective}",
            diffusion(Formula(1000), 1000, objective, "linear", sampling_timesteps=7),
            7,
        )
    upstream(
        out,
        "ddim.eta",
        diffusion(
            Formula(1000), 1000, "pred_x0", "sigmoid", sampling_timesteps=9, ddim_sampling_eta=0.7
        ),
        9,
    )
    upstream(
        out,
        "ddim.self",
        diffusion(
            Formula(1000, self_condition=True), 1000, "pred_v", "sigmoid", sampling_timesteps=6
        ),
        6,
    )
    upstream(
        out,
        "ddpm.learned",
        diffusion(Formula(40, 2 * C), 40, "pred_noise", "linear", LearnedGaussianDiffusion),
        40,
    )


def run(out, name, scheduler, objective, steps, **named):
    x = torch.randn(B, C, S, S)
    noise = torch.randn(steps, B, C, S, S)
    out |= {f"{name}.noise": x, f"{name}.step_noise": noise}
    model = Formula(1000)
    scheduler.set_timesteps(steps)
    states = [x]
    for k, t in enumerate(scheduler.timesteps):
        x = scheduler.step(
            model(x, t.repeat(B)), t, x, variance_noise=noise[k], **named
        ).prev_sample
        states.append(x)
    out[f"{name}.trajectory"] = torch.stack(states, 1)


def of_diffusers(out):
    for spacing in ("linspace", "leading", "trailing"):
        for objective, prediction in PREDICTION.items():
            ddim = DDIMScheduler(
                timestep_spacing=spacing,
                prediction_type=prediction,
                clip_sample=spacing != "linspace",
                set_alpha_to_one=spacing != "leading",
            )
            run(
                out,
                f"diffusers.ddim.{spacing}.{objective}",
                ddim,
                objective,
                7,
                eta=0.3 if spacing == "trailing" else 0.0,
            )
            dpm = DPMSolverMultistepScheduler(
                timestep_spacing=spacing,
                prediction_type=prediction,
                solver_type="heun" if spacing == "leading" else "midpoint",
            )
            run(out, f"diffusers.dpm.{spacing}.{objective}", dpm, objective, 8)
    for name, steps, named in (
        ("sde", 8, dict(algorithm_type="sde-dpmsolver++")),
        ("karras", 9, dict(use_karras_sigmas=True)),
        ("sigma_min", 16, dict(final_sigmas_type="sigma_min")),
        ("one", 1, {}),
    ):
        dpm = DPMSolverMultistepScheduler(prediction_type="epsilon", **named)
        run(out, f"diffusers.dpm.{name}.pred_noise", dpm, "pred_noise", steps)


def main(folder):
    torch.manual_seed(11)
    torch.set_num_threads(1)
    schedules(f"{folder}/schedules.safetensors")
    for name, write in (("lucidrains", lucidrains), ("diffusers", of_diffusers)):
        out = {}
        write(out)
        save_file(
            {key: value.contiguous() for key, value in out.items()}, f"{folder}/{name}.safetensors"
        )


main(sys.argv[1])
