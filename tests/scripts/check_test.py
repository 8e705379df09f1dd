"""scripts/check on files of its own: bad ones fail and say why, good ones pass, --fix mends."""

import contextlib
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/lib"))

import check  # noqa: E402
import house_figures  # noqa: E402
from progress import SetupError  # noqa: E402
from text_rules import check_text, fix_text  # noqa: E402
from wheels import bring_table  # noqa: E402

GOOD = {
    "a.cc": "int twice(int x) { return 2 * x; }\n",
    "a.py": 'print("twice")\n',
    "a.sh": '#!/usr/bin/env bash\necho "$1"\n',
    "script": "#!/usr/bin/env python3\nprint(1)\n",
    "CMakeLists.txt": "project(a)\n",
    "page.md": "# Twice\n",
    "notes.txt": "\tnot ours \n",
}
# What makes one file bad, a word of the message, and whether --fix mends it.
BAD = [
    ("a.cc", "int  twice(int x){return 2*x;}\n", "clang-format", True),
    ("a.cc", f"// {'x' * 98}\n", "a.cc:1: 101 columns", False),
    ("a.py", "print( 'twice' )\n", "ruff format", True),
    ("a.py", "import os\n", "unused", True),
    ("a.py", f"# {'x' * 100}\n", "a.py:1: 102 columns", False),
    ("a.sh", "#!/usr/bin/env bash\necho $1\n", "SC2086", False),
    ("script", "#!/usr/bin/env python3\nprint( 1 )\n", "ruff format", True),
    ("CMakeLists.txt", "\tproject(a)\n", "CMakeLists.txt:1: a tab", False),
    ("page.md", "# Twice  \n", "page.md:1: blanks at the end", True),
    ("page.md", "# Twice", "no newline", True),
]


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                bring_table("check_tools")
        except (SetupError, OSError, zipfile.BadZipFile) as error:
            raise unittest.SkipTest(f"the tools are not there: {error}") from error

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def check(self, files, *options):
        """Exit code and all output."""
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")
        paths = [self.folder / name for name in files]
        command = [ROOT / "scripts/check", *options, *paths]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return result.returncode, result.stdout + result.stderr

    def test_good_files_pass(self):
        self.assertEqual(self.check(GOOD), (0, f"{len(GOOD) - 1} files checked: clean\n"))

    def test_every_bad_file_fails_and_is_named(self):
        for name, text, word, _ in BAD:
            with self.subTest(text=text):
                code, said = self.check({**GOOD, name: text})
                self.assertEqual(code, 1, said)
                self.assertIn(word, said)
                self.assertIn("scripts/check --fix", said)

    def test_fix_mends_format_and_says_what_is_left(self):
        for name, text, _, mended in BAD:
            with self.subTest(text=text):
                code, said = self.check({name: text}, "--fix")
                self.assertEqual(code, 0 if mended else 1, said)
                if mended:
                    self.assertEqual(self.check({name: (self.folder / name).read_text()})[0], 0)


class Rules(unittest.TestCase):
    def test_tables_addresses_and_code_blocks_may_be_wide(self):
        wide = "x" * 101
        self.assertEqual(list(check_text("a.md", f"| {wide} |\n")), [])
        self.assertEqual(list(check_text("a.md", f"<https://example.org/{wide}>\n")), [])
        self.assertEqual(list(check_text("a.md", f"```\n{wide}\n```\n")), [])
        self.assertEqual(len(list(check_text("a.md", f"{wide}\n"))), 1)
        self.assertEqual(len(list(check_text("a.cc", f"| {wide} |\n"))), 1)

    def test_fix_keeps_good_text_and_empty_files(self):
        for text in ("", "a\n\nb\n"):
            self.assertEqual(fix_text(text), text)
        self.assertEqual(fix_text("a  \nb\n\n\n"), "a\nb\n")


class Files(unittest.TestCase):
    def test_what_changed_is_known_from_git_and_everything_even_without_it(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            names = ("kept.cc", "changed.cc", "gone.cc")
            for file in names:
                (root / file).write_text("\n")
            self.assertEqual(check.all_files(root), sorted(root / file for file in names))
            with self.assertRaises(SetupError):
                check.changed_files(root)
            for command in ("init -q", "add .", "-c user.name=a -c user.email=a commit -qm a"):
                subprocess.run(["git", "-C", root, *command.split()], check=True)
            self.assertEqual(check.changed_files(root), [])
            (root / "changed.cc").write_text("int x;\n")
            (root / "gone.cc").unlink()
            (root / "new.cc").write_text("\n")
            self.assertEqual(check.changed_files(root), [root / "changed.cc", root / "new.cc"])


class Figures(unittest.TestCase):
    def test_functions_are_measured_and_types_and_loops_are_none(self):
        source = """
namespace a {
struct S {
  int twice(int x) const { return 2 * x; }
};
int sum(int n) {
  int s = 0;  // {
  for (int i = 0; i < n; ++i) {
    s += [](int x) { return x; }(i);
  }
  return s;
}
S::S(int x)
    : x_(x) {
}
constexpr int kTable[] = {1, 2};
}  // namespace a
"""
        self.assertEqual(list(house_figures.function_lengths(source)), [1, 7, 3])

    def test_includes_have_a_depth_and_cycles_are_counted(self):
        graph = {"a": ["b"], "b": ["c"], "c": [], "d": ["e"], "e": ["d"]}
        depth, cycles = house_figures.depth_and_cycles(graph)
        self.assertEqual((depth, cycles > 0), (3, True))
        self.assertEqual(house_figures.depth_and_cycles({"a": ["b"], "b": []}), (2, 0))


if __name__ == "__main__":
    unittest.main()
