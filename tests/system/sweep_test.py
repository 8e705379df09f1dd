#!/usr/bin/env python3
"""`lockstep sweep`: four points of which one fails, killed and stopped at random moments and gone
on with.

The results must be those of a sweep that nobody disturbed: the same checkpoints byte for byte, the
same scores, the same ranks. Its table is sorted, its CSV and JSON can be read by Python.
"""

import csv
import json
import math
import signal
import time

import harness
import processes
import tiny_run

STEPS = 40
USAGE, NUMERIC, STOPPED = 2, 7, 75
GOOD = ("lr_3.0e-3-hidden_8", "lr_1.0e-2-hidden_8", "lr_1.0e-2-hidden_12")
BAD = "lr_1.0e30"
SWEEP = """\
name: four
folder: {folder}
base: tiny.yaml
set: {{log.every_steps: 1}}
rank_by: [validation_loss]
at_once: 2
list:
  - {{optimizer.lr: 3.0e-3, task.model.hidden: 8}}
  - {{optimizer.lr: 1.0e30}}
  - {{optimizer.lr: 1.0e-2, task.model.hidden: 8}}
  - {{optimizer.lr: 1.0e-2, task.model.hidden: 12}}
"""


def write_sweep(test, name, text=SWEEP):
    path = test.work / f"{name}.yaml"
    path.write_text(text.format(folder=test.work / "runs" / name))
    return path, test.work / "runs" / name / "four"  # the name is part of a run's identity


def results(folder):
    return json.loads((folder / "results.json").read_text())


def facts(folder):
    """What must not depend on kills: rank, state, values and scores of each point, and its
    curves."""
    out = {}
    for point in results(folder)["points"]:
        curves = point["curves"]
        out[point["point"]] = (
            point["rank"],
            point["state"],
            point["exit_code"],
            point["values"],
            point["step"],
            point["scores"],
            curves["train_steps"],
            curves["train_loss"],
            [line["step"] for line in curves["evaluations"]],
        )
    return out


def whole_sweep(test):
    path, folder = write_sweep(test, "whole")
    result = test.run("sweep", path).expect(
        NUMERIC,
        "FAILED with exit code 7",
        "the gradients of 10 steps in a row were not finite",
        "3 of 4 points done, 1 failed",
    )
    assert result.last_line() == f"sweep folder: {folder}", result.text()
    states = {
        point["point"]: (point["state"], point["exit_code"]) for point in results(folder)["points"]
    }
    assert states == {BAD: ("failed", NUMERIC)} | {name: ("done", 0) for name in GOOD}, states
    processes.check_nothing_left(folder, test.work)
    return "3 done, 1 failed, exit 7"


