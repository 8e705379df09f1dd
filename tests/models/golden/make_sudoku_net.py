#!/usr/bin/env python3
"""The Sudoku network written once more, in PyTorch and double precision, from its description.

    pip install torch==2.11.0 safetensors==0.8.0 numpy==2.4.6
    python3 make_sudoku_net.py sudoku_net.safetensors

Writes weights, boards, logits after the last iteration, the training loss (mean over depths 2 and
4) and its gradients. Shares no code and no layout with models: a site is looked up by index lists.
"""

import sys

import torch
from safetensors.torch import save_file

C, H, BLOCKS, ITERATIONS, DEPTHS = 16, 24, 2, 4, (2, 4)
torch.manual_seed(7)


def linear(outputs, inputs):
    return torch.randn(outputs, inputs, dtype=torch.float32) * 0.6 / inputs**0.5


def weights():
    w = {"embed.weight": linear(C, 3), "embed.bias": torch.randn(C) * 0.3}
    for b in range(BLOCKS):
        name = f"blocks.{b}."
        w[name + "norm.weight"] = 1 + 0.2 * torch.randn(C)
        w[name + "norm.bias"] = 0.2 * torch.randn(C)
        for unit in ("row", "column", "box", "cell"):
            w[name + unit + ".weight"] = linear(C, C)
            w[name + unit + ".bias"] = 0.2 * torch.randn(C)
            w[name + unit + "_spread.weight"] = linear(H, C)
        w[name + "site.weight"] = linear(H, C)
        w[name + "site.bias"] = 0.2 * torch.randn(H)
        w[name + "out.weight"] = linear(C, H)
        w[name + "out.bias"] = 0.2 * torch.randn(C)
    w["head_norm.weight"] = 1 + 0.2 * torch.randn(C)
    w["head_norm.bias"] = 0.2 * torch.randn(C)
    w["head.weight"] = linear(1, C)
    w["head.bias"] = torch.randn(1) * 0.2
    return w


# Which unit each of the 729 sites (cell·9 + digit) belongs to.
SITES = [(cell // 9, cell % 9, digit) for cell in range(81) for digit in range(9)]
MEMBERSHIP = {
    "row": torch.tensor([r * 9 + d for r, c, d in SITES]),
    "column": torch.tensor([c * 9 + d for r, c, d in SITES]),
    "box": torch.tensor([(r // 3 * 3 + c // 3) * 9 + d for r, c, d in SITES]),
    "cell": torch.tensor([r * 9 + c for r, c, d in SITES]),
}


def norm(x, w, name):
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * w[name + ".weight"] + w[name + ".bias"]


def silu(x):
    return x / (1 + torch.exp(-x))


def block(x, w, name):  # x [sites, C]
    h = norm(x, w, name + "norm")
    u = h @ w[name + "site.weight"].T + w[name + "site.bias"]
    for unit, index in MEMBERSHIP.items():
        sums = torch.zeros(81, C, dtype=x.dtype).index_add(0, index, torch.exp(h))
        z = torch.log(sums) - 1.5
        a = silu(z @ w[name + unit + ".weight"].T + w[name + unit + ".bias"])
        u = u + (a @ w[name + unit + "_spread.weight"].T)[index]
    return x + silu(u) @ w[name + "out.weight"].T + w[name + "out.bias"]


def network(cells, w):  # cells: 81 numbers → logits [81, 9] after each depth
    facts = torch.zeros(729, 3, dtype=torch.float64)
    for site, (r, c, d) in enumerate(SITES):
        shown = int(cells[r * 9 + c])
        facts[site, 2 if shown == 0 else 0 if shown == d + 1 else 1] = 1
    x = facts @ w["embed.weight"].T + w["embed.bias"]
    logits = {}
    for k in range(1, ITERATIONS + 1):
        x = block(x, w, f"blocks.{(k - 1) % BLOCKS}.")
        if k in DEPTHS:
            logits[k] = (norm(x, w, "head_norm") @ w["head.weight"].T + w["head.bias"]).view(81, 9)
    return logits


def main(path):
    stored = weights()
    w = {name: value.double().requires_grad_(True) for name, value in stored.items()}
    boards = 2
    solution = torch.tensor(
        [[1 + (3 * (i // 9) + i // 27 + i % 9 + b) % 9 for i in range(81)] for b in range(boards)]
    )
    hidden = torch.rand(boards, 81) < torch.tensor([[0.4], [0.8]])
    cells = solution * ~hidden
    loss, last = torch.zeros((), dtype=torch.float64), []
    for b in range(boards):
        logits = network(cells[b], w)
        for depth in DEPTHS:
            log_p = logits[depth] - torch.logsumexp(logits[depth], -1, keepdim=True)
            chosen = log_p[torch.arange(81), solution[b] - 1]
            loss = loss - chosen[hidden[b]].mean() / len(DEPTHS)
        last.append(logits[ITERATIONS])
    loss.backward()
    out = {"weight." + name: value for name, value in stored.items()}
    out |= {"gradient." + name: value.grad.float() for name, value in w.items()}
    out |= {"cells": cells.to(torch.uint8), "targets": (solution * hidden).to(torch.uint8)}
    out |= {"logits": torch.stack(last).detach().float(), "loss": loss.detach().float()}
    save_file({name: value.contiguous() for name, value in out.items()}, path)


main(sys.argv[1])
