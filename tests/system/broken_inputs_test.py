#!/usr/bin/env python3
"""Inputs that do not fit: tensors, puzzles, folders, damaged checkpoints, two runs in one folder.

Each ends with the exit code of its kind and a message that says what was expected and what came.
"""

import json
import shutil
import signal

import harness
import processes
import safetensors_file as st
import tiny_run

USAGE, DATA, CHECKPOINT, LOCKED = 2, 4, 5, 8
PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"
NO_INSIDE = ("Traceback", "terminate called", "Exception raised from", "frame #")


def refused(result, code, *words):
    result.expect(code, "error: ", *words)
    for word in NO_INSIDE:
        assert word not in result.err, f"the message shows {word!r}\n{result.text()}"
    return next(line for line in result.err.splitlines() if line.startswith("error: "))[:150]


class Forward:
    """`lockstep forward` on the tiny run's weights, with inputs that a case changes."""

    def __init__(self, test, config, run):
        self.test, self.config = test, config
        self.weights = tiny_run.checkpoints(run)[-1] / "model.safetensors"
        self.folder = test.work / "forward"
        self.folder.mkdir()

    def run(self, inputs=None, weights=None, words=()):
        i, o = self.folder / "inputs.safetensors", self.folder / "outputs.safetensors"
        o.unlink(missing_ok=True)
        if inputs is not None:
            st.write(i, inputs)
        w = self.folder / "weights.safetensors"
        if weights is None:
            shutil.copy(self.weights, w)
        elif isinstance(weights, bytes):
            w.write_bytes(weights)
        else:
            st.write(w, weights)
        result = self.test.run(
            "forward", self.config, "--weights", w, "--inputs", i, "--output", o, *words
        )
        assert result.code == 0 or not o.exists(), f"an output was written\n{result.text()}"
        return result, o


def cells(rows=2, shape=None, dtype="I64", value=0):
    shape = shape or [rows, 81]
    count = 1
    for size in shape:
        count *= size
    return st.tensor(dtype, shape, [value] * count)


def good_forward(forward):
    result, output = forward.run({"cells": cells()})
    result.expect(0)
    out = st.read(output)
    assert (out["logits"].dtype, out["logits"].shape) == ("F32", [2, 81, 9]), (
        f"{out['logits'].dtype} {out['logits'].shape}"
    )
    assert "loss" not in out
    result, output = forward.run(
        {"cells": cells(dtype="I8"), "solution": cells(dtype="I32", value=1)}, words=["--gradients"]
    )
    result.expect(0)
    out, names = st.read(output), st.read(forward.weights)
    assert out["loss"].shape == [], out["loss"].shape
    for name, weight in names.items():
        assert out[f"grad.{name}"].shape == weight.shape, name
    return f"logits F32 [2, 81, 9], loss, {len(names)} gradients"


