#!/usr/bin/env python3
"""The launcher's own restarts: a rank that dies or hangs, and what it says about it."""

import json
import signal
import time

import harness
import processes
import tiny_run

RANKS_FAILED = 6


def start(test, config, name, ranks, restarts, *words):
    folder = test.work / "runs" / name
    return folder, test.start(
        "train",
        config,
        "--run-folder",
        folder,
        *tiny_run.launch_words(ranks),
        f"launch.max_restarts={restarts}",
        *words,
    )


def pick(test, running, folder, ranks, step):
    """Waits for `step`, then picks a rank's process."""
    assert tiny_run.wait_for_step(running, folder, step), running.wait().text()
    found = processes.ranks(folder)
    assert len(found) == ranks, f"{len(found)} ranks of {ranks} run: {found}"
    rank = test.random.choice(sorted(found))
    return rank, found[rank]


def finished(test, running, folder, steps, reference, scratch):
    result = running.wait(120).expect(0)
    assert result.last_line() == f"run folder: {folder}", result.text()
    tiny_run.check_steps_once(folder, steps)
    processes.check_nothing_left(folder, test.work, scratch)
    return result, tiny_run.compare_runs(reference, folder)


def killed_once(test, config, steps, reference, ranks):
    scratch = processes.scratch_folders()
    folder, running = start(test, config, f"killed-once-{ranks}", ranks, 2)
    rank, process = pick(test, running, folder, ranks, steps // 2)
    processes.send(process.pid, signal.SIGKILL)
    result, note = finished(test, running, folder, steps, reference, scratch)
    assert f"rank {rank} was killed by SIGKILL" in result.err and "restart 1 of 2" in result.err, (
        result.text()
    )
    attempts = [line for line in tiny_run.metrics(folder) if line.get("kind") == "attempt"]
    assert [line["attempt"] for line in attempts] == [0, 1] and attempts[1]["step"] > 0, attempts
    return f"rank {rank} killed, restarted from step {attempts[1]['step']}: {note}"


def starter_killed(test, config, steps, reference):
    scratch = processes.scratch_folders()
    folder, running = start(test, config, "mpirun-killed", 2, 1)
    assert tiny_run.wait_for_step(running, folder, steps // 2), running.wait().text()
    starter = [process for process in processes.find(folder) if process.is_mpirun()]
    assert len(starter) == 1, starter
    processes.send(starter[0].pid, signal.SIGKILL)
    result, note = finished(test, running, folder, steps, reference, scratch)
    assert "mpirun was killed by SIGKILL" in result.err, result.text()
    return note


def no_restarts(test, config, ranks):
    scratch = processes.scratch_folders()
    folder, running = start(test, config, f"no-restarts-{ranks}", ranks, 0)
    rank, process = pick(test, running, folder, ranks, 3)
    killed = time.monotonic()
    processes.send(process.pid, signal.SIGKILL)
    result = running.wait(60).expect(
        RANKS_FAILED,
        "error:",
        f"rank {rank} was killed by SIGKILL",
        "launch.max_restarts is 0",
        "lockstep resume",
    )
    seconds = time.monotonic() - killed
    assert result.last_line() == f"run folder: {folder}", result.text()
    error = json.loads((folder / "error.json").read_text())
    assert (error["rank"], error["signal"], error["exit_code"]) == (
        rank,
        "SIGKILL",
        RANKS_FAILED,
    ), error
    assert json.loads((folder / "status.json").read_text())["state"] == "failed"
    processes.check_nothing_left(folder, test.work, scratch)
    return f"rank {rank} named, exit 6 after {seconds:.1f} s, nothing left"


def stopped_rank(test, config, steps, reference, ranks):
    """SIGSTOP: the process lives and answers nothing. Its peers wait in a collective, and mpirun
    never notices."""
    timeout = 4
    scratch = processes.scratch_folders()
    folder, running = start(
        test, config, f"hung-{ranks}", ranks, 1, f"ddp.timeout_seconds={timeout}"
    )
    rank, process = pick(test, running, folder, ranks, steps // 2)
    stopped = time.monotonic()
    processes.send(process.pid, signal.SIGSTOP)
    while running.alive() and "error:" not in running.err():
        time.sleep(0.05)
        assert time.monotonic() - stopped < timeout + 30, "the stopped rank was not noticed"
    seconds = time.monotonic() - stopped
    result, note = finished(test, running, folder, steps, reference, scratch)
    assert (
        f"rank {rank} gave no sign of life" in result.err
        or f"rank {rank} did not arrive" in result.err
    ), result.text()
    # The ranks' own deadline, then the launcher's slack of at least a second; a loaded machine
    # doubles it.
    assert seconds < 2 * (timeout + 3), f"noticed after {seconds:.1f} s"
    return (
        f"rank {rank} of {ranks} named after {seconds:.1f} s (timeout {timeout} s), restarted: "
        f"{note}"
    )


def numbers_broke(test, config):
    """An error that would come again is not tried again."""
    folder, running = start(test, config, "numbers", 2, 3, "optimizer.lr=1e30", "train.clip_norm=0")
    result = running.wait(60).expect(7, "error:", "no restart")
    processes.check_nothing_left(folder, test.work)
    return "exit 7 without a restart: " + next(
        line for line in result.err.splitlines() if line.startswith("error:")
    )


def main():
    test = harness.Test(__doc__)
    steps = 40
    config = tiny_run.write_config(test, steps, every=5)
    reference = tiny_run.train(test, config, "undisturbed")
    for ranks in (1, 2, 3, 8) if test.options.full else (1, 2):
        test.case(f"killed once, {ranks} ranks", killed_once, test, config, steps, reference, ranks)
    test.case("mpirun killed", starter_killed, test, config, steps, reference)
    for ranks in (1, 2, 4) if test.options.full else (2,):
        test.case(f"no restarts left, {ranks} ranks", no_restarts, test, config, ranks)
    for ranks in (1, 2, 4) if test.options.full else (1, 2):
        test.case(
            f"stopped rank, {ranks} ranks", stopped_rank, test, config, steps, reference, ranks
        )
    test.case("numbers that break", numbers_broke, test, config)
    test.finish()


if __name__ == "__main__":
    main()
