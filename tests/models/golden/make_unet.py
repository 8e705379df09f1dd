#!/usr/bin/env python3
"""UNets of denoising-diffusion-pytorch on small inputs: predictions, and two numbers of each
gradient.

    pip install torch==2.11.0 denoising-diffusion-pytorch==2.3.4 safetensors==0.8.0 numpy==2.4.6
    python3 make_unet.py unet.safetensors

Weights come from a hash of (tensor's place in the state dict, element), which the test computes as
well, so only inputs and results are stored. A gradient (of the mean of squares of the prediction)
is stored as [place of the tensor, its norm, its product with the same hash].
"""

import sys

import numpy as np
import torch
from denoising_diffusion_pytorch import Unet
from denoising_diffusion_pytorch.classifier_free_guidance import Unet as ClassUnet
from safetensors.torch import save_file

CASES = {
    "plain": dict(dim=8, dim_mults=(1, 2)),
    "full": dict(
        dim=8,
        dim_mults=(1, 2, 2),
        full_attn=(True, False, True),
        attn_heads=(1, 2, 3),
        attn_dim_head=(8, 4, 4),
    ),
    "self_condition": dict(dim=8, dim_mults=(1, 2), self_condition=True, attn_heads=2),
    "one_channel": dict(dim=8, init_dim=12, dim_mults=(1, 2), channels=1, attn_dim_head=8),
    "learned_variance": dict(dim=8, dim_mults=(1, 2), learned_variance=True, attn_dim_head=8),
    "learned_time": dict(
        dim=8,
        dim_mults=(1,),
        learned_sinusoidal_cond=True,
        learned_sinusoidal_dim=6,
        full_attn=(False,),
    ),
    "random_time": dict(
        dim=8, dim_mults=(1,), random_fourier_features=True, sinusoidal_pos_emb_theta=500
    ),
}


def hashed(place, count):
    """Numbers in [-1, 1) from MurmurHash3's finalizer."""
    h = (np.arange(count, dtype=np.uint64) + np.uint64(place * 1000003 + 12345)) & np.uint64(
        0xFFFFFFFF
    )
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = ((h ^ (h >> np.uint64(shift))) * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    h ^= h >> np.uint64(16)
    return h.astype(np.float64) / 2**31 - 1


def fill(model):
    with torch.no_grad():
        for place, (name, value) in enumerate(model.state_dict().items()):
            numbers = torch.from_numpy(hashed(place, value.numel())).reshape(value.shape)
            if name.endswith(".g"):
                numbers = 1 + 0.3 * numbers
            elif name.endswith("weight"):
                numbers = numbers * (3 / (value.numel() / value.shape[0])) ** 0.5
            value.copy_(numbers.float())


def record(out, name, model, x, t, *more, **named):
    prediction = model(x, t, *more, **named)
    prediction.square().mean().backward()
    places = {key: place for place, key in enumerate(model.state_dict())}
    for key, parameter in model.named_parameters():
        gradient = (
            (torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
            .double()
            .flatten()
        )
        product = (gradient * torch.from_numpy(hashed(places[key], gradient.numel()))).sum()
        out[f"{name}.gradient.{key}"] = torch.tensor(
            [places[key], gradient.norm(), product], dtype=torch.float64
        )
    out |= {f"{name}.x": x, f"{name}.t": t, f"{name}.prediction": prediction.detach()}


def main(path):
    torch.manual_seed(5)
    torch.set_num_threads(1)
    out = {}
    for name, options in CASES.items():
        model = Unet(**options).eval()
        fill(model)
        x = torch.randn(2, options.get("channels", 3), 8, 12)
        t = torch.tensor([3, 871])
        more = []
        if options.get("self_condition"):
            more = [torch.randn_like(x)]
            out[f"{name}.x_self_cond"] = more[0]
        record(out, name, model, x, t, *more)
    model = ClassUnet(dim=8, num_classes=5, dim_mults=(1, 2), attn_heads=2, attn_dim_head=8).eval()
    fill(model)
    classes = torch.tensor([4, 1, 2])
    out["classes.classes"] = classes
    out["classes.keep"] = torch.tensor([True, False, True])
    record(
        out,
        "classes",
        model,
        torch.randn(3, 3, 8, 8),
        torch.tensor([0, 500, 999]),
        classes,
        cond_keep_mask=out["classes.keep"],
    )
    for scale, phi, keep in ((3.0, 0.0, None), (2.5, 0.7, 0.25)):
        named = (
            dict(remove_parallel_component=False) if keep is None else dict(keep_parallel_frac=keep)
        )
        with torch.no_grad():
            guided, _ = model.forward_with_cond_scale(
                out["classes.x"],
                out["classes.t"],
                classes,
                cond_scale=scale,
                rescaled_phi=phi,
                **named,
            )
        out[f"classes.guided.{scale}"] = guided
    save_file({name: value.contiguous() for name, value in out.items()}, path)


main(sys.argv[1])
