#!/usr/bin/env python3
"""The Sudoku seed's training step in PyTorch on a GPU (G1, G8, G9): eager and
torch.compile(mode="reduce-overhead").

    # G1: all 16 cases
    python3 bench/peers/sudoku_step_gpu.py --device cuda --json
    python3 bench/peers/sudoku_step_gpu.py --device cuda --case c64-l4-e0-k5-b8 --rounds 20 --json
    python3 bench/peers/sudoku_step_gpu.py --device cuda --case c64-l4-e0-k5-b8 --until 1000
        --variant compile --json
    # a try without a GPU
    python3 bench/peers/sudoku_step_gpu.py --device cpu --case c8-l1-e0-k2-b4 --rounds 2 --json

Needs torch==2.11.0 (--check also safetensors). A line of JSON a case and variant;
build/bin/seed_step_bench takes the same --case, --until and --check.

G1: steps are timed with CUDA events around --steps of them, medians over --rounds. Before that,
loss and gradient of the compiled forward are compared with the eager one's on the same weights,
without autocast. G8: variant eager_unscaled is float16 autocast without GradScaler, so eager /
eager_unscaled is what scaling costs. G9: --until N runs N steps and prints the seconds since the
process was started, compilation included; no cache of earlier compilations is used.
"""

import json
import os
import statistics
import sys
import time

os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")

import seed_peer  # noqa: E402
import torch  # noqa: E402
from device_clock import Stopwatch, seconds_since_exec, step_options, synchronise  # noqa: E402

G1 = [f"c{c}-l{layers}-e0-k5-b{b}" for c in (64, 128) for layers in (4, 8) for b in (1, 8, 32, 256)]
AMP = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": None}
VARIANTS = ("eager", "compile", "eager_unscaled")
TOLERANCE = (
    1e-3  # relative, of loss and gradient norm, float32: other kernels, other order of additions
)


def make_peer(case, options, variant, amp):
    mode = "reduce-overhead" if options.device == "cuda" else None
    peer = seed_peer.Peer(
        case, options.device, compiled=variant == "compile", mode=mode, autocast=amp
    )
    if variant == "eager_unscaled":
        peer.scaler = None
    return peer


def gate(case, options):
    """Loss and gradient norm of the compiled forward against the eager one's, float32."""
    found = {}
    for variant in ("eager", "compile"):
        peer = make_peer(case, options, variant, None)
        torch.manual_seed(5)
        windows = peer.windows()
        loss = peer.loss(*windows)
        loss.backward()
        found[variant] = (
            loss.item(),
            torch.nn.utils.get_total_norm([p.grad for p in peer.net.parameters()]).item(),
        )
    apart = max(abs(a / b - 1) for a, b in zip(found["compile"], found["eager"]))
    if not apart <= TOLERANCE:
        sys.exit(f"{case}: eager and compiled differ by {apart:.1e}: {found}; nothing was timed")
    return apart


def step(peer, variant):
    if variant == "compile":
        torch.compiler.cudagraph_mark_step_begin()
    return peer.step()


def timed(case, options, variant):
    start = time.perf_counter()
    peer = make_peer(case, options, variant, AMP[options.amp])
    step(peer, variant)
    synchronise(options.device)
    first = time.perf_counter() - start
    for _ in range(options.warm_up):
        step(peer, variant)
    synchronise(options.device)
    seconds = []
    for _ in range(options.rounds):
        with Stopwatch(options.device) as watch:
            for _ in range(options.steps):
                loss = step(peer, variant)
        seconds.append(watch.seconds / options.steps)
    return {
        "milliseconds": 1e3 * statistics.median(seconds),
        "fastest": 1e3 * min(seconds),
        "slowest": 1e3 * max(seconds),
        "first_step_seconds": round(first, 3),
        "rounds": options.rounds,
        "steps_a_round": options.steps,
        "loss": loss.item(),
    }


def until(case, options, variant):
    peer = make_peer(case, options, variant, AMP[options.amp])
    for _ in range(options.until):
        loss = step(peer, variant)
    synchronise(options.device)
    return {
        "steps": options.until,
        "seconds_since_exec": round(seconds_since_exec(), 3),
        "loss": loss.item(),
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
        "c64-l4-e0-k5-b8 and the like; default: the 16 of G1",
        VARIANTS,
        "default: eager and compile",
        AMP,
        "fp16",
        "default: fp16 with GradScaler on a GPU, as the seed; fp32 on a CPU",
        "sequences",
    )
    name = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    facts = {
        "bench": "sudoku_step_gpu",
        "device": name,
        "torch": torch.__version__,
        "amp": options.amp,
    }
    for case in options.case or G1:
        if options.check:
            say(
                facts
                | {"case": case, "amp": "fp32"}
                | make_peer(case, options, "eager", None).check(options.check),
                options,
            )
            continue
        variants = options.variant or ("eager", "compile")
        agreement = (
            {"eager_and_compiled_differ_by": gate(case, options)}
            if "compile" in variants and not options.until
            else {}
        )
        for variant in variants:
            run = until if options.until else timed
            say(
                facts
                | {"case": case, "variant": variant}
                | run(case, options, variant)
                | agreement,
                options,
            )
            torch.compiler.reset()


main()
