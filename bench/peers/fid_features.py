#!/usr/bin/env python3
"""C14: FID from pictures to score on CPUs: Lockstep against pytorch-fid and torch-fidelity, in turn
in one run.

    python3 bench/peers/fid_features.py build/bin/lockstep RESULT.json [--images N] [--rounds N]
        [--threads N] [--dims D]

Needs: torch==2.11.0, torchvision==0.26.0, pytorch-fid==0.3.0, torch-fidelity==0.3.0, safetensors,
Pillow. Two sets of N pictures of 32 x 32 as PNG files, and the same as HDF5 shards; equal random
weights everywhere. Lockstep's time is that of the whole program from start to score, root (FID and
KID) included. Its peers' is less: imports and network are there, and only reading, features and
moments of both sets are timed; their roots are in fid_root.py. CPU seconds are compared, since
other work on the machine disturbs them less; wall clock beside.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import random_inception
import torch
from PIL import Image
from pytorch_fid import fid_score


def write_pictures(folder, count, seed):
    """Smooth pictures with noise, no two alike."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize(
            (32, 32), Image.BICUBIC
        )
        noisy = np.clip(
            np.asarray(coarse, np.int16) + rng.integers(-12, 13, (32, 32, 3)), 0, 255
        ).astype(np.uint8)
        Image.fromarray(noisy).save(folder / f"{i:06}.png")


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def lockstep(program, a, b, weights, options):
    before = time.perf_counter(), cpu_of_children()
    words = [
        program,
        "fid",
        str(a),
        str(b),
        "--inception",
        weights,
        "--features",
        str(options.dims),
        "--threads",
        str(options.threads),
        "--json",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return (
        json.loads(done.stdout)["fid"],
        time.perf_counter() - before[0],
        cpu_of_children() - before[1],
    )


def in_process(side, distance, a, b):
    before = time.perf_counter(), time.process_time()
    sides = [side(a), side(b)]
    seconds = time.perf_counter() - before[0], time.process_time() - before[1]
    return float(distance(*sides)), *seconds


def pytorch_fid(network, a, b, options):
    return in_process(
        lambda path: fid_score.compute_statistics_of_path(
            str(path), network, 50, options.dims, "cpu", 0
        ),
        lambda x, y: fid_score.calculate_frechet_distance(*x, *y),
        a,
        b,
    )


def torch_fidelity(network, a, b, options):
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    def side(path):
        features, files = [], sorted(path.iterdir())
        for first in range(0, len(files), 50):
            batch = torch.stack(
                [
                    torch.from_numpy(np.asarray(Image.open(file).convert("RGB")).copy()).permute(
                        2, 0, 1
                    )
                    for file in files[first : first + 50]
                ]
            )
            with torch.no_grad():
                features.append(network(batch)[0])
        return fid_features_to_statistics(torch.cat(features))

    return in_process(
        side, lambda x, y: fid_statistics_to_metric(x, y, False)["frechet_inception_distance"], a, b
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("result")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dims", type=int, default=2048)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder, tensors = Path(name), random_inception.state()
        random_inception.save_for_lockstep(tensors, folder / "w.safetensors")
        for side, seed in (("a", 1), ("b", 2)):
            write_pictures(folder / side, options.images, seed)
            subprocess.run(
                [
                    options.program,
                    "data",
                    "convert",
                    "image-folder",
                    folder / side,
                    folder / f"{side}-shards",
                ],
                check=True,
                capture_output=True,
            )
        ours, theirs = (
            random_inception.pytorch_fid_network(tensors, options.dims),
            random_inception.torch_fidelity_network(tensors, name, options.dims),
        )
        weights, a, b = str(folder / "w.safetensors"), folder / "a", folder / "b"
        programs = {
            "lockstep, PNG": lambda: lockstep(options.program, a, b, weights, options),
            "pytorch-fid, PNG": lambda: pytorch_fid(ours, a, b, options),
            "lockstep, shards": lambda: lockstep(
                options.program, folder / "a-shards", folder / "b-shards", weights, options
            ),
            "torch-fidelity, PNG": lambda: torch_fidelity(theirs, a, b, options),
        }
        runs = {program: [] for program in programs}
        for _ in range(options.rounds):
            for program, run in programs.items():
                runs[program].append(run())
    results = {}
    for program, values in runs.items():
        wall, cpu = (statistics.median(value[i] for value in values) for i in (1, 2))
        results[program] = {
            "fid": values[0][0],
            "wall_seconds": round(wall, 3),
            "cpu_seconds": round(cpu, 3),
            "pictures_a_second": round(2 * options.images / wall, 2),
            "pictures_a_cpu_second": round(2 * options.images / cpu, 2),
        }
    peer = results["pytorch-fid, PNG"]
    for program in ("lockstep, PNG", "lockstep, shards"):
        results[program]["faster_by"] = round(
            peer["cpu_seconds"] / results[program]["cpu_seconds"], 3
        )
        results[program]["faster_by_wall"] = round(
            peer["wall_seconds"] / results[program]["wall_seconds"], 3
        )
        results[program]["relative_difference"] = (
            abs(results[program]["fid"] - peer["fid"]) / peer["fid"]
        )
    facts = {
        "torch": torch.__version__,
        "threads": options.threads,
        "images": 2 * options.images,
        "features": options.dims,
        "rounds": options.rounds,
        "load_average": [round(x, 1) for x in os.getloadavg()],
        "date": time.strftime("%Y-%m-%d"),
        "note": "medians; faster_by compares CPU seconds",
    }
    text = json.dumps({"bench": "C14 fid-e2e", "facts": facts, "results": results}, indent=1)
    Path(options.result).write_text(text + "\n")
    print(text)


main()
