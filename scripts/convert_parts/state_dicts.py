"""Plain state dicts ↔ safetensors, and a look into any .pt file without unpickling it."""

from convert_parts import safetensors_file, torch_file
from convert_parts.messages import USAGE, Command, ConvertError


def state_dict_arguments(parser):
    parser.add_argument("source", help=".pt or .safetensors")
    parser.add_argument("target", help=".safetensors or .pt")
    parser.add_argument(
        "--key",
        default="",
        help="where the state dict is in a .pt file: model_state_dict, or a.b for two levels",
    )
    parser.add_argument(
        "--strip", default="", help="prefix to take from names: _orig_mod. or module."
    )


def state_dict(arguments):
    if arguments.source.endswith(".safetensors") and arguments.target.endswith(".pt"):
        if arguments.key or arguments.strip:
            raise ConvertError("--key and --strip are for .pt files", code=USAGE)
        tensors = safetensors_file.read(arguments.source)
        torch_file.save(
            {name: torch_file.from_plain(tensor) for name, tensor in tensors.items()},
            arguments.target,
        )
        print(f"wrote {arguments.target}: {len(tensors)} tensors")
        return
    if not arguments.target.endswith(".safetensors"):
        raise ConvertError("one of the two files must be .safetensors, the other .pt", code=USAGE)
    content = torch_file.load(arguments.source)
    for key in filter(None, arguments.key.split(".")):
        if not isinstance(content, dict) or key not in content:
            raise ConvertError(
                f"there is no '{key}'{_keys_of(content)}", "name another --key", arguments.source
            )
        content = content[key]
    torch = torch_file.need_torch()
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(value, torch.Tensor) for value in content.values())
    ):
        raise ConvertError(
            f"this is no dict of tensors{_keys_of(content)}",
            "say where it is: --key model_state_dict",
            arguments.source,
        )
    tensors = {}
    for name, tensor in content.items():
        short = name[len(arguments.strip) :] if name.startswith(arguments.strip) else name
        tensors[short] = torch_file.to_plain(name, tensor)
    if len(tensors) != len(content):
        raise ConvertError(
            "two names are the same without the prefix", "leave --strip out", arguments.source
        )
    safetensors_file.write(arguments.target, tensors)
    print(f"wrote {arguments.target}: {len(tensors)} tensors")


def _keys_of(content):
    return (
        ": there are " + ", ".join(map(str, list(content)[:8])) if isinstance(content, dict) else ""
    )


def inspect_arguments(parser):
    parser.add_argument("file", help=".pt file; it is not unpickled, and torch is not needed")


def inspect(arguments):
    content = torch_file.look_into(arguments.file)
    print(
        f"{arguments.file}: {content.tensors} storages, {content.bytes:,} bytes; nothing in it "
        f"runs code"
    )
    for name in content.imports:
        print("  imports " + name.replace(" ", "."))


EXAMPLES = (
    "scripts/convert state-dict model.pt model.safetensors",
    "scripts/convert state-dict sudoku2vec_trained_model.pt sudoku2vec.safetensors --key "
    "model_state_dict",
    "scripts/convert inspect checkpoint_latest.pt",
)
COMMANDS = (
    Command(
        "state-dict", "a plain state dict to safetensors, or back", state_dict_arguments, state_dict
    ),
    Command(
        "inspect", "what a .pt file would import, without running it", inspect_arguments, inspect
    ),
)
