#!/usr/bin/env python3
"""One training step of the image UNet: Lockstep against denoising-diffusion-pytorch, in turn on one machine.

    python3 bench/peers/unet_step.py build/bin/unet_step_bench RESULT.json [--rounds N] [--steps N]

Needs: torch==2.11.0, denoising-diffusion-pytorch==2.3.4. One thread each; in every round each program does some
steps, then the next one, so that other work on the machine hits all alike; medians over all steps. The peer
runs its own loss, clipping at 1 and torch.optim.Adam (fused), fp32 and bf16 autocast.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Unet

DIM, BATCH, SIZE = 64, 8, 32


class Peer:
    def __init__(self, bf16):
        torch.manual_seed(1)
        self.bf16 = bf16
        self.diffusion = GaussianDiffusion(Unet(DIM), image_size=SIZE)
        self.optimizer = torch.optim.Adam(self.diffusion.parameters(), lr=1e-4, betas=(0.9, 0.99), fused=True)
        self.step()

    def step(self):
        images = torch.rand(BATCH, 3, SIZE, SIZE)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self.diffusion(images)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.diffusion.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def run(self, steps):
        wall, cpu = [], []
        for _ in range(steps):
            before = time.perf_counter(), time.process_time()
            self.step()
            wall.append(time.perf_counter() - before[0])
            cpu.append(time.process_time() - before[1])
        return {"wall": wall, "cpu": cpu}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("result")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    peers = {"": Peer(False), " bf16": Peer(True)}
    times = {}
    for _ in range(options.rounds):
        for suffix, peer in peers.items():
            words = [options.program, str(DIM), str(BATCH), str(SIZE), str(options.steps), suffix.strip() or "fp32"]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            for name, run in (("lockstep" + suffix, json.loads(done.stdout)), ("lucidrains" + suffix, peer.run(options.steps))):
                for clock in ("wall", "cpu"):
                    times.setdefault(name, {}).setdefault(clock, []).extend(run[clock])
    medians = {name: {clock: round(statistics.median(values), 4) for clock, values in clocks.items()}
               for name, clocks in times.items()}
    for suffix in peers:
        medians["lockstep" + suffix]["faster_by"] = round(medians["lucidrains" + suffix]["cpu"] / medians["lockstep" + suffix]["cpu"], 2)
    facts = {"torch": torch.__version__, "machine": platform.processor() or platform.machine(), "threads": 1,
             "rounds": options.rounds, "load_average": [round(x, 1) for x in os.getloadavg()],
             "date": time.strftime("%Y-%m-%d"), "unit": "seconds a step, medians; faster_by compares CPU time"}
    text = json.dumps({"bench": "unet_step", "case": f"dim {DIM}, batch {BATCH}, {SIZE} x {SIZE}", "facts": facts, "results": medians}, indent=1)
    Path(options.result).write_text(text + "\n")
    print(text)


main()
