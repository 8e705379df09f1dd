"""Files of torch.save: what is in them, without running it; tensors in and out.

A .pt file is a zip archive with a pickle (data.pkl) and the raw bytes of each tensor. Unpickling
can run any code, so a file is looked at first, opcode by opcode and without torch: every name that
its pickle would import must be one of those that rebuild tensors. Then torch.load reads it with
weights_only=True, which knows no others either.
"""

import ctypes
import pickletools
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from convert_parts.messages import ENVIRONMENT, ConvertError
from convert_parts.safetensors_file import AtomicFile, Tensor

MAX_PICKLE = 64 << 20
# What a pickle of tensors, numbers, texts, lists and dicts imports.
HARMLESS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|"
    r"torch\.serialization _get_layout|torch (Size|device)|"
    r"torch (Float|Double|Half|BFloat16|Long|Int|Short|Char|Byte|Bool|Untyped)Storage|"
    r"torch\.storage UntypedStorage|"
    r"torch (float|double|half|bfloat16|int|uint)\d*"
)
DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "F32": "float32",
    "I64": "int64",
    "F64": "float64",
}


class Content(NamedTuple):
    """What can be said of a file without unpickling it."""

    imports: tuple  # "torch._utils _rebuild_tensor_v2" …
    tensors: int  # storages in the archive
    bytes: int  # of the storages


def look_into(path):
    """Checks the archive and its pickle. Raises ConvertError for what is no file of torch.save, or
    holds code."""
    path = Path(path)
    if not path.is_file():
        raise ConvertError("there is no such file", place=path)
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            old = file.read(2) in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
        raise ConvertError(
            (
                "this is a pickle of torch before 1.6, or of something else"
                if old
                else "this is no file of torch.save (a zip archive with data.pkl)"
            ),
            "save it again with a newer torch" if old else "",
            path,
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return _look_at(archive, path)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ConvertError(
            f"the archive is damaged: {error}", "copy the file again", path
        ) from None


def _look_at(archive, path):
    entries = archive.infolist()
    pickles = [
        entry
        for entry in entries
        if entry.filename.endswith("/data.pkl") or entry.filename == "data.pkl"
    ]
    if len(pickles) != 1:
        what = (
            "TorchScript, or another program"
            if any("constants.pkl" in entry.filename for entry in entries)
            else "another program"
        )
        raise ConvertError(
            f"the archive has {len(pickles)} files data.pkl: it is of {what}", "", path
        )
    if any(
        entry.filename.endswith("constants.pkl") or "/code/" in entry.filename for entry in entries
    ):
        raise ConvertError(
            "this is a TorchScript program, not a checkpoint",
            "save the state dict: torch.save(model.state_dict(), FILE)",
            path,
        )
    if any(
        entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size
        for entry in entries
    ):
        raise ConvertError("the archive is compressed: torch.save does not do that", "", path)
    if pickles[0].file_size > MAX_PICKLE:
        raise ConvertError(
            f"its pickle has {pickles[0].file_size} bytes, more than {MAX_PICKLE}", "", path
        )
    imports = _imports(archive.read(pickles[0]), path)
    foreign = [name for name in imports if not HARMLESS.fullmatch(name)]
    if foreign:
        raise ConvertError(
            "the file holds more than tensors, numbers and texts: unpickling it would run "
            + ", ".join(name.replace(" ", ".") for name in foreign[:5]),
            "if you trust it, load it where it was made and save plain values: "
            "torch.save({'model_state_dict': model.state_dict(), ...}, FILE)",
            path,
        )
    storages = [entry for entry in entries if "/data/" in entry.filename]
    return Content(tuple(imports), len(storages), sum(entry.file_size for entry in storages))


def _imports(pickle, path):
    names = []
    try:
        for opcode, argument, _ in pickletools.genops(pickle):
            if opcode.name == "GLOBAL":
                names.append(argument)
            elif opcode.name in (
                "STACK_GLOBAL",
                "INST",
                "OBJ",
                "EXT1",
                "EXT2",
                "EXT4",
                "NEWOBJ_EX",
            ):
                raise ConvertError(
                    f"its pickle uses {opcode.name}, which torch.save never writes", "", path
                )
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise ConvertError(f"its pickle is damaged: {error}", "copy the file again", path) from None
    return sorted(set(names))


def need_torch():
    """The module torch. Raises ConvertError that says how to get it."""
    try:
        import torch  # pylint: disable=import-outside-toplevel

        problem = "" if hasattr(torch, "load") else "its folder is LibTorch's, without Python"
    except (ImportError, OSError) as error:
        problem = str(error)
    if problem:
        raise ConvertError(
            f"reading and writing .pt files needs Python's torch, and this Python has none "
            f"({problem})",
            "python3 -m venv V && V/bin/pip install torch, then V/bin/python scripts/convert ...",
            code=ENVIRONMENT,
        )
    return torch


def load(path):
    """The content of a .pt file on the CPU. Raises ConvertError."""
    look_into(path)
    torch = need_torch()
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds, with pages of advice
        raise ConvertError(
            "torch cannot load it: " + str(error).strip().splitlines()[0], "", path
        ) from None


def save(content, path):
    torch = need_torch()
    with AtomicFile(path) as file:
        torch.save(content, file)


def to_plain(name, tensor):
    """A torch tensor as safetensors_file.Tensor."""
    torch = need_torch()
    names = {getattr(torch, theirs): ours for ours, theirs in DTYPES.items()}
    if (
        not isinstance(tensor, torch.Tensor)
        or tensor.dtype not in names
        or tensor.layout != torch.strided
    ):
        raise ConvertError(
            f"'{name}' is no plain tensor: {getattr(tensor, 'dtype', type(tensor).__name__)}"
        )
    tensor = tensor.detach().contiguous()
    size = tensor.numel() * tensor.element_size()
    return Tensor(
        names[tensor.dtype],
        tuple(tensor.shape),
        ctypes.string_at(tensor.data_ptr(), size) if size else b"",
    )


def from_plain(tensor):
    """A torch tensor from a safetensors_file.Tensor."""
    torch = need_torch()
    if tensor.dtype not in DTYPES:
        raise ConvertError(f"torch has no tensors of {tensor.dtype}")
    dtype = getattr(torch, DTYPES[tensor.dtype])
    if not tensor.data:
        return torch.empty(tensor.shape, dtype=dtype)
    return torch.frombuffer(bytearray(tensor.data), dtype=dtype).reshape(tensor.shape).clone()
