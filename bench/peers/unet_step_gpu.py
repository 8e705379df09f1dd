#!/usr/bin/env python3
"""denoising-diffusion-pytorch's training step on a GPU (G2): eager and torch.compile.

    # G2: batch 16, 64, 512
    python3 bench/peers/unet_step_gpu.py --device cuda --json
    python3 bench/peers/unet_step_gpu.py --device cuda --case d64-s32-b16-a2 --rounds 20 --json
    python3 bench/peers/unet_step_gpu.py --device cuda --case d64-s32-b16-a2 --until 1000 --variant
        compile --json
    # a try without a GPU
    python3 bench/peers/unet_step_gpu.py --device cpu --case d8-s16-b2-a2 --rounds 2 --json

Needs torch==2.11.0, denoising-diffusion-pytorch==2.3.4 (--check also safetensors). A line of JSON a
case and variant; build/bin/unet_step_bench takes the same --case, --until and --check.

The step is that of the package's Trainer: two micro-batches (-a2), autocast (--amp, bf16), clipping
at 1, fused Adam, EMA every ten updates. Variants: eager, flash (flash_attn, eager), compile (mode
max-autotune-no-cudagraphs), graphs (compile with mode reduce-overhead). Steps are timed with CUDA
events around --steps of them, medians over --rounds. Before that, loss and gradient norm of each
variant are compared with the eager ones on the same weights, in float32.
"""

import json
import os
import statistics
import sys
import time

os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")

import torch  # noqa: E402
import unet_peer  # noqa: E402
from device_clock import Stopwatch, seconds_since_exec, step_options, synchronise  # noqa: E402

G2 = [f"d64-s32-b{batch}-a2" for batch in (16, 64, 512)]
VARIANTS = {
    "eager": {},
    "flash": {"flash": True},
    "compile": {"compiled": True, "mode": "max-autotune-no-cudagraphs"},
    "graphs": {"compiled": True, "mode": "reduce-overhead"},
}
TOLERANCE = (
    1e-3  # relative, of loss and gradient norm, float32: other kernels, other order of additions
)


def make_trainer(case, options, variant, amp):
    words = dict(VARIANTS[variant])
    if options.device == "cpu" and "mode" in words:
        words["mode"] = None
    return unet_peer.Trainer(case, options.device, amp=amp, **words)


def gate(case, options, variant):
    """How far loss and gradient norm of the variant are from the eager ones, float32."""
    sizes = unet_peer.Case(case)
    small = f"d{sizes.dim}-s{sizes.size}-b{min(sizes.batch, 16)}"
    found = []
    for name in ("eager", variant):
        trainer = make_trainer(small, options, name, None)
        generator = torch.Generator().manual_seed(7)
        shape = (min(sizes.batch, 16), 3, sizes.size, sizes.size)
        found.append(
            trainer.loss_and_norm(
                torch.rand(shape, generator=generator) * 2 - 1,
                torch.randint(0, 1000, shape[:1], generator=generator),
                torch.randn(shape, generator=generator),
            )
        )
        torch.compiler.reset()
    apart = max(abs(found[1][key] / found[0][key] - 1) for key in found[0])
    if not apart <= TOLERANCE:
        sys.exit(f"{case}: eager and {variant} differ by {apart:.1e}: {found}; nothing was timed")
    return apart


def step(trainer, variant):
    if variant == "graphs":
        torch.compiler.cudagraph_mark_step_begin()
    return trainer.step()


def timed(case, options, variant):
    start = time.perf_counter()
    trainer = make_trainer(case, options, variant, unet_peer.AMP[options.amp])
    step(trainer, variant)
    synchronise(options.device)
    first = time.perf_counter() - start
    for _ in range(options.warm_up):
        step(trainer, variant)
    synchronise(options.device)
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(options.rounds):
        with Stopwatch(options.device) as watch:
            for _ in range(options.steps):
                loss = step(trainer, variant)
        seconds.append(watch.seconds / options.steps)
    median = statistics.median(seconds)
    images = trainer.case.batch * trainer.case.accumulate
    out = {
        "milliseconds": 1e3 * median,
        "fastest": 1e3 * min(seconds),
        "slowest": 1e3 * max(seconds),
        "images_per_second": images / median,
        "tflops": trainer.flops / median / 1e12,
        "first_step_seconds": round(first, 3),
        "rounds": options.rounds,
        "steps_a_round": options.steps,
        "loss": float(loss),
    }
    if options.device == "cuda":
        out["peak_megabytes"] = round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return out


def until(case, options, variant):
    trainer = make_trainer(case, options, variant, unet_peer.AMP[options.amp])
    for _ in range(options.until):
        loss = step(trainer, variant)
    synchronise(options.device)
    return {
        "steps": options.until,
        "seconds_since_exec": round(seconds_since_exec(), 3),
        "loss": float(loss),
    }


def say(line, options):
    print(
        json.dumps(line)
        if options.json
        else "  ".join(f"{key} {value}" for key, value in line.items()),
        flush=True,
    )


def main():
    options = step_options(
        __doc__,
        "d64-s32-b16-a2 and the like; default: the three of G2",
        VARIANTS,
        "default: eager, flash and compile",
        unet_peer.AMP,
        "bf16",
        "default: bf16 on a GPU, fp32 on a CPU",
        "inputs",
    )
    name = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    facts = {
        "bench": "unet_step_gpu",
        "device": name,
        "torch": torch.__version__,
        "amp": options.amp,
    }
    for case in options.case or G2:
        if options.check:
            say(
                facts
                | {"case": case, "amp": "fp32"}
                | make_trainer(case, options, "eager", None).check(options.check),
                options,
            )
            continue
        for variant in options.variant or ("eager", "flash", "compile"):
            agreement = (
                {}
                if options.until or variant == "eager"
                else {"differs_from_eager_by": gate(case, options, variant)}
            )
            say(
                facts
                | {"case": case, "variant": variant}
                | (until if options.until else timed)(case, options, variant)
                | agreement,
                options,
            )
            torch.compiler.reset()


if __name__ == "__main__":
    main()
