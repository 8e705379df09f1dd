#!/usr/bin/env python3
"""What reading the inputs costs a training step (G11): a DataLoader of four processes with pinned
memory.

    # G11: batch 512
    python3 bench/peers/input_gpu.py --device cuda --json
    # a try
    python3 bench/peers/input_gpu.py --device cpu --case d8-s16-b4 --pictures 64 --rounds 2 --steps
        2 --workers 1 --json

Needs torch==2.11.0, denoising-diffusion-pytorch==2.3.4, numpy. The step is that of unet_step_gpu.py
(bf16 on a GPU); its pictures come as u8 from a memory-mapped array, are flipped by chance and made
float by the workers, as the package's Dataset does. `with_loader` and `without` are milliseconds a
step, medians over rounds in turn, the latter with pictures made on the device.
"""

import argparse
import json
import statistics
import sys
import tempfile

import numpy
import torch
import unet_peer
from device_clock import Stopwatch, synchronise


class Pictures(torch.utils.data.Dataset):
    """u8 [N, 3, S, S] in a file; one at a time, as floats in [0, 1]."""

    def __init__(self, path):
        self.pictures = numpy.load(path, mmap_mode="r")

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, index):
        picture = torch.from_numpy(self.pictures[index].copy()).float() / 255
        return picture.flip(-1) if torch.rand(()) < 0.5 else picture


def forever(loader):
    while True:
        yield from loader


def measure(name, options, folder):
    case = unet_peer.Case(name)
    generator = numpy.random.default_rng(1)
    path = f"{folder}/{name}.npy"
    numpy.save(
        path,
        generator.integers(0, 256, (options.pictures, 3, case.size, case.size), dtype=numpy.uint8),
    )
    trainer = unet_peer.Trainer(
        name, options.device, amp=torch.bfloat16 if options.device == "cuda" else None
    )
    loader = torch.utils.data.DataLoader(
        Pictures(path),
        batch_size=case.batch,
        shuffle=True,
        drop_last=True,
        num_workers=options.workers,
        pin_memory=options.device == "cuda",
        persistent_workers=options.workers > 0,
    )
    batches = forever(loader)
    ways = {"with_loader": lambda: trainer.step(batches), "without": trainer.step}
    for step in ways.values():
        for _ in range(2):
            step()
    synchronise(options.device)
    seconds = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, step in ways.items():
            with Stopwatch(options.device) as watch:
                for _ in range(options.steps):
                    step()
            seconds[way].append(watch.seconds / options.steps)
    out = {way: 1e3 * statistics.median(values) for way, values in seconds.items()}
    return out | {"ratio": out["with_loader"] / out["without"]}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--case", default="d64-s32-b512")
    parser.add_argument("--pictures", type=int, default=20000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10, help="steps a round")
    parser.add_argument("--json", action="store_true", help="a line of JSON")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "error: no GPU that this PyTorch can use\nhelp: --device cpu tries the program on a CPU"
        )
    if options.device == "cpu":
        torch.set_num_threads(1)
    name = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        line = {
            "bench": "input_gpu",
            "device": name,
            "torch": torch.__version__,
            "case": options.case,
            "workers": options.workers,
        }
        line |= measure(options.case, options, folder)
    print(
        json.dumps(line)
        if options.json
        else "  ".join(f"{key} {value}" for key, value in line.items()),
        flush=True,
    )


if __name__ == "__main__":
    main()
