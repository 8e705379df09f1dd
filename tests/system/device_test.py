#!/usr/bin/env python3
"""`run.device` on the command line: what a machine without a GPU answers, and scripts/gpu_check
there."""

import json
import os
import subprocess
import sys

import harness
import tiny_run

ENVIRONMENT = 3


def has_gpu(test):
    return json.loads(test.run("env", "--json").expect(0).last_line())["gpus"] != "none"


def cuda_is_refused(test):
    if has_gpu(test):
        raise harness.Skip("this machine has a GPU")
    config = tiny_run.write_config(test, 4, 0)
    for more in ((), ("step.graph=on",)):
        result = test.run("train", config, "run.device=cuda", *more).expect(
            ENVIRONMENT, "error: run.device is cuda, and ", "help: ", "run.device=cpu"
        )
        assert "-->" not in result.err or "device" in result.err, result.text()
    assert not list((test.work / "runs").glob("tiny/*")), "a run folder was made"
    return next(line for line in result.err.splitlines() if line.startswith("error: "))


def auto_means_the_cpu(test):
    if has_gpu(test):
        raise harness.Skip("this machine has a GPU")
    config = tiny_run.write_config(test, 4, 0)
    plan = json.loads(test.run("plan", config, "--json").expect(0).last_line())
    assert plan["device"] == "cpu" and plan["reduce"] == "tree", plan
    return plan["device"]


def a_plan_for_other_gpus(test):
    """plan --gpus plans for a machine that is not this one."""
    config = tiny_run.write_config(test, 4, 0)
    words = ("ddp.slots=auto", "train.micro_batch=2")
    plan = json.loads(
        test.run("plan", config, "--gpus", "4", "--json", *words[:1], "launch.ranks_per_node=auto")
        .expect(0)
        .last_line()
    )
    assert (plan["device"], plan["ranks"], plan["slots"], plan["reduce"]) == (
        "cuda",
        4,
        4,
        "allreduce",
    ), plan
    plan = json.loads(
        test.run("plan", config, "--gpus", "4", "--json", *words, "launch.ranks_per_node=auto")
        .expect(0)
        .last_line()
    )
    assert (plan["ranks"], plan["slots"], plan["micro_batch"]) == (4, 8, 2), plan
    test.run("plan", config, "--gpus", "4", "ddp.slots=auto", "launch.ranks_per_node=8").expect(
        ENVIRONMENT, "4 GPUs", "launch.ranks_per_node=4"
    )
    return "4 ranks, 8 slots"


def env_tells_of_the_driver(test):
    told = json.loads(test.run("env", "--json").expect(0).last_line())
    for key in ("cuda_plugin", "driver", "gpus"):
        assert told[key], told
    return f"plug-in {told['cuda_plugin']}, driver: {told['driver']}"


def gpu_check_says_why_it_skips(test):
    if has_gpu(test):
        raise harness.Skip("this machine has a GPU: run scripts/gpu_check")
    script = harness.SOURCE / "scripts/gpu_check"
    environment = dict(os.environ, LOCKSTEP_BUILD_DIR=str(test.lockstep.parent.parent))
    listed = subprocess.run(
        [sys.executable, script, "--list"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    ).stdout
    output = test.work / "reports"
    result = subprocess.run(
        [sys.executable, script, "--output", output],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert result.returncode == ENVIRONMENT, result.stdout + result.stderr
    reports = [json.loads(path.read_text()) for path in sorted(output.glob("*.json"))]
    assert len(reports) == len(listed.splitlines()) and reports, listed
    for report in reports:
        assert report["status"] == "skipped" and report["reason"].startswith("no GPU"), report
        assert report["versions"]["lockstep"] and report["versions"]["commit"] is not None, report
    return f"{len(reports)} parts skipped: {reports[0]['reason']}"


def main():
    test = harness.Test(__doc__)
    del test.environment["LOCKSTEP_CUDA"]
    test.case("cuda without a GPU", cuda_is_refused, test)
    test.case("auto without a GPU", auto_means_the_cpu, test)
    test.case("a plan for GPUs elsewhere", a_plan_for_other_gpus, test)
    test.case("env", env_tells_of_the_driver, test)
    test.case("gpu_check", gpu_check_says_why_it_skips, test)
    test.finish()


main()
