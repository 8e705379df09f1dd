#!/usr/bin/env python3
"""C13: the matrix root of FID, ours against pytorch-fid, torchmetrics and torch-fidelity, in turn
in one run.

Needs: torch==2.11.0 scipy==1.17.0 pytorch-fid==0.3.0 torchmetrics==1.8.2 torch-fidelity==0.3.0
safetensors
Run: python3 bench/peers/fid_root.py BUILD/bin/fid_root_bench [pairs] [--case full|deficient]
    [--json RESULT]
Two pairs of 2048 features: full rank (5,000 samples) and deficient (1,000 samples). Ratio = peer /
ours.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from safetensors.numpy import save_file

program = sys.argv[1]
pairs = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2].isdigit() else 3
threads = int(os.environ.get("OMP_NUM_THREADS", "2"))
torch.set_num_threads(threads)
D = 2048


def gaussian(samples, seed):
    """Like Inception's features: non-negative, spectrum over some orders of magnitude."""
    rng = np.random.default_rng(seed)
    basis = rng.normal(size=(256, D)) / 16
    x = np.maximum(
        rng.normal(size=(samples, 256)) @ basis + 0.3 * rng.normal(size=(samples, D)), 0
    ) * rng.uniform(0.2, 1, D)
    return x.mean(0), np.cov(x, rowvar=False)


def pytorch_fid(a, b):
    from pytorch_fid.fid_score import calculate_frechet_distance

    return calculate_frechet_distance(*a, *b)


def torchmetrics(a, b):
    from torchmetrics.image.fid import _compute_fid

    t = [torch.from_numpy(v) for v in (*a, *b)]
    return _compute_fid(*t).item()


def torch_fidelity(a, b):
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    names = ("mu", "sigma")
    return fid_statistics_to_metric(dict(zip(names, a)), dict(zip(names, b)), False)[
        "frechet_inception_distance"
    ]


def main():
    facts = {
        "torch": torch.__version__,
        "threads": threads,
        "pairs": pairs,
        "features": D,
        "load_average": [round(x, 1) for x in os.getloadavg()],
        "date": time.strftime("%Y-%m-%d"),
    }
    out = {"bench": "C13 fid-root", "facts": facts, "cases": {}}
    with tempfile.TemporaryDirectory() as folder:
        for case, samples in (("full", 5000), ("deficient", 1000)):
            if "--case" in sys.argv and sys.argv[sys.argv.index("--case") + 1] != case:
                continue
            a, b = gaussian(samples, 1), gaussian(samples, 2)
            for name, (mu, sigma) in (("a", a), ("b", b)):
                save_file(
                    {"mu": mu, "sigma": np.ascontiguousarray(sigma), "n": np.array(samples)},
                    f"{folder}/{name}.safetensors",
                )
            rows = {}
            for peer in (pytorch_fid, torchmetrics, torch_fidelity):
                ours, theirs, ratios = [], [], []
                for _ in range(pairs):
                    line = subprocess.run(
                        [program, f"{folder}/a.safetensors", f"{folder}/b.safetensors", "2"],
                        capture_output=True,
                        text=True,
                        check=True,
                        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
                    ).stdout.split("\n")[1]
                    seconds, fid = map(float, line.split())
                    start = time.perf_counter()
                    try:
                        value = peer(a, b)
                    except ImportError as error:
                        print(f"{peer.__name__}: {error}")
                        break
                    took = time.perf_counter() - start
                    ours.append(seconds)
                    theirs.append(took)
                    ratios.append(took / seconds)
                if ratios:
                    rows[peer.__name__] = {
                        "ours_seconds": statistics.median(ours),
                        "peer_seconds": statistics.median(theirs),
                        "ratio": statistics.median(ratios),
                        "fid": fid,
                        "relative_difference": abs(value - fid) / fid,
                    }
                    print(case, peer.__name__, rows[peer.__name__], flush=True)
            out["cases"][case] = rows
    if "--json" in sys.argv:
        path = sys.argv[sys.argv.index("--json") + 1]
        if "--case" in sys.argv and os.path.exists(path):  # the other case is kept
            with open(path, encoding="utf-8") as file:
                out["cases"] = json.load(file)["cases"] | out["cases"]
        with open(path, "w", encoding="utf-8") as file:
            json.dump(out, file, indent=1)
            file.write("\n")


main()
