#!/usr/bin/env python3
"""Every task with `run.device=cuda` on the emulated GPU (tests/emulation/gpu): recorded, without a
host read between replays, with the CPU's losses. emulated_gpu_test.py has what all tasks share."""

import emulated_gpu
import harness
import tiny_run

PICTURES = """\
run: {{name: pictures, folder: {work}/runs, seed: 3}}
launch: {{ranks_per_node: 1, threads_per_rank: 1, max_restarts: 0}}
data: {{kind: images, train: [{work}/shapes/train-*.h5], validation: [{work}/shapes/validation.h5], threads: 1}}
task:
  kind: image_diffusion
  image_size: 8
  model: {{kind: {kind}, dim: 8, dim_mults: [1, 2], {model}}}
  diffusion: {{timesteps: 100, {diffusion}}}
optimizer: {{kind: adam, lr: 1.0e-3, beta2: 0.99}}
train: {{steps: {steps}, global_batch: 2, clip_norm: 1.0, ema: {{decay: 0.9, every_steps: 1, warmup: false}}}}
precision: {{compute: {compute}}}
checkpoint: {{every_steps: {steps}, keep_best: ""}}
evaluate: {evaluate}
log: {{every_steps: 1}}
"""
GRIDS = """\
run: {{name: {name}, folder: {work}/runs, seed: 3}}
launch: {{ranks_per_node: 1, threads_per_rank: 1, max_restarts: 0}}
data: {{kind: grids, train: [{data}/train-*.h5], threads: 1}}
task: {task}
optimizer: {{kind: adam, lr: 1.0e-3}}
train: {{steps: 9, global_batch: 4}}
checkpoint: {{every_steps: 9, keep_best: ""}}
log: {{every_steps: 1}}
"""
TWO = ("launch.ranks_per_node=2", "launch.with=local")
ALL = (
    "dropout: 0.2, self_condition: true, attn_heads: 2, attn_dim_head: 8, full_attn: [false, true]"
)


def write(test, name, text):
    path = test.work / f"{name}.yaml"
    path.write_text(text)
    return path


def pictures(
    test,
    name,
    kind="unet",
    model=ALL,
    diffusion="objective: pred_v",
    compute="fp32",
    evaluate="[]",
    steps=9,
):
    return write(
        test,
        name,
        PICTURES.format(
            work=test.work,
            kind=kind,
            model=model,
            diffusion=diffusion,
            compute=compute,
            evaluate=evaluate,
            steps=steps,
        ),
    )


def both(test, config, tolerance, *words, count=1):
    """The run on the emulated GPU, its losses those of the same run on the CPU."""
    cpu = emulated_gpu.folder_of(test.run("train", config, "run.device=cpu", *words).expect(0))
    run = emulated_gpu.folder_of(
        emulated_gpu.train(
            test, config, "step.graph=on", *words, count=count, tells=[emulated_gpu.REPLAYS]
        )
    )
    for report in emulated_gpu.reports(test):
        assert report["recordings"] == 1 and report["host_reads_between_replays"] == 0, report
    emulated_gpu.close(emulated_gpu.losses(cpu), emulated_gpu.losses(run), tolerance)
    return run


def everything(test):
    config = pictures(
        test,
        "all",
        diffusion=(
            "objective: pred_v, offset_noise_strength: 0.1, min_snr_loss_weight: true, immiscible: "
            "true"
        ),
    )
    run = both(
        test, config, 1e-4, "ddp.slots=1"
    )  # pictures are paired with noise within what one forward sees
    eager = emulated_gpu.folder_of(
        emulated_gpu.train(test, config, "step.graph=off", "ddp.slots=1")
    )
    assert emulated_gpu.weights_differ(run, eager) == 0, (
        "a replay drops other activations than an eager step"
    )
    first = emulated_gpu.folder_of(
        emulated_gpu.train(test, config, "+task.model.memory_format=channels_first", "ddp.slots=1")
    )
    emulated_gpu.close(emulated_gpu.losses(run), emulated_gpu.losses(first), 1e-4)
    return (
        "masks, self-conditioning, offset and paired noise, weights by signal: the CPU's losses to "
        "1e-4"
    )


def classes(test):
    both(
        test,
        pictures(
            test,
            "classes",
            "class_unet",
            "num_classes: 9, dropout: 0.1, attn_heads: 2, attn_dim_head: 8",
            compute="fp16",
        ),
        1e-2,
    )
    return "class-conditional, fp16"


def learned_variance(test):
    both(
        test,
        pictures(
            test,
            "variance",
            model="learned_variance: true",
            diffusion="objective: pred_noise",
            compute="bf16_weights",
        ),
        1e-2,
    )
    return "bf16_weights"


def draws(test):
    grid = (
        "[{kind: validation_loss, every_steps: 4, samples: 4, batch: 2}, "
        "{kind: grid, every_steps: 4, images: 4, batch: 2, sampler: {kind: ddim, steps: 4}}]"
    )
    run = emulated_gpu.folder_of(
        emulated_gpu.train(test, pictures(test, "draws", evaluate=grid, steps=4))
    )
    test.run(
        "sample", run, "run.device=cuda", "--count", "2", "--output", test.work / "two.png"
    ).expect(0)
    return "validation, grid, sample"


def seed(test):
    model = "{kind: seed_conv, hidden_dim: 16, num_layers: 2, num_groups: 4, embedding_dim: 6}"
    task = (
        "{kind: sudoku, objective: seed, k_max: 3, sequence: {order: fresh}, model: " + model + "}"
    )
    for compute in ("fp32", "bf16"):
        config = write(
            test,
            "seed",
            GRIDS.format(name="seed", work=test.work, data=tiny_run.make_data(test), task=task),
        )
        both(
            test,
            config,
            1e-4 if compute == "fp32" else 1e-2,
            f"precision.compute={compute}",
            *TWO,
            count=2,
        )
    return (
        "padded states, GroupNorm's kernel, an embedding: fp32 and bf16, two ranks, which pad to "
        "one length"
    )


def embedding(test):
    task = "{kind: sudoku2vec, model: {embedding_dim: 6, attention_dim: 8, num_heads: 2}}"
    both(
        test,
        write(
            test,
            "vec",
            GRIDS.format(name="vec", work=test.work, data=tiny_run.make_data(test), task=task),
        ),
        1e-4,
    )
    return "sudoku2vec"


def main():
    test = harness.Test(__doc__)
    test.run(
        "data",
        "make",
        "shapes",
        test.work / "shapes",
        "train_images=32",
        "validation_images=8",
        "image_size=8",
    ).expect(0)
    for case in (everything, classes, learned_variance, draws, seed, embedding):
        test.case(case.__name__.replace("_", " "), case, test)
    test.finish()


if __name__ == "__main__":
    main()
