#!/usr/bin/env python3
"""What belongs to a run: a checkpoint of another run, an edited config and other data are refused;
a run folder that was moved or removed ends the training and is not made anew."""

import json
import shutil

import harness
import tiny_run


def copy_of(test, run, name):
    folder = test.work / "runs" / name
    shutil.copytree(run, folder, symlinks=True)
    return folder


def shorten(folder, step):
    """Takes the checkpoints after `step` away, so that a resumed run has something to do."""
    for checkpoint in tiny_run.checkpoints(folder):
        if int(checkpoint.name[5:]) > step:
            shutil.rmtree(checkpoint)
    status = folder / "status.json"
    status.write_text(json.dumps({**json.loads(status.read_text()), "state": "stopped"}))


def edited_config(test, run):
    folder = copy_of(test, run, "edited")
    shorten(folder, 4)
    config = folder / "config.yaml"
    text = config.read_text()
    assert "lr: 0.003" in text, text
    config.write_text(text.replace("lr: 0.003", "lr: 0.004"))
    result = test.run("resume", folder, "launch.max_restarts=0")
    result.expect(5, "another config", "optimizer.lr: 0.003 -> 0.004", "init.from=")
    config.write_text(text)
    test.run("resume", folder).expect(0)
    return tiny_run.compare_runs(folder, run)


def another_seed(test, config, run):
    other = tiny_run.train(test, config, "other-seed", "run.seed=18")
    folder = copy_of(test, run, "foreign")
    shorten(folder, 4)
    shutil.rmtree(folder / "checkpoints")
    shutil.copytree(other / "checkpoints", folder / "checkpoints", symlinks=True)
    shorten(folder, 4)
    test.run("resume", folder).expect(5, "seed 18", "this run has 17", "init.from=")


def other_data(test, run):
    """plan.json is cut as well, so that only the checkpoint knows the old data."""
    folder = copy_of(test, run, "other-data")
    shorten(folder, 4)
    data = test.work / "data"
    kept = test.work / "data-kept"
    data.rename(kept)
    words = ["data", "make", "sudoku", data, "train_grids=256", "puzzles_per_level=2", "seed=5"]
    test.run(*words, limit=60).expect(0)
    (folder / "plan.json").write_text("{}")
    try:
        result = test.run("resume", folder)
        assert result.code == 4 and "training data" in result.err, result.text()
    finally:
        shutil.rmtree(data)
        kept.rename(data)


def moved_while_training(test, config, ranks):
    """A long run, so that the folder is gone in its middle."""
    folder = test.work / "runs" / f"moved-{ranks}"
    away = test.work / "runs" / f"elsewhere-{ranks}"
    running = test.start(
        "train",
        config,
        "--run-folder",
        folder,
        "train.steps=100000",
        "checkpoint.every_steps=50",
        f"launch.ranks_per_node={ranks}",
        "evaluate=[]",
        "checkpoint.keep_best=",
    )
    assert tiny_run.wait_for_step(running, folder, 20), running.wait(1).text()
    folder.rename(away)
    result = running.wait(60)
    assert result.code == 3, result.text()
    assert str(folder) in result.err and "removed or moved" in result.err, result.text()
    assert not folder.exists(), f"{folder} was made anew: {list(folder.rglob('*'))}"
    step = tiny_run.newest_step(away)
    test.run("resume", away, f"train.steps={step + 60}", limit=120).expect(0)
    return f"ended at step {step}, resumed where it is now"


def main():
    test = harness.Test(__doc__)
    config = tiny_run.write_config(test, 8, every=4)
    run = tiny_run.train(test, config, "good")
    test.case("an edited config", edited_config, test, run)
    test.case("a checkpoint of another seed", another_seed, test, config, run)
    test.case("other data", other_data, test, run)
    constant = test.work / "constant.yaml"
    constant.write_text(
        config.read_text().replace(
            "schedule: {kind: cosine, warmup_steps: 3, final: 0.1}",
            "schedule: {kind: constant, warmup_steps: 3}",
        )
    )
    for ranks in (1, 2):
        test.case(f"moved, {ranks} ranks", moved_while_training, test, constant, ranks)
    test.finish()


if __name__ == "__main__":
    main()
