#!/usr/bin/env python3
"""The promise: the same bits in every tensor of the checkpoint, whatever the number of ranks.

A group of runs has one config; only what must not matter differs (ranks, slot threads, loader
threads, bucket size, overlap, asynchronous checkpoints). Each is compared with the group's run on
one rank.
"""

import json
import os
import shutil

import harness
import processes
import tiny_run

# name, overrides that make another group (they change results), overrides that must not change them
GROUPS = {
    "fp32": [],
    "bf16": ["precision.compute=bf16"],
    "two micro-batches": ["train.global_batch=32", "train.micro_batch=2"],
    "reference kernels": ["task.model.implementation=reference"],
    "seed objective": [
        "task={kind: sudoku, objective: seed, k_max: 3, sequence: {order: fresh}, model: {kind: "
        "seed_conv, "
        "hidden_dim: 8, num_layers: 1, num_groups: 4, embedding_dim: 4}}",
        "evaluate=[{kind: seed_validation, every_steps: 25, samples: 10, batch: 3}]",
    ],
    "bf16, two micro-batches": [
        "precision.compute=bf16",
        "train.global_batch=32",
        "train.micro_batch=2",
    ],
    "fp16": ["precision={compute: fp16, loss_scale: {growth_steps: 2}}"],
    "bf16 weights, two micro-batches": [
        "precision.compute=bf16_weights",
        "train.global_batch=32",
        "train.micro_batch=2",
    ],
}
# Four blocks of the arena, the last one short: ddp.shard_optimizer has something to share out.
FOUR_BLOCKS = [
    "task.model={kind: sudoku_net, channels: 32, hidden: 64, blocks: 12, iterations: 2, "
    "loss_depths: [2]}",
    "train.steps=20",
    "checkpoint.every_steps=10",
    "evaluate=[{kind: validation_loss, every_steps: 10, samples: 10, batch: 3}]",
]
SHARDED = ["ddp.shard_optimizer=true"]
# (ranks, slot threads, what must not matter)
SHORT = {
    "fp32": [
        (2, 1, []),
        (3, 1, ["data.threads=4"]),
        (4, 1, []),
        (8, 1, ["checkpoint.asynchronous=false"]),
        (1, 2, ["ddp.overlap=false"]),
        (2, 2, ["data.threads=4"]),
    ],
    "bf16": [(3, 2, []), (8, 1, ["data.threads=4"])],
    "two micro-batches": [(2, 2, ["data.threads=4"]), (3, 1, ["ddp.bucket_megabytes=25"])],
    "reference kernels": [(4, 2, [])],
    "seed objective": [(2, 1, []), (4, 1, ["data.threads=4"])],
    "bf16, two micro-batches": [],
    "fp16": [(3, 1, [])],
    "bf16 weights, two micro-batches": [(2, 2, [])],
}


def full_matrix():
    options = [
        [],
        ["data.threads=4"],
        ["checkpoint.asynchronous=false"],
        ["ddp.overlap=false", "ddp.bucket_megabytes=25"],
    ]
    cells = [(ranks, threads) for ranks in harness.RANKS for threads in (1, 2)]
    return {
        group: [
            (ranks, threads, options[(i + j) % 4])
            for j in (0, 1)
            for i, (ranks, threads) in enumerate(cells)
        ]
        for group in GROUPS
    }


def run(test, config, group, ranks, threads, words):
    name = f"{group}-{ranks}-{threads}-{next(test.numbers)}".replace(" ", "_").replace(",", "")
    folder = tiny_run.train(
        test, config, name, *GROUPS[group], *words, ranks=ranks, threads=threads
    )
    processes.check_nothing_left(folder, test.work)
    return folder


def compare(test, config, group, steps, reference, ranks, threads, words):
    folder = run(test, config, group, ranks, threads, words)
    tiny_run.check_steps_once(folder, steps)
    a, b = (
        [
            (line["step"], line["loss"], line["grad_norm"])
            for line in tiny_run.metrics(f)
            if "loss" in line
        ]
        for f in (reference, folder)
    )
    assert a == b, (
        f"losses or gradient norms differ, first: {next(x for x in zip(a, b) if x[0] != x[1])}"
    )
    return tiny_run.compare_runs(reference, folder) + f", {len(a)} losses equal"


def allreduce(test, config, reference):
    """Plain all-reduce: the same samples, so losses agree until rounding has grown."""
    folder = tiny_run.train(test, config, "allreduce", "ddp.reduce=allreduce", ranks=3)
    a, b = (
        [line["loss"] for line in tiny_run.metrics(f) if "loss" in line]
        for f in (reference, folder)
    )
    assert len(a) == len(b), f"{len(a)} and {len(b)} losses"
    worst = max(abs(x - y) / abs(x) for x, y in zip(a, b))
    # One float32 rounding of a sum is 6e-8 relative; ten steps of AdamW (which divides by the root
    # of the second moment) amplify it, 1e-3 is far below the change from other samples (about
    # 1e-1).
    assert abs(a[0] - b[0]) / a[0] < 1e-5 and worst < 1e-3, f"losses {a} and {b}"
    return f"{len(a)} losses, largest relative difference {worst:.1e}"