def tables(test):
    """The reference sweep's files: sorted, complete, equal to the runs' own metrics."""
    folder = test.work / "runs/whole/four"
    points = results(folder)["points"]
    losses = [point["scores"]["validation_loss"]["best"] for point in points if point["rank"]]
    assert losses == sorted(losses) and len(losses) >= 3, losses
    assert [point["rank"] for point in points if point["rank"]] == list(range(1, len(losses) + 1))
    with open(folder / "results.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["point"] for row in rows] == [point["point"] for point in points]
    for row, point in zip(rows, points):
        own = [
            line["validation_loss"]
            for line in tiny_run.metrics(point["folder"])
            if line.get("kind") == "evaluation" and line["validation_loss"] is not None
        ]
        best = point["scores"].get("validation_loss", {}).get("best")
        assert best == (min(own) if own else None), (point["point"], own)
        assert (
            row["best_validation_loss"] == ""
            if best is None
            else math.isclose(float(row["best_validation_loss"]), best)
        ), row
        assert float(row["optimizer.lr"]) == point["values"]["optimizer.lr"], row
        assert point["state"] != "done" or int(row["step"]) == STEPS == len(
            point["curves"]["train_loss"]
        ), row
    page = (folder / "report.html").read_text()
    assert all(word in page for word in (*GOOD, BAD, "<svg", "not finite")) and "http" not in page
    return f"{len(rows)} rows, best {losses[0]:.4f}"


def done_points_stay(test):
    """A second run starts nothing; a failed point whose numbers broke is not tried again."""
    path, folder = test.work / "whole.yaml", test.work / "runs/whole/four"
    before = {name: (folder / name / "sweep.log").read_bytes() for name in (*GOOD, BAD)}
    known = facts(folder)
    test.run("sweep", path).expect(NUMERIC, "4 points, 0 to do")
    assert before == {name: (folder / name / "sweep.log").read_bytes() for name in (*GOOD, BAD)}
    assert facts(folder) == known
    return "nothing started"


def compare_with_whole(test, folder):
    whole = test.work / "runs/whole/four"
    assert facts(folder) == facts(whole), f"{facts(folder)}\n{facts(whole)}"
    notes = [tiny_run.compare_runs(whole / name, folder / name) for name in GOOD]
    return f"{len(notes)} points, each {notes[0]}"


def killed(test, victims):
    """kill -9 of the sweep alone or of everything, three times, at random moments; then to the
    end."""
    path, folder = write_sweep(test, f"killed-{victims}")
    for _ in range(3):
        running = test.start("sweep", path)
        moment = test.random.uniform(0.2, 2.5)
        end = time.monotonic() + moment
        while running.alive() and time.monotonic() < end:
            time.sleep(0.01)
        if not running.alive():
            break
        targets = [running.pid] + (
            [process.pid for process in processes.find(test.work)]
            if victims == "everything"
            else []
        )
        for pid in targets:
            processes.send(pid, signal.SIGKILL)
        running.wait(10)
    test.run("sweep", path).expect(NUMERIC)
    for name in GOOD:
        tiny_run.check_steps_once(folder / name, STEPS)
    processes.check_nothing_left(folder, test.work)
    return compare_with_whole(test, folder)


def stopped(test, number):
    """Ctrl-C or SIGTERM: all running points save, 75; again: goes on."""
    path, folder = write_sweep(test, f"stopped-{number}")
    running = test.start("sweep", path)
    assert tiny_run.wait_for_step(running, folder / GOOD[0], test.random.randint(1, 10)), (
        running.wait().text()
    )
    asked = time.monotonic()
    running.signal(number)
    result = running.wait(30).expect(STOPPED, "stopping", "go on: ", "lockstep sweep")
    seconds = time.monotonic() - asked
    processes.check_nothing_left(folder, test.work)
    states = [point["state"] for point in results(folder)["points"]]
    assert "waiting" in states or "stopped" in states, result.text()
    test.run("sweep", path).expect(NUMERIC)
    return f"75 after {seconds:.1f} s ({' '.join(states)}); {compare_with_whole(test, folder)}"


def wrong_points(test):
    """What the config forbids is said before anything starts, with the place in the sweep's
    file."""
    text = SWEEP.replace("1.0e30", "1.0e-3, train.global_bach: 7").replace(
        "list:", "wrong_points: stop\nlist:"
    )
    path, folder = write_sweep(test, "wrong", text=text)
    test.run("sweep", path).expect(
        USAGE,
        "point lr_1.0e-3-global_bach_7 is wrong",
        "unknown key 'train.global_bach'",
        f"{path}:10:28",
        "did you mean 'global_batch'?",
        "nothing was started",
    )
    assert not folder.exists()
    path.write_text(
        path.read_text()
        .replace("wrong_points: stop", "at_once: 1")
        .replace("at_once: 2\n", "")
        .replace("hidden: 12", "hidden: 8, train.steps: 8")
    )
    test.run("sweep", path, "train.steps=6").expect(USAGE, "'train.steps' is varied by the sweep")
    path.write_text(path.read_text().replace(", train.steps: 8", ", run.seed: 18"))
    result = test.run("sweep", path, "train.steps=6").expect(USAGE, "3 of 4 points done, 1 failed")
    states = [point["state"] for point in results(folder)["points"]]
    assert states == ["done"] * 3 + ["wrong"], result.text()
    listed = test.run("sweep", path, "--print").expect(
        USAGE, out=("run.seed=18", "WRONG: unknown key")
    )
    assert "train.steps=6" not in listed.out
    test.run("sweep", path).expect(USAGE, "holds a run of another config")
    return "place, nearest key, goes on without it"


def seed_style(test):
    """log.style: seed in a whole run; the formats themselves are tested byte for byte in
    tests/train."""
    folder = test.work / "runs/style"
    result = test.run(
        "train", test.work / "tiny.yaml", "--run-folder", folder, "log.style=seed"
    ).expect(
        0,
        "Using mixed precision: False\nDataset size: 256, Batch size: 16, Batches per epoch: 16\n",
        "Epoch    1/3 | Loss: ",
        "Epoch    3/3 | Loss: ",
        f"✓ Checkpoint saved: {folder}/checkpoints/step-{STEPS:08}\n",
        "Validation Loss: 0.",
    )
    lines = [line for line in result.err.splitlines() if line.startswith("Epoch ")]
    loss = [line["loss"] for line in tiny_run.metrics(folder) if line.get("kind", "step") == "step"]
    assert lines[0] == (
        f"Epoch    1/3 | Loss: {sum(loss[:16]) / 16:.4f} | Acc: nan | LR: "
        f"{lr_after(folder, 16):.6f}"
    ), lines[0]
    assert len(lines) == 3, lines
    sweep = test.run(
        "train",
        test.work / "tiny.yaml",
        "--run-folder",
        test.work / "runs/style2",
        "log.style=seed_sweep",
        "train.steps=10",
    ).expect(0)
    line = next(line for line in sweep.err.splitlines() if line.startswith("  Step"))
    assert line.startswith(
        f"  Step      5/10 | Train Loss: "
        f"{tiny_run.metrics(test.work / 'runs/style2')[5]['loss']:.4f} "
        "| Train Acc: nan | Val Loss: "
    ), line
    return "3 epochs"


def lr_after(folder, step):
    return next(
        line["lr"]
        for line in tiny_run.metrics(folder)
        if line.get("kind", "step") == "step" and line["step"] == step + 1
    )


def main():
    test = harness.Test(__doc__)
    tiny_run.write_config(test, STEPS, every=5)
    test.case("a whole sweep", whole_sweep, test)
    test.case("table, CSV, JSON, page", tables, test)
    test.case("run again", done_points_stay, test)
    test.case("kill -9 of the sweep", killed, test, "sweep")
    test.case("kill -9 of everything", killed, test, "everything")
    test.case("Ctrl-C", stopped, test, signal.SIGINT)
    if test.options.full:
        test.case("SIGTERM", stopped, test, signal.SIGTERM)
    test.case("points whose config is wrong", wrong_points, test)
    test.case("log.style: seed", seed_style, test)
    test.finish()


if __name__ == "__main__":
    main()
