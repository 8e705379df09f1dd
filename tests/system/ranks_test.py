#!/usr/bin/env python3
"""Ranks without MPI: torchrun's, local processes, two nodes. The same bits as under mpirun, and
every fault.

torchrun comes from an importable Python torch (LOCKSTEP_TORCHRUN names its command otherwise);
without one those cases are skipped and counted, and env_ranks.py, which sets the same variables,
runs anyway.
"""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import harness
import processes
import tiny_run

ENV_RANKS = Path(__file__).with_name("env_ranks.py")
FAILED, STOPPED, USAGE, ENVIRONMENT = 6, 75, 2, 3


def torchrun():
    """The command words of torchrun, or Skip."""
    named = os.environ.get("LOCKSTEP_TORCHRUN")
    words = shlex.split(named) if named else [sys.executable, "-m", "torch.distributed.run"]
    found = subprocess.run([*words, "--help"], capture_output=True, check=False)
    if found.returncode != 0:
        raise harness.Skip(
            "no torchrun: Python's torch is not importable (LOCKSTEP_TORCHRUN may name one)"
        )
    return words


def env_ranks(count, *flags):
    return [sys.executable, "-B", ENV_RANKS, *flags, str(count)]


def remove_torchruns_own(test):
    """Folders for error files that torchrun makes and does not always remove."""
    for path in (test.work / "tmp").glob("torchelastic_*"):
        shutil.rmtree(path)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ranks_of(test):
    """RANK -> process, of ranks that a launcher of torchrun's kind started."""
    found = {}
    for process in processes.find(test.work):
        if "lockstep-worker" not in map(os.path.basename, process.words[:1]):
            continue
        for entry in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
            if entry.startswith(b"RANK="):
                found[int(entry[5:])] = process
    return found


def folder_of(result):
    lines = [line for line in result.out.splitlines() if "run folder: " in line]
    assert len(lines) == 1, result.text()
    return Path(lines[0].split("run folder: ", 1)[1])


def same_bits(test, config, steps, reference, starter, *words):
    result = (
        harness.Running(test, [*starter(), test.lockstep, "train", config, *words]).wait().expect(0)
    )
    folder = folder_of(result)
    remove_torchruns_own(test)
    tiny_run.check_steps_once(folder, steps)
    processes.check_nothing_left(folder, test.work)
    assert json.loads((folder / "status.json").read_text())["state"] == "done"
    assert (folder / "report.html").exists()
    return tiny_run.compare_runs(reference, folder)


def local(test, config, steps, reference, ranks, *words):
    folder = tiny_run.train(
        test,
        config,
        f"local-{ranks}-{next(test.numbers)}",
        "launch.with=local",
        *words,
        ranks=ranks,
    )
    tiny_run.check_steps_once(folder, steps)
    processes.check_nothing_left(folder, test.work)
    assert "as-rank" in (folder / "logs/attempt-0/launcher.log").read_text().split("\n")[0]
    return tiny_run.compare_runs(reference, folder)


def without_mpirun(test, config, steps, reference):
    test.environment["LOCKSTEP_MPIRUN"] = "/nowhere/mpirun"
    try:
        folder = test.work / "runs" / "no-mpirun"
        test.run("train", config, "--run-folder", folder, *tiny_run.launch_words(2)).expect(
            0, "local processes", "no mpirun"
        )
        return tiny_run.compare_runs(reference, folder)
    finally:
        del test.environment["LOCKSTEP_MPIRUN"]


def node_words(config, folder, rank, port, *words):
    return [
        "train",
        config,
        "--run-folder",
        folder,
        "--nnodes=2",
        f"--node_rank={rank}",
        "--master-addr=127.0.0.1",
        f"--master-port={port}",
        "--nproc_per_node=2",
        "--rdzv-id=secret",
        *words,
    ]


def two_nodes(test, config, steps, reference):
    folder, port = test.work / "runs" / "nodes", free_port()
    second = test.start(*node_words(config, folder, 1, port))
    time.sleep(0.3)
    first = test.start(*node_words(config, folder, 0, port))
    first.wait().expect(0, "one of 2 nodes")
    second.wait().expect(0)
    tiny_run.check_steps_once(folder, steps)
    processes.check_nothing_left(folder, test.work)
    return tiny_run.compare_runs(reference, folder)


