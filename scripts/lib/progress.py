"""What set-up tells the user: one line a step, with what and how long.

Everything goes to standard error, so that `scripts/lockstep config show > file` stays clean.
"""

import sys
import time


class SetupError(Exception):
    """Set-up cannot go on; the message says what to do."""


class Step:
    """`with Step("torch 2.11.0 (531 MB)") as step:` prints `  torch 2.11.0 (531 MB) ... 41 s`."""

    HEARTBEAT_SECONDS = 30  # without a terminal, show a sign of life this often

    def __init__(self, title):
        self.title = title
        self.live = sys.stderr.isatty()
        self.note = ""  # added to the final line, e.g. "from the cache"

    def __enter__(self):
        self.start = self.shown = time.monotonic()
        if self.live:
            self._write(f"\r\033[K  {self.title} ...")
        return self

    def update(self, text):
        """Shows how far the step is: at most 10 times a second on a terminal, rarely elsewhere."""
        now = time.monotonic()
        if now - self.shown < (0.1 if self.live else self.HEARTBEAT_SECONDS):
            return
        self.shown = now
        self._write(
            f"\r\033[K  {self.title} ... {text}" if self.live else f"  {self.title} ... {text}\n"
        )

    def __exit__(self, kind, error, traceback):
        seconds = time.monotonic() - self.start
        ending = "failed" if error else f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
        note = f", {self.note}" if self.note and not error else ""
        self._write(("\r\033[K" if self.live else "") + f"  {self.title} ... {ending}{note}\n")

    @staticmethod
    def _write(text):
        sys.stderr.write(text)
        sys.stderr.flush()
