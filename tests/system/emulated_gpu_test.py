#!/usr/bin/env python3
"""Runs with `run.device=cuda` on the emulated GPU (tests/emulation/gpu): everything of a GPU run
but the GPU.

The emulation ends a run that uses memory of another stream without waiting, and refuses to record
what makes the host wait; so a run that comes through says more than its figures.
"""

import json
import signal

import harness
import processes
import safetensors_file
import tiny_run
from emulated_gpu import REPLAYS, close, folder_of, gpus, losses, reports, train, weights_differ

ENVIRONMENT, COMMUNICATION, OUT_OF_SCALE = 3, 6, 7
TWO = ("launch.ranks_per_node=2", "launch.with=local")


def one_graph(test, config, cpu):
    run = folder_of(train(test, config, "step.graph=on", tells=[REPLAYS]))
    (report,) = reports(test)
    assert (
        report["recordings"] == 1
        and report["replays"] == 9
        and report["host_reads_between_replays"] == 0
    ), report
    close(losses(cpu), losses(run), 1e-4)
    eager = folder_of(train(test, config, "step.graph=off"))
    assert weights_differ(run, eager) == 0
    again = folder_of(train(test, config, "step.graph=on"))
    assert weights_differ(run, again) == 0
    other = folder_of(train(test, config, "run.seed=18"))
    assert losses(other) != losses(run)
    return (
        f"{report['replays']} replays, no host read between two; weights equal eager ones; CPU's "
        f"losses to 1e-4"
    )


def precisions(test, config, cpu):
    for compute in ("bf16", "fp16", "bf16_weights", "fp16_weights"):
        run = folder_of(train(test, config, f"precision.compute={compute}", tells=[REPLAYS]))
        close(losses(cpu), losses(run), 1e-2)
        assert reports(test)[0]["host_reads_between_replays"] == 0
    return "bf16, fp16, bf16_weights, fp16_weights"


def overflow(test, config):
    """Steps whose gradients overflow leave no trace but their number and a smaller scale."""
    words = (
        "precision.compute=fp16",
        "precision.loss_scale={initial: 16777216, smallest: 1}",
        "step.graph=on",
        "checkpoint.every_steps=1",
        "evaluate=[]",
        "checkpoint.keep_best=",
    )
    run = folder_of(train(test, config, *words))
    states = [
        json.loads((folder / "state.json").read_text()) for folder in tiny_run.checkpoints(run)
    ]
    skipped = [
        folder for folder, state in zip(tiny_run.checkpoints(run), states) if state["updates"] == 0
    ]
    assert 2 <= len(skipped) < 12, states
    scales = [state["loss_scale"]["scale"] for state in states]
    assert scales[1] == scales[0] / 2, scales
    for folder in skipped[1:]:
        for name in tiny_run.FILES:
            a, b = (safetensors_file.read(one / name) for one in (skipped[0], folder))
            assert all(a[key].data == b[key].data for key in a), f"{folder}/{name}"
    assert 0 < states[-1]["updates"] <= 12 - len(skipped), states[-1]
    floor = ("precision.loss_scale={initial: 2147483648, smallest: 1073741824, most_skips: 3}",)
    train(test, config, words[0], *floor, "train.steps=40", code=OUT_OF_SCALE, tells=["loss scale"])
    return (
        f"{len(skipped)} steps skipped, {states[-1]['updates']} updates; at the floor exit "
        f"{OUT_OF_SCALE}"
    )


def ranks(test, config, cpu):
    one = folder_of(train(test, config, "ddp.reduce=tree"))
    for reduce in ("allreduce", "tree"):
        run = folder_of(
            train(
                test,
                config,
                *TWO,
                f"ddp.reduce={reduce}",
                count=2,
                tells=["gradients travel by nccl", REPLAYS],
            )
        )
        assert all(report["host_reads_between_replays"] == 0 for report in reports(test))
        close(losses(cpu), losses(run), 1e-4)
        if reduce == "tree":
            assert weights_differ(one, run) == 0, "tree: bits depend on the number of GPUs"
    shared = folder_of(
        train(
            test,
            config,
            *TWO,
            LOCKSTEP_SHARE_GPU="1",
            LOCKSTEP_DEVICE_COMM="host",
            tells=["gradients travel by host"],
        )
    )
    close(losses(cpu), losses(shared), 1e-4)
    train(
        test, config, "launch.ranks_per_node=3", count=2, code=ENVIRONMENT, tells=["shows 2 GPUs"]
    )
    return "two ranks: all-reduce, tree (bits of one rank), through the host"


