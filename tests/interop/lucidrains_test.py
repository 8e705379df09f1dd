#!/usr/bin/env python3
"""Checkpoints to denoising-diffusion-pytorch's Trainer and back: its next step is ours; we go on
from its.

Needs a Python with torch and the package (LOCKSTEP_TORCH_PYTHON names it; versions in
trainer_step.py); else skipped.
"""

import json
import math
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/system"))

import harness  # noqa: E402
import peers  # noqa: E402
import safetensors_file  # noqa: E402
import tiny_run  # noqa: E402

PYTHON = peers.python()
PICTURES, SIZE, TIMES, SEED, LAST = 64, 8, 100, 3, 9
CONFIG = """\
run: {{name: pictures, folder: {work}/runs, seed: {seed}, cpu_isa: native}}
launch: {{ranks_per_node: 1, threads_per_rank: 1, with: auto, max_restarts: 0}}
data: {{kind: images, train: [{work}/shards/*.h5], threads: 1}}
task:
  kind: image_diffusion
  image_size: {size}
  model: {{kind: unet, dim: 8, dim_mults: [1, 2], attn_heads: 2, attn_dim_head: 8}}
  diffusion: {{timesteps: {times}, objective: pred_v, beta_schedule: sigmoid, min_snr_loss_weight: true}}
  augment_horizontal_flip: false
optimizer: {{kind: adam, lr: 1.0e-3, beta1: 0.9, beta2: 0.99}}
train: {{steps: {last}, global_batch: {pictures}, clip_norm: 1.0, ema: {{decay: 0.9, every_steps: 1, warmup: false}}}}
checkpoint: {{every_steps: 8, keep: 100}}
log: {{every_steps: 1}}
"""
UNET = {"dim": 8, "dim_mults": [1, 2], "attn_heads": 2, "attn_dim_head": 8}
DIFFUSION = {
    "image_size": SIZE,
    "timesteps": TIMES,
    "objective": "pred_v",
    "beta_schedule": "sigmoid",
    "min_snr_loss_weight": True,
}
ADAM = {"train_lr": 1e-3, "adam_betas": [0.9, 0.99]}
MASK32, MASK64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
TIMESTEP, NOISE = 6, 7  # purposes, docs/formats.md


