#!/usr/bin/env python3
"""Checks that the folders and their rooms stand on each other as docs/floors.md says.

usage: floors.py SOURCE_FOLDER        prints one line a violation; exit code 1 if there is one
       floors.py --self-test

A folder includes only itself and what its CMakeLists.txt lists in KNOWS; KNOWS lists only lower
floors, and the table of docs/floors.md says the same. Inside a folder, ROOMS says which room may
include which. Outside libraries have one home each. Some calls are used nowhere. Names in anonymous
namespaces are unique in a folder, since its sources are compiled in batches.
"""

import re
import sys
import tempfile
from pathlib import Path

# What each folder may know at most (docs/floors.md), from the ground up.
LIMITS = {
    "core": "",
    "tensor": "core",
    "report": "core",
    "data": "tensor core",
    "ddp": "tensor core",
    "optim": "ddp tensor core",
    "packing": "data tensor core",
    "kernels": "tensor core",
    "models": "kernels tensor core",
    "eval": "models data tensor core",
    "tasks": "eval models packing data tensor core",
    "interop": "tasks models data tensor core",
    "train": "tasks eval models report optim packing data ddp tensor core",
    "worker": "train interop tasks eval models kernels optim packing data ddp report tensor core",
    "launcher": "report core",
}
# Folder → room → the rooms of the same folder that it may include. "." is the folder itself. Rooms
# stand on each other like folders do: the lists have no circles.
ROOMS = {
    "core": {".": "", "config": "."},
    "data": {
        ".": "",
        "shards": ".",
        "images": ". shards",
        "sudoku": ". shards",
        "text": ". shards",
    },
    "ddp": {".": "", "device": ".", "tcp": ".", "mpi": "."},
    "kernels": {"lanes": "", ".": "lanes", "norms": ". lanes", "language": ". lanes"},
    "models": {
        ".": "",
        "diffusion": ".",
        "gpt": ".",
        "inception": ".",
        "sudoku": ".",
        "unet": ".",
        "vision": ".",
    },
    "optim": {"kernels": "", ".": "kernels"},
    "tasks": {".": "", "images": ".", "language": ".", "sudoku": ".", "sudoku_seed": ". sudoku"},
    "interop": {".": "", "diffusers": "."},
    "train": {"plan": "", ".": "plan", "step": ". plan", "evaluate": ". plan step"},
    "worker": {".": "", "bench": "."},
    "launcher": {
        "nodes": "",
        "ranks": "nodes",
        ".": "nodes ranks",
        "sweep": ". nodes ranks",
        "cluster": ". nodes ranks",
    },
}

# What may include every room of its folder: the tables of kinds, what is handed to the CUDA
# plug-in, and the training loop. A table and the rooms of its kinds may see each other.
TABLES = [
    r"data/(datasets|inspect)\.cc",
    r"ddp/(communicators|cuda_parts)\.(h|cc)",
    r"kernels/(cuda_parts\.(h|cc)|kernels_cuda\.cc)",
    r"models/models\.cc",
    r"tasks/tasks\.cc",
    r"tasks/sudoku/sudoku_task\.(h|cc)",  # its two objectives
    r"train/(loop|prepare)\.cc",
]

# Folders that hold sources and stand on no floor.
BESIDE = re.compile(r"bench|cmake|tests|build.*|\..*")

SOURCES = {".h", ".cc", ".cu", ".cpp", ".cuh"}
WITHOUT_TORCH = {"core", "report", "launcher"}

# Header → the only files that may include it.
HOMES = [
    (r"(mpi|mpi-ext)\.h", r"ddp/mpi\w*(/.*)?", "MPI"),
    (r"nccl\.h", r"ddp/nccl.*", "NCCL"),
    (r"(hdf5|H5\w*)\.h", r"data/shards/hdf5_.*", "HDF5"),
    (r"yaml-cpp/.*", r"core/config/yaml.*", "yaml-cpp"),
    (r"CLI/.*", r"launcher/command_line\.cc", "CLI11"),
    (r"spdlog/.*", r"core/log\.cc", "spdlog"),
    (r"xxhash\.h", r"core/files\.cc", "xxhash"),
    (r"png\.h", r"[\w/]+/png_.*", "libpng"),
    (r"(jpeglib|jerror)\.h", r"[\w/]+/jpeg_.*", "libjpeg"),
    (r"zlib\.h", r"[\w/]+/gzip_.*", "zlib"),
    (r"(cuda|cudart|cublas|cudnn|nvml|ATen/cuda/|c10/cuda/).*", r".*(_cuda\.(cc|h)|\.cu)", "CUDA"),
    (r"\w*mmintrin\.h", r".*(avx2|avx512)\.(cc|h)", "vector instructions"),
]

