#!/usr/bin/env python3
"""The seed's Sudoku network and loss written once more, in PyTorch, from their description.

    pip install torch==2.11.0 safetensors==0.8.0 numpy==2.4.6
    python3 make_seed_conv.py FOLDER

Writes seed_conv.safetensors (digits as x/4.5 - 1) and seed_embedding.safetensors (digits through an
embedding): weights, inputs, logits, loss, its gradients, and the weights after five steps of AdamW
on that loss. Computed in double from float32 weights. The loss is the loop over K steps of whole
forwards, with masks; Lockstep runs one batch of the active states. Also prints the parameter counts
of the configurations that the seed's logs name.

Legend: B sequences, C hidden_dim, E embedding_dim.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn


class Net(nn.Module):
    def __init__(self, hidden_dim, num_layers, kernel_size, num_groups, embedding_dim):
        super().__init__()
        C, k, pad = hidden_dim, kernel_size, kernel_size // 2
        self.embedding_layer = nn.Embedding(10, embedding_dim) if embedding_dim else None
        self.time_embed = nn.Sequential(nn.Linear(1, C), nn.SiLU(), nn.Linear(C, C))
        self.conv_in = nn.Conv2d(embedding_dim or 1, C, k, padding=pad)
        self.conv_blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(C, C, k, padding=pad),
                nn.GroupNorm(num_groups, C),
                nn.SiLU(),
                nn.Conv2d(C, C, k, padding=pad),
                nn.GroupNorm(num_groups, C),
                nn.SiLU(),
            )
            for _ in range(num_layers)
        )
        self.conv_out = nn.Conv2d(C, C, k, padding=pad)
        self.position_head = nn.Sequential(nn.Linear(81 * C, C), nn.SiLU(), nn.Linear(C, 81))
        self.value_head = nn.Sequential(nn.Linear(81 * C, C), nn.SiLU(), nn.Linear(C, 10))

    def forward(self, grid, t):
        dtype = self.conv_in.weight.dtype
        if self.embedding_layer is None:
            x = (grid.to(dtype) / 4.5 - 1).unsqueeze(1)
        else:
            x = self.embedding_layer(grid.long()).permute(0, 3, 1, 2)
        time = self.time_embed((t.to(dtype) / 81).unsqueeze(1))
        h = self.conv_in(x) + time[:, :, None, None]
        for block in self.conv_blocks:
            h = h + block(h)
        flat = self.conv_out(h).flatten(1)
        return self.position_head(flat), self.value_head(flat)

    def loss(self, sequences, start, count, k_max):
        rows = torch.arange(len(start))
        total = torch.zeros((), dtype=self.conv_in.weight.dtype)
        for step in range(k_max):
            t = start + step
            active = (step < count) & (t < 81)
            now, target = sequences[rows, t.clamp(max=81)], sequences[rows, (t + 1).clamp(max=81)]
            changed = (now != target).flatten(1)
            active &= changed.any(1)
            if not active.any():
                break
            position = changed.float().argmax(1)
            value = target.flatten(1)[rows, position].long()
            position_logits, value_logits = self(now, t)
            position_logits = position_logits.masked_fill(now.flatten(1) != 0, float("-inf"))
            total = total + F.cross_entropy(
                position_logits[active], position[active], reduction="sum"
            )
            total = total + F.cross_entropy(value_logits[active], value[active], reduction="sum")
        return total / count.sum()


def make_sequences(count):
    solutions = torch.tensor(
        [[1 + (3 * (i // 9) + i // 27 + i % 9 + b) % 9 for i in range(81)] for b in range(count)]
    )
    sequences = torch.zeros(count, 82, 81, dtype=torch.int8)
    for b in range(count):
        order = torch.randperm(81)
        for t in range(81):
            sequences[b, t + 1] = sequences[b, t]
            sequences[b, t + 1, order[t]] = solutions[b, order[t]]
    return sequences.view(count, 82, 9, 9)


def golden(options, k_max, seed, path):
    torch.manual_seed(seed)
    net = Net(**options)
    for name, p in net.named_parameters():  # biases and norms that are not the neutral ones
        if p.dim() == 1:
            nn.init.normal_(p, 1.0 if name.endswith(("1.weight", "4.weight")) else 0.0, 0.2)
    out = {"weight." + name: p.detach().clone() for name, p in net.named_parameters()}
    sequences = make_sequences(3)
    sequences[1, 41:] = sequences[
        1, 40:-1
    ].clone()  # state 40 does not change: that row drops out of one step
    start, count = (
        torch.tensor([5, 39, 80]),
        torch.tensor([1, k_max, k_max]),
    )  # the last one ends after one step
    grid, t = sequences[torch.arange(3), torch.tensor([60, 2, 33])], torch.tensor([60, 2, 33])
    net = net.double()
    position, value = net(grid, t)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-4)
    for step in range(5):
        optimizer.zero_grad()
        loss = net.loss(sequences, start, count, k_max)
        loss.backward()
        if step == 0:
            out |= {"loss": loss.detach()} | {
                "grad." + name: p.grad.clone() for name, p in net.named_parameters()
            }
        optimizer.step()
        out[f"loss_after.{step}"] = loss.detach()
    small = [name for name, p in net.named_parameters() if p.numel() <= 1000]
    out |= {
        "trained." + name: p.detach().clone() for name, p in net.named_parameters() if name in small
    }
    out |= {"position_logits": position.detach(), "value_logits": value.detach()}
    out = {name: value.float().contiguous() for name, value in out.items()}
    out |= {"sequences": sequences, "start": start, "count": count, "grid": grid.int(), "t": t}
    save_file({name: value.contiguous() for name, value in out.items()}, path)


def main(folder):
    golden(
        dict(hidden_dim=4, num_layers=2, kernel_size=3, num_groups=2, embedding_dim=0),
        3,
        7,
        folder / "seed_conv.safetensors",
    )
    golden(
        dict(hidden_dim=4, num_layers=1, kernel_size=5, num_groups=2, embedding_dim=3),
        4,
        8,
        folder / "seed_embedding.safetensors",
    )
    for C, L, E in ((32, 9, 10), (64, 9, 15), (128, 9, 15), (128, 9, 10), (256, 6, 0), (8, 48, 10)):
        net = Net(C, L, 3, 8, E)
        print(f"C={C} L={L} E={E}: {sum(p.numel() for p in net.parameters())} parameters")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
