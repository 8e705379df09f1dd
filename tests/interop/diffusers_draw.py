#!/usr/bin/env python3
"""diffusers loads exported folders and draws from given noise.

    pip install torch==2.11.0 diffusers==0.42.1 safetensors==0.8.0 numpy==2.4.6
    python3 diffusers_draw.py CASES.json    [{"folder", "noise", "output"}, ...]

`noise` is a safetensors file with noise [B,C,H,W] and perhaps step_noise [K,B,C,H,W] and classes
[B]; `output` gets x.
"""

import json
import sys

import torch
from diffusers import DiffusionPipeline
from diffusers.schedulers import scheduling_ddpm
from safetensors.torch import load_file, save_file


def draw(folder, noise, output):
    pipeline = DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)
    pipeline.set_progress_bar_config(disable=True)
    inputs = load_file(noise)
    steps = inputs.get("step_noise")
    if steps is not None:  # DDPM's step takes a generator only
        rest = iter(steps)
        scheduling_ddpm.randn_tensor = lambda *shape, **named: next(rest)
    x = pipeline(
        latents=inputs["noise"],
        class_labels=inputs.get("classes"),
        step_noise=steps,
        output_type="latent",
    ).images
    save_file({"x": x.contiguous()}, output)


torch.set_num_threads(1)
with open(sys.argv[1], encoding="utf-8") as file:
    for case in json.load(file):
        draw(**case)
