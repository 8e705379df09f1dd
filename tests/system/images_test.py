#!/usr/bin/env python3
"""Pictures: the promise of equal bits on any number of ranks and after a kill, equal sample files,
and the commands."""

import json
import signal

import harness
import inception_file
import processes
import safetensors_file
import tiny_run

CONFIG = """\
run: {{name: pictures, folder: {work}/runs, seed: 3, cpu_isa: native}}
launch: {{ranks_per_node: 1, threads_per_rank: 1, with: auto, max_restarts: 0}}
ddp: {{slots: 8, timeout_seconds: 60}}
data: {{kind: images, train: [{work}/shapes/train-*.h5], validation: [{work}/shapes/validation.h5], threads: 1}}
task:
  kind: image_diffusion
  image_size: 8
  model: {{kind: unet, dim: 8, dim_mults: [1, 2], attn_heads: 2, attn_dim_head: 8, dropout: 0.1, self_condition: true}}
  diffusion: {{timesteps: 100, offset_noise_strength: 0.1, immiscible: true}}
optimizer: {{kind: adam, lr: 1.0e-3, beta2: 0.99}}
train: {{steps: 8, global_batch: 16, clip_norm: 1.0, ema: {{decay: 0.9, every_steps: 1, warmup: false}}}}
checkpoint: {{every_steps: 4, keep: 100, keep_best: fid}}
evaluate:
  - {{kind: validation_loss, every_steps: 4, samples: 10, batch: 4}}
  - {{kind: grid, every_steps: 4, images: 9, batch: 4, sampler: {{kind: ddim, steps: 4, eta: 0.5}}}}
  - {{kind: nearest, every_steps: 4, images: 10, batch: 4, sampler: {{kind: ddim, steps: 3}}}}
  - {{kind: fid, every_steps: 4, images: 20, batch: 8, sampler: {{kind: ddim, steps: 3}}, inception: {work}/w.safetensors, features: 64}}
sampler: {{kind: ddim, steps: 3}}
log: {{every_steps: 1}}
"""


def pictures(folder):
    return {path.name: path.read_bytes() for path in (folder / "samples").glob("*.png")}


def fid_scores(folder):
    """All that an evaluation of kind fid wrote: scores and what they depend on."""
    return [
        (line["step"], line["fid"], line["kid"], line["record"])
        for line in tiny_run.metrics(folder)
        if "fid" in line
    ]


def same_on(test, config, reference, ranks, threads):
    test.environment["LOCKSTEP_CACHE"] = str(
        test.work / f"cache-{ranks}-{threads}"
    )  # statistics made anew
    folder = tiny_run.train(test, config, f"ranks-{ranks}-{threads}", ranks=ranks, threads=threads)
    assert pictures(folder) == pictures(reference), "pictures differ"
    assert fid_scores(folder) == fid_scores(reference), (fid_scores(folder), fid_scores(reference))
    return tiny_run.compare_runs(reference, folder)


def kill_and_resume(test, config, reference):
    folder = test.work / "runs" / "killed"
    running = test.start("train", config, "--run-folder", folder, *tiny_run.launch_words(2))
    assert tiny_run.wait_for_step(running, folder, 5), running.wait().text()
    for process in [*processes.find(folder)]:
        processes.send(process.pid, signal.SIGKILL)
    running.wait(60)
    processes.wait_until_gone(test.work, 15)
    test.run("resume", folder, *tiny_run.launch_words(1, 2)).expect(0)
    assert pictures(folder) == pictures(reference), "pictures differ after a kill"
    assert fid_scores(folder) == fid_scores(reference), (fid_scores(folder), fid_scores(reference))
    return tiny_run.compare_runs(reference, folder)


def scores_of_fid(test, config, run):
    """The same number from training, from `evaluate`, and from `fid` on the pictures as files."""
    steps = [step for step, *_ in fid_scores(run)]
    assert steps == [4, 8], steps
    test.environment["LOCKSTEP_CACHE"] = str(test.work / "cache")
    _, fid, kid, record = fid_scores(run)[-1]
    expected = {
        "features": "64",
        "images": "20",
        "reference": "train",
        "reference_images": "64",
        "resize": "pytorch",
        "round": "true",
    }
    assert expected.items() <= record.items(), record
    kept = sorted((test.work / "cache").iterdir())
    assert len(kept) == 2, kept
    again = json.loads(test.run("evaluate", run, "--json", limit=60).expect(0).last_line())
    assert (again["fid"], again["kid"]) == (fid, kid), (again, fid, kid)
    test.run(
        "sample", run, "--count", "20", "--batch", "8", "--output", test.work / "drawn", limit=60
    ).expect(0)
    stored = json.loads(
        test.run(
            "fid",
            test.work / "drawn",
            f"{test.work}/shapes/train-*.h5",
            "--inception",
            test.work / "w.safetensors",
            "--features",
            "64",
            "--json",
            limit=60,
        )
        .expect(0)
        .last_line()
    )
    assert abs(stored["fid"] - fid) <= 1e-9 * fid, (stored, fid)
    # Damaged statistics are not believed but made again, to the same bits.
    kept[0].write_bytes(kept[0].read_bytes()[:-9])
    result = test.run("evaluate", run, "--json", limit=60).expect(0, "are made again")
    assert json.loads(result.last_line())["fid"] == fid, result.text()
    best = json.loads((tiny_run.checkpoints(run)[-1] / "state.json").read_text())
    assert abs(best["best_score"] - min(score for _, score, *_ in fid_scores(run))) < 1e-12, best
    return (
        f"fid {fid:.6f} while training, from the checkpoint and from files; statistics kept; best "
        f"checkpoint by fid"
    )


