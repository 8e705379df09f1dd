"""FID, features and resized inputs as pytorch-fid and clean-fid give them, for tests/eval and
tests/models.

    python make_fid.py fid.safetensors
    # torch 2.11.0, torchvision 0.26.0, pytorch-fid 0.3.0, scipy 1.17.0, Pillow 12.0.0, numpy 2,
    # mpmath 1.3

The weights are a formula (weights() here, tests/harness/inception_weights.h there), so that no file
of 90 MB is needed. Pictures are files of tests/data/golden/images.safetensors.
"""

import pathlib
import sys
import tempfile

import mpmath
import numpy as np
import torch
from PIL import Image
from pytorch_fid import fid_score, inception
from safetensors.numpy import load_file, save_file

torch.set_num_threads(1)


def hashed(seed, count):
    """count numbers in [0, 1): a mixed counter."""
    with np.errstate(over="ignore"):
        x = (np.arange(count, dtype=np.uint32) + np.uint32(seed * 1000003 % 2**32)) * np.uint32(
            2654435761
        )
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
    return x.astype(np.float64) / 2**32


def fill(module):
    """Numbers by formula, in the order of pytorch-fid's state dict without counters and
    classifier."""
    state = module.state_dict()
    number = 0
    for name, value in state.items():
        if name.endswith("num_batches_tracked") or name.startswith("fc."):
            continue
        number += 1
        u = hashed(number, value.numel())
        if name.endswith("conv.weight"):
            v = (2 * u - 1) * np.sqrt(6.0 / (value.numel() // value.shape[0]))
        elif name.endswith("bn.weight") or name.endswith("running_var"):
            v = 0.5 + u
        else:
            v = 0.2 * u - 0.1
        state[name] = torch.from_numpy(v.astype(np.float32)).reshape(value.shape)
    return state


def network():
    plain = inception._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    inception.load_state_dict_from_url = lambda *_, **__: fill(plain)
    return inception.InceptionV3


tensors = {}
make = network()
# Features of a small input, all blocks at once.
x = torch.from_numpy((2 * hashed(999, 2 * 3 * 96 * 96) - 1).astype(np.float32)).reshape(
    2, 3, 96, 96
)
model = make([0, 1, 2, 3], resize_input=False, normalize_input=False).eval()
with torch.no_grad():
    for block in model(x):
        pooled = torch.nn.functional.adaptive_avg_pool2d(block, 1).flatten(1)
        tensors[f"features.{pooled.shape[1]}"] = pooled.numpy()

# Two folders through pytorch-fid itself.
images = load_file(pathlib.Path(__file__).parents[2] / "data/golden/images.safetensors")
sides = {
    "a": ["png_rgb", "png_gray", "jpeg_420", "png_palette"],
    "b": ["png_rgba", "jpeg_cmyk", "jpeg_progressive", "png_one_bit", "jpeg_444"],
}
with tempfile.TemporaryDirectory() as folder:
    for side, names in sides.items():
        (pathlib.Path(folder) / side).mkdir()
        for name in names:
            (
                pathlib.Path(folder)
                / side
                / (name + (".png" if name.startswith("png") else ".jpg"))
            ).write_bytes(images["file." + name].tobytes())
    for dims in (64, 2048):
        value = fid_score.calculate_fid_given_paths(
            [f"{folder}/a", f"{folder}/b"], 1, "cpu", dims, 0
        )
        tensors[f"fid.{dims}"] = np.array(float(value))

# What Inception sees: every 23rd row and column.
picture = images["pixels.png_rgb"]
planes = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
bilinear = (
    2
    * torch.nn.functional.interpolate(
        planes / 255, size=(299, 299), mode="bilinear", align_corners=False
    )
    - 1
)
tensors["input.pytorch"] = bilinear[0, :, ::23, ::23].numpy()
# clean-fid: each channel as float through Pillow's bicubic, clipped.
resized = np.stack(
    [
        np.asarray(
            Image.fromarray(picture[..., c].astype(np.float32), mode="F").resize(
                (299, 299), Image.BICUBIC
            )
        )
        for c in range(3)
    ]
)
tensors["input.clean"] = ((np.clip(resized, 0, 255) - 128) / 128)[:, ::23, ::23].astype(np.float32)


# Fréchet distances of plain features. Full rank by scipy, few samples by the nuclear norm of the
# centred features: tr √(Σ₁Σ₂) = ‖A₁ A₂ᵀ‖_* / √((n₁−1)(n₂−1)), in 60 digits.
def distance_exact(a, b):
    mpmath.mp.dps = 60

    def centred(x):
        m = mpmath.matrix(x.astype(np.float64).tolist())
        mean = [mpmath.fsum(m[i, j] for i in range(m.rows)) / m.rows for j in range(m.cols)]
        for i in range(m.rows):
            for j in range(m.cols):
                m[i, j] -= mean[j]
        return m, mean

    ca, ma = centred(a)
    cb, mb = centred(b)

    def trace(c):
        return mpmath.fsum(v * v for v in c) / (c.rows - 1)

    root = mpmath.fsum(mpmath.svd_r(ca * cb.T, compute_uv=False)) / mpmath.sqrt(
        (ca.rows - 1) * (cb.rows - 1)
    )
    return float(
        mpmath.fsum((p - q) ** 2 for p, q in zip(ma, mb)) + trace(ca) + trace(cb) - 2 * root
    )


rng = np.random.default_rng(3)


def sample(n, d, shift):
    return (
        rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * np.exp(-np.arange(d) / 6) + shift
    ).astype(np.float32)


def kernel(p, q):
    return (p.astype(np.float64) @ q.astype(np.float64).T / p.shape[1] + 1) ** 3


def off_diagonal(k):
    return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))


for name, n_a, n_b, d in (("full", 90, 120, 24), ("few", 9, 14, 24), ("mixed", 9, 120, 24)):
    a, b = sample(n_a, d, 0.0), sample(n_b, d, 0.3)
    tensors[f"{name}.a"], tensors[f"{name}.b"] = a, b
    tensors[f"{name}.exact"] = np.array(distance_exact(a, b))
    stats = [
        (np.mean(x.astype(np.float64), 0), np.cov(x.astype(np.float64), rowvar=False))
        for x in (a, b)
    ]
    tensors[f"{name}.pytorch_fid"] = np.array(
        float(fid_score.calculate_frechet_distance(*stats[0], *stats[1]))
    )
    # KID: the unbiased estimator, written out.
    kaa, kbb, kab = kernel(a, a), kernel(b, b), kernel(a, b)
    tensors[f"{name}.kid"] = np.array(off_diagonal(kaa) + off_diagonal(kbb) - 2 * kab.mean())
    print(name, tensors[f"{name}.exact"], tensors[f"{name}.pytorch_fid"], tensors[f"{name}.kid"])
print(
    tensors["fid.64"],
    tensors["fid.2048"],
    [np.abs(tensors[f"features.{d}"]).mean() for d in (64, 192, 768, 2048)],
)
save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, sys.argv[1])