def forward_cases(test, forward):
    weights = st.read(forward.weights)
    first = sorted(weights)[0]
    shape = weights[first].shape
    larger = dict(weights) | {
        first: st.tensor("F32", [*shape, 2], [0.0] * (2 * len(weights[first].values())))
    }
    raw = forward.weights.read_bytes()
    cases = {
        "cells of another shape": (
            {"cells": cells(shape=[2, 80])},
            None,
            ["[2, 80]", "81", "cells"],
        ),
        "cells of another rank": ({"cells": cells(shape=[81])}, None, ["[81]", "cells"]),
        "cells of another dtype": (
            {"cells": st.tensor("F32", [1, 81], [0.0] * 81)},
            None,
            ["cells", "F32", "I64"],
        ),
        "cells out of range": ({"cells": cells(value=10)}, None, ["cells", "0..9"]),
        "solution of another batch": (
            {"cells": cells(2), "solution": cells(3, value=1)},
            None,
            ["[2, 81]", "[3, 81]", "solution"],
        ),
        "solution with a blank": (
            {"cells": cells(1), "solution": cells(1, value=0)},
            None,
            ["solution"],
        ),
        "no cells": ({"solution": cells(value=1)}, None, ["cells"]),
        "unknown input": ({"cells": cells(), "cell": cells()}, None, ["'cell'"]),
        "weights: one is missing": (
            {"cells": cells()},
            {k: v for k, v in weights.items() if k != first},
            [first],
        ),
        "weights: one too many": (
            {"cells": cells()},
            dict(weights) | {"extra": st.tensor("F32", [1], [0.0])},
            ["extra"],
        ),
        "weights: another shape": (
            {"cells": cells()},
            larger,
            [first, str(shape), str([*shape, 2])],
        ),
        "weights: another dtype": (
            {"cells": cells()},
            dict(weights) | {first: st.tensor("F64", shape, weights[first].values())},
            [first],
        ),
        "weights: file cut short": ({"cells": cells()}, raw[:-4], ["weights.safetensors"]),
        "weights: not safetensors": (
            {"cells": cells()},
            b"PK\x03\x04" + bytes(100),
            ["weights.safetensors"],
        ),
        "weights: empty file": ({"cells": cells()}, b"", ["weights.safetensors"]),
    }
    for name, (inputs, changed, words) in cases.items():
        test.case(
            f"forward, {name}",
            lambda i=inputs, c=changed, w=words: refused(forward.run(i, c)[0], DATA, *w),
        )
    nowhere = [
        "forward",
        forward.config,
        "--weights",
        "nowhere.safetensors",
        "--inputs",
        "nowhere2.safetensors",
        "--output",
        "o",
    ]
    test.case("forward, missing file", lambda: refused(test.run(*nowhere), DATA, "nowhere"))
    test.case(
        "forward, no --weights",
        lambda: refused(test.run("forward", forward.config), USAGE, "--weights"),
    )


def optimize_cases(test):
    path, output = test.work / "steps.safetensors", test.work / "after.safetensors"
    two = st.tensor("F32", [2], [1.0, 2.0])

    def run(tensors, *words):
        st.write(path, tensors)
        return test.run("optimize", "--inputs", path, "--output", output, *words)

    def good():
        run(
            {"param.w": two, "grad.0.w": two, "grad.1.w": two},
            "optimizer.kind=sgd",
            "optimizer.lr=0.5",
        ).expect(0)
        out = {name: tensor.values() for name, tensor in st.read(output).items()}
        assert out["param.0.w"] == (0.5, 1.0) and out["param.1.w"] == (0.0, 0.0), out
        return "two steps of plain SGD: w - 0.5 g"

    test.case("optimize, good inputs", good)
    cases = {
        "gradient of another shape": (
            {"param.w": two, "grad.0.w": st.tensor("F32", [3], [1.0] * 3)},
            ["[2]", "[3]", "grad.0.w"],
        ),
        "a gradient is missing": ({"param.w": two, "param.v": two, "grad.0.w": two}, ["grad.0.v"]),
        "a step is missing": ({"param.w": two, "grad.0.w": two, "grad.2.w": two}, ["grad.1.w"]),
        "gradient of nothing": ({"param.w": two, "grad.0.w": two, "grad.0.v": two}, ["grad.0.v"]),
        "unknown name": ({"param.w": two, "grad.0.w": two, "momentum.w": two}, ["momentum.w"]),
        "no parameters": ({"grad.0.w": two}, ["param"]),
        "parameter of another dtype": (
            {"param.w": st.tensor("I64", [2], [1, 2]), "grad.0.w": two},
            ["param.w"],
        ),
        "scale of another length": (
            {"param.w": two, "grad.0.w": two, "scale": st.tensor("F32", [2], [1.0, 1.0])},
            ["scale", "[2]", "[1]"],
        ),
    }
    for name, (tensors, words) in cases.items():
        test.case(f"optimize, {name}", lambda t=tensors, w=words: refused(run(t), DATA, *w))
    test.case(
        "optimize, unknown optimizer",
        lambda: refused(
            run({"param.w": two, "grad.0.w": two}, "optimizer.kind=adamm"), USAGE, "adamm"
        ),
    )


