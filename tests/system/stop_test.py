#!/usr/bin/env python3
"""Stopping on request: SIGTERM, SIGUSR1 and Ctrl-C at random moments, and a full disk.

A stopped run saves its state and exits with 75; resumed, on another number of ranks, it ends with
the bits of a run that nobody stopped. Ctrl-C twice ends at once (130).
"""

import json
import os
import signal
import subprocess
import time

import harness
import processes
import tiny_run

STOPPED, INTERRUPTED, ENVIRONMENT = 75, 130, 3


def start(test, config, name, ranks, *words):
    folder = test.work / "runs" / name
    return folder, test.start(
        "train", config, "--run-folder", folder, *tiny_run.launch_words(ranks), *words
    )


def resume_and_compare(test, folder, steps, reference, scratch):
    ranks = test.random.choice(harness.RANKS)
    result = test.run("resume", folder, *tiny_run.launch_words(ranks)).expect(0)
    assert result.last_line() == f"run folder: {folder}", result.text()
    tiny_run.check_steps_once(folder, steps)
    evaluated = [
        line["step"] for line in tiny_run.metrics(folder) if line.get("kind") == "evaluation"
    ]
    assert evaluated == list(range(1, steps + 1)), f"evaluations after steps {evaluated}"
    processes.check_nothing_left(folder, test.work, scratch)
    return f"resumed on {ranks}: {tiny_run.compare_runs(reference, folder)}"


def stopped_by(test, config, steps, reference, number, ranks, moment):
    """`moment`: the step to wait for, or "start" for the time before the first step."""
    scratch = processes.scratch_folders()
    folder, running = start(
        test, config, f"{signal.Signals(number).name}-{ranks}-{moment}-{next(test.numbers)}", ranks
    )
    if moment == "start":
        while not (folder / "plan.json").exists() and running.alive():
            time.sleep(0.005)
        end = time.monotonic() + test.random.uniform(0, 0.5)
        while (
            time.monotonic() < end and tiny_run.newest_step(folder) < 1
        ):  # a fast machine would be done by then
            time.sleep(0.005)
    else:
        assert tiny_run.wait_for_step(running, folder, moment), running.wait().text()
        time.sleep(test.random.uniform(0, 0.05))
    asked = time.monotonic()
    running.signal(number)
    result = running.wait(60).expect(STOPPED)
    seconds = time.monotonic() - asked
    assert result.last_line() == f"run folder: {folder}", result.text()
    processes.check_nothing_left(folder, test.work, scratch)
    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("stopped", STOPPED), status
    saved = tiny_run.checkpoints(folder)
    if moment != "start":
        assert saved and status["checkpoint"] == saved[-1].name == f"step-{status['step']:08}", (
            f"{status}, {saved}"
        )
        assert status["step"] == tiny_run.newest_step(folder), (
            f"{status}, step {tiny_run.newest_step(folder)} was the last"
        )
    note = resume_and_compare(test, folder, steps, reference, scratch)
    return f"stopped at step {status['step']} after {seconds:.1f} s with 75; {note}"


def before_the_run(test, config):
    """Asked while the plan is being made: nothing was started, nothing is left."""
    folder, running = start(test, config, "too-early", 2)
    time.sleep(0.05)
    running.signal(signal.SIGTERM)
    running.wait(30).expect(STOPPED)
    processes.wait_until_gone(test.work, 5)
    assert not folder.exists() or not tiny_run.checkpoints(folder)
    return "75, no process"


def interrupted_twice(test, config, steps, reference, ranks):
    scratch = processes.scratch_folders()
    folder, running = start(test, config, f"twice-{ranks}", ranks)
    assert tiny_run.wait_for_step(running, folder, 4), running.wait().text()
    asked = time.monotonic()
    running.signal(signal.SIGINT)
    time.sleep(0.02)
    running.signal(signal.SIGINT)
    result = running.wait(30)
    seconds = time.monotonic() - asked
    # The first one alone may have been enough if the ranks were quick.
    assert result.code in (INTERRUPTED, STOPPED), result.text()
    assert seconds < 10, f"took {seconds:.1f} s"
    processes.check_nothing_left(
        folder, test.work, scratch
    ) if result.code == STOPPED else processes.wait_until_gone(test.work, 5)
    return (
        f"{result.code} after {seconds:.2f} s; "
        f"{resume_and_compare(test, folder, steps, reference, scratch)}"
    )