def same_tensors(one, two, names=tiny_run.FILES):
    for name in names:
        a, b = (safetensors_file.read(tiny_run.checkpoints(run)[-1] / name) for run in (one, two))
        assert a.keys() == b.keys() and all(a[key].data == b[key].data for key in a), (
            f"{name}: {one} and {two}"
        )


def shares(test, config):
    """Ranks that each hold a share of the optimizer's state write the checkpoints of one that holds
    all."""
    model = (
        "task.model={kind: sudoku_net, channels: 32, hidden: 64, blocks: 12, iterations: 2, "
        "loss_depths: [2]}"
    )  # four blocks
    words = (
        model,
        "train.steps=8",
        "checkpoint.every_steps=4",
        "evaluate=[]",
        "checkpoint.keep_best=",
        tiny_run.CONSTANT,
    )
    shard = (*TWO, "ddp.shard_optimizer=true")
    for compute in ("bf16_weights", "fp32"):
        tree = (*words, "ddp.reduce=tree", f"precision.compute={compute}")
        whole = folder_of(train(test, config, *tree))
        run = folder_of(
            train(
                test,
                config,
                *tree,
                *shard,
                count=2,
                tells=["gradients travel by nccl", "of the own blocks alone", REPLAYS],
            )
        )
        assert all(report["host_reads_between_replays"] == 0 for report in reports(test))
        same_tensors(whole, run)
    half = folder_of(
        train(test, config, *words, "ddp.reduce=tree", *shard, "train.steps=4", count=2)
    )
    test.run("resume", half, "train.steps=8").expect(0)
    same_tensors(whole, half)
    summed = folder_of(train(test, config, *words))
    for implementation in ("fused", "foreach"):
        run = folder_of(
            train(
                test,
                config,
                *words,
                *shard,
                f"optimizer.implementation={implementation}",
                count=2,
                tells=[REPLAYS],
            )
        )
        close(losses(summed), losses(run), 1e-4)
    shared = train(
        test,
        config,
        *words,
        *shard,
        LOCKSTEP_SHARE_GPU="1",
        LOCKSTEP_DEVICE_COMM="host",
        tells=["gradients travel by host"],
    )
    close(losses(summed), losses(folder_of(shared)), 1e-4)
    return (
        "tree: every tensor of the whole run, bf16_weights and a resume too; reduce-scatter: its "
        "losses"
    )


def choice(test, config):
    """`auto` measures once; what it chose stays in plan.json, whatever a resume would measure."""
    words = (tiny_run.CONSTANT, "optimizer.implementation=auto")
    run = folder_of(
        train(
            test,
            config,
            *words,
            "train.steps=6",
            tells=["auto: an update takes fused", "as graphs"],
        )
    )
    (report,) = reports(test)
    assert report["recordings"] == 3, report  # two of a trial, one of the step
    plan = json.loads(open(f"{run}/plan.json", encoding="utf-8").read())
    assert (
        plan["update_implementation"] in ("fused", "foreach") and " ms" in plan["update_reason"]
    ), plan
    for kept in ("foreach", "fused"):
        with open(f"{run}/plan.json", "w", encoding="utf-8") as file:
            json.dump(
                plan | {"update_implementation": kept, "update_reason": f"{kept} it was"}, file
            )
        gpus(test)
        steps = {"foreach": 9, "fused": 12}[kept]
        test.run("resume", run, f"train.steps={steps}").expect(
            0, f"{kept} it was, kept in plan.json"
        )
        assert (
            json.loads(open(f"{run}/plan.json", encoding="utf-8").read())["update_implementation"]
            == kept
        )
        assert reports(test)[0]["recordings"] <= 1, "measured again"
    old = folder_of(train(test, config, *words, "train.steps=6"))
    plan = json.loads(open(f"{old}/plan.json", encoding="utf-8").read())
    with open(f"{old}/plan.json", "w", encoding="utf-8") as file:
        json.dump(
            {key: value for key, value in plan.items() if not key.startswith("update_")}, file
        )
    gpus(test)
    test.run("resume", old, "train.steps=8").expect(0, "as the run began")
    return "kept through resumes; a run without the key goes on with fused"


