"""What comparisons in turns share: a program of ours that waits on its stdin, a peer in this
process, rounds, facts, files.

In every round each program does one piece of work, then the next one, so that other work on the
machine hits all alike. Needs: torch (imported by the scripts that use this).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

RATIO = "above 1 = Lockstep is faster"


class Served:
    """A benchmark program of ours with --serve: a number on its stdin, a line of JSON with lists of
    that length."""

    def __init__(self, *words):
        self.words, self.process = [str(word) for word in words], None
        self.environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def start(self):
        """Seconds until its first round is done; what it does before is in no list, so this waits
        for it."""
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [*self.words, "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        self.round()
        return time.perf_counter() - start

    def round(self):
        self.process.stdin.write("1\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.words[0]} ended with {self.process.wait()}")
        return {
            key: value[0] if isinstance(value, list) else value
            for key, value in json.loads(line).items()
            if key != "loss"
        }

    def check(self, file, *more):
        done = subprocess.run(
            [*self.words, "--check", file, *more],
            check=True,
            capture_output=True,
            text=True,
            env=self.environment,
        )
        return json.loads(done.stdout) if done.stdout.startswith("{") else None

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Stepper:
    """A peer in this process: make() gives an object whose step() is the work."""

    def __init__(self, make):
        self.make, self.peer = make, None

    def start(self):
        start = time.perf_counter()
        self.peer = self.make()
        self.peer.step()
        self.peer.step()
        return time.perf_counter() - start

    def round(self):
        wall, cpu = time.perf_counter(), time.process_time()
        self.peer.step()
        found = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
        return found | ({"flops": self.peer.flops} if hasattr(self.peer, "flops") else {})

    def stop(self):
        self.peer = None


def agreement(case, ours, theirs, tolerance):
    """The relative differences of what both found for the same inputs; ends the program where they
    are too large."""
    for name, value in theirs.items():
        if not abs(ours[name] - value) <= tolerance[name] * abs(value):
            sys.exit(
                f"{case}: {name} is {ours[name]} in Lockstep and {value} in PyTorch: nothing was "
                f"timed"
            )
    return {name: float(f"{abs(ours[name] / value - 1):.1e}") for name, value in theirs.items()}


def take_turns(runs, rounds):
    """{name: {key: [value of each round]}}."""
    times = {name: {} for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            for key, value in run.round().items():
                times[name].setdefault(key, []).append(value)
    return times


def ratio(times, name, key, base="lockstep"):
    return round(statistics.median(a / b for a, b in zip(times[name][key], times[base][key])), 3)


def step_row(times, name, base, flops, roofs):
    """Medians, ratios to `base`, and the least time that the operations can take at the roof of
    that precision."""
    wall, cpu = (statistics.median(times[name][clock]) for clock in ("wall", "cpu"))
    roof = roofs["bf16_gflops" if "bf16" in name else "fp32_gflops"] * 1e9
    return {
        "wall_seconds": round(wall, 4),
        "cpu_seconds": round(cpu, 4),
        "times_lockstep_wall": ratio(times, name, "wall", base),
        "times_lockstep_cpu": ratio(times, name, "cpu", base),
        "least_seconds_at_roof": round(flops / roof, 4) if roof else None,
        "percent_of_roof": round(100 * flops / roof / cpu, 1) if roof else None,
    }


def parser(text, programs, cases, rounds):
    found = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("programs", help=f"folder of {programs}")
    found.add_argument("result", help="JSON file to write")
    found.add_argument("--case", action="append", help="default: " + " ".join(cases))
    found.add_argument("--rounds", type=int, default=rounds)
    return found


def roofs_of(programs):
    return json.loads(
        subprocess.run(
            [f"{programs}/machine_roofs_bench"], check=True, capture_output=True, text=True
        ).stdout
    )


def measure_all(bench, options, cases, measure, unit, **more):
    """measure(case) for each case; the file is written after each one."""
    facts = {
        "torch": torch.__version__,
        "machine": platform.processor() or platform.machine(),
        "threads": 1,
        **more,
        "date": time.strftime("%Y-%m-%d"),
        "load_average_before": [round(x, 1) for x in os.getloadavg()],
        "unit": unit,
    }
    found = {}
    for case in options.case or cases:
        found[case] = measure(case)
        print(case, json.dumps(found[case], indent=1), flush=True)
        facts["load_average_after"] = [round(x, 1) for x in os.getloadavg()]
        Path(options.result).write_text(
            json.dumps({"bench": bench, "facts": facts, "cases": found}, indent=1) + "\n"
        )
