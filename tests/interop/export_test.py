#!/usr/bin/env python3
"""`lockstep export`: weights of every task as safetensors that Python and `init.from` read; answers
to mistakes."""

import json
import struct
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "tests/system"), str(SOURCE / ".deps/test-packages")]

import harness  # noqa: E402
import safetensors_file  # noqa: E402
import tiny_run  # noqa: E402

PICTURES = """\
run: {{name: pictures, folder: {work}/runs, seed: 3, cpu_isa: native}}
launch: {{ranks_per_node: 1, threads_per_rank: 1, with: auto, max_restarts: 0}}
data: {{kind: images, train: [{work}/shapes/train-*.h5], threads: 1}}
task:
  {{kind: image_diffusion, image_size: 8,
   model: {{kind: unet, dim: 8, dim_mults: [1, 2], attn_heads: 2, attn_dim_head: 8}},
   diffusion: {{timesteps: 20}}}}
optimizer: {{kind: adam, lr: 1.0e-3}}
train: {{steps: 2, global_batch: 16, ema: {{decay: 0.5, every_steps: 1, warmup: false}}}}
log: {{every_steps: 1}}
"""


def metadata(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])["__metadata__"]


def same_tensors(one, two):
    a, b = safetensors_file.read(one), safetensors_file.read(two)
    assert list(a) == list(b), "names or their order differ"
    assert all(a[name].data == b[name].data and a[name].shape == b[name].shape for name in a), (
        "values differ"
    )
    return len(a)


def weights(test, run, kind):
    """Averages by default, last weights by --weights, of the run or a checkpoint of it; the same
    bytes each time."""
    checkpoint, out = tiny_run.checkpoints(run)[-1], test.work / f"{kind}.safetensors"
    test.run("export", run, "--output", out).expect(0)
    count = same_tensors(out, checkpoint / "ema.safetensors")
    facts = metadata(out)
    step = str(int(checkpoint.name[5:]))
    assert (facts["format"], facts["task"], facts["weights"], facts["step"]) == (
        "pt",
        kind,
        "ema",
        step,
    ), facts
    assert json.loads(facts["config"])["task"]["kind"] == kind
    first = out.read_bytes()
    test.run("export", checkpoint, "--format", "safetensors", "--output", out, "--force").expect(0)
    assert out.read_bytes() == first, "the same checkpoint gave other bytes"
    last = test.work / f"{kind}-last.safetensors"
    test.run("export", run, "--weights", "model", "--output", last).expect(0)
    same_tensors(last, checkpoint / "model.safetensors")
    assert last.read_bytes() != first
    return f"{count} tensors"


def in_python(test):
    """The safetensors package reads the files (scripts/test fetches it)."""
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise harness.Skip(f"the packages for tests are not there: {error}") from None
    compared = 0
    for kind in ("sudoku", "image_diffusion"):
        path = test.work / f"{kind}.safetensors"
        ours, theirs = safetensors_file.read(path), load_file(path)
        assert ours.keys() == theirs.keys()
        for name, tensor in ours.items():
            assert (
                theirs[name].tobytes() == tensor.data and list(theirs[name].shape) == tensor.shape
            ), name
            compared += 1
    return f"{compared} tensors"


def back_in(test, config, kind):
    """init.from takes the file; with a prefix on every name init.map takes it off."""
    path, prefixed = test.work / f"{kind}.safetensors", test.work / "prefixed.safetensors"
    tensors = safetensors_file.read(path)
    safetensors_file.write(prefixed, {"net." + name: value for name, value in tensors.items()})
    for name, source, more in (("plain", path, []), ("prefixed", prefixed, ["init.map=[net.=]"])):
        run = test.work / "runs" / f"{kind}-{name}"
        words = [f"init.from={source}", *more, "train.steps=1", "optimizer.lr=1e-30"]
        test.run("train", config, "--run-folder", run, *words).expect(
            0, f"{len(tensors)} tensors taken"
        )
        started = tiny_run.checkpoints(run)[-1] / "model.safetensors"
        same_tensors(started, path)
    test.run(
        "train", config, f"init.from={prefixed}", "--run-folder", test.work / f"runs/{kind}-refused"
    ).expect(2, "init.strict")
    return f"{len(tensors)} tensors, twice"