def fid_errors(test, config):
    def plan(code, *words, inside=()):
        result = test.run("train", config, *words, limit=60).expect(code, "error: ", *inside)
        assert not (test.work / "runs" / "never").exists()
        return result

    never = ("--run-folder", test.work / "runs" / "never")
    plan(
        4,
        *never,
        "evaluate.3.inception=nowhere.safetensors",
        inside=("nowhere.safetensors", "scripts/convert inception", "evaluate.3.kind: fid"),
    )
    plan(2, *never, "evaluate.3.inception=", inside=("inception", "scripts/convert"))
    plan(4, *never, "evaluate.3.features=192", inside=("Conv2d_3b_1x1",))
    plan(2, *never, "evaluate.3.images=1", inside=("images",))
    plan(2, *never, "evaluate.3.reference_images=65", inside=("65", "64"))
    plan(4, *never, f"evaluate.3.reference={test.work}/nowhere", inside=("nowhere",))
    single = test.work / "single"
    assert len(list(single.iterdir())) == 2
    (single / "000001.png").unlink()
    plan(4, *never, f"evaluate.3.reference={single}", inside=("1 picture", "at least 2"))
    few = test.run(
        "train", config, "train.steps=1", "evaluate.3.images=2", *tiny_run.launch_words(1), limit=60
    ).expect(0)
    assert few.err.count("has 2 pictures for 64 features") == 1, few.text()
    return (
        "missing and wrong weights, one picture, another number: before training; few pictures are "
        "said once"
    )


def between_pictures(test, run, pair, out):
    """--interpolate with PNG files: as their tensors, resized if need be; several mixes in one
    call."""
    single = test.work / "single"
    one, two = single / "000000.png", single / "000001.png"
    words = ["--time", "6", "--output", out]
    test.run(
        "sample", run, "--interpolate", f"{one},{two}", "--mix", "0,0.5,1", *words, limit=60
    ).expect(0)
    rows = safetensors_file.read(out)["images"]
    assert tuple(rows.shape) == (3, 3, 8, 8), rows.shape
    test.run("sample", run, "--interpolate", f"{one},{two}", *words, limit=60).expect(
        0
    )  # 0.5 alone
    alone = safetensors_file.read(out)["images"].values()
    assert max(abs(a - b) for a, b in zip(alone, rows.values()[192:384])) < 1e-4, (
        "a mix depends on the others"
    )
    test.run(
        "sample",
        run,
        "--count",
        "1",
        "--output",
        test.work / "grid.png",
        "sampler.steps=3",
        limit=60,
    ).expect(0)
    grid = test.work / "grid.png"  # of another size: comes to 8 x 8
    said = test.run("sample", run, "--interpolate", f"{grid},{two}", *words, limit=60).expect(0)
    assert "no record of a policy" in said.err, said.text()

    def refused(code, inside, *flags):
        result = test.run("sample", run, *flags, "--output", out, limit=30).expect(code)
        assert inside in result.err, result.text()

    test.run("sample", run, "--output", test.work / "no" / "x.png", limit=30).expect(3)
    refused(3, "do not fit into memory", "--count", str(10**13))
    refused(2, "needs two pictures", "--interpolate", one)
    refused(4, "missing.png", "--interpolate", f"{one},{test.work / 'missing.png'}")
    refused(4, str(pair), "--interpolate", f"{one},{pair}")  # no picture
    refused(2, "between 0 and 1, not 'x'", "--interpolate", f"{one},{two}", "--mix", "0,x")
    refused(2, "needs a network with classes", "--classes", "1")
    refused(2, "needs a network with classes", "--guidance", "2")


