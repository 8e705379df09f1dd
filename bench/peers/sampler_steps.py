#!/usr/bin/env python3
"""A sampler's own work a step, without the network (C19): Lockstep against lucidrains' and diffusers' loops, in turn.

    python3 bench/peers/sampler_steps.py build/bin RESULT.json [--case ddim50-s32-b8]... [--rounds N]

Needs: torch==2.11.0, denoising-diffusion-pytorch==2.3.4, diffusers==0.42.1, safetensors==0.8.0. One thread each. The network is
the exact one of data N(0, 0.25), one multiplication, whose time both sides take off. Before anything is timed the pictures
from the same noise are compared (where no further noise comes in). Beside the times stands the least that the bytes of
a step can take: x and the network's output read, x and the estimate written.
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

import torch
from safetensors.torch import load_file, save_file

import sampler_peer

CASES = [f"{sampler}-s32-b{batch}" for sampler in ("ddim50", "leading50", "dpmpp20", "ddpm250") for batch in (1, 16)]
TOLERANCE = 1e-5


class Exact:
    """The picture of data N(0, 0.25) that x means; adds up the seconds it takes."""

    def __init__(self, betas):
        a = torch.cumprod(1 - betas.double(), 0)
        self.factors, self.seconds = (a.sqrt() * 0.25 / (0.25 * a + 1 - a)).tolist(), 0.0

    def __call__(self, x, t):
        begin = time.perf_counter()
        out = x * self.factors[int(t[0])]
        self.seconds += time.perf_counter() - begin
        return out


class Python:
    def __init__(self, case, kind):
        self.case, self.kind = sampler_peer.Case(case), kind
        self.exact = None
        self.network = sampler_peer.Network(lambda x, t: self.exact(x, t))
        self.diffusion = sampler_peer.lucidrains(self.network, self.case, "pred_x0", "linear")
        self.exact = Exact(self.diffusion.betas)
        self.schedule = sampler_peer.scheduler(self.diffusion, self.case, "pred_x0")

    def draw(self, noise=None):
        if self.kind == "lucidrains":
            return sampler_peer.draw_lucidrains(self.diffusion, self.case, noise)
        return sampler_peer.draw_diffusers(self.network, self.schedule, self.case, noise)

    def step_us(self):
        self.exact.seconds = 0
        begin = time.perf_counter()
        self.draw()
        return 1e6 * (time.perf_counter() - begin - self.exact.seconds) / self.case.steps


class Lockstep:
    def __init__(self, programs, case):
        self.words = [f"{programs}/sampler_steps_bench", "--case", case]
        self.process = subprocess.Popen([*self.words, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=os.environ | {"OMP_NUM_THREADS": "1"})

    def step_us(self):
        self.process.stdin.write("1\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["step_us"][0]

    def draw(self, noise):
        with tempfile.TemporaryDirectory() as folder:
            save_file({"noise": noise}, f"{folder}/in.safetensors")
            subprocess.run([*self.words, "--check", f"{folder}/in.safetensors", "--output", f"{folder}/out.safetensors"], check=True)
            return load_file(f"{folder}/out.safetensors")["images"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def peers_of(case):
    """lucidrains has no DPM-Solver++ and no times of diffusers', and the other way round."""
    kinds = {"ddim": ["lucidrains"], "leading": ["diffusers"], "dpmpp": ["diffusers"], "ddpm": ["lucidrains", "diffusers"]}
    return kinds[sampler_peer.Case(case).sampler]


def measure(case, options):
    runs = {"lockstep": Lockstep(options.programs, case)} | {kind: Python(case, kind) for kind in peers_of(case)}
    sizes = sampler_peer.Case(case)
    out = {}
    if sizes.sampler != "ddpm":
        noise = torch.randn(sizes.shape, generator=torch.Generator().manual_seed(3))
        for kind in peers_of(case):
            apart = (runs["lockstep"].draw(noise) - runs[kind].draw(noise)).abs().max().item()
            if not apart <= TOLERANCE:
                sys.exit(f"{case}: pictures of Lockstep and {kind} differ by {apart}: nothing was timed")
            out[f"differs from {kind} by"] = float(f"{apart:.1e}")
    times = {name: [] for name in runs}
    for run in runs.values():
        run.step_us()
    for _ in range(options.rounds):
        for name, run in runs.items():
            times[name].append(run.step_us())
    runs["lockstep"].stop()
    for name in runs:
        out[name] = {"microseconds_a_step": round(statistics.median(times[name]), 2),
                     "times_lockstep": round(statistics.median(a / b for a, b in zip(times[name], times["lockstep"])), 2)}
    elements = sizes.batch * 3 * sizes.size**2
    out["least_microseconds_for_the_bytes"] = round(4 * 4 * elements / options.gigabytes / 1e3, 2)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", help="folder of sampler_steps_bench")
    parser.add_argument("result", help="JSON file to write")
    parser.add_argument("--case", action="append", help="default: " + " ".join(CASES))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--gigabytes", type=float, default=45, help="a second that one core reads and writes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    facts = {"torch": torch.__version__, "machine": platform.processor() or platform.machine(), "threads": 1, "rounds": options.rounds,
             "gigabytes_a_second": options.gigabytes, "date": time.strftime("%Y-%m-%d"),
             "load_average_before": [round(x, 1) for x in os.getloadavg()],
             "unit": "microseconds of wall clock a step without the network, medians; times_lockstep: median of the ratios of each round"}
    cases = {}
    for case in options.case or CASES:
        cases[case] = measure(case, options)
        print(case, json.dumps(cases[case]), flush=True)
        facts["load_average_after"] = [round(x, 1) for x in os.getloadavg()]
        Path(options.result).write_text(json.dumps({"bench": "sampler_steps", "facts": facts, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