def node_stopped(test, config, steps, reference):
    """A request to stop to either node's launcher stops the job on both."""
    folder, port = test.work / "runs" / "nodes-stopped", free_port()
    nodes = [test.start(*node_words(config, folder, rank, port)) for rank in (0, 1)]
    assert tiny_run.wait_for_step(nodes[0], folder, steps // 3), nodes[0].wait().text()
    nodes[1].signal(signal.SIGTERM)
    for node in nodes:
        node.wait(60).expect(STOPPED)
    test.run("resume", folder, *tiny_run.launch_words(1), "launch.nodes=1").expect(0)
    tiny_run.check_steps_once(folder, steps)
    processes.check_nothing_left(folder, test.work)
    return f"75 on both, resumed on one rank: {tiny_run.compare_runs(reference, folder)}"


def node_rank_killed(test, config, steps, reference):
    """A rank of the second node dies: both launchers start their ranks again."""
    folder, port = test.work / "runs" / "nodes-killed", free_port()
    nodes = [
        test.start(*node_words(config, folder, rank, port, "--max-restarts=2")) for rank in (0, 1)
    ]
    assert tiny_run.wait_for_step(nodes[0], folder, steps // 2), nodes[0].wait().text()
    processes.send(ranks_of(test)[3].pid, signal.SIGKILL)
    nodes[0].wait(90).expect(0, "rank 3 ended", "restart 1 of 2")
    nodes[1].wait(90).expect(0, "rank 3", "was killed by SIGKILL")
    tiny_run.check_steps_once(folder, steps)
    processes.check_nothing_left(folder, test.work)
    return tiny_run.compare_runs(reference, folder)


def killed(test, config, steps, reference):
    """launch.with: local: a killed rank is named, and the run goes on from the newest
    checkpoint."""
    folder = test.work / "runs" / "local-killed"
    scratch = processes.scratch_folders()
    running = test.start(
        "train",
        config,
        "--run-folder",
        folder,
        *tiny_run.launch_words(3),
        "launch.with=local",
        "launch.max_restarts=1",
    )
    assert tiny_run.wait_for_step(running, folder, steps // 2), running.wait().text()
    processes.send(processes.ranks(folder)[1].pid, signal.SIGKILL)
    running.wait(90).expect(0, "rank 1 was killed by SIGKILL", "restart 1 of 1")
    tiny_run.check_steps_once(folder, steps)
    processes.check_nothing_left(folder, test.work, scratch)
    return tiny_run.compare_runs(reference, folder)


def hung(test, config):
    folder = test.work / "runs" / "local-hung"
    running = test.start(
        "train",
        config,
        "--run-folder",
        folder,
        *tiny_run.launch_words(2),
        "launch.with=local",
        "launch.max_restarts=0",
        "ddp.timeout_seconds=3",
    )
    assert tiny_run.wait_for_step(running, folder, 5), running.wait().text()
    processes.send(processes.ranks(folder)[1].pid, signal.SIGSTOP)
    result = running.wait(60).expect(FAILED)
    assert "rank 1 did not arrive" in result.err or "rank 1 gave no sign of life" in result.err, (
        result.text()
    )
    processes.check_nothing_left(folder, test.work)
    return "rank 1 named, exit 6, nothing left"


def stopped(test, config, steps, reference, number):
    folder = test.work / "runs" / f"local-{signal.Signals(number).name}"
    running = test.start(
        "train", config, "--run-folder", folder, *tiny_run.launch_words(2), "launch.with=local"
    )
    assert tiny_run.wait_for_step(running, folder, steps // 3), running.wait().text()
    running.signal(number)
    running.wait(60).expect(STOPPED)
    test.run("resume", folder, *tiny_run.launch_words(2), "launch.with=local").expect(0)
    processes.check_nothing_left(folder, test.work)
    return tiny_run.compare_runs(reference, folder)


def launcher_killed(test, config):
    folder = test.work / "runs" / "local-orphans"
    running = test.start(
        "train", config, "--run-folder", folder, *tiny_run.launch_words(2), "launch.with=local"
    )
    assert tiny_run.wait_for_step(running, folder, 5), running.wait().text()
    running.signal(signal.SIGKILL)
    running.wait()
    seconds = processes.wait_until_gone(test.work, 20)
    test.run("resume", folder, *tiny_run.launch_words(2), "launch.with=local").expect(0)
    return f"its ranks were gone after {seconds:.1f} s, resumed"


def env_stopped(test, config, steps, reference, starter, *words):
    """SIGTERM to a launcher of torchrun's kind, which passes it on: all ranks save, and say so with
    75."""
    folder = test.work / "runs" / f"env-stopped-{next(test.numbers)}"
    running = harness.Running(
        test, [*starter(), test.lockstep, "train", config, "--run-folder", folder, *words]
    )
    assert tiny_run.wait_for_step(running, folder, steps // 3), running.wait().text()
    running.signal(signal.SIGTERM)
    result = running.wait(60)
    assert result.code != 0, result.text()
    processes.wait_until_gone(test.work, 10)
    remove_torchruns_own(test)
    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("stopped", STOPPED), (
        f"{status}\n{result.text()}"
    )
    harness.Running(test, [*env_ranks(2), test.lockstep, "resume", folder]).wait().expect(0)
    tiny_run.check_steps_once(folder, steps)
    return f"exit {result.code}, resumed: {tiny_run.compare_runs(reference, folder)}"


def env_killed(test, config, steps, reference, starter):
    """A rank dies under a launcher that starts all again (--max-restarts): the second attempt
    resumes."""
    running = harness.Running(
        test, [*starter(), test.lockstep, "train", config, f"run.folder={test.work}/runs/restarted"]
    )
    runs = test.work / "runs" / "restarted" / "tiny"
    end = time.monotonic() + 60
    while not (found := list(runs.glob("*"))):
        assert running.alive() and time.monotonic() < end, running.wait(1).text()
        time.sleep(0.02)
    folder = found[0]
    assert tiny_run.wait_for_step(running, folder, steps // 2), running.wait().text()
    processes.send(ranks_of(test)[1].pid, signal.SIGKILL)
    result = running.wait(90).expect(0, "rank 1 ended", "resumed from")
    remove_torchruns_own(test)
    assert len(list(runs.glob("*"))) == 1, "a second run folder was made"
    tiny_run.check_steps_once(folder, steps)
    note = tiny_run.compare_runs(reference, folder)
    assert (folder / "logs" / "attempt-1").exists(), result.text()
    return note


def one_rank(test, words, variables, code, *texts):
    test.environment |= variables
    try:
        test.run("train", *words, limit=40).expect(code, *texts)
    finally:
        for name in variables:
            del test.environment[name]


def mistakes(test, config):
    place = {
        "RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    quick = [config, "ddp.timeout_seconds=1"]
    one_rank(
        test, quick, place, FAILED, "rank 1 did not arrive at 'the meeting of the ranks' within 1 s"
    )
    one_rank(
        test, quick, {**place, "RANK": "1"}, FAILED, "rank 0 did not arrive", "nothing listens at"
    )
    one_rank(test, quick, {**place, "RANK": "2"}, USAGE, "RANK is 2 and WORLD_SIZE 2")
    one_rank(test, quick, {**place, "WORLD_SIZE": "x"}, USAGE, "the variable WORLD_SIZE is 'x'")
    one_rank(
        test,
        quick,
        {name: place[name] for name in ("RANK", "WORLD_SIZE")},
        ENVIRONMENT,
        "is not set",
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        one_rank(
            test,
            quick,
            {**place, "MASTER_PORT": str(port)},
            ENVIRONMENT,
            f"port {port} of 127.0.0.1 is in use",
            "MASTER_PORT",
        )
        folder = test.work / "runs" / "port"
        test.run(*node_words(config, folder, 0, port)).expect(
            ENVIRONMENT, "is in use", "--master-port"
        )
        assert not folder.exists()
    test.run("train", config, "launch.nodes=2").expect(USAGE, "launch.nodes is 2", "--node-rank")
    result = harness.Running(
        test, [*env_ranks(2), test.lockstep, "train", config, "train.stps=3"]
    ).wait()
    assert (
        result.code == USAGE
        and result.err.count("unknown key 'train.stps'") == 2
        and "rank 0 could not begin" in result.err
    ), result.text()
    return "deadlines, wrong numbers, ports in use, a mistake in the config: named"


def wrong_world_size(test, config):
    result = harness.Running(
        test, [*env_ranks(2, "--world-size-of-1=3"), test.lockstep, "train", config]
    ).wait(40)
    assert result.code == USAGE and "was started with WORLD_SIZE" in result.err, result.text()
    return "exit 2"


def launch(test):
    show = 'echo "$RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR"'
    result = test.run("launch", "--nproc-per-node", "3", "--", "sh", "-c", show).expect(0)
    assert sorted(result.out.split("\n")[:-1]) == [f"{r}/3 {r}/3 127.0.0.1" for r in range(3)], (
        result.text()
    )
    test.run(
        "launch", "--nproc_per_node=2", "sh", "-c", "test $RANK = 0 && sleep 20; exit 9"
    ).expect(9, "rank 1", "exited with code 9")
    started = time.monotonic()
    test.run(
        "launch",
        "--nproc-per-node=2",
        "--max-restarts=2",
        "--",
        "sh",
        "-c",
        "exit $((2 - TORCHELASTIC_RESTART_COUNT))",
    ).expect(0)
    assert time.monotonic() - started < 20
    logs = test.work / "logs"
    test.run(
        "launch",
        "--nproc-per-node=2",
        "--redirects=1",
        "--log-dir",
        logs,
        "--",
        "sh",
        "-c",
        "echo $RANK",
    ).expect(0)
    assert [(logs / f"attempt_0/{r}/stdout.log").read_text() for r in (0, 1)] == ["0\n", "1\n"]
    running = test.start("launch", "--nproc-per-node=2", "--", "sleep", "30")
    time.sleep(0.5)
    running.signal(signal.SIGTERM)
    assert running.wait(20).code == 128 + signal.SIGTERM
    processes.wait_until_gone(test.work, 5)
    return "variables, exit codes, restarts, logs, stop"


def main():
    test = harness.Test(__doc__)
    steps = 40
    config = tiny_run.write_config(test, steps, every=5)
    reference = tiny_run.train(test, config, "mpirun", ranks=2)
    both = (test, config, steps, reference)
    for ranks in (2, 4):
        test.case(
            f"torchrun, {ranks} ranks",
            same_bits,
            *both,
            lambda r=ranks: [
                *torchrun(),
                "--nproc-per-node",
                str(r),
                "--standalone",
                "--no-python",
            ],
        )
        test.case(
            f"the variables of torchrun, {ranks} ranks",
            same_bits,
            *both,
            lambda r=ranks: env_ranks(r),
        )
        test.case(f"local processes, {ranks} ranks", local, *both, ranks)
    test.case(
        "torchrun, static meeting",
        same_bits,
        *both,
        lambda: [*torchrun(), "--nproc-per-node=2", f"--master-port={free_port()}", "--no-python"],
    )
    test.case("local processes, 3 ranks", local, *both, 3)
    test.case("without mpirun", without_mpirun, *both)
    test.case("two nodes", two_nodes, *both)
    test.case("two nodes, one is stopped", node_stopped, *both)
    test.case("two nodes, a rank of the second is killed", node_rank_killed, *both)
    test.case("a local rank killed", killed, *both)
    test.case("a local rank hangs", hung, test, config)
    for number in (signal.SIGTERM, signal.SIGINT):
        test.case(f"{signal.Signals(number).name} to local ranks", stopped, *both, number)
    test.case("the launcher of local ranks killed", launcher_killed, test, config)
    test.case(
        "torchrun stopped",
        env_stopped,
        *both,
        lambda: [*torchrun(), "--nproc-per-node=2", "--standalone", "--no-python"],
    )
    test.case("ranks of torchrun's variables stopped", env_stopped, *both, lambda: env_ranks(2))
    test.case(
        "torchrun starts again",
        env_killed,
        *both,
        lambda: [
            *torchrun(),
            "--nproc-per-node=2",
            "--max-restarts=1",
            "--standalone",
            "--no-python",
        ],
    )
    test.case("mistakes", mistakes, test, config)
    test.case("wrong WORLD_SIZE", wrong_world_size, test, config)
    test.case("launch", launch, test)
    test.finish()


if __name__ == "__main__":
    main()
