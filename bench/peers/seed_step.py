#!/usr/bin/env python3
"""One training step of the Sudoku seed: Lockstep against PyTorch eager and torch.compile, in turn on one machine.

    python3 bench/peers/seed_step.py build/bin/seed_step_bench RESULT.json [--case NAME] [--rounds N] [--no-compile] [--no-bf16]

Needs: torch==2.11.0 and a C++ compiler for torch.compile. One thread each; in every round each program does
some steps, then the next one, so that other work on the machine hits all alike; medians over rounds. The
peers run the seed's own loop: K_MAX whole forwards with masks, AdamW (fused), clipping at 1. `compile`
compiles the forward itself (the seed compiled a wrapper that its loss never called).
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
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/tasks/golden"))
from make_seed_conv import Net, make_sequences  # noqa: E402

# name: hidden_dim, num_layers, embedding_dim, k_max, batch, steps a round
CASES = {
    "C18 conv-cpu: C=128 L=8, batch 256, one forward a grid": (128, 8, 0, 1, 256, 2),
    "seed: C=64 L=9 E=15, K=6, batch 64": (64, 9, 15, 6, 64, 2),
    "seed: C=64 L=9 E=15, K=6, batch 1024": (64, 9, 15, 6, 1024, 1),
}


class Peer:
    def __init__(self, case, compiled, bf16=False):
        C, L, E, self.k_max, batch, self.steps = case
        torch.manual_seed(1)
        self.net = Net(C, L, 3, 8, E)
        self.forward = torch.compile(self.net) if compiled else self.net
        self.sequences = make_sequences(batch)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-3, weight_decay=1e-2, fused=True)
        self.bf16 = bf16

    def loss(self):
        rows = torch.arange(len(self.sequences))
        start = torch.randint(0, 81 - self.k_max, (len(rows),))
        count = torch.randint(1, self.k_max + 1, (len(rows),))
        now, total = self.sequences[rows, start].float(), 0.0
        for step in range(self.k_max):
            t = start + step
            active = (step < count) & (t < 81)
            target = self.sequences[rows, (t + 1).clamp(max=81)].float()
            changed = (target != now).view(-1, 81)
            active &= changed.any(1)
            if not active.any():
                break
            position = changed.float().argmax(1)
            value = target.view(-1, 81)[rows, position].long()
            position_logits, value_logits = self.forward(now, t)
            position_logits = position_logits.float().masked_fill(now.view(-1, 81) != 0, float("-inf"))
            total = total + F.cross_entropy(position_logits[active], position[active], reduction="sum")
            total = total + F.cross_entropy(value_logits.float()[active], value[active], reduction="sum")
            now = target
        return total / count.sum()

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self.loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()

    def round(self):
        times = {"wall": [], "cpu": []}
        for _ in range(self.steps):
            wall, cpu = time.perf_counter(), time.process_time()
            self.step()
            times["wall"].append(time.perf_counter() - wall)
            times["cpu"].append(time.process_time() - cpu)
        return times


def lockstep_round(program, case, compute):
    words = [program, *map(str, case), compute]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}).stdout.splitlines()[-1])


def measure(program, case, rounds, compiled, bf16):
    runs = {"lockstep": lambda: lockstep_round(program, case, "fp32"), "lockstep bf16": lambda: lockstep_round(program, case, "bf16")}
    if not bf16:
        del runs["lockstep bf16"]
    first = {}
    for name, options in {"eager": (False, False), "eager bf16": (False, True), "compile": (True, False)}.items():
        if (name == "compile" and not compiled) or ("bf16" in name and not bf16):
            continue
        peer = Peer(case, *options)
        start = time.perf_counter()
        peer.step()
        first[name] = round(time.perf_counter() - start, 3)
        runs[name] = peer.round
    times = {name: {"wall": [], "cpu": []} for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            result = run()
            for clock in ("wall", "cpu"):
                times[name][clock] += result[clock]
    out = {name: {f"{clock}_seconds": round(statistics.median(values[clock]), 4) for clock in values} for name, values in times.items()}
    for name, seconds in first.items():
        out[name]["first_step_seconds"] = seconds
    for name in out:
        out[name]["lockstep_is_faster_by"] = round(out[name]["cpu_seconds"] / out["lockstep"]["cpu_seconds"], 2)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("result")
    parser.add_argument("--case", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--no-bf16", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = {}
    for name, case in CASES.items():
        if options.case in name:
            cases[name] = measure(options.program, case, options.rounds, not options.no_compile, not options.no_bf16)
            print(name, json.dumps(cases[name], indent=1), flush=True)
    facts = {"torch": torch.__version__, "machine": platform.processor() or platform.machine(), "threads": 1,
             "rounds": options.rounds, "load_average": [round(x, 1) for x in os.getloadavg()],
             "date": time.strftime("%Y-%m-%d"), "unit": "seconds a step, medians; faster_by compares CPU time"}
    Path(options.result).write_text(json.dumps({"bench": "seed_step", "facts": facts, "cases": cases}, indent=1) + "\n")


main()
