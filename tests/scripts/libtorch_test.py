"""Which LibTorch set-up takes, what it unpacks, and how Debian's packages get mended. Offline:
the LibTorch here is a few empty files and one small library that loads."""

import contextlib
import hashlib
import io
import os
import pathlib
import re
import sys
import tempfile
import unittest
import unittest.mock
import zipfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts/lib"))

import debian_packages  # noqa: E402
import libtorch  # noqa: E402
from downloads import Downloads  # noqa: E402
from progress import SetupError  # noqa: E402

VERSION = (
    "#define TORCH_VERSION_MAJOR {}\n#define TORCH_VERSION_MINOR {}\n"
    "#define TORCH_VERSION_PATCH {}\n"
)


def some_library():
    """The bytes of a library that loads anywhere."""
    maps = pathlib.Path("/proc/self/maps").read_text(encoding="utf-8")
    return pathlib.Path(
        re.search(r"(/\S+/lib(?:m|z|pthread|dl|c)[.-]\S*so\S*)", maps).group(1)
    ).read_bytes()


def make_torch(folder, version="2.11.0", library=None):
    for part in ("include/torch/headeronly", "include/ATen", "lib"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "include/torch/headeronly/version.h").write_text(VERSION.format(*version.split(".")))
    (folder / "lib/libtorch_cpu.so").write_bytes(some_library() if library is None else library)
    (folder / "lib/libc10.so").touch()
    (folder / "__init__.py").write_text("raise ImportError('set-up must not import torch')")
    return folder


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.deps = self.folder / ".deps"
        self.deps.mkdir()
        patch = unittest.mock.patch.object(
            sys, "path", [path for path in sys.path if "site-packages" not in path]
        )
        patch.start()
        self.addCleanup(patch.stop)
        said = contextlib.redirect_stderr(io.StringIO())
        self.said = said.__enter__()
        self.addCleanup(said.__exit__, None, None, None)


class ChoiceOfTorch(InFolder):
    def test_the_folder_asked_for_comes_first_and_python_second_and_neither_is_imported(self):
        asked, installed = (
            make_torch(self.folder / "asked"),
            make_torch(self.folder / "python/torch"),
        )
        sys.path.insert(0, str(installed.parent))
        self.assertEqual(libtorch.choose("2.11", {"LOCKSTEP_TORCH": str(asked)})[0], asked)
        self.assertEqual(libtorch.choose("2.11", {})[0], installed)
        sys.path.pop(0)
        self.assertIsNone(libtorch.choose("2.11", {}))

    def test_another_version_in_python_is_passed_over(self):
        sys.path.insert(0, str(make_torch(self.folder / "torch", "2.110.0").parent))
        self.assertIsNone(libtorch.choose("2.11", {}))

    def test_a_python_torch_that_does_not_load_is_passed_over_and_said(self):
        sys.path.insert(0, str(make_torch(self.folder / "torch", library=b"no library").parent))
        self.assertIsNone(libtorch.choose("2.11", {}))
        self.assertIn("is passed over", self.said.getvalue())

    def test_a_folder_asked_for_that_is_unfit_is_an_error(self):
        cases = [
            (self.folder / "none", "no LibTorch there"),
            (make_torch(self.folder / "old", "2.10.0"), "LibTorch 2.10.0, but Lockstep needs 2.11"),
            (make_torch(self.folder / "broken", library=b"no library"), "cannot be loaded"),
        ]
        for folder, message in cases:
            with self.assertRaisesRegex(SetupError, message):
                libtorch.choose("2.11", {"LOCKSTEP_TORCH": str(folder)})

    def test_only_wheels_that_the_toolkit_does_not_replace_are_fetched(self):
        wheels = [
            {"project": "torch", "sets": ["cpu", "cuda"]},
            {"project": "cudart", "sets": ["cpu", "cuda"], "provides": "libcudart.so.13"},
            {"project": "cusparselt", "sets": ["cuda"], "provides": "libcusparseLt.so.0"},
        ]
        (self.folder / "libcudart.so.13").touch()

        def needed(chosen_set):
            return [
                wheel["project"]
                for wheel in libtorch.wheels_needed(wheels, chosen_set, self.folder)
            ]

        self.assertEqual(needed("cpu"), ["torch", "cudart"])
        self.assertEqual(needed("cuda"), ["torch", "cusparselt"])
        self.assertIsNone(
            libtorch.find_toolkit({"LOCKSTEP_CUDA": "0", "CUDA_HOME": str(self.folder)})
        )


