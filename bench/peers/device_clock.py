"""How the peers on a GPU measure time: CUDA events, or the wall clock on a CPU."""
import os
import time

import torch


def seconds_since_exec():
    """Seconds since this process was started, imports included."""
    with open("/proc/self/stat") as stat, open("/proc/uptime") as uptime:
        start = int(stat.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
        return float(uptime.read().split()[0]) - start


def synchronise(device):
    if device == "cuda":
        torch.cuda.synchronize()


class Stopwatch:
    """Seconds of what runs inside: CUDA events on a GPU, the wall clock on a CPU."""

    def __init__(self, device):
        self.device = device

    def __enter__(self):
        if self.device == "cuda":
            self.events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
            self.events[0].record()
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_):
        if self.device == "cuda":
            self.events[1].record()
            self.events[1].synchronize()
            self.seconds = self.events[0].elapsed_time(self.events[1]) / 1e3
        else:
            self.seconds = time.perf_counter() - self.start
