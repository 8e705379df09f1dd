#!/usr/bin/env python3
"""The installed program: cmake --install, the folder moved, a run, a plug-in, the man page."""

import os
import shutil
import subprocess

import harness

PLUGIN = """cmake_minimum_required(VERSION 3.22)
project(mine LANGUAGES CXX)
find_package(lockstep REQUIRED)
add_library(mine SHARED {source})
target_link_libraries(mine PRIVATE lockstep::lockstep)
"""


def run(*words, **options):
    result = subprocess.run(words, capture_output=True, text=True, **options)
    assert result.returncode == 0, f"{words}\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    return result.stdout


def install_and_move(test):
    build = test.lockstep.parents[1]
    first = test.work / "first"
    run("cmake", "--install", build, "--prefix", first)
    moved = test.work / "moved here"
    first.rename(moved)
    # From here on the program under test is the installed one, with no help from the environment.
    test.lockstep = moved / "bin/lockstep"
    for name in [name for name in test.environment if name.startswith("LOCKSTEP_")]:
        del test.environment[name]
    help_text = test.run("--help").expect(0).out
    page = (moved / "share/man/man1/lockstep.1").read_text()
    for command in ("train", "resume", "sweep"):
        assert f"  {command}" in help_text and f".SH LOCKSTEP {command.upper()}" in page, command
    return f"{sum(1 for path in moved.rglob('*') if path.is_file())} files"


def trains_two_steps(test):
    moved = test.lockstep.parents[1]
    config = moved / "share/lockstep/configs/sudoku/quickstart.yaml"
    folder = test.work / "data"
    words = [
        f"data.train=['{folder}/train-*.h5']",
        f"data.validation=['{folder}/validation.h5']",
        f"data.make={{kind: sudoku, folder: '{folder}', train_grids: 256, puzzles_per_level: 2}}",
        "evaluate=null",
        "checkpoint.keep_best=null",
        "train.steps=2",
        "launch.ranks_per_node=2",
    ]
    shown = test.run("plan", config, *words, "--prepare", limit=120)
    assert shown.code == 0, shown.text()
    result = test.run("train", config, *words, limit=120).expect(0)
    checkpoints = list(test.work.glob("runs/**/step-*2/model.safetensors"))
    assert len(checkpoints) == 1, result.text()
    return "two ranks"


def plugin_builds_against_it(test):
    moved = test.lockstep.parents[1]
    source = harness.SOURCE / "tests/train/plugin/halving_schedule.cc"
    folder = test.work / "plugin"
    folder.mkdir()
    shutil.copy(source, folder / "halving_schedule.cc")
    (folder / "CMakeLists.txt").write_text(PLUGIN.format(source="halving_schedule.cc"))
    environment = {**os.environ, "CMAKE_PREFIX_PATH": str(moved)}
    run("cmake", "-S", folder, "-B", folder / "build", "-G", "Ninja", env=environment)
    run("cmake", "--build", folder / "build", env=environment)
    keys = test.run("config", "keys", f"run.plugins=[{folder}/build/libmine.so]", "schedule")
    assert "halving" in keys.expect(0).out, keys.text()
    return "find_package(lockstep), a schedule of its own"


def main():
    test = harness.Test(__doc__)
    test.case("install", install_and_move, test)
    test.case("train", trains_two_steps, test)
    test.case("plug-in", plugin_builds_against_it, test)
    test.finish()


if __name__ == "__main__":
    main()
