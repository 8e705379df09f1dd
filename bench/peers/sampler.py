#!/usr/bin/env python3
"""Pictures a second of sampling on a CPU: `lockstep sample`'s engine against
denoising-diffusion-pytorch and diffusers, in turn.

    python3 bench/peers/sampler.py build/bin RESULT.json [--case d64-s32-b4-ddim50]... [--rounds N]
        [--no-compile]

Needs: torch==2.11.0, denoising-diffusion-pytorch==2.3.4, diffusers==0.42.1, safetensors==0.8.0, and
a C++ compiler for torch.compile. One thread each, float32, one network with the same weights. In
every round each draws one batch. Lockstep's time is that of `lockstep bench sampler --json` (one
draw after warm-up passes, start of the program not counted). Before anything is timed, `lockstep
sample` draws the pictures of the same noise as each peer. Medians over rounds, and of the ratios of
each round, of wall clock and CPU seconds. Beside them stand the network's operations and the least
time they can take.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")

import sampler_peer  # noqa: E402
import torch  # noqa: E402
import turns  # noqa: E402
import unet_peer  # noqa: E402
from denoising_diffusion_pytorch import Unet  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

CASES = ("d64-s32-b4-ddim50", "d64-s32-b4-dpmpp20")
TOLERANCE = 1e-4
KIND = {"ddim": "ddim", "dpmpp": "dpmpp_2m", "ddpm": "ddpm"}


class Lockstep:
    def __init__(self, programs, case, folder, net):
        self.lockstep, self.case, self.folder = f"{programs}/lockstep", case, folder
        self.weights = f"{folder}/weights.safetensors"
        save_file(
            {name: value.contiguous() for name, value in net.state_dict().items()}, self.weights
        )
        Path(f"{folder}/config.yaml").write_text(
            f"task:\n  kind: image_diffusion\n  image_size: {case.size}\n"
            f"  model: {{kind: unet, dim: {case.dim}}}\n"
            f"  diffusion: {{timesteps: {case.timesteps}}}\n"
        )

    def run(self, *words):
        words = [
            self.lockstep,
            *words,
            f"{self.folder}/config.yaml",
            "--weights",
            self.weights,
            "--threads",
            "1",
            "--batch",
            str(self.case.batch),
        ]
        return subprocess.run(
            words, check=True, capture_output=True, text=True, cwd=self.folder
        ).stdout

    def draw(self, noise, *overrides):
        save_file({"noise": noise}, f"{self.folder}/noise.safetensors")
        self.run(
            "sample",
            "--noise",
            f"{self.folder}/noise.safetensors",
            "--output",
            f"{self.folder}/out.safetensors",
            "--sampler",
            KIND[self.case.sampler],
            *(["--steps", str(self.case.steps)] if self.case.sampler != "ddpm" else []),
            *overrides,
        )
        return load_file(f"{self.folder}/out.safetensors")["images"]

    def round(self):
        row = json.loads(
            self.run(
                "bench",
                "sampler",
                "--samplers",
                KIND[self.case.sampler],
                "--steps",
                str(self.case.steps),
                "--repeats",
                "1",
                "--reference",
                "0",
                "--json",
            )
        )["rows"][0]
        return {"wall": row["draw"]["p50_ms"] / 1e3, "cpu": row["cpu_ms"] / 1e3}


class Drawer:
    """What turns.Stepper calls: a batch of pictures."""

    def __init__(self, draw):
        self.step = draw


def peers_of(case, net, options):
    """Name → (draw(noise=None), overrides with which Lockstep draws the same)."""
    diffusion = sampler_peer.lucidrains(net, case)
    schedule = sampler_peer.scheduler(diffusion, case)
    peers = {
        "diffusers": (
            lambda noise=None: sampler_peer.draw_diffusers(net, schedule, case, noise),
            ["sampler.spacing=leading"] if case.sampler == "ddim" else [],
        )
    }
    if case.sampler == "dpmpp":
        return peers
    peers["lucidrains"] = (
        lambda noise=None: sampler_peer.draw_lucidrains(diffusion, case, noise),
        [],
    )
    if not options.no_compile:
        compiled = sampler_peer.lucidrains(net, case)
        compiled.model = torch.compile(net)
        peers["lucidrains compiled"] = (
            lambda noise=None: sampler_peer.draw_lucidrains(compiled, case, noise),
            [],
        )
    return peers


def measure(name, options, folder, roofs):
    case = sampler_peer.Case(name)
    torch.manual_seed(1)
    net = Unet(case.dim).eval()
    ours = Lockstep(Path(options.programs).resolve(), case, folder, net)
    out, runs = {}, {"lockstep": ours}
    noise = torch.randn(case.shape, generator=torch.Generator().manual_seed(3))
    for peer, (draw, overrides) in peers_of(case, net, options).items():
        if case.sampler != "ddpm":  # its fresh noise differs
            apart = (ours.draw(noise, *overrides) - draw(noise)).abs().max().item()
            if not apart <= TOLERANCE:
                sys.exit(
                    f"{name}: pictures of Lockstep and {peer} differ by {apart}: nothing was timed"
                )
            out[f"differs from {peer} by"] = float(f"{apart:.1e}")
        runs[peer] = turns.Stepper(lambda draw=draw: Drawer(draw))
        runs[peer].peer = runs[peer].make()  # the comparison has warmed it up
    times = turns.take_turns(runs, options.rounds)
    flops = unet_peer.forward_flops(net, case.size) * case.batch * case.steps
    out |= {"rounds": options.rounds, "gflop": round(flops / 1e9, 1)}
    for run in runs:
        wall, cpu = (statistics.median(times[run][clock]) for clock in ("wall", "cpu"))
        out[run] = turns.step_row(times, run, "lockstep", flops, roofs) | {
            "images_per_second": round(case.batch / wall, 3),
            "images_per_cpu_second": round(case.batch / cpu, 3),
        }
    return out


def main():
    parser = turns.parser(__doc__, "lockstep, lockstep-worker and machine_roofs_bench", CASES, 5)
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    roofs = turns.roofs_of(options.programs)
    with tempfile.TemporaryDirectory() as folder:
        turns.measure_all(
            "sampler",
            options,
            CASES,
            lambda case: measure(case, options, folder, roofs),
            f"seconds a batch, medians; times_lockstep: median of the ratios of each round, "
            f"{turns.RATIO}",
            roofs=roofs,
        )


if __name__ == "__main__":
    main()