def phases(test, config):
    """Where a step's time went, in metrics.jsonl; and the names of its parts in a profile."""
    run = folder_of(train(test, config, *TWO, "step.graph=off", "log.profile_steps=2", count=2))
    lines = [json.loads(line) for line in open(f"{run}/metrics.jsonl", encoding="utf-8")]
    for line in (line for line in lines if "loss" in line):
        parts = [
            line[f"{name}_seconds"]
            for name in ("copy", "forward", "backward", "comm_exposed", "update")
        ]
        assert min(parts) >= 0 and abs(sum(parts) - line["device_seconds"]) < 1e-6, line
    trace = open(f"{run}/logs/attempt-0/profile-rank-1.json", encoding="utf-8").read()
    for name in ("wait for data", "copy inputs", "forward", "backward", "exchange", "update"):
        assert f'"{name}"' in trace, name
    run = folder_of(train(test, config))
    last = [
        json.loads(line)
        for line in open(f"{run}/metrics.jsonl", encoding="utf-8")
        if "loss" in json.loads(line)
    ][-1]
    assert (
        last["graph_seconds"] > 0
        and last["comm_exposed_seconds"] is None
        and "forward_seconds" not in last
    ), last
    return "events of eager steps add up; a graph is one; phases are named in the profile"


def resumes(test, config):
    whole = folder_of(train(test, config, tiny_run.CONSTANT))
    half = folder_of(train(test, config, tiny_run.CONSTANT, "train.steps=6"))
    gpus(test)
    test.run("resume", half, "train.steps=12").expect(0)
    for name in tiny_run.FILES:
        a, b = ((tiny_run.checkpoints(run)[-1] / name).read_bytes() for run in (whole, half))
        assert a == b, f"{name} differs"
    return "6 steps, then 6 more: the bits of 12"


def faults(test, config):
    """A rank that is killed: the others learn of it from NCCL, all start again. One that is
    stopped: found by the deadline."""
    words = (
        *TWO,
        tiny_run.CONSTANT,
        "optimizer.implementation=fused",
        "train.steps=60",
        "evaluate=[]",
        "checkpoint.keep_best=",
        "checkpoint.every_steps=20",
    )
    whole = folder_of(train(test, config, *words, count=2))
    for number, more, code in (
        (signal.SIGKILL, ("launch.max_restarts=1",), 0),
        (signal.SIGSTOP, ("ddp.timeout_seconds=3",), COMMUNICATION),
    ):
        folder = test.work / "runs" / f"fault-{number.name}"
        running = test.start(
            "train", config, "run.device=cuda", "--run-folder", folder, *words, *more
        )
        assert tiny_run.wait_for_step(running, folder, 25), running.wait(1).text()
        processes.send(processes.ranks(folder)[1].pid, number)
        result = running.wait(90)
        processes.kill_all(folder)
        if code == 0:
            tiny_run.compare_runs(whole, folder)
            result.expect(0, "NCCL failed at")
        else:
            result.expect(code, "rank 1 gave no sign of life", "its process was stopped")
    return "killed: restarted to the same bits; stopped: named, exit 6"


def memory(test, config):
    few = "1200000"
    train(
        test,
        config,
        code=ENVIRONMENT,
        LOCKSTEP_EMULATED_MEMORY=few,
        tells=["out of memory", "activations of 2 rows", "set train.micro_batch=1"],
    )
    train(test, config, "train.micro_batch=1", LOCKSTEP_EMULATED_MEMORY=few)
    return "the micro_batch that it names fits"


def buckets(test, config):
    """A network whose gradients travel in several buckets, beside backward."""
    wide = (
        "task.model.channels=256",
        "task.model.hidden=256",
        "optimizer.lr=1.0e-5",
        "train.steps=8",
        "evaluate=[]",
        "checkpoint.keep_best=",
    )
    result = train(test, config, *TWO, *wide, count=2, tells=[REPLAYS])
    count = int(result.err.split("gradients travel by nccl, ")[1].split()[0])
    assert count > 1, result.text()
    cpu = folder_of(test.run("train", config, "run.device=cpu", *wide).expect(0))
    close(losses(cpu), losses(folder_of(result)), 1e-3)
    return f"{count} buckets"


def uses(test, config):
    run = folder_of(train(test, config))
    test.run("evaluate", run, "run.device=cuda").expect(0)
    return test.run("sample", run, "run.device=cuda").expect(0).last_line()


def main():
    test = harness.Test(__doc__)
    config = tiny_run.write_config(test, 12, 6)
    cpu = folder_of(test.run("train", config, "run.device=cpu").expect(0))
    test.case("one graph", one_graph, test, config, cpu)
    test.case("precisions", precisions, test, config, cpu)
    test.case("overflow", overflow, test, config)
    test.case("ranks", ranks, test, config, cpu)
    test.case("shares", shares, test, config)
    test.case("choice", choice, test, config)
    test.case("phases", phases, test, config)
    test.case("buckets", buckets, test, config)
    test.case("resume", resumes, test, config)
    test.case("faults", faults, test, config)
    test.case("memory", memory, test, config)
    test.case("uses", uses, test, config)
    test.finish()


if __name__ == "__main__":
    main()
