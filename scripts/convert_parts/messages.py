"""Errors as Lockstep shows them, and the form of a command."""

from typing import Callable, NamedTuple

USAGE, ENVIRONMENT, DATA, BUG = 2, 3, 4, 70


class ConvertError(Exception):
    """A fact, what to do about it, the file it is about, and the exit code."""

    def __init__(self, fact, help="", place="", code=DATA):  # pylint: disable=redefined-builtin
        super().__init__(fact)
        self.fact, self.help, self.place, self.code = fact, help, place, code

    def __str__(self):
        text = "error: " + self.fact
        if self.place:
            text += f"\n  --> {self.place}"
        if self.help:
            text += f"\nhelp: {self.help}"
        return "".join(c if c == "\n" or c.isprintable() else "?" for c in text)


class Command(NamedTuple):
    """A sub-command: `add_arguments(parser)` and `run(arguments)`, which raises ConvertError."""

    name: str
    summary: str
    add_arguments: Callable
    run: Callable
