#!/usr/bin/env python3
"""The seed's embedding pre-trainer written once more, in PyTorch and double, from its description.

    pip install torch==2.11.0 safetensors==0.8.0 numpy==2.4.6
    python3 make_sudoku2vec.py FOLDER

Writes sudoku2vec.safetensors (one head) and sudoku2vec_heads.safetensors (three): weights, grids,
masked cells, cosines, loss, gradients. All 81 outputs of the attention are computed and one is
taken; Lockstep computes that one alone.
"""

import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, attention_dim, heads):
        super().__init__()
        self.heads, self.d = heads, attention_dim // heads
        self.qkv_proj = nn.Linear(width, 3 * attention_dim)
        self.o_proj = nn.Linear(attention_dim, width)

    def forward(self, x):
        B, L, _ = x.shape
        qkv = self.qkv_proj(x).reshape(B, L, self.heads, 3 * self.d).permute(0, 2, 1, 3)
        q, k, v = qkv.chunk(3, dim=-1)
        weights = F.softmax(q @ k.transpose(-2, -1) / math.sqrt(self.d), dim=-1)
        return self.o_proj((weights @ v).permute(0, 2, 1, 3).reshape(B, L, self.heads * self.d))


class Sudoku2Vec(nn.Module):
    def __init__(self, embedding_dim, attention_dim, heads):
        super().__init__()
        self.embed = nn.Embedding(10, embedding_dim)
        self.attention = Attention(embedding_dim + 2, attention_dim, heads)

    def forward(self, cells, target):
        rows = torch.arange(len(cells))
        masked = cells.clone()
        masked[rows, target] = 0
        angle = 2 * math.pi * torch.arange(81, dtype=self.embed.weight.dtype) / 81
        places = torch.stack([angle.cos(), angle.sin()], 1).expand(len(cells), 81, 2)
        out = self.attention(torch.cat([self.embed(masked), places], -1))
        predicted = out[rows, target, : self.embed.embedding_dim]
        return F.cosine_similarity(predicted[:, None], self.embed.weight[None], dim=-1)


def golden(embedding_dim, attention_dim, heads, seed, path):
    torch.manual_seed(seed)
    net = Sudoku2Vec(embedding_dim, attention_dim, heads)
    for p in net.parameters():
        nn.init.normal_(p, 0, 0.5)
    out = {"weight." + name: p.detach().clone() for name, p in net.named_parameters()}
    net = net.double()
    cells = torch.tensor(
        [[1 + (3 * (i // 9) + i // 27 + i % 9 + b) % 9 for i in range(81)] for b in range(5)]
    )
    target = torch.tensor([0, 80, 17, 40, 5])
    similarity = net(cells, target)
    digit = cells[torch.arange(5), target]
    loss = (1 - similarity[torch.arange(5), digit]).clamp(min=0).mean()
    loss.backward()
    out |= {"similarity": similarity.detach(), "loss": loss.detach()}
    out |= {"grad." + name: p.grad for name, p in net.named_parameters()}
    out = {name: value.float().contiguous() for name, value in out.items()}
    save_file(out | {"cells": cells, "target": target}, path)


def main(folder):
    golden(10, 9, 1, 3, folder / "sudoku2vec.safetensors")
    golden(4, 9, 3, 4, folder / "sudoku2vec_heads.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
