#!/usr/bin/env python3
"""Every command once, as the README and the help show it, on a tiny run."""

import json
import os
import re
import signal
import subprocess

import harness
import processes
import safetensors_file as st
import tiny_run

LEVELS = 5
GRID = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
PUZZLE = "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"


def one_json_line(result):
    """`--json`: one line, the last on stdout; everything else is on stderr."""
    result.expect(0)
    assert len(result.out.splitlines()) == 1, result.text()
    return json.loads(result.out)


def plan(test, config):
    text = test.run("plan", config, "--ranks", "4").expect(0).out
    value = one_json_line(test.run("plan", config, "--ranks", "4", "--json"))
    assert (value["ranks"], value["slots"], value["steps"], value["global_batch"]) == (
        4,
        8,
        8,
        16,
    ), value
    assert len(value["config_hash"]) == 32 and "4 on 1 node" in text, text
    other = one_json_line(test.run("plan", config, "--ranks", "2", "--json"))
    assert other["config_hash"] == value["config_hash"], (
        "the number of ranks is part of the config hash"
    )
    lr = one_json_line(test.run("plan", config, "optimizer.lr=0.5", "--json"))
    assert lr["config_hash"] != value["config_hash"], (
        "the learning rate is not part of the config hash"
    )
    fresh = test.work / "not-made"
    words = [
        "plan",
        config,
        f"data.train=[{fresh}/train-*.h5]",
        f"data.validation=[{fresh}/validation.h5]",
        f"data.make={{kind: sudoku, folder: {fresh}, train_grids: 256, puzzles_per_level: 2}}",
    ]
    test.run(*words).expect(4, "not made yet", "--prepare")
    test.run(*words, "--prepare", limit=60).expect(0)
    assert (fresh / "dataset.json").exists()
    return (
        f"text of {len(text.splitlines())} lines, JSON; the hash is that of the results; data made "
        f"on request"
    )


def config_words(test, config):
    shown = test.run("config", "show", config, "train.steps=9").expect(0).out
    assert re.search(r"steps: 9 +# command line", shown), shown
    again = test.work / "shown.yaml"
    again.write_text(shown)
    hashes = {
        one_json_line(test.run("plan", path, "train.steps=9", "--json"))["config_hash"]
        for path in (config, again)
    }
    assert len(hashes) == 1, "the resolved config has another hash"
    keys = test.run("config", "keys", "train").expect(0).out
    assert "train.global_batch" in keys and "optimizer" not in keys, keys
    schema = json.loads(test.run("config", "schema").expect(0).out)
    assert schema["properties"]["train"], schema.keys()
    why = test.run("config", "explain", config, "optimizer.lr").expect(0).out
    assert f"{config}:7" in why, why
    return "show reads back to the same hash; keys, schema, explain"


def data(test):
    folder = tiny_run.make_data(test)
    found = one_json_line(test.run("data", "inspect", folder, "--json"))
    test.run("data", "inspect", folder).expect(0)
    test.run("data", "verify", folder).expect(0)
    shown = test.run("data", "show", folder / "validation.h5").expect(0).out
    assert len(re.findall(r"[1-9]", shown)) >= 81, shown
    again = (
        test.run("data", "make", "sudoku", folder, "train_grids=256", "puzzles_per_level=2")
        .expect(0)
        .out
    )
    assert "already" in again, again
    test.run("data", "make", "sudoku", folder, "train_grids=255", "puzzles_per_level=2").expect(
        4, "error: "
    )
    shard = folder / "validation.h5"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    broken = test.work / "broken-data"
    broken.mkdir()
    for path in folder.iterdir():
        (broken / path.name).write_bytes(content if path == shard else path.read_bytes())
    test.run("data", "verify", broken).expect(4, "error: ", "validation.h5")
    return f"inspect, verify, show, make again; a flipped bit is found; {str(found)[:60]}"


def convert(test):
    source, folder = test.work / "puzzles.csv", test.work / "converted"
    source.write_text(f"puzzle,solution\n{PUZZLE},{GRID}\n{PUZZLE.replace('.', '0')},{GRID}\n")
    test.run("data", "convert", "sudoku-csv", source, folder).expect(0)
    test.run("data", "verify", folder).expect(0)
    source.write_text(f"puzzle,solution\n{PUZZLE},{GRID}\n{PUZZLE},{GRID[:-1]}\n")
    test.run("data", "convert", "sudoku-csv", source, test.work / "not-converted").expect(
        4, "error: ", "puzzles.csv:3"
    )
    return "two puzzles; a short line is named as puzzles.csv:3"


