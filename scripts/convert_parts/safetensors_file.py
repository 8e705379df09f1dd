"""Safetensors files in plain Python (github.com/huggingface/safetensors, "Format").

8 bytes of header length, a JSON header {name: {dtype, shape, data_offsets}}, the tensors' bytes. A
file from outside is checked before anything of it is used: the same checks as the program's own
reader.
"""

import json
import os
import struct
from pathlib import Path
from typing import NamedTuple

from convert_parts.messages import ConvertError

BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}
MAX_HEADER = 100_000_000


class Tensor(NamedTuple):
    """dtype as in the file ("F32"), shape as a tuple, little-endian bytes."""

    dtype: str
    shape: tuple
    data: bytes


def element_count(shape):
    count = 1
    for size in shape:
        count *= size
    return count


def read(path):
    """All tensors by name, in the order of their bytes. Raises ConvertError."""
    path = Path(path)
    if not path.is_file():
        raise ConvertError("there is no such file", place=path)
    content = path.read_bytes()
    try:
        return _parse(content)
    except ValueError as error:
        raise ConvertError(f"this is no valid safetensors file: {error}", place=path) from None


def _unique(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError("a name is there twice")
    return dict(pairs)


def _parse(content):
    if len(content) < 8:
        raise ValueError("it is shorter than its header")
    (length,) = struct.unpack("<Q", content[:8])
    if length > MAX_HEADER or 8 + length > len(content):
        raise ValueError("its header is longer than the file")
    try:
        header = json.loads(content[8 : 8 + length].decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    header.pop("__metadata__", None)
    data = memoryview(content)[8 + length :]
    ranges = {name: _range_of(name, entry) for name, entry in header.items()}
    names = sorted(ranges, key=lambda name: ranges[name])
    end = 0
    for name in names:
        if ranges[name][0] != end:
            raise ValueError(f"there is a hole or an overlap before tensor '{name}'")
        end = ranges[name][1]
    if end != len(data):
        raise ValueError("it ends early, or has bytes behind its last tensor")
    return {
        name: Tensor(
            header[name]["dtype"], tuple(header[name]["shape"]), bytes(data[slice(*ranges[name])])
        )
        for name in names
    }


def _range_of(name, entry):
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor '{name}' does not have dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    whole = [
        isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
        for values in (shape, offsets)
    ]
    if (
        not isinstance(dtype, str)
        or dtype not in BYTES
        or not all(whole)
        or len(offsets) != 2
        or len(shape) > 64
    ):
        raise ValueError(f"tensor '{name}' has a wrong dtype, shape or range")
    if offsets[1] - offsets[0] != element_count(shape) * BYTES[dtype]:
        raise ValueError(f"the bytes of tensor '{name}' do not fit its shape")
    return tuple(offsets)


def write(path, tensors, metadata=None):
    """Writes `tensors` (name → Tensor): wide dtypes first, so that each is aligned; atomically."""
    names = sorted(tensors, key=lambda name: -BYTES[tensors[name].dtype])
    header, at = {"__metadata__": metadata or {"format": "pt"}}, 0
    for name in names:
        tensor = tensors[name]
        if len(tensor.data) != element_count(tensor.shape) * BYTES[tensor.dtype]:
            raise ConvertError(
                f"the bytes of tensor '{name}' do not fit its shape {list(tensor.shape)}",
                place=path,
            )
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [at, at + len(tensor.data)],
        }
        at += len(tensor.data)
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with AtomicFile(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(tensors[name].data)


class AtomicFile:
    """A file that appears whole or not at all: a temporary name, fsync, rename."""

    def __init__(self, path):
        self.path = Path(path)
        self.temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")

    def __enter__(self):
        self.file = open(self.temporary, "wb")  # pylint: disable=consider-using-with
        return self.file

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.file.flush()
            os.fsync(self.file.fileno())
        self.file.close()
        if kind is None:
            os.replace(self.temporary, self.path)
        else:
            self.temporary.unlink(missing_ok=True)
