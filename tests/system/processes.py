"""Finds the processes of a run, kills them, and checks that a run left nothing behind.

Every command of a test gets LOCKSTEP_TEST_WORK=FOLDER in its environment. Whatever a run starts
inherits it, so a process that escaped its parent, its session and its process group is found, too.
"""

import fcntl
import os
import signal
import struct
import time
from pathlib import Path

MARK = "LOCKSTEP_TEST_WORK"


class Process:
    def __init__(self, pid, words):
        self.pid, self.words = pid, words

    def is_rank(self):
        return "--attempt" in self.words and "lockstep-worker" in map(
            os.path.basename, self.words[:2]
        )

    def is_mpirun(self):
        return os.path.basename(self.words[0]) in ("mpirun", "mpirun.openmpi", "orterun", "mpiexec")

    def __str__(self):
        return f"process {self.pid} ({' '.join(self.words[:4])} ...)"


def _read(path):
    try:
        return Path(path).read_bytes()
    except OSError:  # it ended, or belongs to someone else
        return b""


def _is_zombie(pid):
    stat = _read(f"/proc/{pid}/stat")
    return stat == b"" or stat.rpartition(b")")[2].split()[:1] in ([b"Z"], [b"X"])


def find(folder):
    """Living processes that have `folder` in their command line or environment, without this
    one."""
    wanted, found = os.fsencode(str(folder)), []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        words = _read(f"/proc/{entry}/cmdline").split(b"\0")[:-1]
        if not any(wanted in word for word in words) and wanted not in _read(
            f"/proc/{entry}/environ"
        ):
            continue
        if words and not _is_zombie(entry):
            found.append(Process(int(entry), [os.fsdecode(word) for word in words]))
    return found


def send(pid, number):
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def rank_of(process):
    """The rank number of a process, from its environment."""
    for entry in _read(f"/proc/{process.pid}/environ").split(b"\0"):
        name, _, value = entry.partition(b"=")
        if name in (b"OMPI_COMM_WORLD_RANK", b"LOCKSTEP_RANK"):
            return int(value)
    return -1


def ranks(folder):
    """Rank number -> process, of the ranks that run in `folder`."""
    return {rank_of(process): process for process in find(folder) if process.is_rank()}


def kill_all(folder):
    for process in find(folder):
        send(process.pid, signal.SIGKILL)


def wait_until_gone(folder, seconds):
    """Waits for the end of all processes of `folder`; returns how long that took, fails if it does
    not come."""
    start = time.monotonic()
    while left := find(folder):
        if time.monotonic() - start > seconds:
            raise AssertionError(f"still running after {seconds} s: " + "; ".join(map(str, left)))
        time.sleep(0.02)
    return time.monotonic() - start


def is_locked(path):
    """Whether some process holds the lock of a run folder (an open file description lock)."""
    if not os.path.exists(path):
        return False
    with open(path, "r+b") as file:
        try:
            fcntl.fcntl(
                file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            )
        except OSError:
            return True
    return False


def scratch_folders():
    """Temporary folders of launchers: where Open MPI keeps its session and shared memory."""
    parents = [Path("/dev/shm"), Path(os.environ.get("TMPDIR", "/tmp")), Path("/tmp")]
    return {
        str(path)
        for parent in parents
        if parent.is_dir()
        for path in parent.glob(f"lockstep-{os.getuid()}-*")
        if path.is_dir()
    }


def check_nothing_left(run_folder, work_folder, scratch_before=None, seconds=10.0):
    """After a run ended in any way: no process, no lock, no temporary file of it.

    `scratch_before`: scratch_folders() before the run, for tests that leave the launcher alive to
    clean up. A launcher killed by SIGKILL cannot; the next one that starts ranks does it.
    """
    wait_until_gone(work_folder, seconds)
    lock = Path(run_folder) / ".lock"
    assert not is_locked(lock), f"{lock} is still locked"
    temporary = [
        path
        for path in Path(run_folder).rglob("*")
        if path.name != ".lock" and (path.name.startswith(".") or path.name.endswith(".tmp"))
    ]
    assert not temporary, "temporary files are left: " + ", ".join(map(str, temporary))
    in_tmp = list((Path(work_folder) / "tmp").iterdir())
    assert not in_tmp, "temporary files are left: " + ", ".join(map(str, in_tmp))
    if scratch_before is not None:
        check_no_scratch(scratch_before)


def check_no_scratch(before):
    """No launcher's temporary folder that nobody uses; those of other launchers come and go
    meanwhile."""
    end = time.monotonic() + 3
    while left := [
        path
        for path in scratch_folders() - before
        if os.path.exists(path + "/.lock") and not is_locked(path + "/.lock")
    ]:
        assert time.monotonic() < end, f"temporary folders are left: {', '.join(left)}"
        time.sleep(0.1)
