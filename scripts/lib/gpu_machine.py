"""The machine and the programs that scripts/gpu_check runs: in a checkout or in an unpacked
bundle."""

import importlib.util
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile


class Machine:
    """Where the programs are, how they find LibTorch, and whether there is a GPU (`problem`: why
    not)."""

    def __init__(self, root, trial=False):
        self.root, self.trial = root, trial
        self.compute = "cpu" if trial else "cuda"  # where the programs and their peers run
        self.bundled = (root / "bundle.json").exists()
        self.bin = (
            root / "bin"
            if self.bundled
            else pathlib.Path(os.environ.get("LOCKSTEP_BUILD_DIR", root / "build")) / "bin"
        )
        self.torch = self.find_torch()
        self.scratch = tempfile.TemporaryDirectory(prefix="lockstep-gpu-check-")
        self.environment = self.make_environment()
        self.problem, self.help = self.find_problem()

    @staticmethod
    def find_torch():
        """The folder of this Python's torch, found without importing it."""
        found = importlib.util.find_spec("torch")
        return pathlib.Path(found.origin).parent if found and found.origin else None

    def make_environment(self):
        environment = dict(os.environ, PYTHONUNBUFFERED="1")
        folders = []
        if self.bundled:
            folders.append(self.root / "lib")
            if self.torch:
                folders += [self.torch / "lib", *sorted(self.torch.parent.glob("nvidia/*/lib"))]
            environment["PYTHONPATH"] = os.pathsep.join(
                [str(self.root / "python"), environment.get("PYTHONPATH", "")]
            )
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(
            [*map(str, folders), *filter(None, [environment.get("LD_LIBRARY_PATH")])]
        )
        return environment

    def find_problem(self):
        if not (self.bin / "lockstep").exists():
            return (
                f"the programs are not built ({self.bin})",
                "run scripts/test, or unpack a bundle made by scripts/bundle",
            )
        if self.bundled and self.torch is None:
            return (
                "this Python has no torch, which a bundle needs for its LibTorch",
                "use a Python with torch 2.11",
            )
        result = self.run([self.bin / "lockstep", "env", "--json"], check=False)
        if result.returncode != 0:
            return f"lockstep env failed: {result.stderr.strip()[-300:]}", "see the message"
        self.env = json.loads(result.stdout.splitlines()[-1])
        if self.trial:
            return "", ""
        if self.env["gpus"] == "none":
            return (
                f"no GPU: {self.env['driver']}",
                "run this on a machine with an NVIDIA GPU and driver 580 or newer",
            )
        if self.env["cuda_plugin"] != "installed":
            return (
                "this build has no CUDA plug-in",
                "LOCKSTEP_CUDA=1 scripts/setup, then scripts/lockstep",
            )
        return "", ""

    def run(self, command, check=True, timeout=480, **environment):
        """Runs a program; its output is kept for the report of an error."""
        result = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            timeout=max(1, timeout),
            cwd=self.scratch.name,
            env=self.environment | environment,
            check=False,
        )
        if check and result.returncode != 0:
            raise RuntimeError(
                f"{pathlib.Path(str(command[0])).name} ended with {result.returncode}: "
                f"{result.stderr.strip()[-600:]}"
            )
        return result

    def peer(self, script, *arguments, timeout=480):
        """The lines of JSON that a peer of bench/peers prints."""
        result = self.run(
            [
                sys.executable,
                self.root / "bench/peers" / script,
                "--device",
                self.compute,
                *arguments,
            ],
            timeout=timeout,
        )
        return [
            json.loads(line)
            for line in result.stdout.splitlines()
            if line.startswith("{") and line.endswith("}")
        ]

    def scratch_path(self, name):
        return pathlib.Path(self.scratch.name) / name

    def device(self):
        if self.trial:
            return "cpu (a trial)"
        return getattr(self, "env", {}).get("gpus", "none")

    def versions(self):
        known = getattr(self, "env", {})
        made = json.loads((self.root / "bundle.json").read_text()) if self.bundled else {}
        return {key: known.get(key, "") for key in ("lockstep", "libtorch", "driver")} | {
            "python": platform.python_version(),
            "commit": made.get("commit") or self.commit(),
        }

    def commit(self):
        result = subprocess.run(
            ["git", "-C", str(self.root), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
        return result.stdout.strip()

    @staticmethod
    def facts():
        return {"cores": os.cpu_count(), "system": platform.platform()}
