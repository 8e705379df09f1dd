"""How the peers on a GPU measure time, CUDA events, or the wall clock on a CPU; and the words of
their command lines."""

import argparse
import os
import statistics
import sys
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


def seconds_of(device, rounds, body):
    """Median seconds of `rounds` calls, after three that are not counted."""
    times = []
    for i in range(-3, rounds):
        with Stopwatch(device) as watch:
            body()
        if i >= 0:
            times.append(watch.seconds)
    return statistics.median(times)


def option_parser(description):
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="lines of JSON")
    return parser


def step_options(description, cases, variants, variant_help, amps, gpu_amp, amp_help, inputs):
    """The options of a peer that times training steps; `amp` defaults to `gpu_amp` on a GPU and to
    fp32 on a CPU."""
    parser = option_parser(description)
    parser.add_argument("--case", action="append", help=cases)
    parser.add_argument("--variant", action="append", choices=variants, help=variant_help)
    parser.add_argument("--amp", choices=amps, help=amp_help)
    parser.add_argument("--steps", type=int, default=5, help="steps a round")
    parser.add_argument(
        "--warm-up", type=int, default=5, help="steps after the first that are not timed"
    )
    parser.add_argument(
        "--until",
        type=int,
        metavar="N",
        help="N steps, and the seconds since the process started (G9)",
    )
    parser.add_argument(
        "--check",
        metavar="FILE",
        help=f"write weights and {inputs}; print loss and gradient norm, float32",
    )
    options = ready(parser.parse_args())
    options.amp = options.amp or (gpu_amp if options.device == "cuda" else "fp32")
    return options


def ready(options):
    """Ends the program where the device is not there; one thread on a CPU."""
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit(
            "error: no GPU that this PyTorch can use\nhelp: --device cpu tries the program on a CPU"
        )
    if options.device == "cpu":
        torch.set_num_threads(1)
    return options
