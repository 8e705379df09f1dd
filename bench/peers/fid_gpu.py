#!/usr/bin/env python3
"""G7: features of N pictures that lie on the device, and the root: torch-fidelity, pytorch-fid and
torchmetrics.

    python3 bench/peers/fid_gpu.py --device cuda --images 50000 --json fid-gpu.json [--tf32]
        [--batch 250] [--rounds 3]
    # a trial without a GPU
    python3 bench/peers/fid_gpu.py --device cpu --images 16 --features 64 --json tiny.json

Needs: torch==2.11.0, torchvision==0.26.0, pytorch-fid==0.3.0, torch-fidelity==0.3.0,
torchmetrics==1.8.2 or 1.9, scipy, safetensors. Two sets of N pictures u8 [N, 3, 32, 32] are made on
the device; each peer turns both into features and takes the distance in the way its package does.
`features` and `root` are seconds of the two parts, medians over rounds after one that is not
counted; peers take turns. With --lockstep PROGRAM the same pictures go through `lockstep fid` as
shards, in float32 and in TF32: its own clock of features and score, and the whole from its start.
--png N: N of the pictures a side as PNG files, pytorch-fid's way from files to features with eight
processes, and ours. A peer whose package is missing is left out and named.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import random_inception
import torch
from PIL import Image


class Clock:
    """Seconds since the last call, all work of the device done."""

    def __init__(self, device):
        self.device, self.last = device, 0.0
        self.lap()

    def lap(self):
        if self.device == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        seconds, self.last = now - self.last, now
        return seconds


def pictures(count, seed, device):
    generator = torch.Generator(device=device).manual_seed(seed)
    coarse = torch.rand(count, 3, 4, 4, generator=generator, device=device)
    smooth = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bilinear")
    return (255 * smooth).to(torch.uint8)


def batches(images, size):
    return (images[first : first + size] for first in range(0, len(images), size))


class PytorchFid:
    def __init__(self, tensors, folder, options):
        self.network = random_inception.pytorch_fid_network(tensors, options.features).to(
            options.device
        )
        self.options = options

    def features(self, images):
        out = np.empty((len(images), self.options.features))
        first = 0
        for batch in batches(images, self.options.batch):
            with torch.no_grad():
                value = self.network(batch.float() / 255)[0]
            value = torch.nn.functional.adaptive_avg_pool2d(value, 1).flatten(1).cpu().numpy()
            out[first : first + len(value)] = value
            first += len(value)
        return out

    def distance(self, a, b):
        from pytorch_fid.fid_score import calculate_frechet_distance

        moments = [(np.mean(x, axis=0), np.cov(x, rowvar=False)) for x in (a, b)]
        return float(calculate_frechet_distance(*moments[0], *moments[1]))


class TorchFidelity:
    def __init__(self, tensors, folder, options):
        self.network = random_inception.torch_fidelity_network(
            tensors, folder, options.features
        ).to(options.device)
        self.options = options

    def features(self, images):
        with torch.no_grad():
            return torch.cat(
                [self.network(batch)[0].cpu() for batch in batches(images, self.options.batch)]
            )

    def distance(self, a, b):
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

        return float(
            fid_statistics_to_metric(
                fid_features_to_statistics(a), fid_features_to_statistics(b), False
            )["frechet_inception_distance"]
        )


class Torchmetrics:
    def __init__(self, tensors, folder, options):
        from torchmetrics.image.fid import FrechetInceptionDistance

        self.metric = FrechetInceptionDistance(
            feature=options.features, feature_extractor_weights_path=f"{folder}/inception.pth"
        )
        self.metric = self.metric.to(options.device).set_dtype(torch.float64)
        self.options, self.side = options, 0

    def features(self, images):
        if self.side % 2 == 0:
            self.metric.reset()
        for batch in batches(images, self.options.batch):
            self.metric.update(batch, real=self.side % 2 == 0)
        self.side += 1

    def distance(self, *_):
        return float(self.metric.compute())


PEERS = {"pytorch-fid": PytorchFid, "torch-fidelity": TorchFidelity, "torchmetrics": Torchmetrics}


def measure(peer, sides, clock):
    clock.lap()
    features = [peer.features(side) for side in sides]
    seconds = clock.lap()
    value = peer.distance(*features)
    return {"features": seconds, "root": clock.lap(), "fid": value}


def write_cifar(path, images):
    """The binary format of CIFAR-10, which `lockstep data convert cifar` reads."""
    path.mkdir()
    rows = images.cpu().reshape(len(images), -1).numpy()
    numpy_rows = np.concatenate([np.zeros((len(rows), 1), np.uint8), rows], axis=1)
    (path / "data_batch_1.bin").write_bytes(numpy_rows.tobytes())


def write_png(path, images):
    path.mkdir()
    for i, picture in enumerate(images.cpu().permute(0, 2, 3, 1).numpy()):
        Image.fromarray(picture).save(path / f"{i:06}.png")


def run_lockstep(words, rounds):
    """Medians of what `lockstep fid --json` says, and of the whole by the wall clock."""
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        done = subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout) | {"whole": time.perf_counter() - start})
    out = {"device": found[0]["device"], "fid": found[0]["fid"]}
    return out | {
        ours: statistics.median(line[theirs] for line in found)
        for ours, theirs in (
            ("features", "feature_seconds"),
            ("root", "score_seconds"),
            ("whole", "whole"),
        )
    }


def lockstep(program, folder, sides, options):
    """Writes the pictures once, then runs the program on them."""
    paths = []
    for name, side in zip("ab", sides):
        write_cifar(Path(folder) / name, side)
        paths.append(Path(folder) / f"{name}-shards")
        subprocess.run(
            [program, "data", "convert", "cifar", str(Path(folder) / name), str(paths[-1])],
            check=True,
            capture_output=True,
        )
    words = [
        program,
        "fid",
        *paths,
        "--inception",
        f"{folder}/w.safetensors",
        "--features",
        options.features,
        "--device",
        options.device,
        "--json",
        "--times",
    ]
    out = {"lockstep": run_lockstep(words, options.rounds)}
    if options.device == "cuda":
        out["lockstep tf32"] = run_lockstep([*words, "--tf32"], options.rounds)
    return out


def from_png(folder, sides, peers, options):
    """Seconds from two folders of PNG files to features: pytorch-fid's loader and ours."""
    folders = []
    for name, side in zip("ab", sides):
        folders.append(Path(folder) / f"{name}-png")
        write_png(folders[-1], side[: options.png])
    out = {}
    if "pytorch-fid" in peers:
        from pytorch_fid.fid_score import get_activations

        start = time.perf_counter()
        for path in folders:
            get_activations(
                sorted(path.glob("*.png")),
                peers["pytorch-fid"].network,
                min(options.batch, 50),
                options.features,
                options.device,
                8,
            )
        out["pytorch-fid"] = time.perf_counter() - start
    if options.lockstep:
        words = [
            options.lockstep,
            "fid",
            *folders,
            "--inception",
            f"{folder}/w.safetensors",
            "--features",
            options.features,
            "--device",
            options.device,
            "--json",
            "--times",
        ]
        out["lockstep"] = run_lockstep(words, 1)["features"]
    return {
        name: {
            "pictures": 2 * options.png,
            "seconds": value,
            "pictures_a_second": 2 * options.png / value,
        }
        for name, value in out.items()
    }


