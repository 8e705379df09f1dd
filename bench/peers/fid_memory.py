#!/usr/bin/env python3
"""Memory of FID's statistics against the number of pictures (S7): Lockstep against pytorch-fid.

    python3 bench/peers/fid_memory.py build/bin RESULT.json [--images N]...

Needs: torch==2.11.0, pytorch-fid==0.3.0, pillow==12.0.0. Both get random features of 2,048 instead
of a network's; the peer runs its own calculate_activation_statistics on one small picture named N
times. Each count is a process of its own; its highest resident memory above that before the first
feature. The trace of the covariance, near 2,048 on both sides, says that all were used.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def status_kilobytes(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def peer(images):
    import torch
    from PIL import Image
    from pytorch_fid import fid_score

    torch.set_num_threads(1)

    class Features(torch.nn.Module):
        def forward(self, batch):
            return [torch.randn(len(batch), 2048, 1, 1)]

    with tempfile.TemporaryDirectory() as folder:
        Image.new("RGB", (8, 8)).save(f"{folder}/a.png")
        before, begin = status_kilobytes("VmRSS"), time.process_time()
        _, sigma = fid_score.calculate_activation_statistics(
            [f"{folder}/a.png"] * images, Features(), 64, 2048, "cpu", 0
        )
    print(
        json.dumps(
            {
                "images": images,
                "peak_megabytes": round((status_kilobytes("VmHWM") - before) / 1024, 1),
                "cpu_seconds": round(time.process_time() - begin, 2),
                "trace": float(sigma.trace()),
            }
        )
    )


def run(words):
    done = subprocess.run(
        words, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    result = json.loads(done.stdout.splitlines()[-1])
    if not abs(result.pop("trace") - 2048) < 30:
        sys.exit(f"{words}: the covariance's trace is wrong")
    result.pop("images")
    return result


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("programs", help="folder of fid_memory_bench")
    parser.add_argument("result", nargs="?", help="JSON file to write")
    parser.add_argument(
        "--images", type=int, action="append", help="default: 1000 5000 10000 20000 50000"
    )
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        return peer(options.images[0])
    out = {
        "bench": "fid_memory",
        "facts": {
            "machine": platform.processor() or platform.machine(),
            "date": time.strftime("%Y-%m-%d"),
            "unit": "MiB of resident memory above the start",
        },
        "counts": {},
    }
    for images in options.images or (1000, 5000, 10000, 20000, 50000):
        out["counts"][images] = {
            "lockstep": run([f"{options.programs}/fid_memory_bench", "--images", str(images)]),
            "pytorch-fid": run(
                [sys.executable, __file__, options.programs, "--peer", "--images", str(images)]
            ),
        }
        print(images, json.dumps(out["counts"][images]), flush=True)
        Path(options.result).write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
