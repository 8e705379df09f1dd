#!/usr/bin/env python3
"""How much resident memory grows a step, for a tiny config of every task; and what a step takes.

    python3 bench/memory_steps.py build/bin/lockstep RESULT.json [--steps N] [--task NAME]...
        [--slots N]... [--variant NAME:KEY=VALUE[,KEY=VALUE]]... [--turns N] [--turn-steps N]

The growth is that of `memory_bytes` in metrics.jsonl from the end of the first quarter to the last
step: until then loaders, caches and the C library have reached their size. A variant sets
environment variables, so that another behaviour of malloc can be compared. Times are medians over
short runs in which the variants take turns. One rank with two slot threads.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMON = [
    "run.device=cpu",
    "launch.ranks_per_node=1",
    "launch.threads_per_rank=2",
    "optimizer={kind: adamw, lr: 1.0e-3}",
    "checkpoint.every_steps=0",
]
SUDOKU_NET = "{kind: sudoku_net, channels: 16, hidden: 8, iterations: 2, loss_depths: [1, 2]}"
SEED_CONV = "{kind: seed_conv, hidden_dim: 4, num_layers: 1, num_groups: 2, embedding_dim: 4}"
UNET = "{kind: unet, dim: 8, dim_mults: [1, 2], attn_heads: 1, attn_dim_head: 8}"
# By task: the data's kind, its maker with sizes, the task, rows a step.
TASKS = {
    "sudoku": (
        "grids",
        ["sudoku", "train_grids=500", "puzzles_per_level=10"],
        f"{{kind: sudoku, objective: masked, model: {SUDOKU_NET}}}",
        16,
    ),
    "sudoku_seed": (
        "grids",
        ["sudoku-sequences", "train_sequences=500", "validation_sequences=10"],
        f"{{kind: sudoku, objective: seed, k_max: 3, model: {SEED_CONV}}}",
        16,
    ),
    "sudoku2vec": (
        "grids",
        ["sudoku-sequences", "train_sequences=500", "validation_sequences=10"],
        "{kind: sudoku2vec, model: {embedding_dim: 4}}",
        16,
    ),
    "image_diffusion": (
        "images",
        ["shapes", "train_images=500", "validation_images=10", "image_size=8"],
        f"{{kind: image_diffusion, image_size: 8, model: {UNET}}}",
        8,
    ),
}


def run(words, environment):
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stderr[-3000:]}")


def train(lockstep, work, task, slots, steps, environment, number):
    """A whole run: its growth, and the median seconds of a step."""
    kind, maker, options, rows = TASKS[task]
    data = work / "-".join(maker[:1])
    if not data.exists():
        run([lockstep, "data", "make", maker[0], data, *maker[1:]], {})
    folder = work / f"run-{number}"
    words = [
        f"data.kind={kind}",
        f"data.train=[{data}/train-*.h5]",
        f"task={options}",
        f"train={{steps: {steps}, global_batch: {rows}, ema: {{decay: 0.99}}}}",
        f"ddp.slots={slots}",
        f"log.every_steps={max(1, steps // 200)}",
    ]
    run([lockstep, "train", "-", "--run-folder", folder, *COMMON, *words], environment)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "kind" not in line and line["step"] >= steps // 4]
    grown = lines[-1]["memory_bytes"] - lines[0]["memory_bytes"]
    growth = {
        "bytes_a_step": round(grown / (lines[-1]["step"] - lines[0]["step"]), 1),
        "megabytes": round(lines[-1]["memory_bytes"] / 2**20, 1),
    }
    return growth, statistics.median(line["step_seconds"] for line in lines)


def compare(lockstep, work, task, slots, variants, options):
    """By variant: growth over all steps, and the median time of a step over turns."""
    numbers = itertools.count(len(list(work.iterdir())))
    growth, times = {}, {name: [] for name in variants}
    for name, environment in variants.items():
        growth[name], _ = train(
            lockstep, work, task, slots, options.steps, environment, next(numbers)
        )
    for _ in range(options.turns):
        for name, environment in variants.items():
            _, seconds = train(
                lockstep, work, task, slots, options.turn_steps, environment, next(numbers)
            )
            times[name].append(1e3 * seconds)
    return {
        name: growth[name] | {"step_milliseconds": [round(time, 3) for time in sorted(times[name])]}
        for name in variants
    }


def parse_variant(text):
    name, _, settings = text.partition(":")
    return name, dict(setting.split("=", 1) for setting in settings.split(",") if setting)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lockstep", type=Path, help="the program")
    parser.add_argument("result", type=Path, help="JSON file to write")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=5, help="short runs of each variant")
    parser.add_argument("--turn-steps", type=int, default=1500)
    parser.add_argument("--task", choices=TASKS, action="append", help="default: all")
    parser.add_argument("--slots", type=int, action="append", help="default: 8")
    parser.add_argument("--variant", action="append", help="default: one without settings")
    options = parser.parse_args()
    variants = dict(parse_variant(text) for text in options.variant or ["as it is"])
    out = {
        "bench": "memory_steps",
        "facts": {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, "
            f"{' '.join(platform.libc_ver())}",
            "date": time.strftime("%Y-%m-%d"),
            "steps": options.steps,
            "times": f"{options.turns} turns of {options.turn_steps} steps",
            "variants": variants,
        },
        "tasks": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for task, slots in itertools.product(options.task or TASKS, options.slots or [8]):
            case = compare(options.lockstep, Path(folder), task, slots, variants, options)
            out["tasks"].setdefault(task, {})[f"{slots} slots"] = case
            print(task, slots, json.dumps(case), flush=True)
            options.result.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
