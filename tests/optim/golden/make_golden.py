#!/usr/bin/env python3
"""Golden numbers for tests/optim, from PyTorch and ema-pytorch.

Needs: torch==2.11.0 ema-pytorch==0.8.3
Run:   python3 tests/optim/golden/make_golden.py > tests/optim/golden/golden.json
"""

import copy
import json
import sys

import torch
from ema_pytorch import EMA

SHAPES = {"layer.weight": (7, 5), "layer.bias": (11,), "head": (3, 2, 2)}
STEPS = 20
SHOWN = [0, 1, 4, 9, 19]

OPTIMIZERS = {
    "adamw_default": ("adamw", dict(lr=1e-3)),
    "adamw_decay": ("adamw", dict(lr=3e-2, betas=(0.9, 0.95), weight_decay=0.1, eps=1e-6)),
    "adam_plain": ("adam", dict(lr=1e-2, betas=(0.9, 0.99))),
    "adam_l2": ("adam", dict(lr=1e-2, weight_decay=0.05)),
    "sgd_plain": ("sgd", dict(lr=0.1)),
    "sgd_momentum": ("sgd", dict(lr=0.05, momentum=0.9, weight_decay=0.01)),
    "sgd_dampening": ("sgd", dict(lr=0.05, momentum=0.8, dampening=0.3)),
    "sgd_nesterov": ("sgd", dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.02)),
    "adamw_clipped": ("adamw", dict(lr=1e-2, weight_decay=0.01)),
}
CLIP_NORM = {"adamw_clipped": 0.5}
CLASSES = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}


def numbers(tensor):
    return [float(x) for x in tensor.detach().reshape(-1)]


def trajectory(kind, options, clip_norm, parameters, gradients):
    leaves = {name: p.clone().requires_grad_(True) for name, p in parameters.items()}
    optimizer = CLASSES[kind](leaves.values(), foreach=False, fused=False, **options)
    norms, shown = [], {}
    for step in range(STEPS):
        for name, leaf in leaves.items():
            leaf.grad = gradients[step][name].clone()
        if clip_norm is not None:
            norms.append(float(torch.nn.utils.clip_grad_norm_(leaves.values(), clip_norm)))
        optimizer.step()
        if step in SHOWN:
            shown[step] = {name: numbers(leaf) for name, leaf in leaves.items()}
    return {
        "kind": kind,
        "options": options,
        "clip_norm": clip_norm,
        "norms": norms,
        "shown": shown,
    }


def ema_trajectory(beta, update_every, updates, shown):
    """Weights after update k (from 0): sin(0.01 k + i), i = 0 … 3, rounded to float32."""
    online = torch.nn.Linear(4, 1, bias=False)
    ema = EMA(online, beta=beta, update_every=update_every)
    result = {}
    for k in range(updates):
        with torch.no_grad():
            online.weight.copy_(
                torch.sin(0.01 * k + torch.arange(4, dtype=torch.float64)).float()[None]
            )
        ema.update()
        if k in shown:
            result[k] = numbers(ema.ema_model.weight)
    return {"beta": beta, "update_every": update_every, "updates": updates, "shown": result}


def main():
    generator = torch.Generator().manual_seed(1)

    def draw():
        return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}

    parameters, gradients = draw(), [draw() for _ in range(STEPS)]
    golden = {
        "torch": torch.__version__.split("+")[0],
        "shapes": SHAPES,
        "parameters": {name: numbers(p) for name, p in parameters.items()},
        "gradients": [{name: numbers(g) for name, g in step.items()} for step in gradients],
        "optimizers": {
            name: trajectory(
                kind, copy.deepcopy(options), CLIP_NORM.get(name), parameters, gradients
            )
            for name, (kind, options) in OPTIMIZERS.items()
        },
        "ema": [
            ema_trajectory(0.995, 10, 400, [0, 5, 10, 100, 105, 110, 150, 399]),
            ema_trajectory(0.9, 1, 300, [0, 50, 100, 101, 102, 110, 200, 299]),
        ],
    }
    json.dump(golden, sys.stdout)
    print()


main()
