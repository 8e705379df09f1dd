#!/usr/bin/env python3
"""Runs with `run.device=cuda` on the emulated GPU (tests/emulation/gpu): everything of a GPU run but the GPU.

The emulation ends a run that uses memory of another stream without waiting, and refuses to record what makes the host wait;
so a run that comes through says more than its figures.
"""
import json

import harness
import safetensors_file
import tiny_run
from emulated_gpu import REPLAYS, close, folder_of, gpus, losses, reports, train, weights_differ

ENVIRONMENT, OUT_OF_SCALE = 3, 7
TWO = ("launch.ranks_per_node=2", "launch.with=local")


def one_graph(test, config, cpu):
    run = folder_of(train(test, config, "step.graph=on", tells=[REPLAYS]))
    (report,) = reports(test)
    assert report["recordings"] == 1 and report["replays"] == 9 and report["host_reads_between_replays"] == 0, report
    close(losses(cpu), losses(run), 1e-4)
    eager = folder_of(train(test, config, "step.graph=off"))
    assert weights_differ(run, eager) == 0
    again = folder_of(train(test, config, "step.graph=on"))
    assert weights_differ(run, again) == 0
    other = folder_of(train(test, config, "run.seed=18"))
    assert losses(other) != losses(run)
    return f"{report['replays']} replays, no host read between two; weights equal eager ones; CPU's losses to 1e-4"


def precisions(test, config, cpu):
    for compute in ("bf16", "fp16", "bf16_weights", "fp16_weights"):
        run = folder_of(train(test, config, f"precision.compute={compute}", tells=[REPLAYS]))
        close(losses(cpu), losses(run), 1e-2)
        assert reports(test)[0]["host_reads_between_replays"] == 0
    return "bf16, fp16, bf16_weights, fp16_weights"


def overflow(test, config):
    """Steps whose gradients overflow leave no trace but their number and a smaller scale."""
    words = ("precision.compute=fp16", "precision.loss_scale={initial: 16777216, smallest: 1}", "step.graph=on", "checkpoint.every_steps=1",
             "evaluate=[]", "checkpoint.keep_best=")
    run = folder_of(train(test, config, *words))
    states = [json.loads((folder / "state.json").read_text()) for folder in tiny_run.checkpoints(run)]
    skipped = [folder for folder, state in zip(tiny_run.checkpoints(run), states) if state["updates"] == 0]
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
    return f"{len(skipped)} steps skipped, {states[-1]['updates']} updates; at the floor exit {OUT_OF_SCALE}"


def ranks(test, config, cpu):
    one = folder_of(train(test, config, "ddp.reduce=tree"))
    for reduce in ("allreduce", "tree"):
        run = folder_of(train(test, config, *TWO, f"ddp.reduce={reduce}", count=2, tells=["gradients travel by nccl", REPLAYS]))
        assert all(report["host_reads_between_replays"] == 0 for report in reports(test))
        close(losses(cpu), losses(run), 1e-4)
        if reduce == "tree":
            assert weights_differ(one, run) == 0, "tree: bits depend on the number of GPUs"
    shared = folder_of(train(test, config, *TWO, LOCKSTEP_SHARE_GPU="1", LOCKSTEP_DEVICE_COMM="host", tells=["gradients travel by host"]))
    close(losses(cpu), losses(shared), 1e-4)
    train(test, config, "launch.ranks_per_node=3", count=2, code=ENVIRONMENT, tells=["shows 2 GPUs"])
    return "two ranks: all-reduce, tree (bits of one rank), through the host"


def resumes(test, config):
    whole = folder_of(train(test, config, tiny_run.CONSTANT))
    half = folder_of(train(test, config, tiny_run.CONSTANT, "train.steps=6"))
    gpus(test)
    test.run("resume", half, "train.steps=12").expect(0)
    for name in tiny_run.FILES:
        a, b = ((tiny_run.checkpoints(run)[-1] / name).read_bytes() for run in (whole, half))
        assert a == b, f"{name} differs"
    return "6 steps, then 6 more: the bits of 12"


def memory(test, config):
    few = "1200000"
    train(test, config, code=ENVIRONMENT, LOCKSTEP_EMULATED_MEMORY=few,
          tells=["out of memory", "activations of 2 rows", "set train.micro_batch=1"])
    train(test, config, "train.micro_batch=1", LOCKSTEP_EMULATED_MEMORY=few)
    return "the micro_batch that it names fits"


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
    test.case("resume", resumes, test, config)
    test.case("memory", memory, test, config)
    test.case("uses", uses, test, config)
    test.finish()


if __name__ == "__main__":
    main()
