#!/usr/bin/env python3
"""ONNX files of image networks: onnx.checker accepts them, onnxruntime computes what `lockstep
forward` does.

The packages come from scripts/lib/wheels.py (.deps/test-packages), or from this Python.
"""

import os
import stat
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(SOURCE / "tests/system"), str(SOURCE / ".deps/test-packages")]

import harness  # noqa: E402
import safetensors_file  # noqa: E402

try:
    import numpy as np
    import onnx
    import onnxruntime
except ImportError as error:
    print(
        f"skipped: onnx, onnxruntime and numpy are not there ({error}); scripts/test fetches them"
    )
    sys.exit(harness.SKIPPED)

CASES = {
    "plain": ["dim=8", "dim_mults=[1, 2]"],
    "three stages, full and linear": [
        "dim=8",
        "dim_mults=[1, 2, 2]",
        "full_attn=[true, false, true]",
        "attn_heads=[1, 2, 3]",
        "attn_dim_head=[8, 4, 4]",
    ],
    "self-conditioning": ["dim=8", "dim_mults=[1, 2]", "self_condition=true", "attn_heads=2"],
    "one channel, wide start": [
        "dim=8",
        "init_dim=12",
        "dim_mults=[1, 2]",
        "channels=1",
        "attn_dim_head=8",
    ],
    "learned variance": [
        "dim=8",
        "dim_mults=[1, 2]",
        "learned_variance=true",
        "attn_dim_head=8",
        "dropout=0.2",
    ],
    "trained frequencies": [
        "dim=8",
        "dim_mults=[1]",
        "learned_sinusoidal_cond=true",
        "learned_sinusoidal_dim=6",
    ],
    "random frequencies": [
        "dim=8",
        "dim_mults=[1, 2]",
        "random_fourier_features=true",
        "sinusoidal_pos_emb_theta=500",
    ],
    "classes": [
        "kind=class_unet",
        "dim=8",
        "num_classes=5",
        "dim_mults=[1, 2]",
        "attn_heads=2",
        "attn_dim_head=8",
    ],
}
SIZE, LIMIT = 8, 1e-5
GUIDED_LIMIT = (
    4e-5  # the difference of two passes, enlarged scale − 1 times, both sides rounding on their own
)


def words_of(options, size=SIZE):
    kind = [option for option in options if option.startswith("kind=")] or ["kind=unet"]
    rest = [option for option in options if option not in kind]
    return [
        "task.kind=image_diffusion",
        f"task.image_size={size}",
        "task.model." + kind[0],
        *("task.model." + one for one in rest),
    ]


def numpy_of(tensor):
    types = {"F32": "<f4", "I64": "<i8"}
    return np.frombuffer(tensor.data, types[tensor.dtype]).reshape(tensor.shape)


def tensor_of(array):
    dtype = "I64" if array.dtype == np.int64 else "F32"
    return safetensors_file.Tensor(dtype, array.shape, np.ascontiguousarray(array).tobytes())


def write_inputs(path, arrays):
    safetensors_file.write(path, {name: tensor_of(array) for name, array in arrays.items()})


def make_weights(test, words, name):
    """Weights of which none is 0 or 1: the initial ones, moved."""
    path = test.work / f"{name}.safetensors"
    test.run("export", "-", "--weights", "initial", "--output", path, "--force", *words).expect(0)
    source = np.random.default_rng(3)
    moved = {
        key: numpy_of(value) + source.normal(0, 0.05, value.shape).astype(np.float32)
        for key, value in safetensors_file.read(path).items()
    }
    write_inputs(path, moved)
    return path


def make_inputs(case, rows, channels):
    source = np.random.default_rng(rows)
    inputs = {
        "x": source.normal(size=(rows, channels, SIZE, SIZE)).astype(np.float32),
        "t": np.array([999, 0, 421][:rows], np.int64),
    }
    if case == "self-conditioning":
        inputs["x_self_cond"] = source.normal(size=inputs["x"].shape).astype(np.float32)
    if case == "classes":
        inputs["classes"] = np.array([4, -1, 2][:rows], np.int64)
    return inputs


def difference(a, b):
    """Largest difference, relative to the largest value."""
    return float(np.abs(a.astype(np.float64) - b).max() / np.abs(b).max())


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def same_as_forward(test, case):
    words = words_of(CASES[case])
    weights = make_weights(test, words, "weights")
    path = test.work / "net.onnx"
    test.run(
        "export", "-", "--weights", weights, "--format", "onnx", "--output", path, "--force", *words
    ).expect(0)
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path))
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)], (
        model.opset_import
    )
    runner, worst = session(path), 0.0
    channels = runner.get_inputs()[0].shape[1]
    assert runner.get_inputs()[0].shape == ["batch", channels, SIZE, SIZE], runner.get_inputs()[
        0
    ].shape
    for rows in (1, 3):
        inputs = make_inputs(case, rows, channels)
        write_inputs(test.work / "in.safetensors", inputs)
        out = test.work / "out.safetensors"
        test.run(
            "forward",
            "-",
            "--weights",
            weights,
            "--inputs",
            test.work / "in.safetensors",
            "--output",
            out,
            *words,
        ).expect(0)
        wanted = numpy_of(safetensors_file.read(out)["prediction"])
        (found,) = runner.run(["prediction"], inputs)
        assert found.shape == wanted.shape, (found.shape, wanted.shape)
        worst = max(worst, difference(found, wanted))
    assert worst < LIMIT, f"differs by {worst:.1e}, more than {LIMIT}"
    return f"{len(model.graph.node)} nodes, differs by {worst:.1e}"


