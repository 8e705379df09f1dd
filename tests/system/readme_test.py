#!/usr/bin/env python3
"""What the README promises exists, and every command helps. Times are printed, they decide
nothing."""

import re
import shlex
import statistics
import subprocess
import time

import harness

TWO_COMMANDS = ("./scripts/lockstep train configs/sudoku/quickstart.yaml", "./scripts/test")


def commands_of(test):
    """The commands that `lockstep --help` lists."""
    text = test.run("--help").expect(0).out
    listed = text[text.index("Commands") :].splitlines()[1:]
    names = [line.split()[0] for line in listed[: listed.index("")] if line.startswith("  ")]
    assert len(names) >= 10, text
    return names


def help_of(test, *command):
    for words in ((*command, "--help"), (*command, "-h")):
        result = test.run(*words).expect(0)
        lines = result.out.splitlines()
        assert any(line.strip() == "Examples" for line in lines[:4]), (
            f"the help does not start with examples\n{result.text()}"
        )
        assert f"lockstep {' '.join(command)}".strip() in result.out, result.text()
        assert len(lines) <= 60, f"{len(lines)} lines do not fit a screen"
        assert max(map(len, lines)) <= 160, f"a line of {max(map(len, lines))} characters"
    return f"{len(lines)} lines, starts with examples"


def help_time(test):
    times = []
    for _ in range(41):
        start = time.perf_counter()
        subprocess.run([test.lockstep, "--help"], stdout=subprocess.DEVNULL, check=True)
        times.append(1000 * (time.perf_counter() - start))
    return (
        f"median {statistics.median(times):.1f} ms, fastest {min(times):.1f} ms of {len(times)} "
        f"(aim: under 30 ms)"
    )


def shell_lines(text):
    """The lines of the code blocks, without comments and prompts."""
    for block in re.findall(r"```(?:sh|bash|console|)\n(.*?)```", text, re.S):
        for line in block.splitlines():
            line = re.sub(r"\s+#.*$", "", line.strip().removeprefix("$ "))
            if line and not line.startswith("#"):
                yield line


def readme(test):
    path = harness.SOURCE / "README.md"
    if not path.exists():
        raise harness.Skip("no README.md in the source folder")
    text = path.read_text()
    assert len(text.splitlines()) < 200, f"README.md has {len(text.splitlines())} lines"
    lines = list(shell_lines(text))
    for command in TWO_COMMANDS:
        assert any(line.startswith(command) for line in lines), (
            f"README.md does not show {command!r}"
        )
    known, checked = commands_of(test), 0
    for line in lines:
        words = shlex.split(line, comments=True)
        while words and "=" in words[0]:
            words.pop(0)
        if not words:
            continue
        if words[0].startswith("./") or words[0].startswith("scripts/"):
            script = harness.SOURCE / words[0]
            assert script.is_file() and script.stat().st_mode & 0o111, (
                f"README.md runs {words[0]}, which is no program"
            )
        program = words[0].rsplit("/", 1)[-1]
        if program == "lockstep" and len(words) > 1 and not words[1].startswith("-"):
            assert words[1] in known, f"README.md runs `lockstep {words[1]}`, which does not exist"
            for word in words[2:]:
                if word.startswith("configs/"):
                    assert (harness.SOURCE / word).is_file(), (
                        f"README.md names {word}, which does not exist"
                    )
        checked += 1
    for name in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (harness.SOURCE / name).exists(), f"README.md links to {name}, which does not exist"
    return f"{len(text.splitlines())} lines, {checked} command lines name what exists"


def scripts(test):
    checked = []
    for name in ("lockstep", "test", "setup", "convert"):
        path = harness.SOURCE / "scripts" / name
        first = path.read_text().splitlines()[0]
        if "sh" in first.split("/")[-1]:
            subprocess.run(["bash", "-n", path], check=True)
        elif "python" in first:
            compile(path.read_text(), str(path), "exec")
        else:
            raise AssertionError(f"{path} starts with {first!r}")
        checked.append(name)
    return "scripts parse: " + ", ".join(checked)


def configs(test):
    """Every shipped config is accepted (its keys and types; the data need not exist)."""
    paths = sorted((harness.SOURCE / "configs").rglob("*.yaml"))
    assert any(path.name == "quickstart.yaml" for path in paths), (
        "configs/sudoku/quickstart.yaml does not exist"
    )
    quickstart = harness.SOURCE / "configs/sudoku/quickstart.yaml"
    assert "include:" not in quickstart.read_text()
    for path in paths:
        is_sweep = re.search(r"^base:", path.read_text(), re.MULTILINE)
        result = (
            test.run("sweep", path, "--print")
            if is_sweep
            else test.run("config", "show", path, "--json")
        )
        assert result.code == 0, f"{path}\n{result.text()}"
    return ", ".join(str(path.relative_to(harness.SOURCE)) for path in paths)


def version(test):
    out = test.run("--version").expect(0).out
    assert re.fullmatch(r"lockstep \d+\.\d+\.\d+\n", out), out
    return out.strip()


def main():
    test = harness.Test(__doc__)
    test.case("--version", version, test)
    test.case("--help", help_of, test)
    test.case("--help in milliseconds", help_time, test)
    for command in commands_of(test):
        test.case(f"{command} --help", help_of, test, command)
    test.case("data make sudoku --help", help_of, test, "data", "make", "sudoku")
    test.case("README.md", readme, test)
    test.case("scripts", scripts, test)
    test.case("configs", configs, test)
    test.finish()


if __name__ == "__main__":
    main()
