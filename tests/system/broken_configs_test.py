#!/usr/bin/env python3
"""Broken configs, overrides and command lines: broken_configs.txt says what each must answer.

All go through `lockstep train` (unless the case names another command): it must fail before a run
folder is made and before any rank is started, with the right exit code, a message of the form
"error: fact / --> place / help: what to do", and without a trace of the program's inside.
"""

import re
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import harness
import tiny_run

TABLE = Path(__file__).with_name("broken_configs.txt")
INSIDE = (
    "Traceback",
    "terminate called",
    "what():",
    "Exception raised from",
    "frame #",
    "std::",
    ".cc:",
    "Segmentation",
)


def unescape(text):
    text = text.replace("\\t", "\t")
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode())


def read_table():
    """[name] and its fields, as a list of dicts with "line" of the table."""
    cases, field = [], None
    for number, line in enumerate(TABLE.read_text().splitlines(), 1):
        if line.startswith("[") and line.endswith("]"):
            cases.append({"name": line[1:-1], "line": number})
        elif line.startswith("    ") and field == "file":
            cases[-1]["file"] += line[4:] + "\n"
        elif line and not line.startswith("#"):
            field, _, value = line.partition(":")
            assert cases and field in (
                "config",
                "file",
                "words",
                "command",
                "place",
                "exit",
                "says",
            ), f"{TABLE}:{number}"
            cases[-1][field] = value.strip()
    names = [case["name"] for case in cases]
    assert len(names) == len(set(names)) and all("says" in case for case in cases), (
        "a name twice, or a case without says"
    )
    return cases


def replace_section(good, section):
    """The good config with one section replaced (or added); and the number of its line."""
    lines = good.splitlines()
    name = section.partition(":")[0] + ":"
    for i, line in enumerate(lines):
        if line.startswith(name):
            # Keys that the broken section does not give keep their defaults; data stay the tiny
            # ones if not named.
            lines[i] = section
            return "\n".join(lines) + "\n", i + 1
    return "\n".join([*lines, section]) + "\n", len(lines) + 1


class Broken:
    """One case, ready to run."""

    def __init__(self, case, good, folder):
        self.case, self.folder = case, folder
        folder.mkdir(parents=True)
        config, line = folder / "broken.yaml", None
        content = unescape(case["file"]) if "file" in case else good.encode()
        if "config" in case:
            text, line = replace_section(good, case["config"])
            content = text.encode()
        config.write_bytes(content)
        self.place = case.get("place", str(line) if line else "command line")
        self.run_folder = folder / "run"
        if "command" in case:
            self.words = shlex.split(case["command"].replace("{config}", str(config)))
        else:
            self.words = [
                "train",
                str(config),
                "--run-folder",
                str(self.run_folder),
                *case.get("words", "").split(),
            ]
        self.config = config

    def check(self, result):
        case = self.case
        result.expect(int(case.get("exit", 2)), "error: ", *case["says"].split(" | "))
        first = next(line for line in result.err.splitlines() if line.strip())
        assert first.startswith("error: "), f"stderr starts with {first!r}\n{result.text()}"
        for word in INSIDE:
            assert word not in result.err, (
                f"the message shows the inside of the program: {word!r}\n{result.text()}"
            )
        if self.place == "file":
            assert str(self.config) in result.err, (
                f"the message does not name {self.config}\n{result.text()}"
            )
        elif self.place == "command line":
            assert "--> command line" in result.err, (
                f"the message does not point to the command line\n{result.text()}"
            )
        elif self.place != "nowhere":
            assert re.search(re.escape(f"{self.config}:{self.place}") + r"(?!\d)", result.err), (
                f"the message does not name {self.config.name}:{self.place}\n{result.text()}"
            )
        assert not self.run_folder.exists(), "a run folder was made"
        return first[:150]


def main():
    test = harness.Test(__doc__)
    good = tiny_run.write_config(test, 8, every=4, name="good.yaml").read_text()
    test.case(
        "the good config is accepted",
        lambda: test.run("plan", test.work / "good.yaml").expect(0).out.splitlines()[0],
    )
    cases = [Broken(case, good, test.work / "cases" / str(case["line"])) for case in read_table()]
    chosen = [broken for broken in cases if test.options.only in broken.case["name"]]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda broken: test.run(*broken.words, limit=60), chosen))
    for broken, result in zip(chosen, results):
        test.case(broken.case["name"], broken.check, result)
    runs = list((test.work / "runs").rglob("plan.json"))
    assert not runs, f"a broken config started a run: {runs}"
    test.finish()


if __name__ == "__main__":
    main()