def make_peers(tensors, folder, options):
    """The peers that are installed, and why the others are not there."""
    peers, missing = {}, {}
    for name in options.peers:
        try:
            peers[name] = PEERS[name](tensors, folder, options)
        except ImportError as error:
            missing[name] = str(error)
    return peers, missing


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--images", type=int, default=50000)
    parser.add_argument("--features", type=int, default=2048, choices=(64, 192, 768, 2048))
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--tf32", action="store_true", help="convolutions and matrix products in TF32"
    )
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument(
        "--png", type=int, default=0, help="pictures a side that are measured from PNG files, too"
    )
    parser.add_argument("--lockstep", help="the program (or a wrapper), to be measured beside")
    parser.add_argument("--json", required=True, help="where the result goes")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.tf32
    clock, results = Clock(options.device), {}
    with tempfile.TemporaryDirectory() as folder:
        tensors = random_inception.state()
        torch.save(tensors, f"{folder}/inception.pth")
        random_inception.save_for_lockstep(tensors, f"{folder}/w.safetensors")
        sides = [pictures(options.images, seed, options.device) for seed in (1, 2)]
        peers, missing = make_peers(tensors, folder, options)
        runs = {name: [] for name in peers}
        for peer in peers.values():
            peer.features(sides[0][: options.batch]), peer.features(sides[1][: options.batch])
        for _ in range(options.rounds):
            for name, peer in peers.items():
                runs[name].append(measure(peer, sides, clock))
        for name, values in runs.items():
            results[name] = {
                key: statistics.median(value[key] for value in values)
                for key in ("features", "root", "fid")
            }
            results[name]["pictures_a_second"] = 2 * options.images / results[name]["features"]
        if options.lockstep:
            results |= lockstep(options.lockstep, folder, sides, options)
            for found in (results[name] for name in results if name.startswith("lockstep")):
                found["pictures_a_second"] = 2 * options.images / found["features"]
        png = from_png(folder, sides, peers, options) if options.png else {}
    device = (
        torch.cuda.get_device_name()
        if options.device == "cuda"
        else platform.processor() or platform.machine()
    )
    facts = {
        "torch": torch.__version__,
        "device": device,
        "images": 2 * options.images,
        "features": options.features,
        "batch": options.batch,
        "tf32": options.tf32,
        "rounds": options.rounds,
        "load_average": [round(x, 1) for x in os.getloadavg()],
        "date": time.strftime("%Y-%m-%d"),
        "unit": "seconds, medians; both sides together",
    }
    text = json.dumps(
        {
            "bench": "G7 fid-50k",
            "facts": facts,
            "results": results,
            "from_png": png,
            "missing": missing,
        },
        indent=1,
    )
    Path(options.json).write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
