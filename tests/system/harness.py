"""What all system tests share: options, commands with time limits, one printed line per case.

The programs are run as a person runs them; nothing here links or imports them. Python's standard
library is enough. Exit codes of a test: 0 passed, 1 failed, 77 skipped (CTest knows it).
"""

import argparse
import itertools
import os
import random
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path

import processes

SKIPPED = 77
SOURCE = Path(__file__).resolve().parents[2]
RANKS = (1, 2, 3, 4, 8)


class Skip(Exception):
    """A case that cannot run here; the message says why."""


class Result:
    """How a command ended."""

    def __init__(self, words, code, out, err, seconds):
        self.words, self.code, self.out, self.err, self.seconds = words, code, out, err, seconds

    def text(self):
        return (
            f"command: {' '.join(map(str, self.words))}\n"
            f"exit code {self.code} after {self.seconds:.1f} s\n"
            f"--- stdout ---\n{self.out[-3000:]}\n--- stderr ---\n{self.err[-6000:]}"
        )

    def expect(self, code, *words, out=()):
        """Fails unless the exit code is `code`, stderr holds all `words` and stdout all of
        `out`."""
        assert self.code == code, f"exit code {self.code} instead of {code}\n{self.text()}"
        for word in words:
            assert word in self.err, f"stderr does not say {word!r}\n{self.text()}"
        for word in out:
            assert word in self.out, f"stdout does not say {word!r}\n{self.text()}"
        return self

    def last_line(self):
        lines = self.out.rstrip("\n").split("\n")
        return lines[-1]


class Running:
    """A command that runs in the background; its output goes to files, so it never blocks."""

    def __init__(self, test, words):
        self.test, self.words = test, [str(word) for word in words]
        number = next(test.numbers)
        self.paths = [test.work / "output" / f"{number:03}.{name}" for name in ("out", "err")]
        self.start = time.monotonic()
        with open(self.paths[0], "wb") as out, open(self.paths[1], "wb") as err:
            self.child = subprocess.Popen(
                self.words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=test.environment,
                cwd=test.work,
            )
        self.pid = self.child.pid

    def alive(self):
        return self.child.poll() is None

    def err(self):
        return self.paths[1].read_text(errors="replace")

    def signal(self, number):
        processes.send(self.pid, number)

    def wait(self, limit=120.0):
        """The result; a command that takes longer than `limit` seconds fails the test."""
        late = False
        try:
            self.child.wait(max(0.1, self.start + limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            late = True
            processes.kill_all(self.test.work)
            self.child.wait()
        texts = [path.read_text(errors="replace") for path in self.paths]
        result = Result(
            self.words, self.child.returncode, texts[0], texts[1], time.monotonic() - self.start
        )
        assert not late, f"not ended after {limit} s\n{result.text()}"
        return result


class Test:
    """One script: its options, its work folder, its cases."""

    def __init__(self, description, add_options=lambda parser: None):
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument(
            "--lockstep",
            default=os.environ.get("LOCKSTEP_PROGRAM", SOURCE / "build/bin/lockstep"),
            help="the program under test (or LOCKSTEP_PROGRAM)",
        )
        parser.add_argument(
            "--work",
            default=os.environ.get("LOCKSTEP_TEST_FOLDER", "/tmp"),
            help="where the work folder is made",
        )
        parser.add_argument(
            "--full", action="store_true", help="the whole matrix: minutes instead of seconds"
        )
        parser.add_argument("--seed", type=int, default=None, help="of random choices; printed")
        parser.add_argument("--only", default="", help="run the cases whose name holds this text")
        parser.add_argument("--keep", action="store_true", help="keep the work folder")
        add_options(parser)
        self.options = parser.parse_args()
        self.lockstep = Path(self.options.lockstep).resolve()
        if not self.lockstep.exists():
            sys.exit(
                f"error: {self.lockstep} does not exist\nhelp: name the program with --lockstep"
            )
        self.seed = (
            self.options.seed
            if self.options.seed is not None
            else random.SystemRandom().randrange(10**6)
        )
        self.random = random.Random(self.seed)
        self.numbers, self.failed, self.passed, self.skipped = itertools.count(1), [], 0, []
        self.name = Path(sys.argv[0]).stem
        self.work = Path(self.options.work).resolve() / f"lockstep-{self.name}-{os.getpid()}"
        shutil.rmtree(self.work, ignore_errors=True)
        for folder in ("output", "tmp", "runs"):
            (self.work / folder).mkdir(parents=True)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OMPI_", "PMIX_", "SLURM_", "LOCKSTEP_", "PET_"))
            and name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
        }
        self.environment |= {
            processes.MARK: str(self.work),
            "TMPDIR": str(self.work / "tmp"),
            "LC_ALL": "C.UTF-8",
        }
        self.environment["LOCKSTEP_CUDA"] = (
            "0"  # what these tests compare holds on CPUs; device_test.py takes it away
        )
        for name in ("LOCKSTEP_MPIRUN", "OMPI_MCA_plm_rsh_agent"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        print(
            f"{self.name}: seed {self.seed}, {'full' if self.options.full else 'short'}, "
            f"{self.lockstep}",
            flush=True,
        )

    def start(self, *words):
        return Running(self, [self.lockstep, *words])

    def run(self, *words, limit=120.0):
        return self.start(*words).wait(limit)

    def case(self, name, body, *arguments):
        """Runs body(*arguments); what it returns says what was compared. The other cases run
        anyway."""
        if self.options.only not in name:
            return
        start = time.monotonic()
        try:
            note = body(*arguments)
        except Skip as skip:
            self.skipped.append(name)
            print(f"skip  {name}: {skip}", flush=True)
        except Exception:
            self.failed.append(name)
            processes.kill_all(self.work)
            print(f"FAIL  {name} (seed {self.seed})\n{traceback.format_exc()}", flush=True)
        else:
            self.passed += 1
            print(f"ok    {name}: {note} ({time.monotonic() - start:.1f} s)", flush=True)

    def finish(self):
        """Cleans up and exits with the code that CTest expects."""
        processes.kill_all(self.work)
        print(
            f"{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped",
            flush=True,
        )
        if not self.failed and not self.options.keep:
            shutil.rmtree(self.work, ignore_errors=True)
        else:
            print(f"work folder: {self.work}")
        if self.failed:
            print("failed: " + ", ".join(self.failed))
            sys.exit(1)
        sys.exit(SKIPPED if self.passed == 0 else 0)