def classes(test):
    """A class-conditional network: --classes in turn, --guidance."""
    config = test.work / "classes.yaml"
    config.write_text(
        CONFIG.format(work=test.work)
        .replace(
            "attn_heads: 2, attn_dim_head: 8, dropout: 0.1, self_condition: true", "num_classes: 8"
        )
        .replace("kind: unet", "kind: class_unet")
    )
    run = tiny_run.train(
        test, config, "classes", "train.steps=2", "evaluate=[]", "checkpoint.keep_best="
    )
    out = test.work / "classes.safetensors"

    def draw(*flags, code=0):
        said = test.run("sample", run, "--count", "4", "--output", out, *flags, limit=60).expect(
            code
        )
        return (
            [
                safetensors_file.read(out)["images"].values()[i * 192 : (i + 1) * 192]
                for i in range(4)
            ]
            if code == 0
            else said
        )

    turn, three, mixed = draw(), draw("--classes", "3"), draw("--classes", "3,1")
    assert turn[3] == three[3] and turn[0] != three[0], "--classes 3 is not class 3"
    assert mixed[0] == three[0] and mixed[1] == turn[1] and mixed[2] == three[2]
    assert draw("--guidance", "1")[0] != turn[0] and draw("--guidance", "6") == turn, (
        "--guidance changes nothing"
    )
    assert draw("--classes=-1")[0] != turn[0]
    assert "between -1 and 7, not '8'" in draw("--classes", "0,8", code=2).err
    return "classes in turn, guidance, errors"


def commands(test, run):
    out = test.work / "out.safetensors"
    test.run(
        "sample",
        run,
        "--count",
        "3",
        "--sampler",
        "dpmpp_2m",
        "--steps",
        "5",
        "--output",
        out,
        limit=60,
    ).expect(0)
    first = safetensors_file.read(out)["images"]
    assert tuple(first.shape) == (3, 3, 8, 8), first.shape
    test.run(
        "sample",
        run,
        "--count",
        "5",
        "--batch",
        "3",
        "--sampler",
        "dpmpp_2m",
        "--steps",
        "5",
        "--output",
        out,
        limit=60,
    ).expect(0)
    more = safetensors_file.read(out)["images"].values()
    worst = max(abs(a - b) for a, b in zip(first.values(), more))
    assert worst < 1e-4, f"a picture depends on how many are drawn: {worst}"
    test.run(
        "sample", run, "--count", "2", "--output", test.work / "single", "sampler.steps=3", limit=60
    ).expect(0)
    assert sorted(path.name for path in (test.work / "single").iterdir()) == [
        "000000.png",
        "000001.png",
    ]
    pair = test.work / "pair.safetensors"
    safetensors_file.write(
        pair,
        {
            name: safetensors_file.tensor("F32", (1, 3, 8, 8), [value] * 192)
            for name, value in (("x1", -0.5), ("x2", 0.5))
        },
    )
    test.run(
        "sample",
        run,
        "--interpolate",
        pair,
        "--mix",
        "0.3",
        "--time",
        "6",
        "--output",
        out,
        limit=60,
    ).expect(0)
    assert tuple(safetensors_file.read(out)["images"].shape) == (1, 3, 8, 8)
    test.run("sample", run, "--interpolate", pair, "--mix", "2", "--output", out, limit=30).expect(
        2
    )
    between_pictures(test, run, pair, out)
    test.run(
        "export", "schedule", "-", "--output", out, "task.kind=image_diffusion", limit=30
    ).expect(0)
    assert len(safetensors_file.read(out)) == 13
    test.run("sample", run, "--output", out, "--puzzle", "x", limit=30).expect(2)
    test.run("sample", run, limit=30).expect(2)
    test.run(
        "sample", run, "--output", out, "--sampler", "ddim", "--steps", "101", limit=30
    ).expect(2)
    return "numbered pictures, folder, schedule, four errors"


def main():
    test = harness.Test(__doc__)
    test.run(
        "data",
        "make",
        "shapes",
        test.work / "shapes",
        "train_images=64",
        "validation_images=16",
        "image_size=8",
        limit=60,
    ).expect(0)
    inception_file.write_weights(test.work / "w.safetensors")
    config = test.work / "pictures.yaml"
    config.write_text(CONFIG.format(work=test.work))
    test.environment["LOCKSTEP_CACHE"] = str(test.work / "cache")
    reference = tiny_run.train(test, config, "reference")
    assert sorted(pictures(reference)) == ["step-00000004.png", "step-00000008.png"], sorted(
        pictures(reference)
    )
    for ranks, threads in ((2, 1), (4, 1), (1, 2)):
        test.case(
            f"{ranks} ranks, {threads} slot threads",
            same_on,
            test,
            config,
            reference,
            ranks,
            threads,
        )
    test.case("kill -9, resume on one rank", kill_and_resume, test, config, reference)
    test.case("scores of fid", scores_of_fid, test, config, reference)
    test.case("sample and export", commands, test, reference)
    test.case("fid that cannot be", fid_errors, test, config)
    test.case("classes", classes, test)
    test.finish()


if __name__ == "__main__":
    main()