def sample_cases(test, run):
    def sample(puzzle):
        return test.run("sample", run, "--puzzle", puzzle)

    def good():
        lines = sample(PUZZLE).expect(0).out.split()
        assert len(lines) == 1 and len(lines[0]) == 81 and set(lines[0]) <= set("123456789"), lines
        assert all(clue in (".", digit) for clue, digit in zip(PUZZLE, lines[0])), (
            f"clues changed:\n{PUZZLE}\n{lines[0]}"
        )
        path = test.work / "puzzles.txt"
        path.write_text(f"{PUZZLE}\n{PUZZLE.replace('.', '0')}\n")
        two = sample(path).expect(0).out.split()
        assert len(two) == 2 and all(
            set(line) <= set("123456789") and len(line) == 81 for line in two
        ), two
        return "one puzzle, and a file of two: 81 digits each, clues kept"

    test.case("sample, good puzzles", good)
    cases = {
        "80 characters": (PUZZLE[:-1], ["80", "81"]),
        "82 characters": (PUZZLE + "1", ["82", "81"]),
        "letters": ("x" + PUZZLE[1:], ["x"]),
        "clues that contradict each other": ("55" + PUZZLE[2:], ["5"]),
        "nothing": ("", []),
        "a file that does not exist": ("puzzles-nowhere.txt", ["puzzles-nowhere.txt"]),
    }
    for name, (puzzle, words) in cases.items():
        test.case(f"sample, {name}", lambda p=puzzle, w=words: refused(sample(p), DATA, *w))

    def bad_line():
        path = test.work / "bad.txt"
        path.write_text(f"{PUZZLE}\n{PUZZLE[:50]}\n")
        return refused(sample(path), DATA, "bad.txt:2", "50")

    test.case("sample, second line of a file cut short", bad_line)


def copy_run(test, run, name):
    folder = test.work / "runs" / name
    shutil.copytree(run, folder, symlinks=True)
    return folder


