"""A run small enough for tests: a dataset of few grids, a network of few channels, few steps."""

import json
import time
from pathlib import Path

import safetensors_file

# One section a line, so that a test can replace a section and know its line number.
CONFIG = """\
run: {{name: tiny, folder: {work}/runs, seed: 17, cpu_isa: native}}
launch: {{ranks_per_node: 1, threads_per_rank: 1, with: auto, max_restarts: 0}}
ddp: {{slots: 8, reduce: auto, bucket_megabytes: 1, overlap: true, timeout_seconds: 60}}
precision: {{compute: fp32}}
data: {{kind: grids, train: [{data}/train-*.h5], validation: [{data}/validation.h5], threads: 1}}
task: {{kind: sudoku, objective: masked, model: {{kind: sudoku_net, channels: 16, hidden: 8, iterations: 2, loss_depths: [1, 2]}}}}
optimizer: {{kind: adamw, lr: 3.0e-3, weight_decay: 0.01}}
schedule: {{kind: cosine, warmup_steps: 3, final: 0.1}}
train: {{steps: {steps}, global_batch: 16, clip_norm: 1.0, ema: {{decay: 0.9, every_steps: 1, warmup: false}}}}
checkpoint: {{every_steps: {every}, keep: 1000, keep_best: validation_loss, asynchronous: true}}
evaluate: [{{kind: validation_loss, every_steps: {every}, samples: 10, batch: 3}}]
log: {{every_steps: 1}}
"""
CONSTANT = "schedule={kind: constant, warmup_steps: 3}"  # an override: with it train.steps may grow
FILES = ("model.safetensors", "ema.safetensors", "optimizer-00000-of-00001.safetensors")


def make_data(test):
    """The tiny dataset, made once a script."""
    folder = test.work / "data"
    if not (folder / "dataset.json").exists():
        test.run(
            "data", "make", "sudoku", folder, "train_grids=256", "puzzles_per_level=2", limit=60
        ).expect(0)
    return folder


def write_config(test, steps, every, name="tiny.yaml"):
    path = test.work / name
    path.write_text(CONFIG.format(work=test.work, data=make_data(test), steps=steps, every=every))
    return path


def checkpoints(run_folder):
    """Complete checkpoints of a run, oldest first."""
    return sorted(
        path for path in (Path(run_folder) / "checkpoints").glob("step-*") if path.is_dir()
    )


def compare_checkpoints(one, two):
    """Fails naming the first difference between two checkpoints; returns the number of tensors
    compared.

    Everything but MANIFEST.json must be equal byte for byte: tensors by name first, because that
    says more than a byte offset, then whole files.
    """
    compared = 0
    for name in FILES:
        a, b = safetensors_file.read(Path(one) / name), safetensors_file.read(Path(two) / name)
        assert a.keys() == b.keys(), f"{name}: names differ: {sorted(a.keys() ^ b.keys())[:5]}"
        for key in a:
            compared += 1
            where = f"{name}, tensor {key} {a[key].dtype} {a[key].shape}: {one} and {two}"
            assert (a[key].dtype, a[key].shape) == (b[key].dtype, b[key].shape), (
                f"form differs in {where}"
            )
            assert a[key].data == b[key].data, (
                f"bits differ in {where}: {_describe(a[key], b[key])}"
            )
    for name in (*FILES, "state.json"):
        a, b = (Path(folder) / name for folder in (one, two))
        assert a.read_bytes() == b.read_bytes(), f"{a} and {b} differ" + (
            f":\n{a.read_text()}\n{b.read_text()}" if name.endswith(".json") else ""
        )
    return compared


def _describe(a, b):
    x, y = a.values(), b.values()
    different = [i for i in range(len(x)) if x[i] != y[i]]
    if not different:
        return "same values, other bits (signed zero or NaN)"
    i = different[0]
    return f"{len(different)} of {len(x)} elements, first [{i}]: {x[i]!r} and {y[i]!r}"


def compare_runs(one, two):
    """Compares the last checkpoint of two runs, and every earlier one that both still have."""
    a, b = ({path.name: path for path in checkpoints(folder)} for folder in (one, two))
    assert a and b, f"no checkpoint in {one if not a else two}"
    assert max(a) == max(b), f"last checkpoints are {max(a)} and {max(b)}"
    common = sorted(a.keys() & b.keys())
    tensors = sum(compare_checkpoints(a[name], b[name]) for name in common)
    return f"{tensors} tensors of {len(common)} checkpoints equal"


def metrics(run_folder):
    """The objects of metrics.jsonl; every line must be whole."""
    path = Path(run_folder) / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def check_steps_once(run_folder, steps):
    """Each step has exactly one line, in order."""
    seen = [line["step"] for line in metrics(run_folder) if line.get("kind", "step") == "step"]
    assert seen == list(range(1, steps + 1)), f"steps of {run_folder}/metrics.jsonl are {seen}"


def newest_step(run_folder):
    """The last step that metrics.jsonl has, 0 without one; tolerates a line being written."""
    try:
        lines = (Path(run_folder) / "metrics.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return 0
    for line in reversed(lines):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if value.get("kind", "step") == "step":
            return value["step"]
    return 0


def wait_for_step(running, run_folder, step, limit=60.0):
    """Waits until step `step` is in metrics.jsonl or the command ended; returns whether it was
    reached."""
    end = time.monotonic() + limit
    while newest_step(run_folder) < step:
        if not running.alive():
            return False
        assert time.monotonic() < end, (
            f"step {step} not reached in {limit} s\n{running.wait(0.1).text()}"
        )
        time.sleep(0.005)
    return True


def launch_words(ranks, threads=1):
    return [f"launch.ranks_per_node={ranks}", f"launch.threads_per_rank={threads}"]


def train(test, config, name, *words, ranks=1, threads=1, limit=120.0):
    """A whole run into runs/NAME; returns its folder."""
    folder = test.work / "runs" / name
    result = test.run(
        "train", config, "--run-folder", folder, *launch_words(ranks, threads), *words, limit=limit
    ).expect(0)
    assert result.last_line() == f"run folder: {folder}", (
        f"last line of stdout is {result.last_line()!r}\n{result.text()}"
    )
    return folder