# (pattern, why, files where it is right)
FORBIDDEN = [
    (r"\btorch::nn\b", "models are plain classes over tensors, not torch::nn", r""),
    (
        r"\b(at|torch)::(rand\w*|normal|bernoulli|multinomial|poisson)\s*\(",
        "random numbers come from core/philox.h",
        r"",
    ),
    (
        r"[.>](normal_|uniform_|bernoulli_|random_|exponential_)\((?!.*\bgenerator\b)",
        "random numbers come from core/philox.h, initial weights from an explicit generator",
        r"",
    ),
    (r"\b(at|torch)::(\w*dropout\w*)\s*\(", "LibTorch's dropout depends on global state", r""),
    (
        r"\bstd::(rand|srand|random_device|mt19937\w*|default_random_engine|shuffle)\b",
        "random numbers come from core/philox.h",
        r"",
    ),
    (r"\btorch::(load|save|jit)\b|\bpickle_load\b", "nothing is unpickled", r""),
]


def without_comments(text):
    """The code, with comments and the content of strings blanked, line numbers kept."""
    pattern = re.compile(
        r'R"(\w*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S
    )
    return pattern.sub(lambda match: '""' + "\n" * match.group().count("\n"), text)


def includes(text):
    """(line, name, quoted) of every #include."""
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
        if match:
            yield number, match.group(1) or match.group(2), match.group(1) is not None


def known_folders(folder, name):
    """KNOWS of its lockstep_library(); None if it declares none (a program: the limit holds)."""
    path = folder / "CMakeLists.txt"
    text = re.sub(r"#[^\n]*", "", path.read_text(encoding="utf-8")) if path.exists() else ""
    match = re.search(r"lockstep_library\(\s*" + name + r"\b([^)]*)\)", text)
    if match is None:
        return None
    words = match.group(1).split()
    if "KNOWS" not in words:
        return []
    known = words[words.index("KNOWS") + 1 :]
    ends = [known.index(word) for word in ("TORCH", "LINKS", "SOURCES", "KNOWS") if word in known]
    return known[: min(ends)] if ends else known


def room_of(path):
    """("data", "shards") of "data/shards/hdf5_shard.cc"; the room is "." in the folder itself."""
    parts = path.split("/")
    return parts[0], "/".join(parts[1:-1]) or "."


def check_room(at, relative, included):
    folder, room = room_of(relative)
    other = room_of(included)[1]
    if room == other or any(re.fullmatch(table, relative) for table in TABLES):
        return
    rooms = ROOMS.get(folder, {})
    if room not in rooms:
        yield f"{at}: the room {folder}/{room} is not in ROOMS"
    elif other not in rooms[room].split():
        yield f"{at}: the room {folder}/{room} does not know {folder}/{other}"


def circles(rooms):
    """The rooms of a folder that stand on themselves."""
    for start in rooms:
        seen, ahead = set(), rooms[start].split()
        while ahead:
            room = ahead.pop()
            if room not in seen:
                seen.add(room)
                ahead += rooms.get(room, "").split()
        if start in seen:
            yield start


# A declaration at the start of a line. An overloaded function differs in its parameters.
FUNCTION = re.compile(r"(?:inline |static |constexpr |const )*[\w:<>,&* ]+?[ &*](\w+)\s*(\(.*)")
OBJECTS = re.compile(
    r"(?:inline |static |thread_local |constexpr |const )+[\w:<>,&* \[\]]+?[ &*](\w+)\s*[={\[;]"
)
TYPE = re.compile(r"(?:struct|class|enum class|enum|union) (\w+)[^;]*$")


def anonymous_names(text):
    """What a source declares in anonymous namespaces: (line, name with parameters)."""
    spaces, depth = [], 0
    for number, line in enumerate(without_comments(text).splitlines(), 1):
        opened = re.match(r"(?:inline )?namespace\s*([\w:]*)\s*\{\s*$", line)
        if opened and depth == 0:
            spaces.append(opened.group(1))
            continue
        if depth == 0 and spaces and line.startswith("}"):
            spaces.pop()
            continue
        if depth == 0 and "" in spaces and re.match(r"\w", line):
            inside = "::".join(space for space in spaces if space)
            found = TYPE.match(line)
            if found:
                yield number, f"{inside}::{found.group(1)}"
            elif found := FUNCTION.match(line):
                yield number, f"{inside}::{found.group(1)}{found.group(2)}"
            elif found := OBJECTS.match(line):
                more = re.findall(r", (\w+) =", line)
                for name in [found.group(1), *more]:
                    yield number, f"{inside}::{name}"
        depth += line.count("{") - line.count("}")


