"""Writes the pictures of a golden safetensors file (file.NAME) to a folder and runs the fuzz
program on them.

fuzz_files.py PROGRAM GOLDEN COUNT
"""

import json
import pathlib
import struct
import subprocess
import sys
import tempfile

program, golden, count = sys.argv[1:]
data = pathlib.Path(golden).read_bytes()
(length,) = struct.unpack("<Q", data[:8])
header = json.loads(data[8 : 8 + length])
with tempfile.TemporaryDirectory() as folder:
    files = []
    for name, entry in sorted(header.items()):
        if name.startswith("file."):
            begin, end = entry["data_offsets"]
            files.append(pathlib.Path(folder) / name)
            files[-1].write_bytes(data[8 + length + begin : 8 + length + end])
    sys.exit(subprocess.run([program, count, *map(str, files)]).returncode)