def dry_run(test, config):
    result = test.run("train", config, "--dry-run", "2", *tiny_run.launch_words(2)).expect(0)
    folder = result.last_line().removeprefix("run folder: ")
    assert (
        tiny_run.newest_step(folder) == 2
        and tiny_run.checkpoints(folder)[-1].name == "step-00000002"
    ), result.text()
    processes.check_nothing_left(folder, test.work)
    return "two steps, saved and loaded"


def profile(test, config):
    """A trace and a table of the wanted steps from every rank, and the bits of a run without
    them."""
    plain, profiled = (
        tiny_run.train(
            test,
            config,
            name,
            "evaluate=[]",
            "checkpoint.keep_best=''",
            "train.steps=6",
            *words,
            ranks=2,
        )
        for name, words in (("plain", ()), ("profiled", ("--profile", "3-4")))
    )
    for rank in range(2):
        prefix = profiled / "logs" / "attempt-0" / f"profile-rank-{rank}"
        events = json.loads(prefix.with_suffix(".json").read_text())["traceEvents"]
        slots = sum(event.get("name") == "forward" for event in events)
        assert slots == 2 * 4, f"{slots} forward ranges, wanted 2 steps of 4 slots"
        table = prefix.with_suffix(".txt").read_text()
        assert table.startswith("2 steps") and "backward" in table and "update" in table, table
    tiny_run.compare_checkpoints(*(tiny_run.checkpoints(run)[-1] for run in (plain, profiled)))
    test.run("train", config, "--profile", "4-3").expect(2, "profile_steps", "4-3")
    return f"{len(events)} events a rank"


def init(test, config, run):
    """A new run that starts from weights: its first weights are those of the old run's EMA."""
    folder = tiny_run.train(
        test,
        config,
        "initialised",
        f"init.from={run}",
        "init.parts=[ema]",
        "train.steps=4",
        "optimizer.lr=1e-30",
        "optimizer.weight_decay=0",
    )
    old = st.read(tiny_run.checkpoints(run)[-1] / "ema.safetensors")
    new = st.read(tiny_run.checkpoints(folder)[-1] / "model.safetensors")
    worst = max(abs(a - b) for name in old for a, b in zip(old[name].values(), new[name].values()))
    assert worst < 1e-20, f"largest difference {worst}"
    return f"{len(old)} tensors of the EMA taken as weights"


def longer(test, config):
    """A finished run of a constant schedule goes on with more steps, and equals one that had them
    from the start."""
    folder = tiny_run.train(test, config, "longer", tiny_run.CONSTANT, "train.steps=4")
    test.run("resume", folder, "train.steps=8", *tiny_run.launch_words(3)).expect(0)
    whole = tiny_run.train(test, config, "whole", tiny_run.CONSTANT)
    a, b = (tiny_run.checkpoints(path)[-1] for path in (folder, whole))
    assert a.name == b.name == "step-00000008"
    for name in tiny_run.FILES:
        assert (a / name).read_bytes() == (b / name).read_bytes(), f"{name} differs"
    return "4 steps, then 4 more on 3 ranks: the bits of 8"


def after_the_run(test, run):
    for name in (
        "config.yaml",
        "plan.json",
        "env.json",
        "metrics.jsonl",
        "status.json",
        "report.html",
        "checkpoints/latest",
    ):
        assert (run / name).exists(), f"{name} is missing"
    assert not (run / "error.json").exists()
    picture = run / "samples" / "step-00000008.png"
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n", picture
    page = (run / "report.html").read_text()
    assert "<html" in page and not re.search(r"(src|href)=\"https?:", page), (
        "the page loads something from elsewhere"
    )
    first = tiny_run.metrics(run)
    step = next(line for line in first if line.get("step") == 1 and "loss" in line)
    wanted = {
        "step",
        "epoch",
        "time",
        "loss",
        "lr",
        "grad_norm",
        "samples_per_second",
        "step_seconds",
        "data_wait_seconds",
        "comm_exposed_seconds",
        "forward_seconds",
        "backward_seconds",
        "update_seconds",
        "memory_bytes",
    }
    assert wanted <= step.keys(), wanted - step.keys()
    test.run("report", run).expect(0)
    test.run("report", run, "--output", test.work / "page.html").expect(0)
    listed = test.run("runs", run.parent).expect(0).out
    assert run.name in listed and "done" in listed, listed
    test.run("logs", run, "--lines", "5").expect(0)
    environment = one_json_line(test.run("env", "--json"))
    assert environment["lockstep"] and environment["libtorch"], environment
    again = test.run("resume", run).expect(0)
    assert again.last_line() == f"run folder: {run}" and again.seconds < 20, again.text()
    return "files, report, runs, logs, env; resume of a finished run does nothing"


