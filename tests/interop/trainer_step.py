#!/usr/bin/env python3
"""denoising-diffusion-pytorch's own Trainer loads a converted checkpoint and takes one step with
given numbers.

    pip install torch==2.11.0 denoising-diffusion-pytorch==2.3.4 ema-pytorch==0.8.3
        safetensors==0.8.0 pillow
    python3 trainer_step.py FACTS.json    {"results", "milestone", "inputs", "unet", "diffusion",
        "adam", "clip", …}

`inputs` is a safetensors file with images u8 [N, C, S, S], t i64 [N] and noise like images. Written
to `output`: the state after loading (loaded.model.NAME, loaded.ema.NAME) and after the step
(model.NAME, exp_avg.NAME, exp_avg_sq.NAME), and step. With "save" the Trainer then saves that
milestone.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from denoising_diffusion_pytorch import GaussianDiffusion, Trainer, Unet
from PIL import Image
from safetensors.torch import load_file, save_file

PICTURES, PLACEHOLDERS = 64, 100


def make_trainer(facts, folder):
    for i in range(PLACEHOLDERS):  # the Trainer wants that many; none is used
        Image.new("RGB", (8, 8), (i, i, i)).save(folder / f"{i}.png")
    unet = Unet(
        **{
            key: tuple(value) if isinstance(value, list) else value
            for key, value in facts["unet"].items()
        }
    )
    diffusion = GaussianDiffusion(unet, **facts["diffusion"])
    return Trainer(
        diffusion,
        str(folder),
        train_batch_size=PICTURES,
        train_num_steps=10**6,
        results_folder=facts["results"],
        calculate_fid=False,
        save_and_sample_every=10**6,
        max_grad_norm=facts["clip"],
        **facts["adam"],
    )


def main(facts):
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(facts, Path(folder))
    trainer.load(facts["milestone"])
    out = {
        f"loaded.model.{key}": value.clone() for key, value in trainer.model.state_dict().items()
    }
    out |= {
        f"loaded.ema.{key}": value.clone()
        for key, value in trainer.ema.ema_model.state_dict().items()
    }
    out["loaded.ema_step"] = trainer.ema.step.clone()
    inputs = load_file(facts["inputs"])
    trainer.dl = iter([inputs["images"].float() / 255])
    trainer.model.random_times = lambda batch: inputs["t"]
    keep, torch.randn_like = torch.randn_like, lambda x, **named: inputs["noise"].clone()
    trainer.train_num_steps = trainer.step + 1
    try:
        trainer.train()
    finally:
        torch.randn_like = keep
    names = [name for name, _ in trainer.model.named_parameters()]
    state = trainer.opt.state_dict()["state"]
    for place, name in enumerate(names):
        out[f"exp_avg.{name}"], out[f"exp_avg_sq.{name}"] = (
            state[place]["exp_avg"],
            state[place]["exp_avg_sq"],
        )
    out |= {f"model.{key}": value for key, value in trainer.model.state_dict().items()}
    out["step"] = torch.tensor(trainer.step)
    save_file({key: value.contiguous().clone() for key, value in out.items()}, facts["output"])
    if "save" in facts:
        trainer.save(facts["save"])


main(json.loads(Path(sys.argv[1]).read_text()))
