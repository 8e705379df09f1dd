#!/usr/bin/env python3
"""Weights of the Sudoku seed come in through `init.from` and go out again with scripts/convert.

The imported folder is written by the converter's own plain-Python part, so this needs no torch;
writing a .pt does, and is skipped without it (LOCKSTEP_TORCH_PYTHON names a Python that has torch).
"""

import json
import os
import random
import struct
import subprocess
import sys

import harness
import safetensors_file
import tiny_run

sys.path.insert(0, str(harness.SOURCE / "scripts"))
from convert_parts import lockstep_folder  # noqa: E402
from convert_parts.safetensors_file import Tensor  # noqa: E402

CHANNELS, LAYERS, EMBEDDING, UPDATES = 4, 1, 3, 500
CONFIG = """\
run: {{name: seed, folder: {work}/runs, cpu_isa: native}}
launch: {{ranks_per_node: 1, threads_per_rank: 1}}
data: {{kind: grids, train: [{data}/train-*.h5], validation: [{data}/validation.h5]}}
task:
  {{kind: sudoku, objective: seed, k_max: 2, sequence: {{order: fresh, symmetry: true}},
   model: {{kind: seed_conv, hidden_dim: 4, num_layers: 1, num_groups: 2, embedding_dim: 3}}}}
init: {{from: {work}/imported, parts: [model, optimizer]}}
optimizer: {{kind: adamw, lr: 1.0e-3, weight_decay: 1.0e-4}}
train: {{steps: 2, global_batch: 8}}
log: {{every_steps: 1, style: seed}}
"""


def shapes():
    c, out = (
        CHANNELS,
        {
            "embedding_layer.weight": (10, EMBEDDING),
            "time_embed.0.weight": (CHANNELS, 1),
            "time_embed.2.weight": (CHANNELS, CHANNELS),
        },
    )
    out |= {"conv_in.weight": (c, EMBEDDING, 3, 3), "conv_out.weight": (c, c, 3, 3)}
    for i in range(LAYERS):
        out |= {f"conv_blocks.{i}.{k}.weight": (c, c, 3, 3) for k in (0, 3)} | {
            f"conv_blocks.{i}.{k}.weight": (c,) for k in (1, 4)
        }
    for head, classes in (("position_head", 81), ("value_head", 10)):
        out |= {f"{head}.0.weight": (c, 81 * c), f"{head}.2.weight": (classes, c)}
    return out | {
        name.replace("weight", "bias"): shape[:1]
        for name, shape in out.items()
        if "embedding" not in name
    }


def numbers(shape, generate):
    count = 1
    for size in shape:
        count *= size
    return Tensor("F32", shape, struct.pack(f"<{count}f", *(generate() for _ in range(count))))


def taken_in(test):
    """Two steps from imported weights and moments: Adam's count goes on, its moments decay from the
    imported ones."""
    source = random.Random(3)
    model = {
        name: numbers(shape, lambda: source.uniform(-0.3, 0.3)) for name, shape in shapes().items()
    }
    moments = {"updates": Tensor("I64", (), struct.pack("<q", UPDATES))}
    for name, tensor in model.items():
        moments[f"exp_avg.{name}"] = numbers(tensor.shape, lambda: 1000.0)
        moments[f"exp_avg_sq.{name}"] = numbers(tensor.shape, lambda: 1e12)
    lockstep_folder.write_import(
        test.work / "imported", model, moments, {"kind": "sudoku seed", "updates": UPDATES}
    )
    config = test.work / "seed.yaml"
    config.write_text(CONFIG.format(work=test.work, data=tiny_run.make_data(test)))
    folder = test.work / "runs/one"
    test.run("train", config, "--run-folder", folder).expect(
        0,
        f"initial weights from {test.work}/imported: {len(model)} tensors taken",
        "Acc: 0.",
        "✓ Checkpoint saved: ",
    )
    checkpoint = tiny_run.checkpoints(folder)[-1]
    after = safetensors_file.read(checkpoint / lockstep_folder.OPTIMIZER)
    assert after["updates"].values() == (UPDATES + 2,), after["updates"].values()
    first = after["exp_avg.conv_in.weight"].values()
    # Two updates leave 0.9^2 of the imported moment; the gradients themselves are small beside it.
    assert all(abs(value - 810) < 5 for value in first), first[:3]
    weights = safetensors_file.read(checkpoint / "model.safetensors")
    moved = max(
        abs(a - b)
        for name, tensor in model.items()
        for a, b in zip(
            weights[name].values(), struct.unpack(f"<{len(tensor.data) // 4}f", tensor.data)
        )
    )
    assert 0 < moved < 1e-4, moved  # 1000 / sqrt(1e12) times the rate
    return f"{len(model)} tensors, {after['updates'].values()[0]} updates"


def refused(test):
    """What does not fit is named."""
    config = test.work / "seed.yaml"
    result = test.run(
        "train", config, "task.model.hidden_dim=8", "--run-folder", test.work / "runs/two"
    )
    result.expect(2, "init.strict", "conv_in.weight")
    facts = test.work / "imported/import.json"
    good = facts.read_text()
    facts.write_text(good.replace('"version": 1', '"version": 9'))
    test.run("train", config, "--run-folder", test.work / "runs/three").expect(
        5, "imported by another version", "import.json"
    )
    facts.write_text(good)
    return "other width, other version"


def given_out(test):
    python = os.environ.get("LOCKSTEP_TORCH_PYTHON", sys.executable)
    words = [
        python,
        harness.SOURCE / "scripts/convert",
        "to-seed",
        test.work / "runs/one",
        test.work / "out.pt",
        "--epoch",
        "7",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        raise harness.Skip("this Python has no torch")
    assert done.returncode == 0, done.stderr
    words = [
        python,
        harness.SOURCE / "scripts/convert",
        "from-seed",
        test.work / "out.pt",
        test.work / "again",
    ]
    assert subprocess.run(words, check=False, capture_output=True).returncode == 0
    checkpoint = tiny_run.checkpoints(test.work / "runs/one")[-1]
    compared = 0
    for name in ("model.safetensors", lockstep_folder.OPTIMIZER):
        a, b = (
            safetensors_file.read(checkpoint / name),
            safetensors_file.read(test.work / "again" / name),
        )
        assert a.keys() == b.keys(), a.keys() ^ b.keys()
        for key in a:
            assert a[key].data == b[key].data, key
            compared += 1
    facts = json.loads((test.work / "again/import.json").read_text())
    assert (facts["epoch"], facts["updates"], facts["config"]["k_max"]) == (6, UPDATES + 2, 2), (
        facts
    )
    return f"{compared} tensors there and back"


def main():
    test = harness.Test(__doc__)
    test.case("weights and moments come in", taken_in, test)
    test.case("what does not fit", refused, test)
    test.case("there and back through a .pt", given_out, test)
    test.finish()


if __name__ == "__main__":
    main()
