"""Lockstep's side: folders that `init: {from: FOLDER}` takes, and checkpoints of runs
(docs/formats.md)."""

import json
import os
import re
from pathlib import Path
from typing import NamedTuple, Optional

from convert_parts import safetensors_file
from convert_parts.messages import USAGE, ConvertError

OPTIMIZER = "optimizer-00000-of-00001.safetensors"
MAX_JSON = 16 << 20


class Source(NamedTuple):
    """Weights and what is known around them. Missing parts are empty or None."""

    model: dict
    optimizer: dict
    step: int
    run: Optional[Path]  # the run folder, if the source is in one


def write_import(folder, model, optimizer, facts, averaged=None):
    """A new folder that init.from takes: model.safetensors, the optimizer's and averaged tensors,
    import.json last."""
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConvertError("this exists already", "name a new folder, or remove it", folder, USAGE)
    folder.mkdir(parents=True, exist_ok=True)
    safetensors_file.write(folder / "model.safetensors", model)
    if optimizer:
        safetensors_file.write(folder / OPTIMIZER, optimizer)
    if averaged:
        safetensors_file.write(folder / "ema.safetensors", averaged)
    content = {"format": "lockstep-import", "version": 1, **facts}
    with safetensors_file.AtomicFile(folder / "import.json") as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())


def read_source(path, weights="model"):
    """A run, a checkpoint, an imported folder or a safetensors file. Raises ConvertError."""
    path = Path(path)
    if path.is_file():
        return Source(safetensors_file.read(path), {}, 0, None)
    if not path.is_dir():
        raise ConvertError("there is no such run, checkpoint or file", place=path)
    if (path / "import.json").is_file():
        facts = read_json(path / "import.json")
        if facts.get("format") != "lockstep-import" or facts.get("version") != 1:
            raise ConvertError(
                "this folder was imported by another version",
                "import it again",
                path / "import.json",
            )
        return Source(
            safetensors_file.read(path / "model.safetensors"),
            _optimizer(path),
            int(facts.get("updates", 0)),
            None,
        )
    checkpoint = path
    if not (path / "MANIFEST.json").is_file():
        found = sorted(
            entry
            for entry in (path / "checkpoints").glob("step-*")
            if (entry / "MANIFEST.json").is_file()
        )
        if not found:
            raise ConvertError(
                "this is no run with a checkpoint, no checkpoint and no imported folder",
                "name the folder that `lockstep train` printed, or one of its checkpoints/step-*",
                path,
            )
        checkpoint = found[-1]
    step = _check_manifest(checkpoint)
    file = checkpoint / ("ema.safetensors" if weights == "ema" else "model.safetensors")
    if not file.is_file():
        raise ConvertError(
            f"the checkpoint has no {file.name}",
            "its run keeps no moving average: use --weights model",
            checkpoint,
        )
    run = checkpoint.parent.parent if (checkpoint.parent.parent / "config.yaml").is_file() else None
    return Source(safetensors_file.read(file), _optimizer(checkpoint), step, run)


def _optimizer(folder):
    """The optimizer's tensors; none without the file. Of a sharded optimizer, all shards."""
    out = {}
    for path in sorted(folder.glob("optimizer-*-of-*.safetensors")):
        for name, tensor in safetensors_file.read(path).items():
            out[name] = tensor
    return out


def _check_manifest(checkpoint):
    manifest = read_json(checkpoint / "MANIFEST.json")
    if manifest.get("format") != "lockstep-checkpoint" or not isinstance(
        manifest.get("files"), list
    ):
        raise ConvertError("this is no checkpoint of Lockstep", "", checkpoint / "MANIFEST.json")
    hash_of = _hasher()
    for entry in manifest["files"]:
        name, size = str(entry.get("name")), entry.get("size")
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            raise ConvertError(
                f"the manifest names a file outside the checkpoint: '{name}'",
                "",
                checkpoint / "MANIFEST.json",
            )
        file = checkpoint / name
        if not file.is_file() or file.stat().st_size != size:
            raise ConvertError(
                "the file is missing or has another size than the manifest says",
                "take an older checkpoint",
                file,
            )
        if hash_of and hash_of(file) != entry.get("xxh3_128"):
            raise ConvertError(
                "the file has changed: its hash is not the manifest's",
                "take an older checkpoint",
                file,
            )
    return int(manifest.get("step", 0))


def _hasher():
    """XXH3-128 of a file, if the module xxhash is there; sizes are checked anyway."""
    try:
        import xxhash  # pylint: disable=import-outside-toplevel
    except ImportError:
        return None
    return lambda path: xxhash.xxh3_128_hexdigest(path.read_bytes())


def read_json(path):
    """A small JSON object. Raises ConvertError."""
    path = Path(path)
    if not path.is_file() or path.stat().st_size > MAX_JSON:
        raise ConvertError("this file is missing or too large", place=path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConvertError(f"this is no JSON: {error}", place=path) from None
    if not isinstance(value, dict):
        raise ConvertError("this is no JSON object", place=path)
    return value


def config_values(run):
    """ "optimizer.lr" → text, of a run's config.yaml, which Lockstep printed: block maps, two
    spaces a level."""
    values, path = {}, []
    for line in (run / "config.yaml").read_text(encoding="utf-8").splitlines():
        found = re.match(r"( *)([A-Za-z0-9_]+):(?: (.*?))?(?:  # .*)?$", line)
        if not found or len(found[1]) % 2:
            continue
        path = path[: len(found[1]) // 2] + [found[2]]
        if found[3]:
            values[".".join(path)] = found[3].strip('"')
    return values


def metrics(run):
    """The whole lines of metrics.jsonl."""
    path, lines = run / "metrics.jsonl", []
    if not path.is_file():
        return lines
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(text)
        except ValueError:
            continue  # torn by a kill
        if isinstance(value, dict):
            lines.append(value)
    return lines


def print_facts(title, facts):
    print(title)
    for name, value in facts:
        print(f"  {name:<12}{value}")


def size_text(path):
    size = (
        sum(file.stat().st_size for file in path.iterdir())
        if path.is_dir()
        else os.path.getsize(path)
    )
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
