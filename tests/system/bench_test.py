#!/usr/bin/env python3
"""`lockstep bench sampler` as a person runs it: table, JSON, CSV and page, Ctrl-C, and what it
refuses."""

import json
import signal
import time

import harness
import inception_file

CONFIG = """\
run: {{name: bench, folder: {work}/runs, seed: 3}}
task:
  kind: image_diffusion
  image_size: 8
  model: {{kind: unet, dim: 8, dim_mults: [1, 2], attn_heads: 2, attn_dim_head: 8}}
  diffusion: {{timesteps: 50, objective: pred_v}}
"""
ROW = {
    "sampler",
    "steps",
    "precision",
    "graph",
    "attention",
    "status",
    "draw",
    "step",
    "images_per_second",
    "steps_per_second",
    "network_share",
    "cpu_ms",
    "peak_megabytes",
    "faster_than_reference",
    "trajectory_error",
    "fid",
    "best",
}
SPREAD = {"count", "mean_ms", "std_ms", "p50_ms", "p90_ms", "p99_ms"}


def measured(test, config):
    result = test.run(
        "bench",
        "sampler",
        config,
        "--steps",
        "5,10",
        "--precision",
        "fp32,bf16",
        "--graph",
        "off,on",
        "--batch",
        "3",
        "--repeats",
        "2",
        "--threads",
        "2",
        "--json",
        limit=100,
    )
    result.expect(0, "random weights", "error: RMSE", "no graphs")
    assert len(result.out.splitlines()) == 1, result.text()
    table = json.loads(result.out)
    assert table["complete"] and table["random_weights"] and table["reference"]["steps"] == 50, (
        table
    )
    rows = table["rows"]
    assert len(rows) == (2 + 2 + 1) * 2 * 2, len(rows)
    done = [row for row in rows if row["status"] == "measured"]
    assert len(done) == 10 and all(row["graph"] == "off" for row in done)
    for row in done:
        assert set(row) == ROW and set(row["draw"]) == SPREAD == set(row["step"]), row
        assert row["draw"]["p50_ms"] <= row["draw"]["p90_ms"] <= row["draw"]["p99_ms"], row
        assert abs(row["images_per_second"] * row["draw"]["p50_ms"] - 3000) < 1e-3, row
        assert row["step"]["count"] == 2 * row["steps"] and 0 < row["network_share"] <= 1, row
        assert row["peak_megabytes"] > 0.05 and (row["trajectory_error"] is None) == (
            row["sampler"] == "ddpm"
        ), row
    assert all("no graphs" in row["problem"] for row in rows if row["graph"] == "on")
    error = {
        (row["sampler"], row["steps"], row["precision"]): row["trajectory_error"] for row in done
    }
    for sampler in ("ddim", "dpmpp_2m"):
        assert error[sampler, 10, "fp32"] < error[sampler, 5, "fp32"] < 1, error
    return (
        f"{len(rows)} rows, errors {error['dpmpp_2m', 5, 'fp32']:.3g} and "
        f"{error['dpmpp_2m', 10, 'fp32']:.3g}"
    )


def files(test, config):
    for ending, start in (
        (".csv", "sampler,steps,"),
        (".html", "<!doctype html>"),
        (".json", '{"bench":"sampler"'),
    ):
        path = test.work / ("bench" + ending)
        test.run(
            "bench",
            "sampler",
            config,
            "--samplers",
            "ddim",
            "--steps",
            "2,4",
            "--batch",
            "1",
            "--repeats",
            "1",
            "--profile",
            "--output",
            path,
            limit=60,
        ).expect(0, out=("images/s", "mkldnn_convolution", "ddim"))
        assert path.read_text().startswith(start), path.read_text()[:200]
    assert "<svg" in (test.work / "bench.html").read_text()
    return "CSV, page with charts, JSON; a table of operators"


def with_fid(test, config):
    test.environment["LOCKSTEP_CACHE"] = str(test.work / "cache")
    test.run(
        "data",
        "make",
        "shapes",
        test.work / "shapes",
        "train_images=40",
        "validation_images=8",
        "image_size=8",
        limit=60,
    ).expect(0)
    weights = inception_file.write_weights(test.work / "inception.safetensors")
    words = (
        "--samplers",
        "ddim",
        "--steps",
        "2,4",
        "--batch",
        "2",
        "--repeats",
        "1",
        "--reference",
        "0",
        "--inception",
        weights,
        "--features",
        "64",
        "--fid-images",
        "20",
    )
    result = test.run(
        "bench",
        "sampler",
        config,
        *words,
        "--fid-reference",
        test.work / "shapes" / "train-*.h5",
        "--json",
        limit=100,
    ).expect(0, "FID")
    found = [row["fid"] for row in json.loads(result.out)["rows"]]
    assert len(found) == 2 and min(found) > 0 and found[0] != found[1], found
    test.run("bench", "sampler", config, *words, limit=30).expect(2, "--fid-reference")
    test.run("bench", "sampler", config, "--fid-images", "20", limit=30).expect(2, "--inception")
    return f"FID {found[0]:.3f} and {found[1]:.3f}"


def interrupted(test, config):
    running = test.start(
        "bench",
        "sampler",
        config,
        "--samplers",
        "ddim,ddpm",
        "--steps",
        "3",
        "--repeats",
        "100000",
        "--reference",
        "0",
        "--batch",
        "1",
        "--json",
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and "random weights" not in running.err():
        time.sleep(0.05)
    time.sleep(0.5)
    running.signal(signal.SIGINT)
    result = running.wait(30).expect(75, "Stopped")
    table = json.loads(result.last_line())
    assert (
        table["complete"] is False
        and len(table["rows"]) == 1
        and table["rows"][0]["draw"]["count"] >= 1
    ), table
    return f"{table['rows'][0]['draw']['count']} draws of the first row"


def refused(test, config, words, *wanted):
    result = test.run("bench", "sampler", config, *words, limit=30).expect(2, "error: ", *wanted)
    return next(line for line in result.err.splitlines() if line.startswith("error: "))


def main():
    test = harness.Test(__doc__)
    config = test.work / "bench.yaml"
    config.write_text(CONFIG.format(work=test.work))
    test.case("all rows", measured, test, config)
    test.case("files", files, test, config)
    test.case("FID", with_fid, test, config)
    test.case("Ctrl-C", interrupted, test, config)
    for name, words, wanted in (
        ("an unknown sampler", ("--samplers", "ddim,euler"), ("euler", "dpmpp_2m")),
        ("more steps than timesteps", ("--steps", "51"), ("51", "50 timesteps")),
        ("steps of words", ("--steps", "5,x"), ("--steps", "'x'")),
        ("an empty entry", ("--precision", "fp32,"), ("--precision",)),
        ("an unknown precision", ("--precision", "int8"), ("int8", "bf16")),
        ("an unknown attention", ("--attention", "xformers"), ("xformers", "flash")),
        ("no pictures", ("--batch", "0"), ("--batch",)),
        ("another file", ("--output", "bench.txt"), (".txt", ".html")),
        ("another task", ("task={kind: sudoku}",), ("image_diffusion",)),
    ):
        test.case(name, refused, test, config, words, *wanted)
    test.case(
        "bench alone", lambda: test.run("bench", limit=30).expect(2, "bench sampler CONFIG").code
    )
    test.finish()


if __name__ == "__main__":
    main()
