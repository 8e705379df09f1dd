"""Python packages that some tests compare with, such as onnxruntime: unpacked into .deps/test-packages.

Run by scripts/test. Wheels are pinned by SHA-256 and only unpacked: neither pip nor a virtual environment is
needed. Where they cannot be had (no network, another Python), a line says so, and those tests skip themselves.
"""

import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import sys
import zipfile

sys.dont_write_bytecode = True
from downloads import Downloads, cache_folder  # noqa: E402  (after the switch above)
from progress import SetupError, Step  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def unfit(table):
    """Why these wheels are not for this Python, or ""."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if python != table["python"]:
        return f"they are for Python {table['python']}, and this is {python}"
    machine = os.uname().machine
    return (
        ""
        if machine == table["machine"]
        else f"they are for {table['machine']}, and this is {machine}"
    )


def bring(table, deps, downloads):
    """The folder with all packages. Throws SetupError."""
    folder = deps / "test-packages"
    wanted = hashlib.sha256(json.dumps(table["wheels"]).encode()).hexdigest()
    stamp = folder / "stamp"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return folder
    if problem := unfit(table):
        raise SetupError(problem)
    deps.mkdir(exist_ok=True)
    with open(deps / "test-packages.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        making = deps / "test-packages.new"
        shutil.rmtree(making, ignore_errors=True)
        with Step(f"packages for tests ({table['megabytes']} MB)") as step:
            for wheel in table["wheels"]:
                with zipfile.ZipFile(downloads.fetch(wheel, step)) as archive:
                    archive.extractall(making)
        (making / "stamp").write_text(wanted, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        making.rename(folder)
    return folder


if __name__ == "__main__":
    everything = json.loads((ROOT / "scripts/dependencies.json").read_text(encoding="utf-8"))
    try:
        bring(
            everything["test_packages"],
            ROOT / ".deps",
            Downloads(cache_folder(), ROOT / ".deps/debian", retry_seconds=0.2),
        )
    except (SetupError, OSError, zipfile.BadZipFile) as error:
        print(
            f"  packages for tests are not there, so tests against them skip: {error}",
            file=sys.stderr,
        )
