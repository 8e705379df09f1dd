#!/usr/bin/env python3
"""C19: samplers on a score in closed form: Lockstep's table and fused update against diffusers'
schedulers, in turn.

    python3 bench/peers/sampler_exact.py build/bin/sampler_exact_bench RESULT.json [--rounds N]
        [--batch N]

Needs: torch==2.11.0, diffusers==0.42.1, safetensors. One thread each. Every element of a picture is
a mixture of two Gaussians, so the best network is a formula (bench/sampler_exact.cc has the same)
and the only errors are those of the sampler. The reference is diffusers in float64, with its
float32 tables replaced by double ones. Times are of the scheduler's step without the network.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from safetensors.torch import load_file, save_file

COMMON = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
}
CASES = {
    "DDIM, 50 steps": (
        lambda: DDIMScheduler(
            **COMMON, clip_sample=False, set_alpha_to_one=True, timestep_spacing="leading"
        ),
        50,
        ["ddim", "50", "spacing=leading", "clip_x0=false"],
    ),
    "DPM-Solver++ 2M, midpoint, 20 steps": (
        lambda: DPMSolverMultistepScheduler(
            **COMMON, solver_type="midpoint", timestep_spacing="linspace"
        ),
        20,
        ["dpmpp_2m", "20", "spacing=linspace", "solver=midpoint"],
    ),
    "DPM-Solver++ 2M, Heun, 18 steps": (
        lambda: DPMSolverMultistepScheduler(
            **COMMON, solver_type="heun", timestep_spacing="linspace"
        ),
        18,
        ["dpmpp_2m", "18", "spacing=linspace", "solver=heun"],
    ),
}


def in_double(scheduler):
    """The tables that diffusers computes in float32, from double betas."""
    betas = torch.linspace(COMMON["beta_start"], COMMON["beta_end"], 1000, dtype=torch.float64)
    scheduler.betas, scheduler.alphas = betas, 1 - betas
    scheduler.alphas_cumprod = torch.cumprod(1 - betas, 0)
    if hasattr(scheduler, "final_alpha_cumprod"):
        scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    return scheduler


def perfect_noise(x, alpha_bar):
    x64 = x.double()
    parts = []
    for mean, deviation in ((-0.6, 0.2), (0.5, 0.3)):
        variance = alpha_bar * deviation**2 + 1 - alpha_bar
        away = (alpha_bar**0.5 * mean - x64) / variance
        parts.append((-0.5 * away * away * variance - 0.5 * variance.log(), away))
    share = torch.sigmoid(parts[0][0] - parts[1][0])
    return (-((1 - alpha_bar) ** 0.5) * (share * parts[0][1] + (1 - share) * parts[1][1])).to(
        x.dtype
    )


def peer(make, steps, start):
    scheduler = in_double(make())
    scheduler.set_timesteps(steps)
    if start.dtype == torch.float64 and isinstance(scheduler, DPMSolverMultistepScheduler):
        # Its sigmas go through float32; the same interpolation in double.
        exact = ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5
        scheduler.sigmas = torch.cat(
            [exact[scheduler.timesteps], torch.zeros(1, dtype=torch.float64)]
        )
    x, seconds = start.clone(), []
    for t in scheduler.timesteps:
        output = perfect_noise(x, scheduler.alphas_cumprod[int(t)])
        before = time.perf_counter()
        x = scheduler.step(output, t, x).prev_sample
        seconds.append(1e6 * (time.perf_counter() - before))
    return x, seconds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("result")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = torch.randn(
        options.batch, 3, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    ).float()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        save_file({"x": start}, f"{folder}/in.safetensors")
        for name, (make, steps, words) in CASES.items():
            exact, _ = peer(make, steps, start.double())
            ours_times, peer_times = [], []
            for _ in range(options.rounds):
                done = subprocess.run(
                    [
                        options.program,
                        f"{folder}/in.safetensors",
                        f"{folder}/out.safetensors",
                        *words,
                    ],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                ours_times.append(statistics.median(json.loads(done.stdout)["microseconds"]))
                theirs, seconds = peer(make, steps, start)
                peer_times.append(statistics.median(seconds))
            ours = load_file(f"{folder}/out.safetensors")["x"]
            results[name] = {
                "lockstep_microseconds_a_step": round(statistics.median(ours_times), 1),
                "diffusers_microseconds_a_step": round(statistics.median(peer_times), 1),
                "faster_by": round(
                    statistics.median(b / a for a, b in zip(ours_times, peer_times)), 2
                ),
                "lockstep_error": (ours.double() - exact).abs().max().item(),
                "diffusers_float32_error": (theirs.double() - exact).abs().max().item(),
            }
    facts = {
        "torch": torch.__version__,
        "threads": 1,
        "state": list(start.shape),
        "rounds": options.rounds,
        "load_average": [round(x, 1) for x in os.getloadavg()],
        "date": time.strftime("%Y-%m-%d"),
        "note": (
            "errors are the largest absolute differences to diffusers in float64; Lockstep's state "
            "is float32, each element updated in double"
        ),
    }
    text = json.dumps({"bench": "C19 sampler-exact", "facts": facts, "results": results}, indent=1)
    Path(options.result).write_text(text + "\n")
    print(text)


main()