class SmallDisk:
    """A file system of a few hundred KiB; needs root."""

    def __init__(self, path, kilobytes):
        self.path = path
        path.mkdir()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=777", "tmpfs", path],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            path.rmdir()
            raise harness.Skip("mounting a small file system needs root: " + made.stderr.strip())

    def fill(self, leave_bytes):
        """Writes a file until only so much is left."""
        room = os.statvfs(self.path)
        with open(self.path / "filler", "wb") as file:
            file.write(b"x" * max(0, room.f_bavail * room.f_frsize - leave_bytes))

    def close(self):
        subprocess.run(["umount", self.path], check=False)


def full_disk(test, config, steps, reference):
    """No room for a checkpoint: the run goes on, the older checkpoint is intact, the message says
    why, and with room again the run can be resumed."""
    if os.geteuid() != 0:
        raise harness.Skip("mounting a small file system needs root")
    disk = SmallDisk(test.work / "disk", 8192)
    try:
        folder = disk.path / "run"
        running = test.start("train", config, "--run-folder", folder, *tiny_run.launch_words(1))
        assert tiny_run.wait_for_step(running, folder, 7), running.wait().text()
        running.signal(signal.SIGTERM)
        running.wait(60).expect(STOPPED)
        before = tiny_run.checkpoints(folder)
        saved = {path: path.read_bytes() for path in before[-1].iterdir()}
        largest = max(len(content) for content in saved.values())
        disk.fill(largest + 60_000)  # room for metrics and logs, not for a whole checkpoint
        result = test.run("resume", folder, *tiny_run.launch_words(2)).expect(
            ENVIRONMENT, "error:", "older ones are intact"
        )
        assert "No space left" in result.err or "disk full" in result.err, result.text()
        assert {path: path.read_bytes() for path in before[-1].iterdir()} == saved, (
            "the old checkpoint changed"
        )
        assert tiny_run.newest_step(folder) == steps, (
            f"stopped at step {tiny_run.newest_step(folder)} instead of going on"
        )
        processes.wait_until_gone(test.work, 5)
        (disk.path / "filler").unlink()
        test.run("resume", folder, *tiny_run.launch_words(3)).expect(0)
        tiny_run.check_steps_once(folder, steps)
        return (
            f"went on to step {steps}, exit 3, old checkpoint intact, resumed: "
            f"{tiny_run.compare_runs(reference, folder)}"
        )
    finally:
        disk.close()


def main():
    test = harness.Test(__doc__)
    steps = 40
    config = tiny_run.write_config(test, steps, every=5)
    # An evaluation after each step: a stop must not lose one, for it may be the best.
    config.write_text(
        config.read_text().replace(
            "validation_loss, every_steps: 5", "validation_loss, every_steps: 1"
        )
    )
    reference = tiny_run.train(test, config, "undisturbed")
    cells = [
        (signal.SIGTERM, 2, "step"),
        (signal.SIGUSR1, 1, "step"),
        (signal.SIGINT, 3, "step"),
        (signal.SIGTERM, 8, "step"),
        (signal.SIGTERM, 2, "start"),
    ]
    if test.options.full:
        cells = [
            (number, ranks, moment)
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
            for ranks in (1, 2, 4, 8)
            for moment in ("step", "step", "start")
        ]
    for i, (number, ranks, moment) in enumerate(cells):
        when = moment if moment == "start" else test.random.randint(1, steps - 10)
        test.case(
            f"{i + 1}. {signal.Signals(number).name} to {ranks} ranks at "
            f"{'the start' if when == 'start' else f'step {when}'}",
            stopped_by,
            test,
            config,
            steps,
            reference,
            number,
            ranks,
            when,
        )
    test.case("SIGTERM while the plan is made", before_the_run, test, config)
    for ranks in (1, 2):
        test.case(
            f"Ctrl-C twice, {ranks} ranks", interrupted_twice, test, config, steps, reference, ranks
        )
    test.case("full disk", full_disk, test, config, steps, reference)
    test.finish()


if __name__ == "__main__":
    main()
