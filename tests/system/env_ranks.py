#!/usr/bin/env python3
"""A stand-in for torchrun: env_ranks.py [--world-size-of-R=N] RANKS PROGRAM ARGUMENTS...

Sets the variables that torchrun sets (without its agent's store, as a cluster does) and starts the
ranks. SIGTERM and SIGINT are passed on. When a rank fails the others get SIGTERM; the exit code is
that of the first one that failed.
"""

import os
import signal
import socket
import subprocess
import sys
import time


def main():
    words = sys.argv[1:]
    sizes = {}
    while words[0].startswith("--world-size-of-"):
        rank, _, size = words.pop(0).removeprefix("--world-size-of-").partition("=")
        sizes[int(rank)] = size
    count = int(words.pop(0))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    ranks = []
    for rank in range(count):
        size = sizes.get(rank, str(count))
        place = {
            "RANK": str(rank),
            "WORLD_SIZE": size,
            "LOCAL_RANK": str(rank),
            "LOCAL_WORLD_SIZE": size,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        ranks.append(subprocess.Popen(words, env={**os.environ, **place}, start_new_session=True))

    def to_all(number, _frame=None):
        for rank in ranks:
            if rank.poll() is None:
                rank.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, to_all)
    first, since = 0, None
    while any(rank.poll() is None for rank in ranks):
        codes = [rank.poll() for rank in ranks]
        first = first or next((code for code in codes if code), 0)
        if first and since is None:
            since = time.monotonic()
        if since and time.monotonic() - since > 5:
            to_all(signal.SIGKILL)
        time.sleep(0.02)
    first = first or next((rank.returncode for rank in ranks if rank.returncode), 0)
    sys.exit(first if first >= 0 else 128 - first)


if __name__ == "__main__":
    main()
