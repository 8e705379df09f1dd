"""Brings everything that Lockstep is built from. Started by scripts/setup, which has found
that something is missing and passes the fingerprint of what set-up depends on.

Leaves in .deps/:
  torch, nvidia   LibTorch (see libtorch.py)
  debian          Debian's packages, if there was no root to install them
  environment.sh  what programs need to find the above; sourced by the scripts
  stamp           the fingerprint and the paths that must exist for set-up to have nothing to do
  setup.log       what apt-get said
"""

import fcntl
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import debian_packages  # noqa: E402  (after the switch above)
import libtorch  # noqa: E402
from downloads import Downloads, cache_folder  # noqa: E402
from progress import SetupError  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def write_if_changed(path, text):
    """The build runs CMake again when this file changes."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def environment_script(unpacked, torch_description):
    lines = [f"# Made by scripts/setup. LibTorch: {torch_description}"]
    if os.environ.get("LOCKSTEP_CUDA") == "0":
        lines.append("# LOCKSTEP_CUDA=0: the CUDA toolkit is hidden.")
    if unpacked.exists():
        usr = unpacked / "usr"
        lines += [
            "# Debian's packages unpacked without root:",
            "export PATH=$PATH:{usr}/bin",
            "export LD_LIBRARY_PATH={lib}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}",
        ]
        if (usr / "bin/mpirun.openmpi").exists():
            lines += [
                "# Open MPI and its PMIx find their parts from here instead of /usr. Network parts "
                "whose",
                "# libraries are not there are left out without a word.",
                "export OPAL_PREFIX={usr}",
                "export OMPI_MCA_mca_base_param_files={etc}/openmpi/openmpi-mca-params.conf",
                "export OMPI_MCA_mca_base_component_show_load_errors=0",
                "export PMIX_MCA_mca_base_component_path={lib}/pmix2/lib/pmix",
                "export PMIX_PKGDATADIR={lib}/pmix2/share/pmix",
            ]
        quoted = {
            "usr": usr,
            "lib": usr / "lib" / f"{os.uname().machine}-linux-gnu",
            "etc": unpacked / "etc",
        }
        quoted = {name: shlex.quote(str(path)) for name, path in quoted.items()}
        lines = [line.format(**quoted) if line.startswith("export") else line for line in lines]
    return "\n".join(lines) + "\n"


def existing_paths(deps, packages):
    """What the quick check looks at next time."""
    triple = f"{os.uname().machine}-linux-gnu"
    cuda = deps / "torch/lib/libtorch_cuda.so"
    paths = [cuda] if cuda.exists() else []
    paths += [
        deps / "torch/lib/libtorch_cpu.so",
        deps / "torch/lib/libc10.so",
        deps / "torch/include/ATen",
        deps / "environment.sh",
    ]
    for package in packages:
        paths += filter(None, [shutil.which(package.get("command", ""))])
        for file in package.get("file", "").format(arch=triple).split("|"):
            for root in (pathlib.Path("/"), deps / "debian"):
                if file and (root / file).exists():
                    paths.append(root / file)
    return list(dict.fromkeys(map(str, paths)))


def set_up(root, fingerprint, wants_cuda):
    deps = root / ".deps"
    deps.mkdir(exist_ok=True)
    unpacked = deps / "debian"
    table = json.loads((root / "scripts/dependencies.json").read_text(encoding="utf-8"))
    with open(deps / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands at once: the second finds the work done
        debian_packages.bring(
            table["debian"], unpacked, cache_folder() / "debian", deps / "setup.log"
        )
        description = libtorch.bring(
            table["torch"], deps, Downloads(cache_folder(), unpacked), wants_cuda
        )
        write_if_changed(deps / "environment.sh", environment_script(unpacked, description))
        (deps / "stamp").write_text(
            "\n".join([fingerprint, *existing_paths(deps, table["debian"])]) + "\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    try:
        set_up(ROOT, sys.argv[1], sys.argv[2:] == ["cuda"])
    except (SetupError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"set-up: {error}")
    except KeyboardInterrupt:
        sys.exit("set-up: interrupted; run it again to go on from here")
