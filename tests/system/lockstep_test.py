#!/usr/bin/env python3
"""The promise: the same bits in every tensor of the checkpoint, whatever the number of ranks.

A group of runs has one config; only what must not matter differs (ranks, slot threads, loader
threads, bucket size, overlap, asynchronous checkpoints). Each is compared with the group's run on one rank.
"""
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
    "bf16, two micro-batches": ["precision.compute=bf16", "train.global_batch=32", "train.micro_batch=2"],
}
# (ranks, slot threads, what must not matter)
SHORT = {
    "fp32": [(2, 1, []), (3, 1, ["data.threads=4"]), (4, 1, []), (8, 1, ["checkpoint.asynchronous=false"]),
             (1, 2, ["ddp.overlap=false"]), (2, 2, ["data.threads=4"])],
    "bf16": [(3, 2, []), (8, 1, ["data.threads=4"])],
    "two micro-batches": [(2, 2, ["data.threads=4"]), (3, 1, ["ddp.bucket_megabytes=25"])],
    "reference kernels": [(4, 2, [])],
    "bf16, two micro-batches": [],
}


def full_matrix():
    options = [[], ["data.threads=4"], ["checkpoint.asynchronous=false"], ["ddp.overlap=false", "ddp.bucket_megabytes=25"]]
    cells = [(ranks, threads) for ranks in harness.RANKS for threads in (1, 2)]
    return {group: [(ranks, threads, options[(i + j) % 4]) for j in (0, 1) for i, (ranks, threads) in enumerate(cells)]
            for group in GROUPS}


def run(test, config, group, ranks, threads, words):
    name = f"{group}-{ranks}-{threads}-{next(test.numbers)}".replace(" ", "_").replace(",", "")
    folder = tiny_run.train(test, config, name, *GROUPS[group], *words, ranks=ranks, threads=threads)
    processes.check_nothing_left(folder, test.work)
    return folder


def compare(test, config, group, steps, reference, ranks, threads, words):
    folder = run(test, config, group, ranks, threads, words)
    tiny_run.check_steps_once(folder, steps)
    a, b = ([(line["step"], line["loss"], line["grad_norm"]) for line in tiny_run.metrics(f) if "loss" in line]
            for f in (reference, folder))
    assert a == b, f"losses or gradient norms differ, first: {next(x for x in zip(a, b) if x[0] != x[1])}"
    return tiny_run.compare_runs(reference, folder) + f", {len(a)} losses equal"


def allreduce(test, config, reference):
    """Plain all-reduce: the same samples, so losses agree until rounding has grown."""
    folder = tiny_run.train(test, config, "allreduce", "ddp.reduce=allreduce", ranks=3)
    a, b = ([line["loss"] for line in tiny_run.metrics(f) if "loss" in line] for f in (reference, folder))
    assert len(a) == len(b), f"{len(a)} and {len(b)} losses"
    worst = max(abs(x - y) / abs(x) for x, y in zip(a, b))
    # One float32 rounding of a sum is 6e-8 relative; ten steps of AdamW (which divides by the root of
    # the second moment) amplify it, 1e-3 is far below the change from other samples (about 1e-1).
    assert abs(a[0] - b[0]) / a[0] < 1e-5 and worst < 1e-3, f"losses {a} and {b}"
    return f"{len(a)} losses, largest relative difference {worst:.1e}"


def own_mpirun(test, config, steps, reference):
    """Under a launcher of the user's own: every rank is `lockstep train CONFIG`."""
    mpirun = shutil.which("mpirun")
    if mpirun is None:
        raise harness.Skip("no mpirun in PATH")
    words = [mpirun, "-n", "2", "--host", "localhost:2", "--bind-to", "none", "--mca", "plm", "isolated"]
    words += ["--allow-run-as-root"] if os.geteuid() == 0 else []
    result = harness.Running(test, [*words, test.lockstep, "train", config, "launch.threads_per_rank=1"]).wait().expect(0)
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

        def first():
            reference[group] = run(test, config, group, 1, 1, [])
            return "the reference"
        test.case(f"{group}: 1 rank x 1 thread", first)
        for ranks, threads, words in runs:
            if group in reference:
                test.case(f"{group}: {ranks} ranks x {threads} threads {' '.join(words)}".rstrip(), compare, test, config,
                          group, steps, reference[group], ranks, threads, words)
    if "fp32" in reference:
        test.case("fp32: 2 ranks under my own mpirun", own_mpirun, test, config, steps, reference["fp32"])
        test.case("allreduce: close, not equal", allreduce, test, config, reference["fp32"])
    test.finish()


if __name__ == "__main__":
    main()
