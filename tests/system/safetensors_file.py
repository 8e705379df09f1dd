"""Reads and writes .safetensors without third-party packages.

The tests must not trust the program's own reader, so they have this one: 8 bytes of header length,
a JSON header {name: {dtype, shape, data_offsets}}, then the bytes of the tensors.
"""

import json
import struct

BYTES = {
    "F32": 4,
    "F64": 8,
    "BF16": 2,
    "F16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
FORMATS = {"F32": "f", "F64": "d", "I64": "q", "I32": "i", "I16": "h", "I8": "b", "U8": "B"}


class Tensor:
    """One tensor: dtype as in the file ("F32"), shape as a list, little-endian bytes."""

    def __init__(self, dtype, shape, data):
        self.dtype, self.shape, self.data = dtype, list(shape), bytes(data)
        count = 1
        for size in self.shape:
            count *= size
        assert len(self.data) == count * BYTES[dtype], (
            f"{dtype} {shape} does not have {len(self.data)} bytes"
        )

    def values(self):
        return struct.unpack(
            f"<{len(self.data) // BYTES[self.dtype]}{FORMATS[self.dtype]}", self.data
        )


def tensor(dtype, shape, values):
    return Tensor(dtype, shape, struct.pack(f"<{len(values)}{FORMATS[dtype]}", *values))


def read(path):
    """All tensors of a file, by name."""
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    start = 8 + length
    return {
        name: Tensor(
            entry["dtype"],
            entry["shape"],
            content[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]],
        )
        for name, entry in header.items()
    }


def write(path, tensors):
    header, data = {}, b""
    for name, value in tensors.items():
        header[name] = {
            "dtype": value.dtype,
            "shape": value.shape,
            "data_offsets": [len(data), len(data) + len(value.data)],
        }
        data += value.data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)