def whole_and_shares(one, two):
    """A run with ddp.shard_optimizer has other identity (its config hash), and else the same
    checkpoints."""
    a, b = (tiny_run.checkpoints(folder) for folder in (one, two))
    assert [path.name for path in a] == [path.name for path in b], f"checkpoints {a} and {b}"
    for x, y in zip(a, b):
        for name in tiny_run.FILES:
            assert (x / name).read_bytes() == (y / name).read_bytes(), (
                f"{x / name} and {y / name} differ"
            )
        states = [json.loads((path / "state.json").read_text()) for path in (x, y)]
        hashes = {state.pop("config_hash") for state in states}
        for state in states:
            state["config"]["ddp"].pop("shard_optimizer")
        assert len(hashes) == 2 and states[0] == states[1], (
            f"{x} and {y}: {states}, config hashes {hashes}"
        )
    return f"{len(a)} checkpoints, all files equal but the config hash"


def plan_of_shares(test, config):
    result = test.run("plan", config, *FOUR_BLOCKS, *SHARDED, "launch.ranks_per_node=2").expect(0)
    line = next(line for line in result.out.splitlines() if line.startswith("sharding"))
    assert "over 2 ranks" in line and "saved a rank" in line, line
    return line


def sharded(test, config):
    """ddp.shard_optimizer on real ranks: every checkpoint of every number of ranks has the bits of
    the run that does not shard; metrics too, so the norm of the gradients is that of all blocks."""
    cells = (
        [(ranks, threads) for ranks in (1, 2, 3, 4) for threads in (1, 2)] + [(8, 1)]
        if test.options.full
        else [(1, 2), (2, 1), (3, 1), (4, 1)]
    )
    runs = {"whole": tiny_run.train(test, config, "whole", *FOUR_BLOCKS, ranks=2)}

    def one(ranks, threads, *words):
        folder = tiny_run.train(
            test,
            config,
            f"shares-{next(test.numbers)}",
            *FOUR_BLOCKS,
            *SHARDED,
            *words,
            ranks=ranks,
            threads=threads,
        )
        processes.check_nothing_left(folder, test.work)
        a, b = (
            [
                (line["step"], line["loss"], line["grad_norm"])
                for line in tiny_run.metrics(f)
                if "loss" in line
            ]
            for f in (runs["whole"], folder)
        )
        assert a == b, (
            f"losses or gradient norms differ, first: {next(x for x in zip(a, b) if x[0] != x[1])}"
        )
        note = whole_and_shares(runs["whole"], folder)
        tiny_run.compare_runs(runs.setdefault("first", folder), folder)
        return note

    for ranks, threads in cells:
        test.case(f"sharded optimizer: {ranks} ranks x {threads} threads", one, ranks, threads)
    test.case(
        "sharded optimizer: no overlap, large buckets",
        one,
        3,
        1,
        "ddp.overlap=false",
        "ddp.bucket_megabytes=25",
        "checkpoint.asynchronous=false",
    )
    test.case("sharded optimizer: fp16 weights", sharded_masters, test, config)
    test.case("sharded optimizer: the plan says what is saved", plan_of_shares, test, config)


def sharded_masters(test, config):
    """Low-precision weights beside sharded optimizers: the float32 masters come together before
    they are rounded."""
    words = [
        *FOUR_BLOCKS,
        "precision={compute: fp16_weights, loss_scale: {growth_steps: 2}}",
        "train.steps=6",
        "checkpoint.every_steps=3",
        "evaluate=[]",
        "checkpoint.keep_best=''",
    ]
    whole = tiny_run.train(test, config, "masters", *words, ranks=1)
    shares = tiny_run.train(test, config, "masters-shared", *words, *SHARDED, ranks=3)
    return whole_and_shares(whole, shares)


def own_mpirun(test, config, steps, reference):
    """Under a launcher of the user's own: every rank is `lockstep train CONFIG`."""
    mpirun = shutil.which("mpirun")
    if mpirun is None:
        raise harness.Skip("no mpirun in PATH")
    words = [
        mpirun,
        "-n",
        "2",
        "--host",
        "localhost:2",
        "--bind-to",
        "none",
        "--mca",
        "plm",
        "isolated",
    ]
    words += ["--allow-run-as-root"] if os.geteuid() == 0 else []
    result = (
        harness.Running(test, [*words, test.lockstep, "train", config, "launch.threads_per_rank=1"])
        .wait()
        .expect(0)
    )
    lines = [line for line in result.out.splitlines() if line.startswith("run folder: ")]
    assert len(lines) == 1, result.text()
    folder = lines[0].removeprefix("run folder: ")
    tiny_run.check_steps_once(folder, steps)
    return tiny_run.compare_runs(reference, folder)


def main():
    test = harness.Test(__doc__)
    steps = 50
    config = tiny_run.write_config(test, steps, every=25)
    matrix = full_matrix() if test.options.full else SHORT
    reference = {}
    for group, runs in matrix.items():
        if not runs or test.options.only not in f"{group}":
            continue

        def first(group=group):
            reference[group] = run(test, config, group, 1, 1, [])
            return "the reference"

        test.case(f"{group}: 1 rank x 1 thread", first)
        for ranks, threads, words in runs:
            if group in reference:
                test.case(
                    f"{group}: {ranks} ranks x {threads} threads {' '.join(words)}".rstrip(),
                    compare,
                    test,
                    config,
                    group,
                    steps,
                    reference[group],
                    ranks,
                    threads,
                    words,
                )
    if "fp32" in reference:
        test.case(
            "fp32: 2 ranks under my own mpirun", own_mpirun, test, config, steps, reference["fp32"]
        )
        test.case("allreduce: close, not equal", allreduce, test, config, reference["fp32"])
    if "fp32" in reference or test.options.only.startswith("sharded"):
        sharded(test, config)
    test.finish()


if __name__ == "__main__":
    main()
