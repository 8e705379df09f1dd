#!/usr/bin/env python3
"""Exported diffusers folders: DiffusionPipeline loads them, and draws what `lockstep sample` draws
from the same noise.

Needs a Python with torch and diffusers (LOCKSTEP_TORCH_PYTHON names it; versions in
diffusers_draw.py); else skipped.
"""

import json
import random
import struct
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/system"))

import harness  # noqa: E402
import peers  # noqa: E402
import safetensors_file  # noqa: E402

PYTHON, ROWS, SIZE, LIMIT = peers.python(), 2, 8, 1e-4
SMALL = ["dim=8", "dim_mults=[1, 2]", "attn_heads=2", "attn_dim_head=8"]
# name: (task.model, other words, steps that take noise)
CASES = {
    "lucidrains' DDIM": (
        SMALL,
        ["sampler={kind: ddim, steps: 10}", "task.diffusion.timesteps=100"],
        0,
    ),
    "DDIM, trailing, eta": (
        SMALL,
        [
            "sampler={kind: ddim, steps: 7, eta: 0.4, spacing: trailing}",
            "task.diffusion.objective=pred_x0",
        ],
        7,
    ),
    "DDIM, linspace, not clipped": (
        SMALL,
        [
            "sampler={kind: ddim, steps: 6, spacing: linspace, clip_x0: false, final_alpha: first}",
            "task.diffusion.beta_schedule=linear",
        ],
        0,
    ),
    "DDPM": (
        SMALL,
        [
            "sampler={kind: ddpm}",
            "task.diffusion.timesteps=20",
            "task.diffusion.objective=pred_noise",
            "task.diffusion.beta_schedule=cosine",
        ],
        20,
    ),
    "DDPM, learned variance": (
        [*SMALL, "learned_variance=true"],
        [
            "sampler={kind: ddpm}",
            "task.diffusion.timesteps=20",
            "task.diffusion.objective=pred_noise",
        ],
        20,
    ),
    "DPM-Solver++": (
        SMALL,
        ["sampler={kind: dpmpp_2m, steps: 8}", "task.diffusion.beta_schedule=linear"],
        0,
    ),
    "DPM-Solver++, SDE, Karras": (
        SMALL,
        [
            "sampler={kind: dpmpp_2m, steps: 8, solver: sde, karras: true}",
            "task.diffusion.beta_schedule=cosine",
        ],
        8,
    ),
    "DPM-Solver++, Heun, self-conditioning": (
        [*SMALL, "self_condition=true"],
        ["sampler={kind: dpmpp_2m, steps: 6, solver: heun}"],
        0,
    ),
    "DDIM, learned variance": (
        [*SMALL, "learned_variance=true"],
        ["sampler={kind: ddim, steps: 5}", "task.diffusion.objective=pred_x0"],
        0,
    ),
    "DDIM, self-conditioning, full attention": (
        [
            "dim=8",
            "dim_mults=[1, 2, 2]",
            "full_attn=[true, false, true]",
            "attn_heads=[1, 2, 3]",
            "attn_dim_head=[8, 4, 4]",
            "self_condition=true",
        ],
        ["sampler={kind: ddim, steps: 5}"],
        0,
    ),
    "classes with guidance": (
        ["num_classes=5", *SMALL],
        ["sampler={kind: ddim, steps: 5}", "task.guidance.scale=3"],
        0,
    ),
}


def words_of(case):
    model, more, _ = CASES[case]
    kind = "class_unet" if case.startswith("classes") else "unet"
    return [
        "task.kind=image_diffusion",
        f"task.image_size={SIZE}",
        f"task.model.kind={kind}",
        *("task.model." + option for option in model),
        *more,
    ]


def numbers(shape, source, spread):
    count = 1
    for size in shape:
        count *= size
    return safetensors_file.tensor("F32", shape, [source.gauss(0, spread) for _ in range(count)])


