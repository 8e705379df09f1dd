#!/usr/bin/env python3
"""One training step of the Sudoku seed: Lockstep against PyTorch eager and torch.compile, in turn
on one machine.

    python3 bench/peers/seed_step.py build/bin RESULT.json [--case NAME]... [--rounds N]
        [--no-compile] [--no-bf16]

Needs: torch==2.11.0, safetensors==0.8.0, and a C++ compiler for torch.compile. One thread each.
Programs stay up; in every round each does one step, then the next one, so that other work on the
machine hits all alike. Medians over rounds, and medians of the ratios of each round, of wall clock
and of CPU seconds (user and system).

Before anything is timed, loss and gradient norm for the same weights and sequences are compared.
Beside the times stand the operations of a step and the least time they can take at this machine's
measured roof.

The peers run the seed's own loop: K_MAX whole forwards with masks, AdamW (fused), clipping at 1.
`compile` compiles the forward itself (the seed compiled a wrapper that its loss never called),
without caches of earlier compilations.
"""

import os
import sys
import tempfile

os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")

import seed_peer  # noqa: E402
import torch  # noqa: E402
import turns  # noqa: E402

# Name of a case (C, L, E, K, batch): why.
CASES = {
    "c128-l8-e0-k1-b256": "C18: one forward a grid",
    "c64-l9-e15-k6-b64": "the seed's script, batch 64",
    "c64-l9-e15-k6-b1024": "the seed's script, batch 1,024",
}
TOLERANCE = {"loss": 1e-5, "gradient_norm": 1e-4}  # relative; float32 on both sides


def lockstep(options, case, *words):
    return turns.Served(f"{options.programs}/seed_step_bench", "--case", case, *words)


def gate(case, ours):
    """Loss and gradient norm of both for the same weights, grids, starts and counts."""
    peer = seed_peer.Peer(seed_peer.Case(case).with_batch(16).name, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        theirs = peer.check(f"{folder}/check.safetensors")
        return turns.agreement(case, ours.check(f"{folder}/check.safetensors"), theirs, TOLERANCE)


def measure(case, options, roofs):
    runs = {"lockstep": lockstep(options, case)}
    out = {"what": CASES.get(case, ""), "agreement": gate(case, runs["lockstep"])}
    small = seed_peer.Case(case).batch < 512
    if small:
        runs["lockstep, one forward"] = lockstep(options, case, "--slots", 1)
    runs["eager"] = turns.Stepper(lambda: seed_peer.Peer(case, "cpu"))
    if not options.no_compile:
        runs["compile"] = turns.Stepper(lambda: seed_peer.Peer(case, "cpu", compiled=True))
    if not options.no_bf16 and case == "c128-l8-e0-k1-b256":
        runs["lockstep bf16"] = lockstep(options, case, "--compute", "bf16")
        runs["eager bf16"] = turns.Stepper(
            lambda: seed_peer.Peer(case, "cpu", autocast=torch.bfloat16)
        )
    warm_up = {name: run.start() for name, run in runs.items()}
    out["rounds"] = options.rounds if small else max(3, options.rounds // 2)
    times = turns.take_turns(runs, out["rounds"])
    for name, run in runs.items():
        run.stop()
        flops = sorted(times[name]["flops"])[out["rounds"] // 2]
        out[name] = turns.step_row(times, name, "lockstep", flops, roofs) | {
            "first_two_steps_seconds": round(warm_up[name], 2),
            "gflop": round(flops / 1e9, 1),
        }
    return out


def main():
    parser = turns.parser(__doc__, "seed_step_bench and machine_roofs_bench", CASES, 7)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-bf16", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    roofs = turns.roofs_of(options.programs)
    turns.measure_all(
        "seed_step",
        options,
        CASES,
        lambda case: measure(case, options, roofs),
        f"seconds a step, medians; times_lockstep: median over rounds of the ratio to lockstep's "
        f"step, {turns.RATIO}",
        roofs=roofs,
    )


if __name__ == "__main__":
    sys.exit(main())
