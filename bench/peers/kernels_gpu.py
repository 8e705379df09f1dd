#!/usr/bin/env python3
"""The peer of bench/kernels_gpu.cc: the same operations by PyTorch, eager and compiled, on the same
shapes in bfloat16.

Needs: torch==2.11.0
Run: python3 bench/peers/kernels_gpu.py [--device cuda|cpu] [--case NAME] [--rounds N] [--json]
    [--compile]
"""

import json

import torch
from device_clock import option_parser, ready, seconds_of
from torch.nn import functional as F


def rms_norm(x, residual, weight):
    h = x + residual
    return h, F.rms_norm(h.float(), (h.shape[-1],), weight, 1e-6).to(h.dtype)


def rotary(x, cosines, sines):
    a, b = x.float().chunk(2, dim=-1)
    y = torch.cat([a * cosines + b * sines, b * cosines - a * sines], dim=-1)
    return F.rms_norm(y, (y.shape[-1],), None, 1e-6).to(x.dtype)


def cross_entropy(logits, targets):
    return F.cross_entropy(
        15 * torch.tanh(logits.float() / 15), targets, ignore_index=-1, reduction="none"
    )


def group_norm(x, weight, bias, condition):
    scale, shift = condition[:, :, None, None].to(x.dtype).chunk(2, dim=1)
    return F.silu(F.group_norm(x, 8, weight.to(x.dtype), bias.to(x.dtype)) * (1 + scale) + shift)


def channel_rows(x, gain, condition):
    scale, shift = condition[:, :, None, None].to(x.dtype).chunk(2, dim=1)
    return F.silu(
        F.normalize(x, dim=1)
        * gain.to(x.dtype)[None, :, None, None]
        * x.shape[1] ** 0.5
        * (1 + scale)
        + shift
    )


def cases(device):
    share = 1 if device == "cuda" else 16

    def made(*shape, dtype=torch.bfloat16):
        return torch.rand(shape, device=device).mul_(2).sub_(1).to(dtype).requires_grad_()

    def image():
        return (
            made(64 // share, 128, 32, 32)
            .detach()
            .contiguous(memory_format=torch.channels_last)
            .requires_grad_()
        )

    tokens, words = 16_384 // share, 4096 // share
    table = [torch.rand(1024, 1, 64, device=device).repeat(tokens // 1024, 1, 1) for _ in range(2)]
    targets = torch.randint(0, 50_304, (words,), device=device)
    yield "swiglu", lambda gate, up: F.silu(gate) * up, [made(tokens, 2048), made(tokens, 2048)]
    yield (
        "rms_norm",
        rms_norm,
        [made(tokens, 768), made(tokens, 768), made(768, dtype=torch.float32)],
    )
    yield "rotary", lambda x: rotary(x, *table), [made(tokens, 6, 128)]
    yield "cross_entropy", lambda logits: cross_entropy(logits, targets), [made(words, 50_304)]
    yield (
        "group_norm",
        group_norm,
        [
            image(),
            made(128, dtype=torch.float32),
            made(128, dtype=torch.float32),
            made(64 // share, 256, dtype=torch.float32),
        ],
    )
    yield (
        "channel_rows",
        channel_rows,
        [image(), made(128, dtype=torch.float32), made(64 // share, 256, dtype=torch.float32)],
    )
    yield "dropout", lambda x: F.dropout(x, 0.1), [image()]


def measure(name, function, inputs, device, rounds, how):
    outputs = function(*inputs)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    gradients = [torch.ones_like(output) for output in outputs]
    with torch.no_grad():
        forward = seconds_of(device, rounds, lambda: function(*inputs))
    backward = seconds_of(
        device, rounds, lambda: torch.autograd.grad(outputs, inputs, gradients, retain_graph=True)
    )
    for what, took in (("forward", forward), ("backward", backward)):
        yield {
            "case": name,
            "what": what,
            "peer": f"torch {torch.__version__} {how}",
            "device": device,
            "microseconds": 1e6 * took,
        }


def main():
    parser = option_parser(__doc__)
    parser.add_argument("--case")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well")
    options = ready(parser.parse_args())
    torch.manual_seed(1)
    for name, function, inputs in cases(options.device):
        if options.case not in (None, name):
            continue
        ways = {"eager": function} | (
            {"compiled": torch.compile(function)} if options.compile else {}
        )
        for how, variant in ways.items():
            for row in measure(name, variant, inputs, options.device, options.rounds, how):
                print(
                    json.dumps(row)
                    if options.json
                    else (
                        f"{row['case']:<16} {row['peer']:<24} {row['what']:<10} "
                        f"{row['microseconds']:12.1f} us"
                    ),
                    flush=True,
                )


main()