def damage(checkpoint):
    """Flips one bit in the middle of the weights."""
    path = checkpoint / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def checkpoint_cases(test, run, steps):
    def none():
        folder = copy_run(test, run, "no-checkpoint")
        shutil.rmtree(folder / "checkpoints")
        for command in (["sample", folder, "--puzzle", PUZZLE], ["evaluate", folder]):
            refused(test.run(*command), CHECKPOINT, "checkpoint")
        return "sample and evaluate: exit 5"

    test.case("run without a checkpoint", none)

    def newest():
        folder = copy_run(test, run, "newest-damaged")
        status = json.loads((folder / "status.json").read_text())
        (folder / "status.json").write_text(
            json.dumps(status | {"state": "stopped", "exit_code": 75})
        )
        bad, good = tiny_run.checkpoints(folder)[-1], tiny_run.checkpoints(folder)[-2]
        damage(bad)
        test.run("sample", folder, "--puzzle", PUZZLE).expect(0, bad.name, "damaged")
        test.run("resume", folder, *tiny_run.launch_words(2)).expect(
            0, bad.name, "damaged", f"resumed from {good}"
        )
        tiny_run.check_steps_once(folder, steps)
        return f"{bad.name} damaged, went on from {good.name}: {tiny_run.compare_runs(run, folder)}"

    test.case("newest checkpoint damaged", newest)

    def kept():
        """A damaged newer checkpoint must not count among the `keep` newest: the good one would
        go."""
        config = tiny_run.write_config(test, 8, every=2, name="constant.yaml")
        folder = tiny_run.train(test, config, "keep-one", tiny_run.CONSTANT)
        status = json.loads((folder / "status.json").read_text())
        (folder / "status.json").write_text(
            json.dumps(status | {"state": "stopped", "exit_code": 75})
        )
        for checkpoint in tiny_run.checkpoints(folder)[-2:]:
            damage(checkpoint)
        test.run(
            "resume",
            folder,
            "train.steps=6",
            "checkpoint.keep=1",
            "checkpoint.keep_best=",
            *tiny_run.launch_words(1),
        ).expect(0)
        assert (folder / "checkpoints" / "latest" / "MANIFEST.json").is_file(), (
            "the checkpoint just written was removed"
        )
        test.run("sample", folder, "--puzzle", PUZZLE).expect(0)
        return "steps 6 and 8 damaged, went on from 4 to 6 with keep=1: " + ", ".join(
            path.name for path in tiny_run.checkpoints(folder)
        )

    test.case("damaged checkpoints do not count as kept", kept)

    def manifest():
        folder = copy_run(test, run, "manifest-gone")
        (tiny_run.checkpoints(folder)[-1] / "MANIFEST.json").write_text(
            '{"format": "lockstep-checkpoint"'
        )
        test.run("sample", folder, "--puzzle", PUZZLE).expect(0, "damaged")
        return "falls back"

    test.case("manifest cut short", manifest)

    def every():
        folder = copy_run(test, run, "all-damaged")
        status = json.loads((folder / "status.json").read_text())
        (folder / "status.json").write_text(
            json.dumps(status | {"state": "stopped", "exit_code": 75})
        )
        for checkpoint in tiny_run.checkpoints(folder):
            damage(checkpoint)
        refused(test.run("sample", folder, "--puzzle", PUZZLE), CHECKPOINT, "damaged")
        result = test.run("resume", folder, *tiny_run.launch_words(2))
        processes.check_nothing_left(folder, test.work)
        return (
            refused(result, CHECKPOINT, "damaged")
            if result.err.startswith("error: ")
            else result.expect(CHECKPOINT, "error: ", "damaged").err.splitlines()[0]
        )

    test.case("all checkpoints damaged", every)


def folder_cases(test, config, run):
    def again():
        before = (run / "config.yaml").read_bytes()
        note = refused(
            test.run("train", config, "--run-folder", run), USAGE, "holds a run", "lockstep resume"
        )
        assert (run / "config.yaml").read_bytes() == before
        return note

    test.case("train into a folder that holds a run", again)

    def busy():
        folder = test.work / "runs" / "busy"
        running = test.start(
            "train", config, "--run-folder", folder, "train.steps=100000", tiny_run.CONSTANT
        )
        try:
            assert tiny_run.wait_for_step(running, folder, 1), running.wait().text()
            note = refused(
                test.run("resume", folder), LOCKED, "another run holds", str(running.pid)
            )
            refused(test.run("train", config, "--run-folder", folder), USAGE, "holds a run")
        finally:
            running.signal(signal.SIGTERM)
        running.wait(60).expect(75)
        return note

    test.case("second process on a running folder", busy)

    def other_key():
        note = refused(
            test.run("resume", run, "optimizer.lr=0.5"), USAGE, "optimizer.lr", "init.from="
        )
        return note

    test.case("resume with an override that changes results", other_key)

    def other_data():
        folder = copy_run(test, run, "other-data")
        plan = json.loads((folder / "plan.json").read_text())
        (folder / "plan.json").write_text(json.dumps(plan | {"train_hash": "0" * 32}))
        return refused(test.run("resume", folder), DATA, "training data")

    test.case("resume on other data", other_data)


def main():
    test = harness.Test(__doc__)
    steps = 8
    config = tiny_run.write_config(test, steps, every=4)
    run = tiny_run.train(test, config, "good")
    forward = Forward(test, config, run)
    test.case("forward, good inputs", good_forward, forward)
    forward_cases(test, forward)
    optimize_cases(test)
    sample_cases(test, run)
    checkpoint_cases(test, run, steps)
    folder_cases(test, config, run)
    test.finish()


if __name__ == "__main__":
    main()