def mistakes(test, run, sudoku):
    out = test.work / "mistake.onnx"
    test.run("export", run, "--output", out, "--format", "onx").expect(
        2, "unknown format 'onx'", "did you mean onnx?"
    )
    test.run("export", run, "--output", test.work / "no-extension").expect(2, "needs --format")
    test.run("export", run).expect(2, "needs --output")
    test.run("export", test.work / "nowhere", "--output", out).expect(2, "there is no run")
    test.run("export", test.work / "shapes", "--output", out).expect(2, "no run in")
    test.run("export", run, "--output", out, "task.image_size=9").expect(
        2, "multiple of 2", "task.image_size"
    )
    test.run("export", run, "--output", out, "--guidance").expect(2, "networks with classes")
    test.run("export", run, "--output", test.work / "m.safetensors", "--trtexec").expect(
        2, "--trtexec is for --format onnx"
    )
    test.run("export", run, "--output", out, "--fp16").expect(2, "needs --trtexec")
    test.run("export", sudoku, "--output", out).expect(
        2, "not the task sudoku", "--format safetensors works for every task"
    )
    test.run("export", sudoku, "--output", out, "--format", "diffusers").expect(
        2, "not the task sudoku"
    )
    other = test.work / "sudoku.safetensors"
    test.run("export", run, "--output", out, "--weights", other).expect(4, str(other))
    test.run("export", run, "--output", test.work / "no/such/folder/x.onnx").expect(
        3, "cannot write"
    )
    assert not out.exists() and not list(test.work.glob(".tmp-*")), (
        "a refused export left something"
    )
    test.run("export", run, "--output", out).expect(0)
    before = out.read_bytes()
    test.run("export", run, "--output", out, "--weights", "model").expect(
        2, "exists already", "--force"
    )
    assert out.read_bytes() == before
    return "fourteen answers"


def damaged(test, run):
    """Without a good checkpoint: exit code 5."""
    for checkpoint in tiny_run.checkpoints(run):
        path = checkpoint / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    out = test.work / "damaged.safetensors"
    test.run("export", run, "--output", out).expect(5)
    test.run("export", tiny_run.checkpoints(run)[0], "--output", out).expect(5, "model.safetensors")
    for checkpoint in tiny_run.checkpoints(run):
        (checkpoint / "MANIFEST.json").unlink()
    test.run("export", run, "--output", out).expect(5)
    assert not out.exists()
    return "three ways"


def main():
    test = harness.Test(__doc__)
    test.run(
        "data",
        "make",
        "shapes",
        test.work / "shapes",
        "train_images=32",
        "validation_images=8",
        "image_size=8",
        limit=60,
    ).expect(0)
    pictures = test.work / "pictures.yaml"
    pictures.write_text(PICTURES.format(work=test.work))
    grids = tiny_run.write_config(test, steps=2, every=1)
    runs = {
        "image_diffusion": (pictures, tiny_run.train(test, pictures, "pictures")),
        "sudoku": (grids, tiny_run.train(test, grids, "sudoku")),
    }
    for kind, (config, run) in runs.items():
        test.case(f"{kind}: weights", weights, test, run, kind)
        test.case(f"{kind}: back by init.from", back_in, test, config, kind)
    test.case("Python reads them", in_python, test)
    test.case("mistakes", mistakes, test, runs["image_diffusion"][1], runs["sudoku"][1])
    test.case("a run without a good checkpoint", damaged, test, runs["sudoku"][1])
    test.finish()


if __name__ == "__main__":
    main()
