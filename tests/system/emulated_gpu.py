"""Runs on the emulated GPU (tests/emulation/gpu), and what they leave."""

import json

import safetensors_file
import tiny_run

REPLAYS = "the whole step replays as one graph; 3 steps agree with eager ones to 0"


def gpus(test, count=1, **more):
    """The environment of a machine with emulated GPUs."""
    folder = test.lockstep.parent.parent / "emulated"
    report = test.work / "report.json"
    report.unlink(missing_ok=True)
    mine = ("LOCKSTEP_CUDA", "LOCKSTEP_EMULATED", "LOCKSTEP_SHARE_GPU", "LOCKSTEP_DEVICE_COMM")
    for name in [name for name in test.environment if name.startswith(mine)]:
        del test.environment[name]
    path = [
        part
        for part in test.environment.get("LD_LIBRARY_PATH", "").split(":")
        if part and part != str(folder)
    ]
    test.environment |= {
        "LD_LIBRARY_PATH": ":".join([str(folder), *path]),
        "LOCKSTEP_EMULATED_GPUS": str(count),
        "LOCKSTEP_CUDA_PLUGIN": str(folder / "liblockstep_cuda.so"),
        "LOCKSTEP_EMULATED_REPORT": str(report),
        **more,
    }


def reports(test):
    return [json.loads(line) for line in (test.work / "report.json").read_text().splitlines()]


def train(test, config, *words, count=1, code=0, tells=(), **more):
    """Trains with the fused update, unless words say otherwise: `auto` goes by times, and bits are
    compared."""
    gpus(test, count, **more)
    return test.run(
        "train", config, "run.device=cuda", "optimizer.implementation=fused", *words
    ).expect(code, *tells)


def folder_of(result):
    return result.last_line().removeprefix("run folder: ")


def losses(run):
    lines = (json.loads(line) for line in open(f"{run}/metrics.jsonl", encoding="utf-8"))
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def close(a, b, relative):
    assert a.keys() == b.keys() and a, (a, b)
    for step, loss in a.items():
        assert abs(loss - b[step]) <= relative * abs(loss), f"step {step}: {loss} and {b[step]}"


def weights_differ(one, two):
    a, b = (
        safetensors_file.read(tiny_run.checkpoints(run)[-1] / "model.safetensors")
        for run in (one, two)
    )
    return max(max(abs(x - y) for x, y in zip(a[name].values(), b[name].values())) for name in a)
