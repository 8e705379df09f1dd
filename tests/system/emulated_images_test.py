#!/usr/bin/env python3
"""Drawing, scoring and measuring pictures on the emulated GPU: the CPU's pictures and scores, one
graph, no waiting in between."""

import json
import pathlib

import emulated_gpu as emulated
import harness
import images_test
import inception_file
import safetensors_file
import tiny_run

SAMPLERS = {
    "ddim": ["--sampler", "ddim", "--steps", "6", "sampler.eta=0.5"],
    "dpmpp_2m": ["--sampler", "dpmpp_2m", "--steps", "5"],
    "ddpm": ["--sampler", "ddpm", "task.diffusion.timesteps=8"],
    "bf16": ["--sampler", "ddim", "--steps", "4", "precision.compute=bf16"],
}
NO_DROPOUT = ("task.model.dropout=0", "task.diffusion.immiscible=false")


def images_of(path):
    return safetensors_file.read(path)["images"].values()


def draws_as_the_cpu(test, config):
    found = []
    for name, words in SAMPLERS.items():
        emulated.gpus(test)
        files = [test.work / f"{name}-{device}.safetensors" for device in ("cpu", "cuda")]
        for device, file in zip(("cpu", "cuda"), files):
            test.run(
                "sample",
                config,
                "--weights",
                "initial",
                "--count",
                "5",
                "--batch",
                "2",
                *words,
                *NO_DROPOUT,
                f"run.device={device}",
                "--output",
                file,
            ).expect(0)
        apart = max(abs(a - b) for a, b in zip(*map(images_of, files)))
        assert apart <= (0.05 if name == "bf16" else 1e-5), f"{name}: {apart}"
        report = emulated.reports(test)[-1]
        assert report["recordings"] == 1 and report["host_reads_between_replays"] == 0, (
            name,
            report,
        )
        found.append(f"{name} {apart:.0e}")
    return "pictures differ by " + ", ".join(found)


def scores_as_the_cpu(test):
    emulated.gpus(test)
    sides = [f"{test.work}/shapes/train-*.h5", f"{test.work}/shapes/validation.h5"]
    words = (
        "fid",
        *sides,
        "--inception",
        test.work / "w.safetensors",
        "--features",
        "64",
        "--json",
    )
    cpu, gpu = (
        json.loads(test.run(*words, "--device", device).expect(0).last_line())
        for device in ("cpu", "cuda")
    )
    assert (cpu["device"], gpu["device"].split(",")[0]) == ("cpu", "emulated GPU"), (cpu, gpu)
    for score in ("fid", "kid"):
        assert abs(cpu[score] - gpu[score]) <= 1e-6 * abs(cpu[score]) + 1e-9, (cpu, gpu)
    test.run("fid", *sides, "--device", "gpu").expect(2, "--device takes auto, cpu or cuda")
    return f"scores differ by {abs(gpu['fid'] / cpu['fid'] - 1):.0e}"


def scores_while_training(test, config):
    """A run's own scores; the statistics it keeps are those that the CPU would keep, under the same
    name."""
    fid = (
        f"evaluate=[{{kind: fid, images: 8, batch: 8, sampler: {{kind: ddim, steps: 3}}, "
        f"inception: {test.work}/w.safetensors, features: 64}}]"
    )
    run = pathlib.Path(
        emulated.folder_of(
            emulated.train(test, config, *NO_DROPOUT, fid, LOCKSTEP_CACHE=str(test.work / "cache"))
        )
    )
    lines = [line for line in tiny_run.metrics(run) if "fid" in line]
    assert [line["step"] for line in lines] == [8], lines
    assert lines[-1]["record"]["device"].startswith("emulated GPU"), lines[-1]
    kept = sorted((test.work / "cache").iterdir())
    emulated.gpus(test, LOCKSTEP_CACHE=str(test.work / "cache"))
    again = json.loads(test.run("evaluate", run, "--json", "run.device=cpu").expect(0).last_line())
    assert sorted((test.work / "cache").iterdir()) == kept and len(kept) == 2, kept
    apart = abs(again["fid"] / lines[-1]["fid"] - 1)
    assert apart <= 1e-4, (again, lines[-1])  # a colour may round to another byte
    return f"FID {lines[-1]['fid']:.4f}, {apart:.0e} from the CPU's"


def measures(test, config):
    emulated.gpus(test)
    words = (
        "--device",
        "cuda",
        "--samplers",
        "ddim,dpmpp_2m",
        "--steps",
        "4,1",
        "--graph",
        "off,on",
        "--attention",
        "auto,flash",
        "--batch",
        "2",
        "--repeats",
        "1",
        "--reference",
        "20",
        "--json",
        *NO_DROPOUT,
    )
    found = json.loads(test.run("bench", "sampler", config, *words).expect(0).last_line())
    assert found["facts"]["device"].startswith("emulated GPU") and found["complete"], found["facts"]
    rows = [row for row in found["rows"] if row["attention"] == "auto"]
    assert len(rows) == 8 and all(
        row["status"] == "measured" and row["peak_megabytes"] > 0 for row in rows
    ), rows
    assert all(
        "bf16 and fp16" in row["problem"] for row in found["rows"] if row["attention"] == "flash"
    )
    for off, on in zip(rows[::2], rows[1::2]):
        assert (off["graph"], on["graph"]) == ("off", "on") and abs(
            off["trajectory_error"] - on["trajectory_error"]
        ) <= 1e-6, (off, on)
    assert emulated.reports(test)[-1]["host_reads_between_replays"] == 0
    return f"{len(rows)} rows measured, {len(found['rows']) - len(rows)} refused"


def main():
    test = harness.Test(__doc__)
    test.run(
        "data",
        "make",
        "shapes",
        test.work / "shapes",
        "train_images=64",
        "validation_images=10",
        "image_size=8",
    ).expect(0)
    inception_file.write_weights(test.work / "w.safetensors")
    config = test.work / "pictures.yaml"
    config.write_text(images_test.CONFIG.format(work=test.work))
    test.case("drawing", draws_as_the_cpu, test, config)
    test.case("fid", scores_as_the_cpu, test)
    test.case("fid while training", scores_while_training, test, config)
    test.case("bench sampler", measures, test, config)
    test.finish()


if __name__ == "__main__":
    main()
