"""scripts/setup, lockstep and test in a small checkout of their own: when they work and when
they have nothing to do. cmake, ninja and ctest are stand-ins that note their calls; LibTorch is
a small library that loads; no Debian package is asked for. Offline, a few seconds."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/lib"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import count_tests  # noqa: E402
from libtorch_test import make_torch  # noqa: E402

TOOLS = {
    "cmake": 'mkdir -p "$build"; touch "$build/build.ninja"\n'
    'echo "CMAKE_HOME_DIRECTORY:INTERNAL=$root" > "$build/CMakeCache.txt"',
    "ninja": '[[ " $* " != *" -n "* ]] || exit 0\nsleep "${SLOW:-0}"; mkdir -p "$build/bin"\n'
    'printf "#!/bin/sh\\necho ran \\"\\$@\\"\\n" > "$build/bin/lockstep"; chmod +x '
    '"$build/bin/lockstep"',
    "ctest": 'cp "$root/ctest.xml" "$build/test-results/"',
}


class Checkout(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name).resolve()
        self.root = self.top / "checkout"
        shutil.copytree(
            ROOT / "scripts", self.root / "scripts", ignore=shutil.ignore_patterns("__pycache__")
        )
        for name in ("core", "cmake", "tests", "bench", "bin"):
            (self.root / name).mkdir(parents=True)
        (self.root / "CMakeLists.txt").touch()
        (self.root / "core/CMakeLists.txt").touch()
        (self.root / "core/a.cc").touch()
        table = json.loads((self.root / "scripts/dependencies.json").read_text())
        table["debian"] = []
        (self.root / "scripts/dependencies.json").write_text(json.dumps(table))
        self.calls = self.root / "calls"
        for tool, action in TOOLS.items():
            path = self.root / "bin" / tool
            path.write_text(
                f"#!/bin/bash\nroot={self.root} build={self.root}/build\n"
                f'[[ " $* " == *" -n "* ]] || echo {tool} "$@" >> "$root/calls"\n{action}\n'
            )
            path.chmod(0o755)
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("LOCKSTEP_")
        }
        self.environment.update(
            PATH=f"{self.root}/bin:{os.environ['PATH']}",
            XDG_CACHE_HOME=str(self.top / "cache"),
            LOCKSTEP_TORCH=str(make_torch(self.top / "torch")),
        )
        time.sleep(0.02)  # the clock that dates files ticks every few milliseconds

    def run_script(self, name, *arguments, check=True, **environment):
        """What it printed on standard output and on standard error, and the tools it called."""
        self.calls.unlink(missing_ok=True)
        result = subprocess.run(
            [self.root / "scripts" / name, *arguments],
            capture_output=True,
            text=True,
            cwd="/",
            env={**self.environment, **environment},
            check=False,
        )
        if check:
            self.assertEqual(result.returncode, 0, result.stderr)
        self.status = result.returncode
        called = (
            re.findall(r"^(\w+)", self.calls.read_text(), re.MULTILINE)
            if self.calls.exists()
            else []
        )
        return result.stdout, result.stderr, called


class Setup(Checkout):
    def test_the_second_run_is_silent_and_quick(self):
        self.assertIn("from LOCKSTEP_TORCH: linked", self.run_script("setup")[1])
        stamp = (self.root / ".deps/stamp").stat().st_mtime_ns
        begin = time.monotonic()
        self.assertEqual(self.run_script("setup")[:2], ("", ""))
        self.assertLess(time.monotonic() - begin, 0.3)
        self.assertEqual((self.root / ".deps/stamp").stat().st_mtime_ns, stamp)

    def test_it_works_again_when_something_went_away_or_its_inputs_changed(self):
        def stamp():
            return (self.root / ".deps/stamp").stat().st_mtime_ns

        changes = {
            "libtorch is gone": lambda: (self.root / ".deps/torch").unlink(),
            "a pin changed": lambda: (self.root / "scripts/dependencies.json").write_text(
                (self.root / "scripts/dependencies.json").read_text() + " "
            ),
            "pip replaced the linked torch": lambda: make_torch(self.top / "torch"),
            "another LibTorch is asked for": lambda: self.environment.update(
                LOCKSTEP_TORCH=str(make_torch(self.top / "torch2"))
            ),
            "the CUDA half is wanted": lambda: self.environment.update(LOCKSTEP_CUDA="1"),
        }
        self.run_script("setup")
        for what, change in changes.items():
            before = stamp()
            time.sleep(0.02)
            change()
            self.run_script("setup")
            self.assertNotEqual(stamp(), before, what)
            again = stamp()
            self.run_script("setup")
            self.assertEqual(stamp(), again, what)

    def test_an_error_is_one_plain_message(self):
        _, said, _ = self.run_script("setup", check=False, LOCKSTEP_TORCH="/nowhere")
        self.assertEqual(
            (self.status, said),
            (
                1,
                "set-up: LOCKSTEP_TORCH=/nowhere: no LibTorch there "
                "(include/ and lib/libtorch_cpu.so).\n",
            ),
        )


class Lockstep(Checkout):
    def test_it_builds_once_and_then_only_becomes_the_program(self):
        out, said, called = self.run_script("lockstep", "train", "two words")
        self.assertEqual((out, called), ("ran train two words\n", ["cmake", "ninja"]))
        self.assertIn("built", said)
        self.assertEqual(self.run_script("lockstep", "--help"), ("ran --help\n", "", []))

    def test_a_changed_a_new_and_a_removed_source_make_it_build(self):
        self.run_script("lockstep")
        source, new = self.root / "core/a.cc", self.root / "core/b.cc"
        for what, change in (
            ("changed", source.touch),
            ("new", new.touch),
            ("removed", new.unlink),
        ):
            time.sleep(0.02)
            change()
            self.assertEqual(self.run_script("lockstep")[2], ["ninja"], what)
            self.assertEqual(self.run_script("lockstep")[2], [], what)
        (self.root / "tests/t.cc").touch()
        self.assertEqual(self.run_script("lockstep")[2], [], "tests are no part of the programs")

    def test_other_arguments_for_cmake_and_another_place_configure_anew(self):
        self.run_script("lockstep")
        self.assertEqual(
            self.run_script("lockstep", LOCKSTEP_CMAKE_ARGS="-DX=1")[2], ["cmake", "ninja"]
        )
        self.assertEqual(self.run_script("lockstep", LOCKSTEP_CMAKE_ARGS="-DX=1")[2], [])
        cache = self.root / "build/CMakeCache.txt"
        cache.write_text("CMAKE_HOME_DIRECTORY:INTERNAL=/elsewhere\n")
        (self.root / "build/.built-programs").unlink()
        self.assertEqual(
            self.run_script("lockstep", LOCKSTEP_CMAKE_ARGS="-DX=1")[2], ["cmake", "ninja"]
        )

    def test_two_at_once_build_once(self):
        self.run_script("setup")
        self.calls.unlink(missing_ok=True)
        environment = {**self.environment, "SLOW": "0.5"}
        both = [
            subprocess.Popen(
                [self.root / "scripts/lockstep", "x"],
                env=environment,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(2)
        ]
        self.assertEqual([one.communicate()[0] for one in both], ["ran x\n"] * 2)
        self.assertEqual(self.calls.read_text().count("ninja"), 1)


class Tests(Checkout):
    def test_the_last_line_counts_cases_and_the_exit_code_says_if_all_is_well(self):
        (self.root / "ctest.xml").write_text(
            '<testsuite><testcase name="a" status="run"/></testsuite>'
        )
        out, _, called = self.run_script("test")
        self.assertEqual(
            (out.splitlines()[-1], called),
            ("1 passed, 0 failed, 0 skipped", ["cmake", "ninja", "ctest"]),
        )
        (self.root / "ctest.xml").write_text("<testsuite/>")
        out, _, _ = self.run_script("test", check=False)
        self.assertEqual((out.splitlines()[-1], self.status), ("0 passed, 0 failed, 0 skipped", 1))

    def test_googletest_cases_count_one_by_one(self):
        (self.top / "ctest.xml").write_text("""<testsuite>
          <testcase name="core" status="run"/>
          <testcase name="crashed" status="fail"><failure/></testcase>
          <testcase name="failed" status="fail"><failure/></testcase>
          <testcase name="not-built" status="notrun">
            <skipped message="Unable to find executable"/></testcase>
          <testcase name="no-gpu" status="notrun">
            <skipped message="SKIP_RETURN_CODE=77"/></testcase>
          <testcase name="off" status="disabled"><skipped message="Disabled"/></testcase>
          <testcase name="script" status="run"/></testsuite>""")
        (self.top / "core_test.xml").write_text("""<testsuites><testsuite>
          <testcase status="run" result="completed"/><testcase status="run" result="completed"/>
          <testcase status="run" result="skipped"/><testcase status="notrun" result="suppressed"/>
          </testsuite></testsuites>""")
        (self.top / "crashed_test.xml").write_text("<testsuites><testsuite><testc")
        (self.top / "failed_test.xml").write_text("""<testsuites><testsuite>
          <testcase status="run" result="completed"/>
          <testcase status="run" result="completed"><failure/></testcase>
          </testsuite></testsuites>""")
        self.assertEqual(count_tests.count(self.top, 8), (4, 3, 4))


if __name__ == "__main__":
    unittest.main()