def splitmix(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK64
    return x ^ (x >> 31)


def philox(purpose, sample, step, block):
    """Four 32-bit numbers: docs/formats.md, "Random numbers"."""
    key = splitmix(SEED ^ splitmix(purpose))
    k, c = [key & MASK32, key >> 32], [block, step, sample & MASK32, sample >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & MASK32, (p >> 32) ^ c[3] ^ k[1], p & MASK32]
        k = [(k[0] + 0x9E3779B9) & MASK32, (k[1] + 0xBB67AE85) & MASK32]
    return c


def normals(sample, step, count):
    out = []
    for block in range((count + 3) // 4):
        u = [(x >> 8) / 2**24 for x in philox(NOISE, sample, step, block)]
        for a, b in ((u[0], u[1]), (u[2], u[3])):
            radius = math.sqrt(-2 * math.log(1 - a))
            out += [radius * math.cos(2 * math.pi * b), radius * math.sin(2 * math.pi * b)]
    return out[:count]


def convert(test, *words):
    program = [PYTHON, "-B", SOURCE / "scripts/convert", *words]
    return subprocess.run(program, capture_output=True, text=True, check=False, cwd=test.work)


def converted(test, *words):
    done = convert(test, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def trainer_step(test, milestone, inputs, **more):
    facts = {
        "results": str(test.work / "results"),
        "milestone": milestone,
        "inputs": str(inputs),
        "unet": UNET,
        "diffusion": DIFFUSION,
        "adam": ADAM,
        "clip": 1.0,
        "output": str(test.work / "trainer.safetensors"),
        **more,
    }
    (test.work / "facts.json").write_text(json.dumps(facts))
    words = [PYTHON, "-B", SOURCE / "tests/interop/trainer_step.py", test.work / "facts.json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=test.work)
    assert done.returncode == 0, done.stderr[-3000:]
    return safetensors_file.read(facts["output"])


def png(pixels):
    """A PNG of SIZE x SIZE colours, from rows of bytes."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + pixels[3 * SIZE * y : 3 * SIZE * (y + 1)] for y in range(SIZE))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def make_pictures(test):
    """A dataset of PICTURES random pictures; their bytes as [N, C, S, S]."""
    folder, source, planes = test.work / "photos", random.Random(1), []
    folder.mkdir()
    for i in range(PICTURES):
        pixels = bytes(source.randrange(256) for _ in range(3 * SIZE * SIZE))
        (folder / f"{i:03}.png").write_bytes(png(pixels))
        planes += [pixels[channel::3] for channel in range(3)]
    test.run(
        "data", "convert", "image-folder", folder, test.work / "shards", f"size={SIZE}", limit=60
    ).expect(0)
    return safetensors_file.Tensor("U8", (PICTURES, 3, SIZE, SIZE), b"".join(planes))


def write_inputs(test, images, step):
    """What our step `step` (from 0) sees: all pictures, each with the time and noise that number
    and step give."""
    path, row = test.work / "inputs.safetensors", 3 * SIZE * SIZE
    times = [(philox(TIMESTEP, i, step, 0)[0] * TIMES) >> 32 for i in range(PICTURES)]
    noise = b"".join(struct.pack(f"<{row}f", *normals(i, step, row)) for i in range(PICTURES))
    safetensors_file.write(
        path,
        {
            "images": images,
            "t": safetensors_file.tensor("I64", (PICTURES,), times),
            "noise": safetensors_file.Tensor("F32", images.shape, noise),
        },
    )
    return path


def difference(a, b):
    """The norm of the difference, relative to that of b."""
    x, y = a.values(), b.values()
    return math.sqrt(sum((p - q) ** 2 for p, q in zip(x, y)) / max(sum(q * q for q in y), 1e-30))


def same(found, prefix, wanted, limit):
    """Compares the tensors of a checkpoint's file with PREFIX + name; returns the largest
    difference."""
    worst = 0.0
    for name, tensor in wanted.items():
        other = found[prefix + name]
        assert other.shape == tensor.shape, name
        worst = max(worst, difference(other, tensor))
        assert worst <= limit, f"{prefix}{name} differs by {worst:.1e}, more than {limit}"
    return worst


def loaded_and_stepped(test, run, images):
    """The Trainer has our weights and averages, all 13 tables to the bit, and its next step is
    ours."""
    before, after = tiny_run.checkpoints(run)
    (test.work / "results").mkdir()
    converted(test, "to-lucidrains", before, test.work / "results", "--milestone", "8")
    found = trainer_step(test, "8", write_inputs(test, images, LAST - 1), save="back")
    model, ema = (
        safetensors_file.read(before / name) for name in ("model.safetensors", "ema.safetensors")
    )
    same(found, "loaded.model.model.", model, 0)
    same(found, "loaded.ema.model.", ema, 0)
    test.run(
        "export",
        "schedule",
        before.parents[1] / "config.yaml",
        "--output",
        test.work / "tables.safetensors",
    ).expect(0)
    tables = safetensors_file.read(test.work / "tables.safetensors")
    for name in tables:
        for kind in ("model", "ema"):
            worst = difference(found[f"loaded.{kind}.{name}"], tables[name])
            assert worst <= 1e-7, f"{name} differs by {worst:.1e}"
    assert found["loaded.ema_step"].values() == (LAST - 1,) and found["step"].values() == (LAST,), (
        "steps"
    )
    wanted = safetensors_file.read(after / "model.safetensors")
    moved = max(difference(model[name], wanted[name]) for name in wanted)
    assert moved > 1e-4, f"our own step moved the weights by {moved:.1e} only"
    worst = same(found, "model.model.", wanted, 1e-5)
    moments = safetensors_file.read(after / tiny_run.FILES[2])
    del moments["updates"]
    worst_moment = same(
        found, "", {name.replace(".", ".model.", 1): value for name, value in moments.items()}, 1e-4
    )
    what = f"{len(model)} tensors and averages, {len(tables)} tables"
    return f"{what}; one step agrees to {worst:.1e}, moments to {worst_moment:.1e}"


def and_back(test, run):
    """What the Trainer saved goes on here: weights, moments, averages; the config that the
    converter prints works."""
    text = converted(
        test, "from-lucidrains", test.work / "results/model-back.pt", test.work / "imported"
    )
    found = safetensors_file.read(test.work / "trainer.safetensors")
    model = safetensors_file.read(test.work / "imported/model.safetensors")
    same(found, "model.model.", model, 0)
    facts = json.loads((test.work / "imported/import.json").read_text())
    assert (facts["step"], facts["updates"], facts["package"]) == (LAST, LAST, "2.3.4"), facts
    assert facts["diffusion"] == {
        "timesteps": TIMES,
        "beta_schedule": "sigmoid",
        "objective": "pred_v",
        "min_snr_loss_weight": True,
        "min_snr_gamma": 5.0,
    }, facts["diffusion"]
    lines = [line[2:] for line in text[text.index("  task:") :].splitlines()]
    start = (run / "config.yaml").read_text().split("\n")
    kept = section(start, "data") + section(start, "launch")
    config = test.work / "again.yaml"
    config.write_text(
        "\n".join(lines + kept).replace("SIZE", str(SIZE))
        + f"""
run: {{name: again, folder: {test.work}/runs, seed: {SEED}, cpu_isa: native}}
train: {{steps: 2, global_batch: {PICTURES}, ema: {{decay: 0.9}}}}
"""
    )
    again = test.work / "runs/again"
    test.run("train", config, "--run-folder", again).expect(0, f"{len(model)} tensors taken")
    after = safetensors_file.read(tiny_run.checkpoints(again)[-1] / tiny_run.FILES[2])
    assert after["updates"].values() == (LAST + 2,), after["updates"].values()
    test.run(
        "train", config, "--run-folder", test.work / "runs/ema", "init.parts=[ema]", "train.steps=1"
    ).expect(0, "tensors taken")
    return f"{facts['updates']} updates, then {after['updates'].values()[0]}"


def section(lines, name):
    first = lines.index(f"{name}:")
    length = next(
        (i for i, line in enumerate(lines[first + 1 :], 1) if not line.startswith(" ")),
        len(lines) - first,
    )
    return lines[first : first + length]


def refused(test, run):
    """What cannot be converted is named, and nothing is written."""
    target = test.work / "refused.pt"
    for words, says in (
        ((test.work / "nothing", target), "no such run"),
        ((tiny_run.checkpoints(run)[0] / "model.safetensors", target), "name a run"),
        ((run, test.work / "no-folder"), "neither a .pt file nor a folder"),
    ):
        done = convert(test, "to-lucidrains", *words)
        assert done.returncode in (2, 4) and says in done.stderr, done.stderr
        assert not target.exists()
    return "three"


def main():
    peers.need(PYTHON, "torch", "denoising_diffusion_pytorch", "safetensors", "PIL")
    test = harness.Test(__doc__)
    images = make_pictures(test)
    config = test.work / "pictures.yaml"
    config.write_text(
        CONFIG.format(
            work=test.work, seed=SEED, size=SIZE, times=TIMES, last=LAST, pictures=PICTURES
        )
    )
    run = tiny_run.train(test, config, "ours")
    test.case(
        "the Trainer loads ours, and its next step is ours", loaded_and_stepped, test, run, images
    )
    test.case("what it saves goes on here", and_back, test, run)
    test.case("what cannot be converted", refused, test, run)
    test.finish()


if __name__ == "__main__":
    main()