def check_anonymous_names(source, folder):
    seen = {}
    for path in sorted((source / folder).rglob("*.cc")):
        where = path.relative_to(source).as_posix()
        if re.search(r"_(cuda|avx2|avx512|generic)\.cc$|^ddp/mpi/", where):
            continue  # compiled alone
        for number, name in anonymous_names(path.read_text(encoding="utf-8")):
            first = seen.setdefault(name, where)
            if first != where:
                yield (
                    f"{where}:{number}: {name.split('(')[0]} is also in an anonymous namespace of "
                    f"{first}"
                )


def check_file(path, relative, folder, known, folders):
    text = path.read_text(encoding="utf-8")
    where = relative
    header = path.suffix == ".h"
    if header and "#pragma once" not in text and not path.name.endswith("_impl.h"):
        yield f"{where}: no #pragma once"
    for line, name, quoted in includes(text):
        at = f"{where}:{line}"
        target = name.split("/")[0]
        if quoted and "/" not in name:
            yield f'{at}: "{name}" should name its folder'
        elif quoted and target not in folders:
            yield f"{at}: there is no folder {target}"
        elif quoted and target != folder and target not in known:
            yield f"{at}: {folder} does not know {target} (KNOWS of {folder}/CMakeLists.txt)"
        elif quoted and target == folder:
            yield from check_room(at, relative, name)
        torch = re.match(r"(ATen|torch|c10)/", name)
        if torch and folder in WITHOUT_TORCH:
            yield f"{at}: {folder} uses no torch"
        if torch and header and name != "ATen/core/Tensor.h" and not path.name.endswith("_impl.h"):
            yield f"{at}: headers include <ATen/core/Tensor.h> at most"
        for pattern, home, library in HOMES:
            if re.fullmatch(pattern, name) and not re.fullmatch(home, str(relative)):
                yield f"{at}: {library} has its home elsewhere ({home})"
    code = without_comments(text)
    for number, line in enumerate(code.splitlines(), 1):
        for pattern, why, exempt in FORBIDDEN:
            if re.search(pattern, line) and not (exempt and re.fullmatch(exempt, str(relative))):
                yield f"{where}:{number}: {line.strip()[:60]}: {why}"


def documented(source):
    """Folder -> KNOWS as the table of docs/floors.md has it; empty without that page."""
    path = source / "docs" / "floors.md"
    table = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        match = re.match(r"\|\s*\d+\s*\|\s*`(\w+)`\s*\|.*\|([^|]*)\|\s*$", line)
        if match:
            known = match.group(2).strip()
            table[match.group(1)] = (
                None if known == "all below" else [] if known == "nothing" else known.split()
            )
    return table


def compare_with_page(table, folder, known):
    if table and folder not in table:
        yield f"docs/floors.md: no row for {folder}"
    said = table.get(folder)
    if said is not None and known is not None and set(said) != set(known):
        yield (
            f"docs/floors.md: {folder} knows {' '.join(said) or 'nothing'} there, "
            f"{' '.join(known) or 'nothing'} in its CMakeLists.txt"
        )


def has_sources(folder):
    return any(path.suffix in SOURCES for level in ("*", "*/*") for path in folder.glob(level))


def check(source):
    table = documented(source)
    folders = sorted(
        path.name
        for path in source.iterdir()
        if path.is_dir() and not BESIDE.fullmatch(path.name) and has_sources(path)
    )
    violations = []
    for folder in folders:
        limit = LIMITS.get(folder)
        if limit is None:
            violations.append(f"{folder}: no floor is written down for this folder")
            continue
        known = known_folders(source / folder, folder)
        violations += compare_with_page(table, folder, known)
        known = limit.split() if known is None else known
        for name in known:
            if name not in limit.split():
                violations.append(f"{folder}/CMakeLists.txt: KNOWS {name}, which is no lower floor")
        for room in circles(ROOMS.get(folder, {})):
            violations.append(f"ROOMS: {folder}/{room} stands on itself")
        for path in sorted((source / folder).rglob("*")):
            if path.suffix in SOURCES:
                relative = path.relative_to(source).as_posix()
                violations += check_file(path, relative, folder, known, folders)
        violations += check_anonymous_names(source, folder)
    return violations


GOOD = {
    "core/CMakeLists.txt": "lockstep_library(core\n  LINKS x\n  SOURCES a.cc)",
    "core/a.h": "#pragma once\n#include <string>\n",
    "core/config/yaml_parse.cc": '#include "core/a.h"\n#include <yaml-cpp/parser.h>\n',
    "tensor/CMakeLists.txt": "lockstep_library(tensor TORCH\n  KNOWS core\n  SOURCES t.cc)",
    "tensor/t.h": "#pragma once\n#include <ATen/core/Tensor.h>\n// at::rand(3) is not used\n",
    "tensor/t.cc": (
        '#include "core/a.h"\n#include "tensor/t.h"\n'
        'auto s = "torch::nn"; w.uniform_(-b, b, generator);\n'
    ),
    "data/CMakeLists.txt": "lockstep_library(data KNOWS tensor core LINKS y SOURCES d.cc)",
    "data/shards/hdf5_shard.cc": '#include <hdf5.h>\n#include "tensor/t.h"\n',
    "ddp/CMakeLists.txt": "lockstep_library(ddp KNOWS core SOURCES c.cc)",
    "ddp/mpi/mpi_communicator.cc": "#include <mpi.h>\n",
    "worker/CMakeLists.txt": "add_executable(w main.cc)",
    "worker/main.cc": '#include "data/d.h"\n#include <torch/version.h>\n',
}

