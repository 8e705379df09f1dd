"""Rules that hold for every text of the repository: 100 columns, no tab, no trailing blank."""

import re

COLUMNS = 100

# What may be wider: a path, and what its wide lines must match.
WIDE = [
    (r".*\.md", r"\s*\||!\["),  # tables, pictures
    (r"tests/\w+/\w+\.py", r"\s*(- )?(\w+: )?\{\{"),  # configs; errors in them are found by line
    (r"launcher/command_help\.cc", r"[^/]"),  # help texts, as a terminal shows them
    (r".*", r"\W*\S*https?://\S+\W*"),  # an address alone on its line
]


def is_wide(path, line):
    """May this line of `path` be wider?"""
    return any(re.fullmatch(where, path) and re.match(what, line) for where, what in WIDE)


def outside_fences(lines):
    """(number, line) of a Markdown page, without its code blocks, which are there to be copied."""
    inside = False
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside:
            yield number, line


def check_text(path, text):
    """One line for each violation: "PATH:LINE: what"."""
    lines = text.split("\n")
    markdown = path.endswith(".md")
    for number, line in outside_fences(lines) if markdown else enumerate(lines, 1):
        if len(line) > COLUMNS and not is_wide(path, line):
            yield f"{path}:{number}: {len(line)} columns; {COLUMNS} are the limit"
    for number, line in enumerate(lines, 1):
        if "\t" in line:
            yield f"{path}:{number}: a tab"
        if line != line.rstrip():
            yield f"{path}:{number}: blanks at the end"
    if text and not text.endswith("\n"):
        yield f"{path}:{len(lines)}: no newline at the end of the file"


def fix_text(text):
    """The text without trailing blanks and with one newline at its end."""
    return "\n".join(line.rstrip() for line in text.rstrip().split("\n")) + "\n" if text else text