def evaluate(test, run):
    scores = one_json_line(test.run("evaluate", run, "--json", limit=300))
    numbers = {name: value for name, value in scores.items() if isinstance(value, (int, float))}
    assert numbers, scores
    in_run = [line for line in tiny_run.metrics(run) if line.get("kind") == "evaluation"]
    assert in_run, "the run has no evaluation line"
    for name in set(numbers) & set(in_run[-1]) - {"step", "time", "seconds"}:
        assert numbers[name] == in_run[-1][name], (
            f"{name}: {numbers[name]} and, in the run, {in_run[-1][name]}"
        )
    return f"{len(numbers)} scores, those of the run's last line"


def table_of_runs(test, run):
    """`runs`: columns, sorting, numbers in JSON; a dry run is marked."""
    text = test.run("runs", run.parent).expect(0).out
    for column in ("run", "state", "step", "loss", "started", "trained", "size", "scores"):
        assert column in text.splitlines()[0], text
    assert any("(dry)" in line for line in text.splitlines()), text
    out = test.run("runs", run.parent, "--json", "--sort", "validation_loss").expect(0).out
    rows = [json.loads(line) for line in out.splitlines()]
    scores = [row["scores"].get("validation_loss") for row in rows]
    known = [score for score in scores if score is not None]
    assert known and known == sorted(known) and scores[: len(known)] == known, scores
    for row in rows:
        assert row["bytes"] > 0 and "seconds" not in row["scores"], row
    assert any(row["dry_run"] for row in rows) and not all(row["dry_run"] for row in rows)
    test.run("runs", run.parent, "--sort", "beauty").expect(2, "beauty", "validation_loss")


def followed_log(test, config):
    """`logs -f` shows lines while a run trains and ends with it."""
    folder = test.work / "runs" / "followed"
    running = test.start(
        "train",
        config,
        "--run-folder",
        folder,
        "train.steps=3000",
        "evaluate=[]",
        "checkpoint.keep_best=",
        "checkpoint.every_steps=1000",
        "schedule={kind: constant, warmup_steps: 3}",
    )
    assert tiny_run.wait_for_step(running, folder, 5), running.wait(1).text()
    log = test.start("logs", folder, "-f")
    running.signal(signal.SIGTERM)
    running.wait(60).expect(75)
    shown = log.wait(20).expect(0).out
    assert "optimizer" in shown, shown


def output_that_fails(test, config, run):
    """A full disk and a reader that left: exit code 3 in every kind of command, and not 0."""
    commands = [
        ["--help"],
        ["train", "--help"],
        ["config", "keys"],
        ["plan", config, "--json"],
        ["data", "inspect", test.work / "data", "--json"],
        ["report", run, "--output", test.work / "told.html"],
        ["runs", test.work / "runs", "--json"],
        ["evaluate", run, "--json"],
        ["env"],
    ]
    silent = []
    for words in commands:
        call = [str(test.lockstep), *map(str, words)]
        with open("/dev/full", "w") as full:
            told = subprocess.run(
                call, stdout=full, stderr=subprocess.PIPE, env=test.environment, text=True
            )
        reader, writer = os.pipe()
        os.close(reader)
        left = subprocess.run(
            call, stdout=writer, stderr=subprocess.PIPE, env=test.environment, text=True
        )
        os.close(writer)
        if told.returncode != 3 or "standard output" not in told.stderr or left.returncode != 3:
            silent.append((words, told.returncode, left.returncode, told.stderr[-300:]))
    assert not silent, silent
    return f"{len(commands)} commands"


def main():
    test = harness.Test(__doc__)
    config = tiny_run.write_config(test, 8, every=4)
    evaluations = (
        "evaluate=[{kind: validation_loss, samples: 10}, {kind: solve, puzzles: 2, levels: [easy], "
        "batch: 2}]"
    )
    run = tiny_run.train(test, config, "good", evaluations, ranks=2)
    test.case("plan", plan, test, config)
    test.case("config", config_words, test, config)
    test.case("data", data, test)
    test.case("data convert", convert, test)
    test.case("train --dry-run", dry_run, test, config)
    test.case("train --profile", profile, test, config)
    test.case("init", init, test, config, run)
    test.case("resume with more steps", longer, test, config)
    test.case("files of a run, report, runs, logs, env", after_the_run, test, run)
    test.case("evaluate", evaluate, test, run)
    test.case("table of runs", table_of_runs, test, run)
    test.case("logs -f", followed_log, test, config)
    test.case("output that cannot be written", output_that_fails, test, config, run)
    test.finish()


if __name__ == "__main__":
    main()
