"""Figures of the C++ sources: `scripts/check --figures`, or house_figures.py FOLDER for a checkout.

Comment share: lines that are nothing but a comment, of all lines that are not blank. Functions are
found by their braces, without a compiler; a lambda counts with the function that holds it. Include
depth: the longest chain of our own headers. Cycles: headers that include themselves by a detour.
"""

import collections
import pathlib
import re
import sys

KINDS = (".h", ".cc", ".cu", ".cuh")
BESIDE = re.compile(r"build.*|cmake|configs|docs|scripts|datasets|runs|\..+")
SHORT_LINES = 30
LITERALS = re.compile(
    r'R"(\w*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL
)
CONTROL = re.compile(r"\s*(?:else\s+)?(?:if|for|while|switch|catch|do|else|try|namespace)\b")


def sources(root):
    """Path → text, in the folders of the programs, of tests and of benchmarks."""
    top = root / "src" if (root / "src").is_dir() else root
    found = {}
    for folder in sorted(top.iterdir()):
        if folder.is_dir() and not BESIDE.fullmatch(folder.name):
            for path in sorted(folder.rglob("*")):
                if path.suffix in KINDS:
                    found[path.relative_to(top).as_posix()] = path.read_text(encoding="utf-8")
    return found


def blanked(text):
    """Without comments and the content of literals; line numbers stay."""
    return LITERALS.sub(lambda match: "0" + "\n" * match.group().count("\n"), text)


def comment_share(texts):
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    comments = sum(line.startswith(("//", "/*", "* ")) for line in lines)
    return 100 * comments / max(len(lines), 1), len(lines)


def is_function(head):
    """Does the text between the last `;`, `{` or `}` and a `{` begin a function?"""
    if CONTROL.match(head) or re.search(r"\b(?:struct|class|enum|union)\s+\w+[^()]*$", head):
        return False
    return bool(re.search(r"\w\s*\(", head)) and not re.search(r"=\s*$|\[[^\]]*\]\s*\(", head)


def function_lengths(text):
    """Lines of each function, its signature included."""
    code = re.sub(r"^\s*#(?:.*\\\n)*.*", "", blanked(text), flags=re.MULTILINE)
    line, depth, begin, head, head_line = 1, 0, None, "", 1
    for character in code:
        if character == "{":
            if begin is None and is_function(head):
                begin = (depth, head_line)
            depth += 1
        elif character == "}":
            depth -= 1
            if begin and begin[0] == depth:
                yield line - begin[1] + 1
                begin = None
        if character in "{};":
            head = ""
        else:
            if not head.strip():
                head_line = line
            head += character
        line += character == "\n"


def include_graph(texts):
    return {
        path: [name for name in re.findall(r'^#include "([^"]+)"', text, re.M) if name in texts]
        for path, text in texts.items()
    }


def depth_and_cycles(graph):
    """(the longest chain of files, how many includes lead back to a file that is still open)."""
    depths, cycles = {}, 0

    def visit(path, open_files):
        nonlocal cycles
        if path in open_files:
            cycles += 1
            return 0
        if path not in depths:
            below = [visit(name, open_files | {path}) for name in graph[path]]
            depths[path] = 1 + max(below, default=0)
        return depths[path]

    return max((visit(path, frozenset()) for path in graph), default=0), cycles


def percentile(values, share):
    return sorted(values)[min(int(share * len(values)), len(values) - 1)] if values else 0


def by_folder(texts):
    folders = collections.defaultdict(list)
    for path, text in texts.items():
        folders[path.split("/")[0]].append((path, text))
    return folders


def report(root):
    texts = sources(root)
    lines = [f"{'folder':12}{'files':>7}{'lines':>8}{'comments':>10}{'in .cc':>9}{'in .h':>9}"]
    for folder, files in by_folder(texts).items():
        share, count = comment_share(text for _, text in files)
        in_sources, _ = comment_share(text for path, text in files if not path.endswith(".h"))
        in_headers, _ = comment_share(text for path, text in files if path.endswith(".h"))
        row = f"{share:>8.1f} %{in_sources:>7.1f} %{in_headers:>7.1f} %"
        lines.append(f"{folder:12}{len(files):>7}{count:>8}{row}")
    programs = {p: t for p, t in texts.items() if not p.startswith(("tests/", "bench/"))}
    lengths = [n for text in programs.values() for n in function_lengths(text)]
    depth, cycles = depth_and_cycles(include_graph(texts))
    wide = sum(len(line) > 100 for text in texts.values() for line in text.splitlines())
    short = sum(text.count("\n") <= SHORT_LINES for text in programs.values())
    return "\n".join(
        [
            *lines,
            f"lines over 100 columns: {wide}",
            f"files of {SHORT_LINES} lines or fewer, without tests: {short} of {len(programs)}",
            f"functions: {len(lengths)}, median {percentile(lengths, 0.5)} lines, "
            f"95 of 100 have at most {percentile(lengths, 0.95)}, longest {max(lengths)}",
            f"include depth: {depth}, cycles: {cycles}",
        ]
    )


if __name__ == "__main__":
    print(report(pathlib.Path(sys.argv[1])))
