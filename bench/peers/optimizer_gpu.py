#!/usr/bin/env python3
"""The peer of bench/optimizer_gpu.cc: torch.optim.AdamW fused, foreach and as a loop, alone and
with clipping, GradScaler's unscaling and an EMA, on the same sizes.

Needs: torch==2.11.0
Run: python3 bench/peers/optimizer_gpu.py [--device cuda|cpu] [--case NAME] [--rounds N] [--json]
"""

import json

import torch
from device_clock import option_parser, ready, seconds_of

# name: parameters, tensors
CASES = {
    "tiny": (65_536 * 4, 8),
    "35.7m": (35_700_000, 300),
    "124m": (124_000_000, 148),
    "1.56b": (1_560_000_000, 580),
}
KINDS = {"fused": {"fused": True}, "foreach": {"foreach": True}, "for-loop": {"foreach": False}}


def measure(name, kind, device, rounds):
    parameters, count = CASES[name]
    each = parameters // count
    weights = [torch.full((each,), 0.5, device=device, requires_grad=True) for _ in range(count)]
    for p in weights:
        p.grad = torch.full((each,), 0.01, device=device)
    ema = [torch.zeros(each, device=device) for _ in range(count)]
    optimizer = torch.optim.AdamW(weights, lr=1e-3, weight_decay=0.01, **KINDS[kind])
    scaler = torch.amp.GradScaler(device, init_scale=1.0, growth_interval=1 << 30)
    scaler.scale(torch.zeros((), device=device))

    def everything():
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        scaler.step(optimizer)
        scaler.update()
        with torch.no_grad():
            torch._foreach_lerp_(ema, weights, 0.001)

    bodies = {"update fp32": optimizer.step, "norm, clip, unscale, update, EMA fp32": everything}
    moved = {"update fp32": 28, "norm, clip, unscale, update, EMA fp32": 40}
    for what, body in bodies.items():
        took = seconds_of(device, rounds if kind != "for-loop" else max(3, rounds // 4), body)
        yield {
            "case": name,
            "what": what,
            "peer": f"torch {torch.__version__} AdamW {kind}",
            "device": device,
            "microseconds": 1e6 * took,
            "gigabytes_per_second": moved[what] * parameters / took / 1e9,
        }


def main():
    parser = option_parser(__doc__)
    parser.add_argument("--case", choices=list(CASES))
    options = ready(parser.parse_args())
    for name in [options.case] if options.case else [name for name in CASES if name != "tiny"]:
        for kind in KINDS:
            for row in measure(name, kind, options.device, options.rounds):
                print(
                    json.dumps(row)
                    if options.json
                    else (
                        f"{row['case']:<8} {row['peer']:<36} {row['what']:<40} "
                        f"{row['microseconds']:12.1f} us"
                    ),
                    flush=True,
                )


main()
