#!/usr/bin/env python3
"""report.html and TensorBoard's file, as others read them: with Python's own HTML parser and an
event-file parser written from the format's description, independent of ours.

usage: report_files.py LOCKSTEP
"""

import base64
import glob
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from html.parser import HTMLParser

LOCKSTEP = os.path.abspath(sys.argv[1])
START = 1767225600.0


def png(width, height):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + bytes([y % 256, 0, 0]) * width for y in range(height))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def crc32c(data):
    """Bit by bit, from the polynomial x^32 + x^28 + … (0x1EDC6F41, reflected)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """[(number, value)] of a protocol buffer message."""
    at, out = 0, []
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            size = {1: 8, 5: 4}[kind]
            value, at = (
                struct.unpack("<d" if kind == 1 else "<f", data[at : at + size])[0],
                at + size,
            )
        out.append((key >> 3, value))
    return out


def read_events(path):
    """[(wall_time, step, {tag: value})]; checks every length and both sums of every record."""
    with open(path, "rb") as file:
        data = file.read()
    at, events = 0, []
    while at < len(data):
        head = data[at : at + 8]
        (size,), (sum_of_head,) = (
            struct.unpack("<Q", head),
            struct.unpack("<I", data[at + 8 : at + 12]),
        )
        body = data[at + 12 : at + 12 + size]
        (sum_of_body,) = struct.unpack("<I", data[at + 12 + size : at + 16 + size])
        assert sum_of_head == masked(head) and sum_of_body == masked(body) and len(body) == size
        at += 16 + size
        event = dict(fields(body))
        if 3 in event:
            assert event[3] == b"brain.Event:2" and not events
        values = {}
        for _, value in fields(event.get(5, b"")):
            value = dict(fields(value))
            values[value[1].decode()] = dict(fields(value[4])) if 4 in value else value[2]
        events.append((event[1], event.get(2, 0), values))
    return events


class Page(HTMLParser):
    """Fails on tags that do not nest; collects text, pictures and what a page could load."""

    VOID = {"meta", "img", "input", "br", "link"}
    OPTIONAL_END = {"html"}

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.pictures, self.foreign, self.counts = [], "", [], [], {}
        self.feed(text)
        self.close()
        assert not [tag for tag in self.open if tag not in self.OPTIONAL_END], self.open

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action") or name.startswith("on"):
                if tag == "img" and value.startswith("data:image/png;base64,"):
                    self.pictures.append(base64.b64decode(value.split(",", 1)[1], validate=True))
                else:
                    self.foreign.append((tag, name, value))
        if tag not in self.VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if (
            self.get_starttag_text() is not None
            and tag in ("path", "line", "circle")
            and self.open[-1] != tag
        ):
            return  # "<path … />"
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        self.text += data


class ReportTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="lockstep-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())

    def make_run(self, run="runs/sudoku/a", steps=200, lr=0.001):
        lines = [
            {"kind": "attempt", "attempt": 0, "step": 0, "ranks": 2, "slots": 8, "time": START}
        ]
        for step in range(1, steps + 1):
            lines.append(
                {
                    "step": step,
                    "epoch": step / 100,
                    "time": START + step,
                    "loss": 2 * math.exp(-step / 50) + 0.5,
                    "lr": lr,
                    "grad_norm": 1.5,
                    "samples_per_second": 800.0,
                    "step_seconds": 1.0,
                    "data_wait_seconds": 0.25,
                    "comm_exposed_seconds": 0.125,
                    "memory_bytes": 2 << 30,
                }
            )
            if step % 100 == 0:
                lines.append(
                    {
                        "kind": "evaluation",
                        "step": step,
                        "time": START + step,
                        "seconds": 2.5,
                        "solve_rate_easy": step / 200,
                        "validation_loss": 100 / step,
                    }
                )
                self.write(f"{run}/samples/step-{step:08}.png", png(90, 60))
        self.write(f"{run}/metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        self.write(
            f"{run}/config.yaml", f'optimizer:\n  lr: {lr}  # my.yaml:2\nrun:\n  name: "<b>&"\n'
        )
        self.write(
            f"{run}/plan.json",
            json.dumps({"steps": steps, "ranks": 2, "targets": {"solve_rate_easy": 0.9}}),
        )
        self.write(f"{run}/env.json", json.dumps({"host": "h", "versions": {"libtorch": "2.11.0"}}))
        self.write(f"{run}/status.json", json.dumps({"state": "done", "step": steps}))
        self.write(f"{run}/checkpoints/step-00000200/MANIFEST.json", "{}")
        return run

    def report(self, *words):
        done = subprocess.run(
            [LOCKSTEP, "report", *words],
            cwd=self.folder,
            text=True,
            capture_output=True,
            timeout=20,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return os.path.join(self.folder, done.stdout.strip())

    def page(self, *words):
        with open(self.report(*words), encoding="utf-8") as file:
            page = Page(file.read())
        self.assertEqual(page.foreign, [], "the page must load nothing")
        self.assertNotIn("script", page.counts)
        self.assertNotIn("link", page.counts)
        return page

    def test_the_page_holds_everything(self):
        page = self.page(self.make_run())
        for text in (
            "sudoku/a",
            "done",
            "loss",
            "gradient norm",
            "solve_rate_easy",
            "100.0 %",
            "≥ 90.0 %",
            "step-00000200",
            "2.11.0",
            "# my.yaml:2",
            "<b>&",
            "seconds a step",
        ):
            self.assertIn(text, page.text)
        self.assertGreater(page.counts["svg"], 6)
        self.assertEqual(page.pictures, [png(90, 60)] * 2)

    def test_wrecks_have_a_page_too(self):
        self.write("runs/w/config.yaml", b"a: [\xff\n")
        self.write("runs/w/plan.json", "{")
        self.page("runs/w")
        self.write(
            "runs/w/metrics.jsonl",
            b'{"step":1,"loss":1}\n\xff\xfe rubbish\n{"step":2,"loss":null}\n{"step":3,"lo',
        )
        self.write(
            "runs/w/error.json",
            json.dumps({"attempt": 0, "fact": "rank 1 was killed by SIGKILL", "exit_code": 6}),
        )
        self.write("runs/w/samples/step-00000001.png", "no picture")
        self.write("runs/w/status.json", "[]")
        self.write("runs/w/checkpoints/step-00000001/model.safetensors", "x")
        page = self.page("runs/w")
        for text in (
            "rank 1 was killed by SIGKILL",
            "line 2 of metrics.jsonl",
            "no JSON",
            "half a line",
            "incomplete",
            "1 logged steps have no finite loss, the first is step 2",
            "is no picture",
        ):
            self.assertIn(text, page.text)

    def test_runs_side_by_side(self):
        runs = [self.make_run(), self.make_run("runs/sudoku/b", lr=0.002)]
        page = self.page(*runs, "--output", "both.html")
        for text in ("2 runs", "sudoku/a", "sudoku/b", "optimizer.lr", "0.001", "0.002"):
            self.assertIn(text, page.text)
        self.assertNotIn("run.name", page.text)

    def test_tensorboard_reads_the_events(self):
        run = self.make_run()
        for _ in range(2):  # a second report replaces the file
            self.report(run)
        paths = glob.glob(os.path.join(self.folder, run, "events.out.tfevents.*"))
        self.assertEqual(len(paths), 1)
        events = read_events(paths[0])
        time, step, values = events[1]
        self.assertEqual((time, step), (START + 1, 1))
        self.assertAlmostEqual(
            values["loss_metrics/global_avg_loss"], 2 * math.exp(-1 / 50) + 0.5, 6
        )
        for tag, value in (
            ("grad_norm", 1.5),
            ("lr", 0.001),
            ("throughput(samples/s)", 800),
            ("time_metrics/end_to_end(s)", 1),
            ("time_metrics/data_loading(s)", 0.25),
            ("time_metrics/data_loading(%)", 25),
            ("memory/max_reserved(GiB)", 2),
        ):
            self.assertAlmostEqual(values[tag], value, 6)
        evaluations = {
            step: values for _, step, values in events if "validation_metrics/loss" in values
        }
        self.assertEqual(sorted(evaluations), [100, 200])
        self.assertEqual(evaluations[200]["validation_metrics/solve_rate_easy"], 1.0)
        pictures = {step: values["samples"] for _, step, values in events if "samples" in values}
        self.assertEqual(
            pictures, {step: {1: 60, 2: 90, 3: 3, 4: png(90, 60)} for step in (100, 200)}
        )
        self.assertEqual(len([event for event in events if "lr" in event[2]]), 200)

    def test_crc_has_the_published_value(self):
        self.assertEqual(crc32c(bytes(32)), 0x8A9136AA)  # RFC 3720, B.4
        self.assertEqual(crc32c(b"\xff" * 32), 0x62A8AB43)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
