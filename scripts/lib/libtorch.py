"""LibTorch: which one to use, and how it gets into .deps/.

In this order:
  1. LOCKSTEP_TORCH: a folder with include/ and lib/, such as an unpacked LibTorch or a Python
     package's torch folder. Anything wrong with it is an error: the user asked for it.
  2. The torch of the `python3` that runs set-up, if it is the pinned version and loads.
  3. The wheel from the package index. Only C++ files are unpacked.
For 1 and 2 .deps/torch is a link; for 3 it is a folder with .deps/nvidia beside it, where the
wheel's own run path ($ORIGIN/../../nvidia/...) finds NVIDIA's libraries.

Two sets of files come from wheels. "cpu": libtorch_cpu and the two small NVIDIA libraries that
it cannot do without even there (544 MB unpacked). "cuda": also libtorch_cuda, and those NVIDIA
libraries that the CUDA toolkit does not have (1.4 GB). The larger set is for building the CUDA
plug-in: on a machine with a toolkit where it is of use (cuda_wanted in common.sh). It is laid
beside the smaller one, whose files stay as they are, so nothing compiled becomes out of date.
"""

import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

from progress import SetupError, Step

KEEP_LIBRARIES = {
    "cpu": re.compile(
        r"torch/lib/(libtorch_cpu|libc10|libgomp)[.-]|nvidia/.*/lib/(libcudart|libcupti)\.so"
    ),
    "cuda": re.compile(r"torch/lib/(?!libtorch_python|libshm).*\.so|nvidia/.*/lib/.*\.so"),
}
KEEP_OTHERS = re.compile(
    r"torch/(include/|version\.py$)|nvidia/(nccl|cudnn)/include/|.*/licenses?/|.*LICENSE"
)


def version_of(folder):
    """The version in LibTorch's own header, such as 2.11.0, or None."""
    header = pathlib.Path(folder) / "include/torch/headeronly/version.h"
    if not header.is_file() or not (pathlib.Path(folder) / "lib/libtorch_cpu.so").exists():
        return None
    numbers = dict(
        re.findall(
            r"define TORCH_VERSION_(MAJOR|MINOR|PATCH) (\d+)", header.read_text(encoding="utf-8")
        )
    )
    return ".".join(numbers.get(part, "?") for part in ("MAJOR", "MINOR", "PATCH"))


def load_problem(folder):
    """None if the libraries load on this machine, else what the loader says."""
    code = (
        "import ctypes, sys\ntry: ctypes.CDLL(sys.argv[1])\nexcept OSError as e: sys.exit(str(e))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(pathlib.Path(folder) / "lib/libtorch_cpu.so")],
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        None
        if result.returncode == 0
        else result.stderr.strip() or f"the loader died ({result.returncode})"
    )


def fits(version, wanted):
    return version is not None and version.startswith(wanted + ".")


def python_torch():
    """The torch folder of the running Python, found without the 2 s of importing it."""
    try:
        found = importlib.util.find_spec("torch")
    except (ImportError, ValueError):
        return None
    return pathlib.Path(found.origin).parent if found and found.origin else None


def find_toolkit(environment=os.environ):
    """The folder of a CUDA 13 toolkit's libraries, or None."""
    if environment.get("LOCKSTEP_CUDA") == "0":
        return None
    nvcc = shutil.which("nvcc")
    homes = [
        environment.get("CUDA_HOME"),
        environment.get("CUDA_PATH"),
        "/usr/local/cuda",
        nvcc and os.path.dirname(os.path.dirname(os.path.realpath(nvcc))),
    ]
    for home in filter(None, homes):
        for library in ("lib64", "lib"):
            if (pathlib.Path(home) / library / "libcudart.so.13").exists():
                return pathlib.Path(home) / library
    return None


def choose(wanted, environment=os.environ):
    """A folder to link to and what it is, or None: take the wheel. Throws SetupError."""
    asked = environment.get("LOCKSTEP_TORCH")
    if asked:
        folder = pathlib.Path(asked).expanduser().absolute()
        version = version_of(folder)
        if version is None:
            raise SetupError(
                f"LOCKSTEP_TORCH={asked}: no LibTorch there (include/ and lib/libtorch_cpu.so)."
            )
        if not fits(version, wanted):
            raise SetupError(
                f"LOCKSTEP_TORCH={asked}: LibTorch {version}, but Lockstep needs {wanted}."
            )
        if problem := load_problem(folder):
            raise SetupError(f"LOCKSTEP_TORCH={asked} cannot be loaded: {problem}")
        return folder, f"torch {version} from LOCKSTEP_TORCH"
    folder = python_torch()
    if folder and fits(version_of(folder), wanted):
        problem = load_problem(folder)
        if problem is None:
            return folder, f"torch {version_of(folder)} of {sys.executable}"
        sys.stderr.write(f"  torch of {sys.executable} is passed over: {problem}\n")
    return None


