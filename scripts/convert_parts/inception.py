"""pytorch-fid's Inception weights to the safetensors file that `lockstep fid --inception` reads.

The public file is pt_inception-2015-12-05-6726825d.pth of github.com/mseitzer/pytorch-fid
(releases, fid_weights): a state dict, made from TensorFlow's inception-2015-12-05. It is never
downloaded here; you give your copy. It was written by a torch before 1.6, so it is no zip archive;
torch.load reads it with weights_only=True, which runs no code.
"""

import hashlib
import re
import zipfile
from pathlib import Path

from convert_parts import torch_file
from convert_parts.messages import Command, ConvertError
from convert_parts.safetensors_file import write

PUBLIC_HASH = "6726825d"  # the first digits of the public file's SHA-256, as in its name
LAYERS = 94  # convolutions, each with a batch norm
NAME = re.compile(
    r"(Conv2d_\d[ab]_\dx\d|Mixed_[567][a-e]\.branch\w+)\."
    r"(conv\.weight|bn\.(weight|bias|running_mean|running_var))"
)
IGNORED = re.compile(r".*\.num_batches_tracked|fc\.(weight|bias)|AuxLogits\..*")


def arguments_of(parser):
    parser.add_argument(
        "source", help="pt_inception-2015-12-05-6726825d.pth, or a state dict with the same names"
    )
    parser.add_argument("target", help=".safetensors")


def convert(arguments):
    path = Path(arguments.source)
    state = load(path)
    head = state.get("fc.weight")
    if head is not None and tuple(head.shape) != (1008, 2048):
        raise ConvertError(
            f"the classifier has shape {list(head.shape)}, that of FID's Inception [1008, 2048]",
            "torchvision's ImageNet weights give other numbers than FID: take pytorch-fid's file",
            path,
        )
    foreign = [name for name in state if not NAME.fullmatch(name) and not IGNORED.fullmatch(name)]
    if foreign:
        raise ConvertError(
            f"this is not FID's Inception: it has '{foreign[0]}'", "take pytorch-fid's file", path
        )
    tensors = {
        name: torch_file.to_plain(name, value)
        for name, value in state.items()
        if NAME.fullmatch(name)
    }
    if len(tensors) != 5 * LAYERS:
        raise ConvertError(
            f"this is not FID's Inception: {len(tensors)} tensors instead of {5 * LAYERS}",
            "take pytorch-fid's file",
            path,
        )
    wrong = [name for name, tensor in tensors.items() if tensor.dtype != "F32"]
    if wrong:
        raise ConvertError(
            f"'{wrong[0]}' is {tensors[wrong[0]].dtype}, not F32", "take pytorch-fid's file", path
        )
    digest = sha256(path)
    write(arguments.target, tensors, {"format": "pt", "source": path.name, "sha256": digest})
    known = (
        "the public weights"
        if digest.startswith(PUBLIC_HASH)
        else "NOT the public weights: scores compare only with those of the same file"
    )
    print(f"wrote {arguments.target}: {len(tensors)} tensors; {known} (SHA-256 {digest[:16]}...)")


def load(path):
    """The state dict. Raises ConvertError."""
    if not path.is_file():
        raise ConvertError("there is no such file", place=path)
    torch = torch_file.need_torch()
    if zipfile.is_zipfile(path):
        content = torch_file.load(path)
    else:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds, with pages of advice
            raise ConvertError(
                "torch cannot load it: " + str(error).strip().splitlines()[0], "", path
            ) from None
    if not isinstance(content, dict) or not all(
        isinstance(value, torch.Tensor) for value in content.values()
    ):
        raise ConvertError("this is no dict of tensors", "take pytorch-fid's file", path)
    return {unwrapped(name): value.detach() for name, value in content.items()}


# pytorch-fid's class InceptionV3 calls its parts blocks.I.J.
WRAPPED = {
    f"blocks.{i}.{j}": name
    for i, names in enumerate(
        (
            ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"),
            ("Conv2d_3b_1x1", "Conv2d_4a_3x3"),
            tuple("Mixed_" + which for which in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e")),
            ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
        )
    )
    for j, name in enumerate(names)
}


def unwrapped(name):
    parts = name.split(".", 3)
    plain = WRAPPED.get(".".join(parts[:3]))
    return f"{plain}.{parts[3]}" if plain and len(parts) == 4 else name


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


EXAMPLES = (
    "scripts/convert inception pt_inception-2015-12-05-6726825d.pth weights/inception.safetensors",
)
COMMANDS = (
    Command("inception", "pytorch-fid's Inception weights for lockstep fid", arguments_of, convert),
)
