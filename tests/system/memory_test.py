#!/usr/bin/env python3
"""A run's resident memory does not grow with the number of its steps.

metrics.jsonl holds the resident memory after each step. Loaders and caches reach their size within
the first steps; what is added later is counted a step. Times play no part.
"""

import harness
import tiny_run

MOST_BYTES_A_STEP = 1000  # lost blocks were 2,800 to 4,800 bytes a step; settling leaves 20 to 400
SETTLED = 0.4  # share of the steps after which growth counts
WORDS = ("evaluate=[]", "checkpoint.keep_best=''", "checkpoint.every_steps=0", "log.every_steps=20")


def check_growth(test, config, name, steps, *words):
    folder = tiny_run.train(test, config, name, f"train.steps={steps}", *WORDS, *words, threads=2)
    lines = [line for line in tiny_run.metrics(folder) if "kind" not in line]
    first = next(line for line in lines if line["step"] >= SETTLED * steps)
    last = lines[-1]
    growth = (last["memory_bytes"] - first["memory_bytes"]) / (last["step"] - first["step"])
    text = f"{growth:.0f} bytes a step from step {first['step']} to {last['step']}"
    assert growth < MOST_BYTES_A_STEP, f"memory grows: {text}"
    return text


def sudoku(test):
    return check_growth(test, tiny_run.write_config(test, 2000, 0), "sudoku", 2000)


def images(test):
    data = test.work / "shapes"
    sizes = ("train_images=200", "validation_images=10", "image_size=8")
    test.run("data", "make", "shapes", data, *sizes).expect(0)
    return check_growth(
        test,
        "-",
        "images",
        600,
        "data.kind=images",
        f"data.train=[{data}/train-*.h5]",
        "task={kind: image_diffusion, image_size: 8, model: "
        "{kind: unet, dim: 8, dim_mults: [1, 2], attn_heads: 1, attn_dim_head: 8}}",
        "train.global_batch=8",
    )


def main():
    test = harness.Test(__doc__)
    test.case("a Sudoku run's memory stays", sudoku, test)
    test.case("an image run's memory stays", images, test)
    test.finish()


if __name__ == "__main__":
    main()
