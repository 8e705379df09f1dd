#!/usr/bin/env python3
"""`lockstep forward` and `lockstep optimize` with run.device=cuda on the emulated GPU, against the
CPU."""

import math

import emulated_gpu
import harness
import safetensors_file as st

GRID = [(row * 3 + row // 3 + column) % 9 + 1 for row in range(9) for column in range(9)]
NETWORKS = {
    "masked": (
        "task={kind: sudoku, model: {kind: sudoku_net, channels: 16, hidden: 8, iterations: 2, "
        "loss_depths: [2]}}",
        lambda: {
            "cells": st.tensor("U8", [2, 81], [d if i % 3 else 0 for i, d in enumerate(GRID * 2)]),
            "solution": st.tensor("U8", [2, 81], GRID * 2),
        },
    ),
    "seed": (
        "task={kind: sudoku, objective: seed, model: {kind: seed_conv, hidden_dim: 16, num_layers: "
        "2, num_groups: 4}}",
        lambda: {
            "grid": st.tensor("U8", [1, 9, 9], [d if i % 2 else 0 for i, d in enumerate(GRID)]),
            "t": st.tensor("I64", [1], [40]),
        },
    ),
    "sudoku2vec": (
        "task={kind: sudoku2vec, model: {embedding_dim: 6, attention_dim: 8, num_heads: 2}}",
        lambda: {
            "cells": st.tensor("U8", [2, 81], GRID * 2),
            "target": st.tensor("I64", [2], [3, 77]),
        },
    ),
    "unet": (
        "task={kind: image_diffusion, image_size: 8, model: {kind: unet, dim: 8, dim_mults: [1, "
        "2], attn_heads: 2, attn_dim_head: 8, full_attn: [false, true]}}",
        lambda: {
            "x": waves([2, 3, 8, 8], 0.3),
            "noise": waves([2, 3, 8, 8], 1.7),
            "t": st.tensor("I64", [2], [3, 700]),
        },
    ),
}


def waves(shape, step):
    return st.tensor("F32", shape, [math.sin(step * i) for i in range(math.prod(shape))])


def agree(one, two, tolerance):
    """The largest difference, relative to each tensor's largest value (a gradient that should be 0
    is noise)."""
    assert one.keys() == two.keys() and one, (one.keys(), two.keys())
    worst = 0
    for name in one:
        a, b = one[name].values(), two[name].values()
        apart = max(abs(x - y) for x, y in zip(a, b)) / max(max(map(abs, a)), 1e-3)
        assert apart <= tolerance, f"{name}: {apart}"
        worst = max(worst, apart)
    return worst


def forward(test, network):
    task, inputs = NETWORKS[network]
    weights, given = test.work / f"{network}.weights", test.work / f"{network}.in"
    test.run(
        "export", "-", "--weights", "initial", "--output", f"{weights}.safetensors", task
    ).expect(0)
    st.write(f"{given}.safetensors", inputs())
    found = []
    for device in ("cpu", "cuda"):
        out = test.work / f"{network}-{device}.safetensors"
        test.run(
            "forward",
            "-",
            "--weights",
            f"{weights}.safetensors",
            "--inputs",
            f"{given}.safetensors",
            "--output",
            out,
            "--gradients",
            task,
            f"run.device={device}",
        ).expect(0)
        found.append(st.read(out))
    return f"{len(found[0])} tensors, to {agree(*found, 1e-4):.1e}"


def optimize(test):
    tensors = {
        "param.w": waves([300, 7], 0.2),
        "found_inf": st.tensor("F32", [4], [0, 0, 1, 0]),
        "scale": st.tensor("F32", [4], [2.0] * 4),
    }
    for step in range(4):
        tensors[f"grad.{step}.w"] = waves([300, 7], 0.1 + step)
    given = test.work / "steps.safetensors"
    st.write(given, tensors)
    for words, tolerance in (
        (("optimizer.kind=adamw",), 0),
        (("optimizer.kind=sgd", "optimizer.momentum=0.9"), 0),
        (("optimizer.kind=adam", "optimizer.implementation=foreach"), 1e-5),
    ):
        found = []
        for device in ("cpu", "cuda"):
            out = test.work / f"after-{device}.safetensors"
            test.run(
                "optimize",
                "--inputs",
                given,
                "--output",
                out,
                "optimizer.lr=0.01",
                "train.clip_norm=1",
                "train.ema.decay=0.9",
                f"run.device={device}",
                *words,
            ).expect(0)
            found.append(st.read(out))
        agree(*found, tolerance)
    return "adamw and sgd: the bits of the CPU; foreach to 1e-5"


def main():
    test = harness.Test(__doc__)
    emulated_gpu.gpus(test)
    for network in NETWORKS:
        test.case(f"forward, {network}", forward, test, network)
    test.case("optimize", optimize, test)
    test.finish()


if __name__ == "__main__":
    main()
