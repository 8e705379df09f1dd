#!/usr/bin/env python3
"""A sampler's own work a step, without the network (C19): Lockstep against lucidrains' and
diffusers' loops, in turn.

    python3 bench/peers/sampler_steps.py build/bin RESULT.json [--case ddim50-s32-b8]...
        [--rounds N]

Needs: torch==2.11.0, denoising-diffusion-pytorch==2.3.4, diffusers==0.42.1, safetensors==0.8.0. One
thread each. The network is the exact one of data N(0, 0.25), one multiplication, whose time both
sides take off. Before anything is timed the pictures from the same noise are compared (where no
further noise comes in). Beside the times stands the least that the bytes of a step can take: x and
the network's output read, x and the estimate written.
"""

import statistics
import sys
import tempfile
import time

import sampler_peer
import torch
import turns
from safetensors.torch import load_file, save_file

CASES = [
    f"{sampler}-s32-b{batch}"
    for sampler in ("ddim50", "leading50", "dpmpp20", "ddpm250")
    for batch in (1, 16)
]
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

    def start(self):
        self.round()

    def round(self):
        self.exact.seconds = 0
        begin = time.perf_counter()
        self.draw()
        return {
            "step_us": 1e6 * (time.perf_counter() - begin - self.exact.seconds) / self.case.steps
        }


class Lockstep(turns.Served):
    def __init__(self, programs, case):
        super().__init__(f"{programs}/sampler_steps_bench", "--case", case)

    def draw(self, noise):
        with tempfile.TemporaryDirectory() as folder:
            save_file({"noise": noise}, f"{folder}/in.safetensors")
            self.check(f"{folder}/in.safetensors", "--output", f"{folder}/out.safetensors")
            return load_file(f"{folder}/out.safetensors")["images"]


def peers_of(case):
    """lucidrains has no DPM-Solver++ and no times of diffusers', and the other way round."""
    kinds = {
        "ddim": ["lucidrains"],
        "leading": ["diffusers"],
        "dpmpp": ["diffusers"],
        "ddpm": ["lucidrains", "diffusers"],
    }
    return kinds[sampler_peer.Case(case).sampler]


def measure(case, options):
    runs = {"lockstep": Lockstep(options.programs, case)} | {
        kind: Python(case, kind) for kind in peers_of(case)
    }
    sizes = sampler_peer.Case(case)
    out = {}
    if sizes.sampler != "ddpm":
        noise = torch.randn(sizes.shape, generator=torch.Generator().manual_seed(3))
        for kind in peers_of(case):
            apart = (runs["lockstep"].draw(noise) - runs[kind].draw(noise)).abs().max().item()
            if not apart <= TOLERANCE:
                sys.exit(
                    f"{case}: pictures of Lockstep and {kind} differ by {apart}: nothing was timed"
                )
            out[f"differs from {kind} by"] = float(f"{apart:.1e}")
    for run in runs.values():
        run.start()
    times = turns.take_turns(runs, options.rounds)
    runs["lockstep"].stop()
    for name in runs:
        out[name] = {
            "microseconds_a_step": round(statistics.median(times[name]["step_us"]), 2),
            "times_lockstep": turns.ratio(times, name, "step_us"),
        }
    elements = sizes.batch * 3 * sizes.size**2
    out["least_microseconds_for_the_bytes"] = round(4 * 4 * elements / options.gigabytes / 1e3, 2)
    return out


def main():
    parser = turns.parser(__doc__, "sampler_steps_bench", CASES, 15)
    parser.add_argument(
        "--gigabytes", type=float, default=45, help="a second that one core reads and writes"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    turns.measure_all(
        "sampler_steps",
        options,
        CASES,
        lambda case: measure(case, options),
        f"microseconds of wall clock a step without the network, medians; times_lockstep: median "
        f"of the ratios of each round, {turns.RATIO}",
        rounds=options.rounds,
        gigabytes_a_second=options.gigabytes,
    )


if __name__ == "__main__":
    main()
