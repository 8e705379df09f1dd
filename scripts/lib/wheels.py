"""Python wheels that are unpacked and not installed: wheels.py TABLE, an entry of
dependencies.json.

    test_packages   what some tests compare with, such as onnxruntime (run by scripts/test)
    check_tools     clang-format, ruff and shellcheck (run by scripts/check)

Wheels are pinned by SHA-256, so neither pip nor a virtual environment is needed. They go to
.deps/FOLDER. Where they cannot be had (no network, another Python), SetupError says why.
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
    """Why these wheels are not for this Python, or "". Programs (no "python") fit every one."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if python != table.get("python", python):
        return f"they are for Python {table['python']}, and this is {python}"
    machine = os.uname().machine
    if machine != table["machine"]:
        return f"they are for {table['machine']}, and this is {machine}"
    return ""


def unpack(path, folder):
    """extractall() forgets which files are programs."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            file = archive.extract(entry, folder)
            if not entry.is_dir() and entry.external_attr >> 16 & 0o100:
                os.chmod(file, 0o755)


def bring(table, deps, downloads):
    """The folder with all wheels of a table. Throws SetupError."""
    folder = deps / table["folder"]
    wanted = hashlib.sha256(json.dumps(table["wheels"]).encode()).hexdigest()
    stamp = folder / "stamp"

    def is_there():
        return stamp.exists() and stamp.read_text(encoding="utf-8") == wanted

    if is_there():
        return folder
    if problem := unfit(table):
        raise SetupError(problem)
    deps.mkdir(exist_ok=True)
    with open(deps / f"{table['folder']}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_there():  # somebody else brought them meanwhile
            return folder
        making = deps / f"{table['folder']}.new"
        shutil.rmtree(making, ignore_errors=True)
        with Step(f"{table['what']} ({table['megabytes']} MB)") as step:
            for wheel in table["wheels"]:
                unpack(downloads.fetch(wheel, step), making)
        (making / "stamp").write_text(wanted, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        making.rename(folder)
    return folder


def bring_table(name, root=ROOT):
    """The folder of the table `name` in root/.deps. Throws SetupError, OSError, BadZipFile."""
    everything = json.loads((root / "scripts/dependencies.json").read_text(encoding="utf-8"))
    deps = root / ".deps"
    return bring(
        everything[name], deps, Downloads(cache_folder(), deps / "debian", retry_seconds=0.2)
    )


if __name__ == "__main__":
    try:
        bring_table(sys.argv[1])
    except (SetupError, OSError, zipfile.BadZipFile) as error:
        print(f"  {sys.argv[1]} are not there: {error}", file=sys.stderr)
