"""The Python whose packages our files are tried on: LOCKSTEP_TORCH_PYTHON, or the one that runs the
test."""

import os
import subprocess
import sys

SKIPPED = 77
FIND = (
    "import importlib.util as u, sys; print(*[name for name in sys.argv[1:] if not "
    "u.find_spec(name)])"
)


def python():
    return os.environ.get("LOCKSTEP_TORCH_PYTHON", sys.executable)


def need(program, *packages):
    """Ends the test as skipped, by name, unless `program` finds all packages."""
    done = subprocess.run(
        [program, "-c", FIND, *packages], capture_output=True, text=True, check=False
    )
    missing = done.stdout.split() if done.returncode == 0 else list(packages)
    if missing:
        print(
            f"skipped: {program} has no {', '.join(missing)}; LOCKSTEP_TORCH_PYTHON names a Python "
            f"that has"
        )
        sys.exit(SKIPPED)
