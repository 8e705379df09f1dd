#!/usr/bin/env python3
"""One training step of the Sudoku seed: Lockstep against PyTorch eager and torch.compile, in turn on one machine.

    python3 bench/peers/seed_step.py build/bin RESULT.json [--case NAME]... [--rounds N] [--no-compile] [--no-bf16]

Needs: torch==2.11.0, safetensors==0.8.0, and a C++ compiler for torch.compile. One thread each. Programs stay
up; in every round each does one step, then the next one, so that other work on the machine hits all alike.
Medians over rounds, and medians of the ratios of each round, of wall clock and of CPU seconds (user and system).

Before anything is timed, loss and gradient norm for the same weights and sequences are compared. Beside
the times stand the operations of a step and the least time they can take at this machine's measured roof.

The peers run the seed's own loop: K_MAX whole forwards with masks, AdamW (fused), clipping at 1. `compile`
compiles the forward itself (the seed compiled a wrapper that its loss never called), without caches of earlier
compilations.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")

import torch  # noqa: E402

import seed_peer  # noqa: E402

# Name of a case (C, L, E, K, batch): why.
CASES = {
    "c128-l8-e0-k1-b256": "C18: one forward a grid",
    "c64-l9-e15-k6-b64": "the seed's script, batch 64",
    "c64-l9-e15-k6-b1024": "the seed's script, batch 1,024",
}
TOLERANCE = {"loss": 1e-5, "gradient_norm": 1e-4}  # relative; float32 on both sides


class Lockstep:
    """The benchmark program, waiting for numbers of steps on its stdin."""

    def __init__(self, programs, case, compute="fp32", slots=None):
        self.words = [str(programs / "seed_step_bench"), "--case", case, "--compute", compute]
        self.words += ["--slots", str(slots)] if slots else []
        self.environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = None

    def start(self):
        start = time.perf_counter()
        self.process = subprocess.Popen([*self.words, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment)
        self.round()  # its first step is not in these times, so this waits for it
        return time.perf_counter() - start

    def round(self):
        self.process.stdin.write("1\n")
        self.process.stdin.flush()
        result = json.loads(self.process.stdout.readline())
        return {"wall": result["wall"][0], "cpu": result["cpu"][0], "flops": result["flops"]}

    def check(self, file):
        done = subprocess.run([*self.words, "--check", file], check=True, capture_output=True, text=True, env=self.environment)
        return json.loads(done.stdout)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Python:
    def __init__(self, case, compiled=False, bf16=False):
        self.case, self.compiled, self.bf16, self.peer = case, compiled, bf16, None

    def start(self):
        start = time.perf_counter()
        self.peer = seed_peer.Peer(self.case, "cpu", compiled=self.compiled, autocast=torch.bfloat16 if self.bf16 else None)
        self.peer.step()
        self.peer.step()
        return time.perf_counter() - start

    def round(self):
        wall, cpu = time.perf_counter(), time.process_time()
        self.peer.step()
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "flops": self.peer.flops}

    def stop(self):
        self.peer = None


def gate(case, lockstep):
    """Loss and gradient norm of both for the same weights, grids, starts and counts."""
    small = seed_peer.Case(case).with_batch(16)
    peer = seed_peer.Peer(small.name, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/check.safetensors"
        theirs = peer.check(file)
        ours = lockstep.check(file)
    for name, value in theirs.items():
        if abs(ours[name] - value) > TOLERANCE[name] * abs(value):
            sys.exit(f"{case}: {name} is {ours[name]} in Lockstep and {value} in PyTorch: nothing was timed")
    return {name: abs(ours[name] / value - 1) for name, value in theirs.items()}


def median_ratio(times, name, clock):
    return round(statistics.median(a / b for a, b in zip(times[name][clock], times["lockstep"][clock])), 3)


def measure(case, options, roofs):
    programs = Path(options.programs)
    runs = {"lockstep": Lockstep(programs, case)}
    agreement = gate(case, runs["lockstep"])
    if seed_peer.Case(case).batch < 512:
        runs["lockstep, one forward"] = Lockstep(programs, case, slots=1)
    runs["eager"] = Python(case)
    if not options.no_compile:
        runs["compile"] = Python(case, compiled=True)
    if not options.no_bf16 and case == "c128-l8-e0-k1-b256":
        runs["lockstep bf16"] = Lockstep(programs, case, "bf16")
        runs["eager bf16"] = Python(case, bf16=True)
    warm_up = {name: run.start() for name, run in runs.items()}
    times = {name: {"wall": [], "cpu": [], "flops": []} for name in runs}
    rounds = options.rounds if seed_peer.Case(case).batch < 512 else max(3, options.rounds // 2)
    for _ in range(rounds):
        for name, run in runs.items():
            for key, value in run.round().items():
                times[name][key].append(value)
    out = {"what": CASES.get(case, ""), "rounds": rounds, "agreement": {k: float(f"{v:.1e}") for k, v in agreement.items()}}
    for name, run in runs.items():
        run.stop()
        roof = roofs["bf16_gflops" if "bf16" in name else "fp32_gflops"] * 1e9
        wall, cpu, flops = (statistics.median(times[name][key]) for key in ("wall", "cpu", "flops"))
        out[name] = {
            "wall_seconds": round(wall, 4), "cpu_seconds": round(cpu, 4), "first_two_steps_seconds": round(warm_up[name], 2),
            "times_lockstep_wall": median_ratio(times, name, "wall"), "times_lockstep_cpu": median_ratio(times, name, "cpu"),
            "gflop": round(flops / 1e9, 1), "least_seconds_at_roof": round(flops / roof, 4) if roof else None,
            "percent_of_roof": round(100 * flops / roof / cpu, 1) if roof else None,
        }
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", help="folder of seed_step_bench and machine_roofs_bench")
    parser.add_argument("result", help="JSON file to write")
    parser.add_argument("--case", action="append", help="c64-l9-e15-k6-b64 and the like; default: " + " ".join(CASES))
    parser.add_argument("--rounds", type=int, default=7, help="half as many, three at least, from batch 512 on")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-bf16", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    roofs = json.loads(subprocess.run([f"{options.programs}/machine_roofs_bench"], check=True, capture_output=True, text=True).stdout)
    facts = {"torch": torch.__version__, "machine": platform.processor() or platform.machine(), "threads": 1, "roofs": roofs,
             "date": time.strftime("%Y-%m-%d"), "load_average_before": [round(x, 1) for x in os.getloadavg()],
             "unit": "seconds a step, medians; times_lockstep: median over rounds of the ratio to lockstep's step, above 1 = Lockstep is faster"}
    cases = {}
    for case in options.case or CASES:
        cases[case] = measure(case, options, roofs)
        print(case, json.dumps(cases[case], indent=1), flush=True)
        facts["load_average_after"] = [round(x, 1) for x in os.getloadavg()]
        Path(options.result).write_text(json.dumps({"bench": "seed_step", "facts": facts, "cases": cases}, indent=1) + "\n")


main()
