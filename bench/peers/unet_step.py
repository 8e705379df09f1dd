#!/usr/bin/env python3
"""One training step of the image UNet: Lockstep against denoising-diffusion-pytorch, in turn on one
machine.

    python3 bench/peers/unet_step.py build/bin RESULT.json [--case d64-s32-b8]... [--rounds N]
        [--no-compile] [--no-bf16]

Needs: torch==2.11.0, denoising-diffusion-pytorch==2.3.4, safetensors==0.8.0, and a C++ compiler for
torch.compile. One thread each. Programs stay up; in every round each does one step, then the next
one, so that other work on the machine hits all alike. Medians over rounds, and medians of the
ratios of each round, of wall clock and of CPU seconds. Before anything is timed, loss and gradient
norm for the same weights, pictures, times and noise are compared. Beside the times stand the
operations of a step and the least time they can take at this machine's roof.
"""

import os
import sys
import tempfile

os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")

import torch  # noqa: E402
import turns  # noqa: E402
import unet_peer  # noqa: E402

CASES = ["d64-s32-b8"]
TOLERANCE = {"loss": 1e-5, "gradient_norm": 1e-4}  # relative; float32 on both sides


def trainer(case, **options):
    return turns.Stepper(lambda: unet_peer.Trainer(case, "cpu", **options))


def lockstep(options, case, compute="fp32"):
    return turns.Served(f"{options.programs}/unet_step_bench", "--case", case, "--compute", compute)


def gate(case, ours):
    """Loss and gradient norm of both for the same weights and inputs."""
    with tempfile.TemporaryDirectory() as folder:
        theirs = unet_peer.Trainer(case, "cpu").check(f"{folder}/check.safetensors")
        return turns.agreement(case, ours.check(f"{folder}/check.safetensors"), theirs, TOLERANCE)


def measure(case, options, roofs):
    runs = {"lockstep": lockstep(options, case)}
    out = {"rounds": options.rounds, "agreement": gate(case, runs["lockstep"])}
    runs |= {
        "lucidrains": trainer(case),
        "lucidrains channels_last": trainer(case, channels_last=True),
    }
    if not options.no_compile:
        runs["lucidrains compiled"] = trainer(case, compiled=True)
    if not options.no_bf16:
        runs |= {
            "lockstep bf16": lockstep(options, case, "bf16"),
            "lucidrains bf16": trainer(case, amp=torch.bfloat16),
        }
    warm_up = {name: run.start() for name, run in runs.items()}
    flops = runs["lucidrains"].peer.flops
    out["gflop"] = round(flops / 1e9, 1)
    times = turns.take_turns(runs, options.rounds)
    for name, run in runs.items():
        run.stop()
        base = "lockstep bf16" if "bf16" in name else "lockstep"
        out[name] = turns.step_row(times, name, base, flops, roofs) | {
            "first_two_steps_seconds": round(warm_up[name], 2)
        }
    return out


def main():
    parser = turns.parser(__doc__, "unet_step_bench and machine_roofs_bench", CASES, 7)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-bf16", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    roofs = turns.roofs_of(options.programs)
    turns.measure_all(
        "unet_step",
        options,
        CASES,
        lambda case: measure(case, options, roofs),
        f"seconds a step, medians; times_lockstep: median over rounds of the ratio to lockstep's "
        f"step of that precision, {turns.RATIO}",
        roofs=roofs,
    )


if __name__ == "__main__":
    sys.exit(main())
