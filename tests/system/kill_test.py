#!/usr/bin/env python3
"""kill -9 at random moments: a rank, mpirun, the launcher, everything at once.

After each kill the run is resumed on a random number of ranks. The final checkpoint must equal
that of a run that nobody disturbed, byte for byte, and metrics.jsonl must have each step once.
"""

import json
import os
import signal
import time

import harness
import lockstep_test
import processes
import tiny_run

VICTIMS = ("rank", "mpirun", "launcher", "everything")
LOCKED = 8  # exit code: another process holds the run folder


def wait_for_moment(test, running, folder, steps):
    """Lets the run go on for a random while: into its start, or some steps beyond its checkpoint.
    Returns the step that was reached, None if the run ended before."""
    if test.random.random() < 0.2:
        time.sleep(test.random.uniform(0.0, 1.5))
        return tiny_run.newest_step(folder) if running.alive() else None
    target = tiny_run.newest_step(folder) + test.random.randint(1, max(2, steps // 4))
    while running.alive() and not processes.ranks(folder):
        time.sleep(0.01)
    # Lines past the checkpoint are taken back when the ranks start, so the target may lie beyond
    # the end.
    if not tiny_run.wait_for_step(running, folder, min(target, steps - 1)):
        return None
    time.sleep(test.random.uniform(0.0, 0.03))
    return tiny_run.newest_step(folder) if running.alive() else None


def strike(test, running, folder, victim):
    """Kills; returns who died."""
    found = processes.find(folder)
    ranks = [process for process in found if process.is_rank()]
    starters = [process for process in found if process.is_mpirun()]
    if (
        victim == "launcher"
        or (victim == "rank" and not ranks)
        or (victim == "mpirun" and not starters)
    ):
        targets, who = [running.pid], "launcher"
    elif victim == "rank":
        process = test.random.choice(ranks)
        targets, who = [process.pid], f"rank {processes.rank_of(process)}"
    elif victim == "mpirun":
        targets, who = [starters[0].pid], "mpirun"
    else:
        targets, who = [running.pid, *(process.pid for process in found)], "everything"
    for pid in targets:
        processes.send(pid, signal.SIGKILL)
    return who


def check_after_kill(test, running, folder, who):
    """What a killed run owes us: an exit code that says so, and no process. Returns the exit code
    and the seconds until all were gone. Code 0: the run ended at that very moment, and the kill
    missed it."""
    start = time.monotonic()
    result = running.wait(60)
    if result.code != 0 and who in ("launcher", "everything"):
        assert result.code == -signal.SIGKILL, result.text()
    elif result.code != 0:
        result.expect(6, "error:", "was killed by SIGKILL")
        # Open MPI does not name a rank that died while others were still being started.
        assert who in result.err or "a rank was killed by SIGKILL" in result.err, result.text()
    processes.wait_until_gone(test.work, 15)
    return result.code, time.monotonic() - start


def resume(test, folder, ranks):
    return test.start("resume", folder, *tiny_run.launch_words(ranks, test.random.choice((1, 2))))


def one_run(test, config, steps, number, kills, victims, records, words):
    """One run, killed until `kills` are spent or it is done; returns the kills that hit it."""
    folder = test.work / "runs" / f"killed-{number}"
    ranks = test.random.choice(harness.RANKS)
    running = test.start(
        "train", config, "--run-folder", folder, *tiny_run.launch_words(ranks), *words
    )
    hits = 0
    while hits < kills:
        while not (folder / "plan.json").exists() and running.alive():
            time.sleep(0.01)
        step = wait_for_moment(test, running, folder, steps)
        if step is None:
            break
        victim = victims[hits % len(victims)]
        who = strike(test, running, folder, victim)
        code, seconds = check_after_kill(test, running, folder, who)
        if code == 0:
            break
        hits += 1
        next_ranks = test.random.choice(harness.RANKS)
        records.append(
            {
                "run": number,
                "kill": len(records) + 1,
                "victim": who,
                "ranks": ranks,
                "step": step,
                "seconds_until_gone": round(seconds, 2),
                "resumed_on": next_ranks,
            }
        )
        print(
            f"      kill {len(records)}: {who} of {ranks} ranks at step {step}, gone after "
            f"{seconds:.1f} s, "
            f"resumed on {next_ranks}",
            flush=True,
        )
        ranks = next_ranks
        running = resume(test, folder, ranks)
    result = running.wait(180).expect(0)
    assert result.last_line() == f"run folder: {folder}", result.text()
    return folder, hits


def killed_runs(test, config, steps, reference, kills, records, words=()):
    done, number = 0, 0
    while done < kills:
        number += 1
        victims = list(VICTIMS)
        test.random.shuffle(victims)
        folder, hits = one_run(
            test, config, steps, next(test.numbers), kills - done, victims, records, words
        )
        done += hits
        note = tiny_run.compare_runs(reference, folder)
        tiny_run.check_steps_once(folder, steps)
        processes.check_nothing_left(folder, test.work)
        for record in records[-hits:] if hits else []:
            record["equal"] = True
        assert number <= 3 * kills, "the runs end before they can be killed"
    return (
        f"{done} kills over {number} runs, after each: {note}, each of {steps} steps once, nothing "
        f"left"
    )


def killed_shares(test, config, steps, kills):
    """The same with ddp.shard_optimizer: each resume cuts the optimizer's state for its own number
    of ranks."""
    words = [*lockstep_test.FOUR_BLOCKS, *lockstep_test.SHARDED, f"train.steps={steps}"]
    reference = tiny_run.train(test, config, "undisturbed-shares", *words)
    return killed_runs(test, config, steps, reference, kills, [], words)


def at_once(test, config, steps, reference):
    """A resume right after a kill of the launcher alone meets ranks that still live: it must wait
    or refuse (exit 8), never write beside them."""
    folder = test.work / "runs" / "at-once"
    running = test.start("train", config, "--run-folder", folder, *tiny_run.launch_words(2))
    tiny_run.wait_for_step(running, folder, 3)
    running.signal(signal.SIGKILL)
    running.child.wait()  # a shell does that at once, too
    refused, end = 0, time.monotonic() + 30
    while True:
        result = test.run("resume", folder, *tiny_run.launch_words(3))
        if result.code != LOCKED:
            break
        refused += 1
        assert time.monotonic() < end, "still locked after 30 s"
        time.sleep(0.1)
    result.expect(0)
    tiny_run.check_steps_once(folder, steps)
    processes.check_nothing_left(folder, test.work)
    return f"refused {refused} times with exit 8, then {tiny_run.compare_runs(reference, folder)}"


def cleaned_up(test, config, before):
    """A launcher killed by SIGKILL leaves its temporary folder; the next one removes it."""
    tiny_run.train(test, config, "last", "train.steps=2", "schedule.warmup_steps=1")
    processes.check_no_scratch(before)
    return "no temporary folder of a killed launcher"


def main():
    test = harness.Test(
        __doc__,
        lambda parser: parser.add_argument(
            "--result", default="", help="write a JSON record of the kills to this file"
        ),
    )
    kills, steps = (30, 200) if test.options.full else (6, 120)
    config = tiny_run.write_config(test, steps, every=10)
    scratch = processes.scratch_folders()
    reference, records = tiny_run.train(test, config, "undisturbed"), []
    test.case("random kills", killed_runs, test, config, steps, reference, kills, records)
    test.case(
        "random kills, sharded optimizer",
        killed_shares,
        test,
        config,
        60,
        2 if not test.options.full else 10,
    )
    test.case("resume at once", at_once, test, config, steps, reference)
    test.case("temporary folders", cleaned_up, test, config, scratch)
    if test.options.result:
        summary = {
            "script": "tests/system/kill_test.py --full",
            "date": time.strftime("%Y-%m-%d"),
            "cores": os.cpu_count(),
            "seed": test.seed,
            "steps": steps,
            "kills": len(records),
            "mismatches": sum(not record.get("equal") for record in records),
        }
        lines = ",\n  ".join(json.dumps(record) for record in records)
        with open(test.options.result, "w") as file:
            file.write(json.dumps(summary)[:-1] + f',\n "records": [\n  {lines}]}}\n')
    test.finish()


if __name__ == "__main__":
    main()
