#!/usr/bin/env python3
"""The peer of bench/optimizer.cc: time of torch.optim.AdamW per parameter, one thread.

Needs: torch==2.11.0        Run: python3 bench/peers/optimizer.py [rounds]
"""

import sys
import time

import torch


def best(rounds, body):
    body()
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        body()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measure(what, count, elements, rounds):
    for name, flags in {
        "fused": dict(fused=True),
        "foreach": dict(foreach=True),
        "for-loop": dict(foreach=False),
    }.items():
        parameters = [torch.zeros(elements, requires_grad=True) for _ in range(count)]
        ema = [torch.zeros(elements) for _ in range(count)]
        for p in parameters:
            p.grad = torch.full((elements,), 0.01)
        optimizer = torch.optim.AdamW(parameters, lr=1e-3, **flags)

        def everything(parameters=parameters, optimizer=optimizer, ema=ema):
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(ema, parameters, 0.005)

        per_parameter = 1e9 / (count * elements)
        print(
            f"{what:<24} {name:<10} update {per_parameter * best(rounds, optimizer.step):6.3f} "
            f"ns/parameter   "
            f"with norm, clipping, EMA {per_parameter * best(rounds, everything):6.3f}"
        )


def main():
    torch.set_num_threads(1)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    measure("300 x 119,000 (35.7 M)", 300, 119_000, rounds)
    measure("1000 x 512", 1000, 512, rounds * 20)


main()
