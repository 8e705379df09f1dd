#!/usr/bin/env python3
"""One training step of the image UNet: Lockstep against denoising-diffusion-pytorch, in turn on one machine.

    python3 bench/peers/unet_step.py build/bin RESULT.json [--case d64-s32-b8]... [--rounds N] [--no-compile] [--no-bf16]

Needs: torch==2.11.0, denoising-diffusion-pytorch==2.3.4, safetensors==0.8.0, and a C++ compiler for torch.compile. One
thread each. Programs stay up; in every round each does one step, then the next one, so that other work on the
machine hits all alike. Medians over rounds, and medians of the ratios of each round, of wall clock and of CPU
seconds. Before anything is timed, loss and gradient norm for the same weights, pictures, times and noise are
compared. Beside the times stand the operations of a step and the least time they can take at this machine's roof.
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

import unet_peer  # noqa: E402

TOLERANCE = {"loss": 1e-5, "gradient_norm": 1e-4}  # relative; float32 on both sides


class Lockstep:
    """The benchmark program, waiting for numbers of steps on its stdin."""

    def __init__(self, programs, case, compute="fp32"):
        self.words = [f"{programs}/unet_step_bench", "--case", case, "--compute", compute]
        self.environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def start(self):
        start = time.perf_counter()
        self.process = subprocess.Popen([*self.words, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment)
        self.round()  # its first step is not in these times, so this waits for it
        return time.perf_counter() - start

    def round(self):
        self.process.stdin.write("1\n")
        self.process.stdin.flush()
        result = json.loads(self.process.stdout.readline())
        return {"wall": result["wall"][0], "cpu": result["cpu"][0]}

    def check(self, file):
        done = subprocess.run([*self.words, "--check", file], check=True, capture_output=True, text=True, env=self.environment)
        return json.loads(done.stdout)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Python:
    def __init__(self, case, **options):
        self.case, self.options, self.trainer = case, options, None

    def start(self):
        start = time.perf_counter()
        self.trainer = unet_peer.Trainer(self.case, "cpu", **self.options)
        self.trainer.step()
        self.trainer.step()
        return time.perf_counter() - start

    def round(self):
        wall, cpu = time.perf_counter(), time.process_time()
        self.trainer.step()
        return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}

    def stop(self):
        self.trainer = None


def gate(case, lockstep):
    """Loss and gradient norm of both for the same weights and inputs; the relative differences."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/check.safetensors"
        theirs = unet_peer.Trainer(case, "cpu").check(file)
        ours = lockstep.check(file)
    for name, value in theirs.items():
        if not abs(ours[name] - value) <= TOLERANCE[name] * abs(value):
            sys.exit(f"{case}: {name} is {ours[name]} in Lockstep and {value} in PyTorch: nothing was timed")
    return {name: float(f"{abs(ours[name] / value - 1):.1e}") for name, value in theirs.items()}


def measure(case, options, roofs):
    runs = {"lockstep": Lockstep(options.programs, case)}
    agreement = gate(case, runs["lockstep"])
    runs["lucidrains"] = Python(case)
    runs["lucidrains channels_last"] = Python(case, channels_last=True)
    if not options.no_compile:
        runs["lucidrains compiled"] = Python(case, compiled=True)
    if not options.no_bf16:
        runs["lockstep bf16"] = Lockstep(options.programs, case, "bf16")
        runs["lucidrains bf16"] = Python(case, amp=torch.bfloat16)
    warm_up = {name: run.start() for name, run in runs.items()}
    flops = runs["lucidrains"].trainer.flops
    times = {name: {"wall": [], "cpu": []} for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            for clock, value in run.round().items():
                times[name][clock].append(value)
    out = {"rounds": options.rounds, "agreement": agreement, "gflop": round(flops / 1e9, 1)}
    for name, run in runs.items():
        run.stop()
        roof = roofs["bf16_gflops" if "bf16" in name else "fp32_gflops"] * 1e9
        ours = times["lockstep bf16" if "bf16" in name else "lockstep"]
        ratio = {clock: round(statistics.median(a / b for a, b in zip(times[name][clock], ours[clock])), 3) for clock in ours}
        wall, cpu = (statistics.median(times[name][clock]) for clock in ("wall", "cpu"))
        out[name] = {"wall_seconds": round(wall, 4), "cpu_seconds": round(cpu, 4), "first_two_steps_seconds": round(warm_up[name], 2),
                     "times_lockstep_wall": ratio["wall"], "times_lockstep_cpu": ratio["cpu"],
                     "least_seconds_at_roof": round(flops / roof, 4) if roof else None,
                     "percent_of_roof": round(100 * flops / roof / cpu, 1) if roof else None}
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", help="folder of unet_step_bench and machine_roofs_bench")
    parser.add_argument("result", help="JSON file to write")
    parser.add_argument("--case", action="append", help="default: d64-s32-b8")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-bf16", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    roofs = json.loads(subprocess.run([f"{options.programs}/machine_roofs_bench"], check=True, capture_output=True, text=True).stdout)
    facts = {"torch": torch.__version__, "machine": platform.processor() or platform.machine(), "threads": 1, "roofs": roofs,
             "date": time.strftime("%Y-%m-%d"), "load_average_before": [round(x, 1) for x in os.getloadavg()],
             "unit": "seconds a step, medians; times_lockstep: median over rounds of the ratio to lockstep's step of that "
                     "precision, above 1 = Lockstep is faster"}
    cases = {}
    for case in options.case or ["d64-s32-b8"]:
        cases[case] = measure(case, options, roofs)
        print(case, json.dumps(cases[case], indent=1), flush=True)
        facts["load_average_after"] = [round(x, 1) for x in os.getloadavg()]
        Path(options.result).write_text(json.dumps({"bench": "unet_step", "facts": facts, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
