#!/usr/bin/env python3
"""Pictures a second of sampling on a GPU with denoising-diffusion-pytorch and diffusers (G6).

    # G6: DDIM-50, DPM++-20, DDPM-250 at batch 512
    python3 bench/peers/sampler_gpu.py --device cuda --json
    python3 bench/peers/sampler_gpu.py --device cuda --case d64-s32-b512-ddim50 --rounds 3 --json
    # a try without a GPU
    python3 bench/peers/sampler_gpu.py --device cpu --case d8-s16-b2-ddim5 --rounds 2 --json

Needs torch==2.11.0, denoising-diffusion-pytorch==2.3.4, diffusers==0.42.1. A line of JSON a case
and variant. What stands beside it on Lockstep's side: lockstep bench sampler CONFIG --samplers ddim
--steps 50 --batch 512 --graph off,on --json.

Variants: lucidrains (its own loop, float32), lucidrains-amp and diffusers-amp (autocast, --amp,
bf16), diffusers, and lucidrains-compile (amp, torch.compile of the network). Draws of --case's
batch are timed with CUDA events, medians over --rounds; 10,000 pictures are that many draws. Before
that, pictures of each variant from the same noise are compared with those of its plain float32
form: exactly the same loop for compile, the RMSE is printed for autocast.
"""

import argparse
import json
import os
import statistics
import sys
import time

os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")

import sampler_peer  # noqa: E402
import torch  # noqa: E402
import unet_peer  # noqa: E402
from denoising_diffusion_pytorch import Unet  # noqa: E402
from device_clock import Stopwatch, synchronise  # noqa: E402

G6 = ["d64-s32-b512-ddim50", "d64-s32-b512-dpmpp20", "d64-s32-b512-ddpm250"]
VARIANTS = ("lucidrains", "lucidrains-amp", "lucidrains-compile", "diffusers", "diffusers-amp")


class Drawer:
    def __init__(self, name, options, variant):
        self.case = sampler_peer.Case(name)
        torch.manual_seed(1)
        self.net = Unet(self.case.dim).eval().to(options.device)
        self.flops = (
            unet_peer.forward_flops(self.net, self.case.size) * self.case.batch * self.case.steps
        )
        self.diffusion = sampler_peer.lucidrains(self.net, self.case)
        self.schedule = (
            sampler_peer.scheduler(self.diffusion, self.case)
            if variant.startswith("diffusers")
            else None
        )
        self.device, self.variant = options.device, variant
        self.amp = None if variant in ("lucidrains", "diffusers") else unet_peer.AMP[options.amp]
        if variant == "lucidrains-compile":
            self.diffusion.model = torch.compile(
                self.net, mode="max-autotune-no-cudagraphs" if options.device == "cuda" else None
            )

    def draw(self, noise=None):
        with torch.autocast(self.device, self.amp or torch.bfloat16, enabled=self.amp is not None):
            if self.variant.startswith("diffusers"):
                return sampler_peer.draw_diffusers(self.net, self.schedule, self.case, noise)
            return sampler_peer.draw_lucidrains(self.diffusion, self.case, noise)


def rmse_to_plain(name, options, variant):
    """Of pictures from the same noise, clamped; nothing where fresh noise comes in."""
    case = sampler_peer.Case(name)
    plain = variant.split("-")[0]
    if case.sampler == "ddpm" or variant == plain:
        return {}
    small = f"d{case.dim}-s{case.size}-b{min(case.batch, 4)}-{case.sampler}{case.steps}"
    noise = torch.randn(
        sampler_peer.Case(small).shape, generator=torch.Generator().manual_seed(3)
    ).to(options.device)
    pictures = [
        Drawer(small, options, which).draw(noise).float().clamp(0, 1) for which in (plain, variant)
    ]
    apart = (pictures[0] - pictures[1]).square().mean().sqrt().item()
    if not apart <= 0.1:
        sys.exit(
            f"{name}: {variant} draws other pictures than {plain}, RMSE {apart}; nothing was timed"
        )
    return {"rmse_to_float32": float(f"{apart:.2e}")}


def measure(name, options, variant):
    start = time.perf_counter()
    drawer = Drawer(name, options, variant)
    drawer.draw()
    synchronise(options.device)
    first = time.perf_counter() - start
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(options.rounds):
        with Stopwatch(options.device) as watch:
            drawer.draw()
        seconds.append(watch.seconds)
    median = statistics.median(seconds)
    out = {
        "seconds_a_draw": median,
        "fastest": min(seconds),
        "slowest": max(seconds),
        "images_per_second": drawer.case.batch / median,
        "tflops": drawer.flops / median / 1e12,
        "first_draw_seconds": round(first, 3),
        "rounds": options.rounds,
    }
    if options.device == "cuda":
        out["peak_megabytes"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return out


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--case", action="append", help="d64-s32-b512-ddim50 and the like; default: the three of G6"
    )
    parser.add_argument(
        "--variant", action="append", choices=VARIANTS, help="default: all but compile"
    )
    parser.add_argument("--amp", choices=("bf16", "fp16"), default="bf16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="lines of JSON")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "error: no GPU that this PyTorch can use\nhelp: --device cpu tries the program on a CPU"
        )
    if options.device == "cpu":
        torch.set_num_threads(1)
    name = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    for case in options.case or G6:
        for variant in options.variant or [one for one in VARIANTS if "compile" not in one]:
            if variant.startswith("lucidrains") and sampler_peer.Case(case).sampler == "dpmpp":
                continue  # it has none
            line = {
                "bench": "sampler_gpu",
                "device": name,
                "torch": torch.__version__,
                "case": case,
                "variant": variant,
            }
            line |= rmse_to_plain(case, options, variant) | measure(case, options, variant)
            print(
                json.dumps(line)
                if options.json
                else "  ".join(f"{key} {value}" for key, value in line.items()),
                flush=True,
            )
            torch.compiler.reset()


if __name__ == "__main__":
    main()
