"""Pinned files from the Python package index: checked, resumed, kept for the next checkout.

A file is written as NAME.part, checked against its SHA-256 and only then renamed, so a file
with its final name was whole once. It is checked again whenever it is used; a damaged one is
fetched anew. If the plain way fails and pip is there, pip gets one try.
"""

import fcntl
import hashlib
import http.client
import os
import pathlib
import ssl
import subprocess
import sys
import time
import urllib.error

from package_index import NotListed, PackageIndex
from progress import SetupError

ATTEMPTS = 5
BLOCK_BYTES = 1 << 20


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "lockstep" / "downloads"


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def is_permanent(error):
    """Trying again would not help: the index says no, or is not whom it claims to be."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in (401, 403, 404)
    return isinstance(error, NotListed) or isinstance(
        getattr(error, "reason", None), ssl.SSLCertVerificationError
    )


class Downloads:
    """Fetches pinned files into a folder that all checkouts of a user share."""

    def __init__(self, folder, unpacked_debian=pathlib.Path("/"), retry_seconds=1.0):
        self.folder = pathlib.Path(folder)
        self.index = PackageIndex(unpacked_debian)
        self.retry_seconds = retry_seconds

    def fetch(self, wheel, step):
        """The path of a wheel (an entry of dependencies.json), its hash checked. Throws
        SetupError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / wheel["file"]
        with open(self.folder / (wheel["file"] + ".lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another checkout may be fetching it
            if path.exists():
                step.update("checking")
                if sha256(path) == wheel["sha256"]:
                    step.note = "from the cache"
                    return path
                step.note = "fetched again: the cached file was damaged"
                path.unlink()
            part = self.folder / (wheel["file"] + ".part")
            problem = self._download(wheel, part, step)
            if problem is None:
                os.replace(part, path)
            elif self._pip_download(wheel, path):
                step.note = "fetched by pip"
                part.unlink(missing_ok=True)
            else:
                raise SetupError(
                    f"cannot download {wheel['file']}: {problem}.\n"
                    f"Run scripts/setup again to go on from here, or put the file into "
                    f"{self.folder}."
                )
        return path

    def _download(self, wheel, part, step):
        """Fills `part`; returns None, or what went wrong the last time."""
        problem = None
        for attempt in range(ATTEMPTS):
            if attempt:
                step.update(f"{problem}; trying again")
                time.sleep(self.retry_seconds * min(2**attempt, 20))
            try:
                self._receive(self.index.address(wheel["project"], wheel["file"]), part, step)
                if sha256(part) == wheel["sha256"]:
                    return None
                problem = "its SHA-256 is not the pinned one"
                part.unlink()
            except (OSError, ValueError, http.client.HTTPException) as error:
                problem = str(error) or type(error).__name__
                if is_permanent(error):
                    break
        return problem

    def _receive(self, url, part, step):
        """Appends to `part` what is missing; starts over if the server cannot continue."""
        have = part.stat().st_size if part.exists() else 0
        try:
            reply = self.index.open(url, {"Range": f"bytes={have}-"} if have else {})
        except urllib.error.HTTPError as error:
            if (
                have and error.code == 416
            ):  # nothing is missing, or the part is too long: the hash decides
                return
            raise
        with reply:
            if reply.status != 206:
                have = 0
            first, begin = have, time.monotonic()
            total = have + int(reply.headers.get("Content-Length") or 0)
            with open(part, "ab" if have else "wb") as file:
                while block := reply.read(BLOCK_BYTES):
                    file.write(block)
                    have += len(block)
                    speed = (have - first) / 1e6 / max(time.monotonic() - begin, 1e-3)
                    share = f"{100 * have // total} %, " if total else ""
                    step.update(f"{share}{have / 1e6:.0f} MB, {speed:.1f} MB/s")
            if have < total:
                raise OSError(f"the connection ended after {have} of {total} bytes")

    def _pip_download(self, wheel, path):
        """Lets pip try, with whatever of its settings the plain way does not know."""
        if os.environ.get("LOCKSTEP_PIP") == "0":
            return False
        platform = wheel["file"][: -len(".whl")].rpartition("-")[2].partition(".")[0]
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--platform",
            platform,
            "--python-version",
            "311",
            "--dest",
            str(self.folder),
            f"{wheel['project']}=={wheel['version']}",
        ]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return False
        return path.exists() and sha256(path) == wheel["sha256"]
