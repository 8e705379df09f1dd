"""Writes lockstep.1 from the program's own help: man_page.py PROGRAM OUTPUT.

Each command that `lockstep --help` lists becomes a section: the text of its own --help.
"""

import re
import subprocess
import sys
from pathlib import Path


def help_of(program, *words):
    command = [program, *words, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def commands_in(text):
    """The names that the section "Commands" of the help lists."""
    section = text.split("\nCommands\n", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^  (\w+)", section, re.M)


def literal(text):
    """Text as it stands, in roff: a leading dot or quote is no request, a backslash no escape."""
    lines = text.rstrip().replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in lines)


def page(program):
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    whole = help_of(program)
    parts = [
        f'.TH LOCKSTEP 1 "" "{version.stdout.split(chr(10))[0]}"',
        ".SH NAME",
        "lockstep \\- trains models on one core, one GPU or many nodes from a YAML file",
        ".SH SYNOPSIS",
        ".B lockstep",
        "COMMAND [CONFIG] [key=value ...] [\\-\\-flags]",
        ".SH DESCRIPTION",
        ".nf",
        literal(whole),
        ".fi",
    ]
    for command in commands_in(whole):
        parts += [
            f".SH LOCKSTEP {command.upper()}",
            ".nf",
            literal(help_of(program, command)),
            ".fi",
        ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(page(sys.argv[1]), encoding="utf-8")