def wheels_needed(wheels, chosen_set, toolkit):
    """The wheels of a set; for "cuda" only those whose library the toolkit does not have."""

    def has(wheel):
        return (
            chosen_set == "cuda" and "provides" in wheel and (toolkit / wheel["provides"]).exists()
        )

    return [wheel for wheel in wheels if chosen_set in wheel["sets"] and not has(wheel)]


def unpack(archive, folder, chosen_set, step, beside=None):
    """The C++ files of a wheel; only those that the folder `beside` lacks. zipfile checks each
    file's CRC."""
    with zipfile.ZipFile(archive) as wheel:
        names = [
            name
            for name in wheel.namelist()
            if not name.endswith("/")
            and (KEEP_LIBRARIES[chosen_set].match(name) or KEEP_OTHERS.match(name))
            and not (beside and (beside / name).exists())
        ]
        for number, name in enumerate(names):
            step.update(f"unpacking {100 * number // len(names)} %")
            wheel.extract(name, folder)


def merge(fresh, into):
    """Moves the files of a folder to the same places in another one."""
    for path in [path for path in fresh.rglob("*") if path.is_file()] if fresh.exists() else []:
        target = into / path.relative_to(fresh)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
    remove(fresh)


def remove(path):
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def bring(table, deps, downloads, wants_cuda, environment=os.environ):
    """Makes deps/torch what it should be; returns a line that describes it. Throws SetupError."""
    linked = choose(table["version"], environment)
    torch, note = deps / "torch", deps / "torch-source"
    if linked:
        folder, description = linked
        if torch.is_symlink() and pathlib.Path(os.readlink(torch)) == folder:
            return description
        with Step(f"{description}: linked"):
            remove(torch)
            torch.symlink_to(folder)
            note.write_text(description + "\n", encoding="utf-8")
        return description

    if os.uname().machine != table["machine"]:
        raise SetupError(
            f"no LibTorch is pinned for {os.uname().machine}. Set LOCKSTEP_TORCH to a folder with "
            f"LibTorch {table['version']}, or make a Python with that torch importable."
        )
    toolkit = find_toolkit(environment)
    chosen_set = "cuda" if toolkit and wants_cuda else "cpu"
    wheels = wheels_needed(table["wheels"], chosen_set, toolkit)

    def describe(of_set, of_wheels):
        return f"{of_set}: " + " ".join(
            f"{wheel['project']}-{wheel['version']}" for wheel in of_wheels
        )

    # A larger set than needed stays: hiding the toolkit for one run unpacks nothing.
    torch_wheel = f"{wheels[0]['project']}-{wheels[0]['version']}"
    present = note.read_text(encoding="utf-8").strip() if note.exists() else ""
    good = present == describe(chosen_set, wheels) or (
        chosen_set == "cpu" and present.startswith(f"cuda: {torch_wheel} ")
    )
    if good and not torch.is_symlink() and version_of(torch):
        return present
    fresh = deps / "unpacking"
    remove(fresh)
    adds = (
        chosen_set == "cuda"
        and present.startswith(f"cpu: {torch_wheel} ")
        and not torch.is_symlink()
        and version_of(torch)
    )
    for wheel in wheels:
        with Step(
            f"{wheel['project']} {wheel['version']} (wheel, {wheel['megabytes']} MB)"
        ) as step:
            unpack(
                downloads.fetch(wheel, step), fresh, chosen_set, step, beside=deps if adds else None
            )
    if adds:
        note.unlink()  # from here on a set-up that is cut short starts over
        merge(fresh, deps)
        link_toolkit(toolkit, deps / "nvidia/cu13/lib")
        if problem := load_problem(torch):
            raise SetupError(f"LibTorch was unpacked but cannot be loaded: {problem}")
        note.write_text(describe(chosen_set, wheels) + "\n", encoding="utf-8")
        return describe(chosen_set, wheels)
    if chosen_set == "cuda":
        link_toolkit(toolkit, fresh / "nvidia/cu13/lib")
    if problem := load_problem(fresh / "torch"):
        raise SetupError(f"LibTorch was unpacked but cannot be loaded: {problem}")
    note.unlink(missing_ok=True)
    for part in ("torch", "nvidia"):
        remove(deps / part)
        os.replace(fresh / part, deps / part)
    remove(fresh)
    note.write_text(describe(chosen_set, wheels) + "\n", encoding="utf-8")
    return describe(chosen_set, wheels)


def link_toolkit(toolkit, folder):
    """Puts the toolkit's libraries where the wheel's run path looks, so no LD_LIBRARY_PATH is
    needed."""
    folder.mkdir(parents=True, exist_ok=True)
    for library in toolkit.glob("lib*.so.*"):
        if not (folder / library.name).exists():
            (folder / library.name).symlink_to(library)