NAMELESS = (
    "namespace lockstep {\nnamespace {\nconstexpr int kLimit = 3;\nint twice(int) { return 2; }\n"
    "}\n}\n"
)

# What a tree needs beside GOOD to be wrong, and a word of the message.
BAD = [
    ({"core/b.cc": '#include "tensor/t.h"\n'}, "core does not know tensor"),
    (
        {"ddp/c.cc": '#include "tensor/t.h"\n'},
        "ddp does not know tensor",
    ),  # a lower floor, but not in KNOWS
    (
        {"core/CMakeLists.txt": "lockstep_library(core KNOWS tensor SOURCES a.cc)"},
        "KNOWS tensor, which is no lower floor",
    ),
    (
        {"data/CMakeLists.txt": "lockstep_library(data KNOWS tensor core ddp SOURCES d.cc)"},
        "KNOWS ddp, which is no lower floor",
    ),
    ({"data/d.cc": "#include <hdf5.h>\n"}, "HDF5 has its home elsewhere"),
    ({"tensor/m.cc": "#include <mpi.h>\n"}, "MPI has its home elsewhere"),
    ({"core/b.cc": "#include <yaml-cpp/yaml.h>\n"}, "yaml-cpp has its home elsewhere"),
    ({"core/b.cc": "#include <ATen/core/Tensor.h>\n"}, "core uses no torch"),
    ({"tensor/b.h": "#pragma once\n#include <torch/torch.h>\n"}, "at most"),
    ({"tensor/b.h": "#include <string>\n"}, "no #pragma once"),
    ({"tensor/b.cc": "auto x = at::rand({2});\n"}, "core/philox.h"),
    ({"tensor/b.cc": "/* a\n*/ auto x = torch::randn_like(y);\n"}, "tensor/b.cc:2"),
    ({"tensor/b.cc": "w.normal_(0, 1);\n"}, "explicit generator"),
    ({"tensor/b.cc": "at::dropout(x, 0.1, true);\n"}, "dropout"),
    ({"tensor/b.cc": "torch::nn::Linear l(1, 2);\n"}, "torch::nn"),
    ({"tensor/b.cc": "int x = std::rand();\n"}, "core/philox.h"),
    ({"tensor/b.cc": "torch::load(x, path);\n"}, "unpickled"),
    ({"tensor/b.cc": "#include <cuda_runtime.h>\n"}, "CUDA has its home"),
    ({"core/b.cc": '#include "a.h"\n'}, "should name its folder"),
    ({"core/b.cc": '#include "core/config/c.h"\n'}, "does not know core/config"),
    ({"data/sudoku/b.cc": '#include "data/images/c.h"\n'}, "does not know data/images"),
    ({"data/cellar/b.cc": '#include "data/dataset.h"\n'}, "data/cellar is not in ROOMS"),
    ({"core/b.cc": NAMELESS, "core/config/c.cc": NAMELESS}, "kLimit is also in"),
    (
        {"core/b.cc": NAMELESS, "core/c.cc": NAMELESS.replace("kLimit", "kOther")},
        "twice is also in",
    ),
    ({"extra/x.cc": "\n"}, "no floor is written down"),
    (
        {"docs/floors.md": "| 0 | `core` | x | tensor |\n"},
        "core knows tensor there, nothing in its CMakeLists.txt",
    ),
    ({"docs/floors.md": "| 0 | `core` | x | nothing |\n"}, "no row for tensor"),
]


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return check(root)


def self_test():
    failures = 0
    for files, word in [({}, None), *BAD]:
        with tempfile.TemporaryDirectory() as root:
            found = tree(Path(root), {**GOOD, **files})
        if (word is None and found) or (
            word is not None and not any(word in line for line in found)
        ):
            print(f"expected {word or 'no violation'} of {files}, found {found}")
            failures += 1
    print(f"self-test: {1 + len(BAD) - failures} of {1 + len(BAD)} trees judged right")
    return failures == 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 0 if self_test() else 1
    violations = check(Path(sys.argv[1]))
    for violation in violations:
        print(violation)
    print(
        f"{len(violations)} violations"
        if violations
        else "every folder stands on lower floors only"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
