"""Makes the bundle: bundle.py ROOT BUILD OUTPUT. See scripts/bundle."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

LIMIT_MEGABYTES = 30
PROGRAMS = re.compile(r"lockstep|lockstep-worker|\w+_bench|(train|kernels_gpu)_test")
LIBRARIES = ("liblockstep.so", "liblockstep_cuda.so")
# What the GPU machine has: LibTorch and what belongs to it, the C library, the C++ library.
SYSTEM = re.compile(
    r"(linux-vdso|ld-linux|libc|libm|libdl|libpthread|librt|libresolv|libutil|libstdc\+\+|libgcc_s)"
    r"[.-]|"
    r"lib(torch|c10|gomp|cu[a-z]+|nccl|nv[a-zA-Z]+|caffe2)[._A-Za-z0-9-]*\.so"
)
PEERS = (
    "denoising-diffusion-pytorch==2.3.4",
    "ema-pytorch==0.8.3",
    "einops==0.8.2",
    "pytorch-fid==0.3.0",
    "torch-fidelity==0.3.0",
    "diffusers==0.42.1",
)
SCRIPT = """#!/bin/sh
# lockstep from the bundle, with the LibTorch of this machine's python3 (or of LOCKSTEP_TORCH, a
# torch folder).
here=$(cd "$(dirname "$0")" && pwd -P)
find='import importlib.util as u; print(u.find_spec("torch").submodule_search_locations[0])'
torch=${LOCKSTEP_TORCH:-$(python3 -c "$find" 2>/dev/null)}
[ -e "$torch/lib/libtorch_cpu.so" ] || { echo "error: this python3 has no torch 2.11
help: set LOCKSTEP_TORCH to a folder with lib/libtorch_cpu.so" >&2; exit 3; }
paths=$here/lib:$torch/lib
for folder in "$torch"/../nvidia/*/lib; do paths=$paths:$folder; done
LD_LIBRARY_PATH=$paths${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec "$here/bin/lockstep" "$@"
"""


def needed_libraries(files):
    """Paths of the shared libraries that `files` need and the GPU machine lacks."""
    found = {}
    for file in files:
        listing = subprocess.run(
            ["ldd", str(file)], capture_output=True, text=True, check=True
        ).stdout
        for name, path in re.findall(r"^\s*(\S+) => (\S+)", listing, re.MULTILINE):
            if (
                not SYSTEM.match(name)
                and not name.startswith("liblockstep")
                and path.startswith("/")
            ):
                found[name] = pathlib.Path(path).resolve()
    return found


def strip(path):
    subprocess.run(["strip", "--strip-unneeded", str(path)], check=True)


def copy_programs(build, bundle):
    (bundle / "bin").mkdir()
    (bundle / "lib").mkdir()
    copied = []
    for program in sorted((build / "bin").iterdir()):
        if PROGRAMS.fullmatch(program.name):
            copied.append(shutil.copy2(program, bundle / "bin" / program.name))
    for library in LIBRARIES:
        if (build / "lib" / library).exists():
            copied.append(shutil.copy2(build / "lib" / library, bundle / "lib" / library))
    for name, path in needed_libraries(copied).items():
        shutil.copy2(path, bundle / "lib" / name)
        copied.append(bundle / "lib" / name)
    for path in copied:
        os.chmod(path, 0o755)
        strip(path)


def copy_python(root, bundle):
    """The peers' packages, unpacked: pure Python, so that nothing is installed there."""
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "-q",
                "--no-deps",
                "--no-compile",
                "--target",
                folder,
                *PEERS,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            print(
                f"without the peers' packages: pip says {result.stderr.strip()[-200:]}",
                file=sys.stderr,
            )
            return
        shutil.copytree(
            folder,
            bundle / "python",
            ignore=shutil.ignore_patterns("bin", "__pycache__", "*.dist-info"),
        )


def make(root, build, output):
    with tempfile.TemporaryDirectory() as folder:
        bundle = pathlib.Path(folder) / "lockstep-bundle"
        bundle.mkdir()
        copy_programs(build, bundle)
        copy_python(root, bundle)
        for part in ("configs", "bench/peers", "scripts"):
            shutil.copytree(
                root / part, bundle / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy2(root / "LICENSE", bundle) if (root / "LICENSE").exists() else None
        (bundle / "lockstep").write_text(SCRIPT)
        os.chmod(bundle / "lockstep", 0o755)
        commit = subprocess.run(
            ["git", "-C", root, "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
        (bundle / "bundle.json").write_text(json.dumps({"commit": commit.stdout.strip()}) + "\n")
        pathlib.Path(output).parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(output, "w:xz", preset=6) as archive:
            archive.add(bundle, bundle.name)
    megabytes = os.path.getsize(output) / 1e6
    print(f"{output}: {megabytes:.1f} MB")
    if megabytes > LIMIT_MEGABYTES:
        sys.exit(f"the bundle is larger than {LIMIT_MEGABYTES} MB")


if __name__ == "__main__":
    make(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3])