class TorchFromWheels(InFolder):
    def setUp(self):
        super().setUp()
        self.environment = {"LOCKSTEP_CUDA": "0"}
        self.wants_cuda = False
        version = VERSION.format(2, 11, 0)
        self.table = {
            "version": "2.11",
            "machine": os.uname().machine,
            "wheels": [
                self.wheel(
                    "torch",
                    {
                        "torch/lib/libtorch_cpu.so": some_library(),
                        "torch/lib/libtorch_cuda.so": b"",
                        "torch/lib/libtorch_python.so": b"",
                        "torch/nn/linear.py": b"",
                        "torch/include/torch/headeronly/version.h": version.encode(),
                    },
                ),
                self.wheel(
                    "nvidia-cuda-runtime",
                    {"nvidia/cu13/lib/libcudart.so.13": b"", "nvidia/cu13/include/cuda.h": b""},
                ),
            ],
        }

    def wheel(self, project, files):
        path = self.folder / f"{project}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return {
            "project": project,
            "version": "1",
            "megabytes": 0,
            "sets": ["cpu", "cuda"],
            "file": path.name,
            "sha256": digest,
        }

    def bring(self):
        with unittest.mock.patch.object(sys, "path", []):
            return libtorch.bring(
                self.table, self.deps, Downloads(self.folder), self.wants_cuda, self.environment
            )

    def test_the_cpu_set_is_unpacked_and_nothing_else(self):
        self.assertEqual(self.bring(), "cpu: torch-1 nvidia-cuda-runtime-1")
        files = {
            str(path.relative_to(self.deps)) for path in self.deps.rglob("*") if path.is_file()
        }
        self.assertEqual(
            files,
            {
                "torch/lib/libtorch_cpu.so",
                "torch/include/torch/headeronly/version.h",
                "nvidia/cu13/lib/libcudart.so.13",
                "torch-source",
            },
        )

    def test_a_second_time_does_nothing_and_a_larger_set_stays(self):
        self.bring()
        (self.folder / "torch.whl").unlink()  # unpacking again would fail
        self.bring()
        (self.deps / "torch-source").write_text("cuda: torch-1 nvidia-cusparselt-cu13-1\n")
        self.bring()

    def test_the_cuda_set_comes_beside_the_cpu_set_only_where_it_is_wanted_and_there_is_a_toolkit(
        self,
    ):
        self.bring()
        before = (self.deps / "torch/lib/libtorch_cpu.so").stat()
        self.wants_cuda = True
        self.bring()
        self.assertFalse(
            (self.deps / "torch/lib/libtorch_cuda.so").exists()
        )  # LOCKSTEP_CUDA=0: no toolkit
        (self.folder / "toolkit/lib").mkdir(parents=True)
        (self.folder / "toolkit/lib/libcudart.so.13").touch()
        self.environment = {"CUDA_HOME": str(self.folder / "toolkit")}
        self.assertTrue(self.bring().startswith("cuda: torch-1"))
        self.assertTrue((self.deps / "torch/lib/libtorch_cuda.so").exists())
        self.assertFalse((self.deps / "torch/lib/libtorch_python.so").exists())
        after = (self.deps / "torch/lib/libtorch_cpu.so").stat()
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))

    def test_an_unpacking_that_was_interrupted_starts_over(self):
        (self.deps / "unpacking/torch/lib").mkdir(parents=True)
        (self.deps / "unpacking/torch/lib/half").touch()
        self.bring()
        self.assertFalse(
            (self.deps / "unpacking").exists() or (self.deps / "torch/lib/half").exists()
        )

    def test_a_link_gives_way_to_the_wheel_and_back_without_harm_to_the_linked(self):
        asked = make_torch(self.folder / "asked")
        self.environment["LOCKSTEP_TORCH"] = str(asked)
        self.bring()
        self.assertEqual(os.readlink(self.deps / "torch"), str(asked))
        del self.environment["LOCKSTEP_TORCH"]
        self.bring()
        self.assertFalse((self.deps / "torch").is_symlink())
        self.assertEqual(libtorch.version_of(asked), "2.11.0")


class DebianPackages(InFolder):
    def test_what_is_there_by_file_or_command_or_wish_is_not_missing(self):
        (self.folder / "usr/include").mkdir(parents=True)
        (self.folder / "usr/include/here.h").touch()
        packages = [
            {"package": "a", "file": "usr/include/here.h"},
            {"package": "b", "file": "usr/include/not-here.h"},
            {"package": "c", "command": "sh"},
            {"package": "d", "command": "no-such-command"},
            {"package": "e", "command": "no-such-command", "unless": "MPI_HOME"},
        ]
        left = debian_packages.missing(packages, self.folder, {"MPI_HOME": "/opt/mpi"})
        self.assertEqual([package["package"] for package in left], ["b", "d"])

    def test_links_lead_to_unpacked_files_or_to_the_system(self):
        library = self.folder / "usr/lib"
        library.mkdir(parents=True)
        (library / "libhere.so.1").touch()
        (library / "libhere.so").symlink_to("/usr/lib/libhere.so.1")
        (library / "sh").symlink_to("../../bin/sh")  # only the system has it
        debian_packages.mend_links(self.folder)
        self.assertEqual(os.readlink(library / "libhere.so"), str(library / "libhere.so.1"))
        self.assertEqual(os.readlink(library / "sh"), "/bin/sh")

    def test_the_system_s_own_c_library_and_compiler_are_never_unpacked(self):
        for name, own in (
            ("libc6-dev", True),
            ("gcc-12", True),
            ("libhdf5-103-1", False),
            ("libcurl4", False),
        ):
            self.assertEqual(bool(debian_packages.SYSTEM_ONLY.match(name)), own, name)


if __name__ == "__main__":
    unittest.main()