def guided(test):
    """The guided prediction is what `sample` of one DDIM step gives where the network predicts the
    picture."""
    words = words_of(CASES["classes"]) + [
        "task.diffusion.objective=pred_x0",
        "task.diffusion.timesteps=100",
    ]
    weights, path = make_weights(test, words, "guided"), test.work / "guided.onnx"
    source, worst = np.random.default_rng(5), 0.0
    noise = source.normal(size=(3, 3, SIZE, SIZE)).astype(np.float32)
    classes = np.array([0, 4, 2], np.int64)
    write_inputs(test.work / "noise.safetensors", {"noise": noise, "classes": classes})
    settings = (
        (1.0, "task.guidance.rescale=0.7"),
        (6.0, "task.guidance.rescale=0"),
        (2.5, "task.guidance.remove_parallel=false"),
        (4.0, "task.guidance.keep_parallel=0.25"),
    )
    for scale, setting in settings:
        test.run(
            "export",
            "-",
            "--weights",
            weights,
            "--output",
            path,
            "--guidance",
            "--force",
            setting,
            *words,
        ).expect(0)
        onnx.checker.check_model(str(path), full_check=True)
        out = test.work / "out.safetensors"
        test.run(
            "sample",
            "-",
            "--weights",
            weights,
            "--noise",
            test.work / "noise.safetensors",
            "--sampler",
            "ddim",
            "--steps",
            "1",
            "--output",
            out,
            "sampler.clip_x0=false",
            f"task.guidance.scale={scale}",
            setting,
            *words,
        ).expect(0)
        wanted = numpy_of(safetensors_file.read(out)["images"]) * 2 - 1
        (found,) = session(path).run(
            None,
            {
                "x": noise,
                "t": np.full(3, 99, np.int64),
                "classes": classes,
                "guidance_scale": np.array(scale, np.float32),
            },
        )
        worst = max(worst, difference(found, wanted))
    assert worst < GUIDED_LIMIT, f"differs by {worst:.1e}"
    return f"{len(settings)} settings, differs by {worst:.1e}"


def outside(test):
    """The same numbers with tensors beside the file; a stray byte there would change them."""
    words = words_of(CASES["plain"])
    weights, results = make_weights(test, words, "outside"), []
    for name, more in (("one", []), ("two", ["--external-data"])):
        path = test.work / f"{name}.onnx"
        test.run("export", "-", "--weights", weights, "--output", path, *more, *words).expect(0)
        onnx.checker.check_model(str(path), full_check=True)
        results.append(session(path).run(None, make_inputs("plain", 3, 3))[0])
    assert np.array_equal(*results), "the two forms differ"
    one, two, data = (test.work / name for name in ("one.onnx", "two.onnx", "two.onnx.data"))
    assert two.stat().st_size + data.stat().st_size > one.stat().st_size > 5 * two.stat().st_size, (
        "nothing went outside"
    )
    assert (test.work / "one.onnx").read_bytes() == again(test, weights, words).read_bytes(), (
        "the same export gave other bytes"
    )
    return f"{two.stat().st_size} bytes and {data.stat().st_size} beside them"


def again(test, weights, words):
    path = test.work / "again.onnx"
    test.run("export", "-", "--weights", weights, "--output", path, *words).expect(0)
    return path


FAKE = """#!/bin/sh
printf '%s\\n' "$@" > "{work}/trtexec.words"
exit {code}
"""


def trtexec(test):
    """The command line of TensorRT: printed, run where it is, its exit code told."""
    words, path = words_of(CASES["self-conditioning"]), test.work / "trt.onnx"
    call = [
        "export",
        "-",
        "--weights",
        "initial",
        "--output",
        path,
        "--force",
        "--trtexec",
        "--bf16",
        "--batches",
        "2,4,16",
        *words,
    ]
    result = test.run(*call).expect(0, "trtexec is not on the PATH")
    picture = f"x3x{SIZE}x{SIZE}"
    wanted = (
        ["trtexec", f"--onnx={path}", f"--saveEngine={path}.engine"]
        + [
            f"--{which}Shapes=x:{rows}{picture},t:{rows},x_self_cond:{rows}{picture}"
            for which, rows in (("min", 2), ("opt", 4), ("max", 16))
        ]
        + ["--bf16", "--skipInference"]
    )
    assert result.last_line() == " ".join(wanted), result.last_line()
    folder = test.work / "fake"
    folder.mkdir()
    program = folder / "trtexec"
    kept = dict(test.environment)
    test.environment["PATH"] = f"{folder}{os.pathsep}{test.environment['PATH']}"
    try:
        for code in (0, 3):
            program.write_text(FAKE.format(work=test.work, code=code))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
            test.run(*call).expect(3 if code else 0, f"trtexec ended with exit code {code}")
            assert (test.work / "trtexec.words").read_text().split("\n")[:-1] == wanted[1:]
    finally:
        test.environment = kept
    test.run(*call, "--fp16").expect(2, "--fp16 and --bf16")
    test.run(*call[: -len(words) - 1], "4,2,16", *words).expect(2, "ascending")
    return "printed, run, exit codes 0 and 3"


def no_protobuf(test):
    """The program that writes ONNX files loads no protobuf library of its own."""
    worker = test.lockstep.parent / "lockstep-worker"
    listed = subprocess.run(["ldd", worker], capture_output=True, text=True, check=True).stdout
    assert "libprotobuf" not in listed and "libonnx" not in listed, listed
    return "none"


def main():
    test = harness.Test(__doc__)
    for case in CASES:
        test.case(case, same_as_forward, test, case)
    test.case("guidance weight as an input", guided, test)
    test.case("tensors beside the file", outside, test)
    test.case("trtexec", trtexec, test)
    test.case("no protobuf in the process", no_protobuf, test)
    test.finish()


if __name__ == "__main__":
    main()