def prepare(test, i, case):
    """Exports the case's folder, draws with `lockstep sample`; what the other side is to do, and
    our pictures."""
    words, source = words_of(case), random.Random(i)
    weights, noise, out = (
        test.work / f"{i}-{name}.safetensors" for name in ("weights", "noise", "ours")
    )
    test.run("export", "-", "--weights", "initial", "--output", weights, *words).expect(0)
    moved = {}
    for name, tensor in safetensors_file.read(weights).items():
        values = [value + source.gauss(0, 0.05) for value in tensor.values()]
        moved[name] = safetensors_file.tensor("F32", tensor.shape, values)
    safetensors_file.write(weights, moved)
    folder, steps = test.work / f"folder-{i}", CASES[case][2]
    test.run(
        "export", "-", "--weights", weights, "--format", "diffusers", "--output", folder, *words
    ).expect(0)
    inputs = {"noise": numbers((ROWS, 3, SIZE, SIZE), source, 1)}
    if steps:
        inputs["step_noise"] = numbers((steps, ROWS, 3, SIZE, SIZE), source, 1)
    if case.startswith("classes"):
        inputs["classes"] = safetensors_file.tensor("I64", (ROWS,), (4, 1))
    safetensors_file.write(noise, inputs)
    test.run("sample", "-", "--weights", weights, "--noise", noise, "--output", out, *words).expect(
        0
    )
    return {
        "folder": str(folder),
        "noise": str(noise),
        "output": str(test.work / f"{i}-theirs.safetensors"),
    }, out


def draw_all(test, prepared):
    path = test.work / "cases.json"
    path.write_text(json.dumps([facts for facts, _ in prepared.values()]))
    environment = {**test.environment, "HF_HOME": str(test.work / "tmp"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [PYTHON, "-B", SOURCE / "tests/interop/diffusers_draw.py", path],
        capture_output=True,
        text=True,
        check=False,
        cwd=test.work,
        env=environment,
    )
    if done.returncode:
        print(done.stderr[-3000:])


def compare(prepared, case):
    facts, out = prepared[case]
    theirs = Path(facts["output"])
    assert theirs.exists(), "diffusers drew nothing"
    found = safetensors_file.read(theirs)["x"].values()
    wanted = [2 * value - 1 for value in safetensors_file.read(out)["images"].values()]
    worst = max(abs(a - b) for a, b in zip(found, wanted)) / max(map(abs, wanted))
    assert worst < LIMIT, f"differs by {worst:.1e} of the largest value, more than {LIMIT}"
    return f"differs by {worst:.1e}"


def files(test, prepared):
    """The betas of the training are in the folder, to the float; only --force replaces a folder,
    and never a stranger's."""
    folder = Path(prepared["DDPM"][0]["folder"])
    config = json.loads((folder / "scheduler/scheduler_config.json").read_text())
    tables = test.work / "tables.safetensors"
    test.run("export", "schedule", "-", "--output", tables, *words_of("DDPM")).expect(0)
    betas = safetensors_file.read(tables)["betas"].values()
    assert struct.pack("<20f", *config["trained_betas"]) == struct.pack("<20f", *betas)
    again = [
        "export",
        "-",
        "--weights",
        "initial",
        "--format",
        "diffusers",
        "--output",
        folder,
        *words_of("DDPM"),
    ]
    test.run(*again).expect(2, "exists already")
    test.run(*again, "--force").expect(0)
    own = test.work / "own"
    own.mkdir()
    (own / "letter.txt").write_text("kept")
    test.run(*again[:7], own, *again[8:], "--force").expect(2, "this is none")
    assert (own / "letter.txt").read_text() == "kept"
    test.run(*again, "--force", "sampler={kind: dpmpp_2m, clip_x0: true}").expect(2, "clip_x0")
    assert (folder / "model_index.json").exists() and not list(test.work.glob(".tmp-*"))
    return f"{len(betas)} betas, four answers"


def main():
    peers.need(PYTHON, "torch", "diffusers", "safetensors", "numpy")
    test = harness.Test(__doc__)
    prepared = {case: prepare(test, i, case) for i, case in enumerate(CASES)}
    draw_all(test, prepared)
    for case in CASES:
        test.case(case, compare, prepared, case)
    test.case("files", files, test, prepared)
    test.finish()


if __name__ == "__main__":
    main()
