"""The parts of scripts/gpu_check: each runs programs on a GPU and returns what it found.

A part's function takes the machine and the time (of time.monotonic) at which it must be done, and
returns a dictionary; its key `passed` says whether the part passed.
"""

import dataclasses
import itertools
import json
import statistics
import subprocess
import time
import typing

SEEDS = {
    "c64-l4-b1": (64, 4, 1),
    "c64-l4-b8": (64, 4, 8),
    "c64-l4-b32": (64, 4, 32),
    "c64-l4-b256": (64, 4, 256),
    "c128-l8-b1": (128, 8, 1),
    "c128-l8-b8": (128, 8, 8),
    "c128-l8-b32": (128, 8, 32),
    "c128-l8-b256": (128, 8, 256),
}
UNET_BATCHES = (16, 64, 512)


@dataclasses.dataclass
class UnetSizes:
    """Of the benchmarks with pictures."""

    dim: int = 64
    size: int = 32
    steps: int = 120
    skip: int = 30  # steps behind which times count: warm-up, recording, comparisons
    pictures: int = 20000

    def case(self, batch, rest=""):
        return f"d{self.dim}-s{self.size}-b{batch}{rest}"


TRIAL = UnetSizes(dim=8, size=16, steps=4, skip=1, pictures=64)


def unet_sizes(machine):
    return TRIAL if machine.trial else UnetSizes()


@dataclasses.dataclass
class Part:
    name: str
    what: str
    run: typing.Callable
    limit_seconds: int = 480
    has_trial: bool = False  # runs on a CPU, too (machine.trial)


def seed_options(channels, layers, batch, steps, compute):
    return [
        "data.kind=grids",
        "data.train=[datasets/sudoku-sequences/train-*.h5]",
        "data.make={kind: sudoku_sequences, folder: datasets/sudoku-sequences, train_sequences: "
        "20000, validation_sequences: 1000}",
        "task.kind=sudoku",
        "task.objective=seed",
        "task.k_max=5",
        f"task.model={{kind: seed_conv, hidden_dim: {channels}, num_layers: {layers}, "
        f"embedding_dim: 0}}",
        f"train.global_batch={batch}",
        f"train.micro_batch={batch}",
        f"train.steps={steps}",
        "train.clip_norm=1",
        "train.ema.decay=0.999",
        "optimizer={kind: adamw, lr: 0.001}",
        f"precision.compute={compute}",
    ]


def unet_options(sizes, batch, micro_batch=None):
    return [
        "data.kind=images",
        "data.train=[datasets/shapes/train-*.h5]",
        f"data.make={{kind: shapes, folder: datasets/shapes, image_size: {sizes.size}, "
        f"train_images: {sizes.pictures}}}",
        "task.kind=image_diffusion",
        f"task.image_size={sizes.size}",
        f"task.model={{kind: unet, dim: {sizes.dim}, dim_mults: [1, 2, 4, 8]}}",
        "task.diffusion={objective: pred_v, beta_schedule: sigmoid}",
        f"train.global_batch={batch}",
        f"train.micro_batch={micro_batch or batch}",
        f"train.steps={sizes.steps}",
        "train.clip_norm=1",
        "train.ema={decay: 0.995, every_steps: 10}",
        "optimizer={kind: adam, lr: 0.0001}",
        "precision.compute=bf16",
    ]


class Run:
    """One training on the GPU and what it wrote."""

    def __init__(self, machine, options, *more, timeout=480, environment=None):
        start = time.monotonic()
        more = (
            *more,
            *(["train.micro_batch=auto"] if machine.trial else []),
        )  # a CPU cuts a batch into eight slots
        common = [
            f"run.device={machine.compute}",
            "launch.ranks_per_node=1",
            "checkpoint.every_steps=0",
            "evaluate=[]",
            "log.every_steps=1",
        ]
        self.result = machine.run(
            [machine.bin / "lockstep", "train", "-", *common, *options, *more],
            timeout=timeout,
            **(environment or {}),
        )
        self.seconds = time.monotonic() - start
        folder = self.result.stdout.strip().splitlines()[-1].removeprefix("run folder: ")
        self.folder = machine.scratch_path(folder)
        lines = [
            json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()
        ]
        self.steps = [line for line in lines if "loss" in line and line.get("kind") != "evaluation"]
        self.log = self.result.stderr

    def losses(self):
        return [line["loss"] for line in self.steps]

    def milliseconds(self, skip=30):
        """Median of the steps behind warm-up, recording and comparisons."""
        return 1e3 * statistics.median(line["step_seconds"] for line in self.steps[skip:])

    def waiting_share(self, skip=30):
        """Share of the steps' time that the run waited for inputs."""
        lines = self.steps[skip:]
        return sum(line["data_wait_seconds"] for line in lines) / sum(
            line["step_seconds"] for line in lines
        )

    def notes(self):
        return [
            line
            for line in self.log.splitlines()
            if any(word in line for word in ("step.graph", "device 0", "on the device:"))
        ]


def gpu_tests(machine, until):
    """GoogleTest cases whose name has Gpu in it, and those of the kernels."""
    totals, failures = {"passed": 0, "failed": 0, "skipped": 0}, []
    for program in sorted(machine.bin.glob("*_test")):
        report = machine.scratch_path(f"{program.name}.json")
        cases = "*" if program.name == "kernels_gpu_test" else "*Gpu*"
        machine.run(
            [program, f"--gtest_filter={cases}", f"--gtest_output=json:{report}"],
            check=False,
            timeout=until - time.monotonic(),
        )
        if not report.exists():
            failures.append(f"{program.name} left no report")
            continue
        for suite in json.loads(report.read_text()).get("testsuites", []):
            for case in suite["testsuite"]:
                state = (
                    "failed"
                    if case.get("failures")
                    else "skipped"
                    if case.get("result") == "SKIPPED"
                    else "passed"
                )
                totals[state] += 1
                if state == "failed":
                    failures.append(
                        f"{suite['name']}.{case['name']}: {case['failures'][0]['failure'][:300]}"
                    )
    return totals | {
        "failures": failures,
        "cases": totals,
        "passed": totals["failed"] == 0 and not failures and totals["passed"] > 0,
    }


ON_CPU = (
    "run.device=cpu",
    "step.graph=auto",
    "train.micro_batch=auto",
)  # there a batch is cut into eight slots


def close(a, b, tolerance):
    return all(abs(x - y) <= tolerance * max(abs(x), abs(y), 1e-6) for x, y in zip(a, b)) and len(
        a
    ) == len(b)


def training(machine, until):
    """Graph against eager, seeds, overflow and resume, on real runs."""
    base = seed_options(64, 4, 32, 60, "fp32")
    eager, graph = Run(machine, base, "step.graph=off"), Run(machine, base, "step.graph=on")
    again, other = (
        Run(machine, base, "step.graph=on"),
        Run(machine, base, "step.graph=on", "run.seed=18"),
    )
    cpu = Run(machine, seed_options(64, 4, 32, 10, "fp32"), *ON_CPU)
    checks = {
        "graph_equals_eager": close(graph.losses(), eager.losses(), 1e-3),
        "same_seed_repeats": close(graph.losses(), again.losses(), 1e-3),
        "other_seed_differs": graph.losses()[0] != other.losses()[0],
        "steps_differ": len(set(graph.losses())) > len(graph.losses()) // 2,
        "cpu_agrees_at_the_start": close(graph.losses()[:5], cpu.losses()[:5], 1e-2),
        "loss_falls": statistics.mean(graph.losses()[-5:]) < statistics.mean(graph.losses()[:5]),
    }
    fp16 = Run(
        machine,
        seed_options(64, 4, 32, 60, "fp16"),
        "step.graph=on",
        "precision.loss_scale.initial=2147483648",
    )
    skipped = [line for line in fp16.steps if line.get("skipped")]
    checks["fp16_overflow_is_skipped"] = 0 < len(skipped) < 40 and all(
        x == x for x in fp16.losses()[-5:]
    )
    resumed = machine.run(
        [
            machine.bin / "lockstep",
            "train",
            "-",
            "run.device=cuda",
            *seed_options(64, 4, 32, 20, "fp32"),
            "checkpoint.every_steps=10",
            "schedule={kind: constant}",
        ]
    )
    folder = resumed.stdout.strip().splitlines()[-1].removeprefix("run folder: ")
    machine.run([machine.bin / "lockstep", "resume", folder, "train.steps=30"])
    checks["resumes"] = (machine.scratch_path(folder) / "checkpoints/step-00000030").exists()
    return {
        "checks": checks,
        "notes": graph.notes(),
        "skipped_steps": len(skipped),
        "passed": all(checks.values()),
        "losses": {
            "eager": eager.losses()[:5],
            "graph": graph.losses()[:5],
            "cpu": cpu.losses()[:5],
        },
    }


def pictures(machine, until):
    """UNet runs: replays drop other activations each step as eager ones do, the CPU's losses, and
    what channels last brings."""
    small = [
        *unet_options(UnetSizes(steps=40), 8),
        "precision.compute=fp32",
        "task.model={kind: unet, dim: 16, dim_mults: [1, 2], dropout: 0.2, self_condition: true}",
        "task.diffusion={objective: pred_v, offset_noise_strength: 0.1}",
    ]
    eager, graph = Run(machine, small, "step.graph=off"), Run(machine, small, "step.graph=on")
    cpu = Run(machine, [*small, "train.steps=6"], *ON_CPU)
    dry = Run(machine, small, "step.graph=on", "task.model.dropout=0")
    first = Run(machine, small, "step.graph=on", "+task.model.memory_format=channels_first")
    checks = {
        "graph_equals_eager": close(graph.losses(), eager.losses(), 1e-3),
        "cpu_agrees_at_the_start": close(graph.losses()[:5], cpu.losses()[:5], 1e-2),
        "dropout_drops": graph.losses()[0] != dry.losses()[0],
        "both_orders_agree": close(graph.losses()[:10], first.losses()[:10], 1e-2),
    }
    orders = {}
    for order in ("channels_last", "channels_first"):
        if time.monotonic() > until - 60:
            break
        orders[order] = Run(
            machine,
            unet_options(UnetSizes(), 64),
            f"+task.model.memory_format={order}",
            timeout=until - time.monotonic(),
        ).milliseconds()
    return {
        "checks": checks,
        "milliseconds_bf16_batch_64": orders,
        "notes": graph.notes(),
        "passed": all(checks.values()),
        "losses": {
            "eager": eager.losses()[:5],
            "graph": graph.losses()[:5],
            "cpu": cpu.losses()[:5],
            "channels_first": first.losses()[:5],
        },
    }


def g1(machine, until):
    """Sudoku seed step: ours as one graph, PyTorch eager and compiled."""
    rows, passed = [], True
    for name, (channels, layers, batch) in SEEDS.items():
        if time.monotonic() > until - 60:
            rows.append({"case": name, "skipped": "no time left"})
            continue
        ours = Run(machine, seed_options(channels, layers, batch, 300, "fp16"), "step.graph=auto")
        lines = machine.peer(
            "sudoku_step_gpu.py",
            "--json",
            "--case",
            f"c{channels}-l{layers}-e0-k5-b{batch}",
            timeout=until - time.monotonic(),
        )
        peers = {line["variant"]: line["milliseconds"] for line in lines}
        milliseconds = ours.milliseconds()
        rows.append(
            {
                "case": name,
                "milliseconds": milliseconds,
                "peers": peers,
                "notes": ours.notes(),
                "times_eager": peers["eager"] / milliseconds,
                "times_compiled": peers.get("compile", 0) / milliseconds,
            }
        )
    measured = [row for row in rows if "milliseconds" in row]
    for row in measured:
        small = not row["case"].endswith("b256")
        row["goal_met"] = row["times_eager"] >= (5 if small else 1.5) and row["times_compiled"] >= (
            1.3 if small else 1.05
        )
    return {
        "cases": rows,
        "goals": ">= 5x eager and >= 1.3x compiled up to batch 32; >= 1.5x and >= 1.05x at 256",
        "goals_met": sum(row["goal_met"] for row in measured),
        "passed": passed and bool(measured),
    }


UNET_GOALS = {16: {"eager": 3}, 64: {"eager": 2, "compile": 1.1}, 512: {"eager": 1.2}}


def peer_lines(row, machine, until, script, key, variants, *words):
    """The last line of each variant's JSON under row["peers"], its `key` alone; what fails says why
    under row["failed"]."""
    row |= {"peers": {}, "failed": {}}
    for variant in variants:
        if time.monotonic() > until - 60:
            row["failed"][variant] = "no time left"
            continue
        try:
            row["peers"][variant] = machine.peer(
                script, "--json", *words, "--variant", variant, timeout=until - time.monotonic()
            )[-1][key]
        except (RuntimeError, IndexError, subprocess.TimeoutExpired) as error:
            row["failed"][variant] = str(error)[-300:]
    return row


def g2(machine, until):
    """UNet step in bf16, two micro-batches and EMA, as lucidrains' trainer does it."""
    rows, sizes = [], unet_sizes(machine)
    for batch in (2,) if machine.trial else UNET_BATCHES:
        if time.monotonic() > until - 90:
            rows.append({"batch": batch, "skipped": "no time left"})
            continue
        ours = Run(
            machine,
            unet_options(sizes, 2 * batch, batch),
            "step.graph=auto",
            timeout=until - time.monotonic(),
        )
        milliseconds = ours.milliseconds(sizes.skip)
        row = {
            "batch": batch,
            "micro_batches": 2,
            "milliseconds": milliseconds,
            "images_per_second": 2e3 * batch / milliseconds,
            "waiting_for_inputs": ours.waiting_share(sizes.skip),
            "notes": ours.notes(),
        }
        rounds = ["--rounds", "1", "--steps", "1", "--warm-up", "1"] if machine.trial else []
        variants = (
            ("eager", "flash") if machine.trial else ("eager", "flash", "compile")
        )  # compiling takes minutes on a CPU
        peer_lines(
            row,
            machine,
            until,
            "unet_step_gpu.py",
            "milliseconds",
            variants,
            "--case",
            sizes.case(batch, "-a2"),
            *rounds,
        )
        row["times"] = {variant: value / milliseconds for variant, value in row["peers"].items()}
        row["goals"] = UNET_GOALS.get(batch, {})
        row["goals_met"] = all(
            row["times"].get(variant, 0) >= goal for variant, goal in row["goals"].items()
        )
        rows.append(row)
    return {"cases": rows, "passed": any(row.get("peers") for row in rows)}


def g5(machine, until):
    """Optimizers and kernels alone, ours and PyTorch's."""
    found = {}
    for program, peer in (
        ("optimizer_gpu_bench", "optimizer_gpu.py"),
        ("kernels_gpu_bench", "kernels_gpu.py"),
    ):
        if not (machine.bin / program).exists():
            found[program] = "not in this build"
            continue
        result = machine.run([machine.bin / program, "--json"], timeout=until - time.monotonic())
        found[program] = [
            json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")
        ]
        found[peer] = machine.peer(peer, "--json", timeout=until - time.monotonic())
    return found | {"passed": any(isinstance(value, list) for value in found.values())}


# Ours, and the peers' names for it.
SAMPLERS = {
    "ddim50": ["--samplers", "ddim", "--steps", "50"],
    "dpmpp20": ["--samplers", "dpmpp_2m", "--steps", "20"],
    "ddpm250": ["--samplers", "ddpm", "task.diffusion.timesteps=250"],
}
TRIAL_SAMPLERS = {
    "ddim5": ["--samplers", "ddim", "--steps", "5"],
    "dpmpp4": ["--samplers", "dpmpp_2m", "--steps", "4"],
    "ddpm6": ["--samplers", "ddpm", "task.diffusion.timesteps=6"],
}


def g6(machine, until):
    """Pictures a second, 32 x 32 in batches of 512, random weights, bf16: ours with and without
    graphs, and the peers' loops."""
    rows, sizes, batch = [], unet_sizes(machine), 2 if machine.trial else 512
    common = [
        "bench",
        "sampler",
        "-",
        "--device",
        machine.compute,
        *unet_options(sizes, batch),
        "--batch",
        str(batch),
        "--precision",
        "bf16",
        "--graph",
        "off,on",
        "--repeats",
        "1" if machine.trial else "5",
        "--reference",
        "0",
        "--json",
    ]
    for name, words in (TRIAL_SAMPLERS if machine.trial else SAMPLERS).items():
        if time.monotonic() > until - 120:
            rows.append({"case": name, "skipped": "no time left"})
            continue
        found = json.loads(
            machine.run(
                [machine.bin / "lockstep", *common, *words], timeout=until - time.monotonic()
            ).stdout.splitlines()[-1]
        )
        row = {"case": name, "facts": found["facts"]}
        for ours in found["rows"]:
            row[f"graph {ours['graph']}"] = ours.get("problem") or {
                key: ours[key] for key in ("images_per_second", "draw", "cpu_ms", "peak_megabytes")
            }
        variants = (["lucidrains-amp"] if "dpmpp" not in name else []) + ["diffusers-amp"]
        peer_lines(
            row,
            machine,
            until,
            "sampler_gpu.py",
            "images_per_second",
            variants,
            "--case",
            sizes.case(batch, f"-{name}"),
            "--rounds",
            "2",
        )
        best = max(
            (
                one["images_per_second"]
                for key, one in row.items()
                if key.startswith("graph") and isinstance(one, dict)
            ),
            default=0,
        )
        row["times"] = {variant: best / value for variant, value in row["peers"].items()}
        row["goals_met"] = all(times >= 2.5 for times in row["times"].values()) and (
            name != "ddim50" or best >= 1300
        )
        rows.append(row)
    return {
        "cases": rows,
        "goals": ">= 2.5x peers; DDIM-50 >= 1,300 pictures a second",
        "passed": any(row.get("peers") for row in rows),
    }


def g7(machine, until):
    """Features and score of 50,000 pictures a side, ours from shards, the peers' from the GPU's
    memory; and from PNG files."""
    tiny = ["--features", "64", "--batch", "8"] if machine.trial else []
    report = machine.scratch_path("fid.json")

    def compare(images, *words):
        machine.peer(
            "fid_gpu.py",
            "--images",
            str(images),
            "--rounds",
            "1",
            *tiny,
            "--json",
            str(report),
            *words,
            timeout=until - time.monotonic(),
        )
        return json.loads(report.read_text())

    found = compare(
        16 if machine.trial else 50000,
        "--peers",
        "pytorch-fid",
        "torch-fidelity",
        "--png",
        "8" if machine.trial else "3000",
        "--lockstep",
        str(machine.bin / "lockstep"),
    )
    if time.monotonic() < until - 120:  # its network runs in double: a tenth of the pictures
        found["torchmetrics"] = compare(8 if machine.trial else 5000, "--peers", "torchmetrics")[
            "results"
        ]
    ours, png = found["results"]["lockstep"], found["from_png"]
    score = {name: abs(one["fid"] - ours["fid"]) for name, one in found["results"].items()}
    found["differs_from_lockstep"] = score
    if "pytorch-fid" in png:
        # Ours from shards against theirs from files: pictures a second.
        found["times_pytorch_fid_from_png"] = (
            ours["pictures_a_second"] / png["pytorch-fid"]["pictures_a_second"]
        )
    half = {
        name: (one["features"] + one["root"]) / 2
        for name, one in found["results"].items()
        if name.startswith("lockstep")
    }
    found |= {
        "seconds_a_side": half,
        "goals": (
            "50,000 in <= 12 s in float32, <= 5 s in TF32 with a score within 0.01; >= 5x "
            "pytorch-fid from PNG files"
        ),
    }
    # torch-fidelity and torchmetrics resize as TensorFlow did: other features by design.
    agrees = "pytorch-fid" not in score or score["pytorch-fid"] <= 1e-3 * max(1, abs(ours["fid"]))
    return found | {
        "passed": agrees and score.get("lockstep tf32", 0) <= 0.01 * max(1, abs(ours["fid"]))
    }


def g11(machine, until):
    """What reading costs a UNet step: ours from shards through pinned buffers, PyTorch's from a
    DataLoader with four processes."""
    sizes, batch = unet_sizes(machine), 4 if machine.trial else 512
    run = Run(
        machine, unet_options(sizes, batch), "step.graph=auto", timeout=until - time.monotonic()
    )
    waits = run.waiting_share(sizes.skip)
    tiny = (
        ["--pictures", "64", "--rounds", "2", "--steps", "2", "--workers", "1"]
        if machine.trial
        else []
    )
    peer = machine.peer(
        "input_gpu.py",
        "--json",
        "--case",
        sizes.case(batch),
        *tiny,
        timeout=until - time.monotonic(),
    )[-1]
    return {
        "milliseconds": run.milliseconds(sizes.skip),
        "waiting_share": waits,
        "ratio_at_most": 1 / (1 - waits),
        "peer": peer,
        "notes": run.notes(),
        "goal": "step time with loader / without <= 1.01",
        "goal_met": 1 / (1 - waits) <= 1.01,
        "passed": True,
    }


def g8(machine, until):
    """What fp16 loss scaling costs, in and beside the graph."""
    plain = Run(machine, seed_options(128, 8, 32, 300, "bf16")).milliseconds()
    scaled = Run(machine, seed_options(128, 8, 32, 300, "fp16")).milliseconds()
    peers = machine.peer(
        "sudoku_step_gpu.py",
        "--json",
        "--case",
        "c128-l8-e0-k5-b32",
        "--variant",
        "eager",
        "--variant",
        "eager_unscaled",
        timeout=until - time.monotonic(),
    )
    return {
        "bf16_milliseconds": plain,
        "fp16_milliseconds": scaled,
        "scaling_costs": scaled / plain - 1,
        "peers": peers,
        "goal": "<= 2 % over no scaler",
        "passed": True,
    }


def g9(machine, until):
    """Seconds from the start of the process to step N."""
    rows = []
    for steps in (1, 100, 1000):
        ours = Run(machine, seed_options(64, 4, 8, steps, "fp16"), "log.every_steps=100")
        row = {"steps": steps, "seconds": ours.seconds}
        for variant in ("eager", "compile"):
            if time.monotonic() > until - 90:
                break
            lines = machine.peer(
                "sudoku_step_gpu.py",
                "--json",
                "--case",
                "c64-l4-e0-k5-b8",
                "--until",
                str(steps),
                "--variant",
                variant,
                timeout=until - time.monotonic(),
            )
            row[variant] = lines[-1]["seconds_since_exec"]
        rows.append(row)
    return {"cases": rows, "passed": True}


def two_ranks(machine, until):
    """Two ranks that share the GPU: by NCCL with distinct host names, and through the host; whole
    and with a sharded optimizer."""
    options = [*seed_options(64, 4, 16, 40, "fp32"), "train.micro_batch=8"]
    found, one = {}, Run(machine, options)
    ways = {"host": {"LOCKSTEP_DEVICE_COMM": "host"}, "nccl": {}}
    for name, environment in ways.items():
        for reduce, shard in itertools.product(("allreduce", "tree"), ("false", "true")):
            key = f"{name}_{reduce}" + ("_sharded" if shard == "true" else "")
            if shard == "true" and not found[f"{name}_{reduce}"]["agrees"]:
                continue
            try:
                run = Run(
                    machine,
                    options,
                    "launch.ranks_per_node=2",
                    "launch.with=local",
                    "launch.max_restarts=0",
                    f"ddp.reduce={reduce}",
                    f"ddp.shard_optimizer={shard}",
                    "ddp.timeout_seconds=60",
                    "ddp.slots=2",
                    timeout=min(150, until - time.monotonic()),
                    environment={"LOCKSTEP_SHARE_GPU": "1"} | environment,
                )
                found[key] = {
                    "agrees": close(run.losses()[:10], one.losses()[:10], 1e-3),
                    "milliseconds": run.milliseconds(20),
                    "notes": run.notes(),
                }
            except Exception as error:  # pylint: disable=broad-except
                found[key] = {"agrees": False, "error": str(error)[-400:]}
    return found | {
        "passed": found["host_allreduce"]["agrees"],
        "nccl_works": found["nccl_allreduce"]["agrees"],
    }


def profile(machine, until):
    """Calls that wait for the GPU, in the trace of replayed steps."""
    run = Run(
        machine, seed_options(64, 4, 32, 60, "bf16"), "log.profile_steps=40-50", "step.graph=on"
    )
    traces = list(run.folder.glob("logs/attempt-*/profile-rank-0.json"))
    events = json.loads(traces[0].read_text())["traceEvents"] if traces else []
    names = [event.get("name", "") for event in events if event.get("cat") == "cuda_runtime"]
    waits = {name: names.count(name) for name in set(names) if "Synchronize" in name}
    per_step = {name: count / 11 for name, count in waits.items()}
    blocking = sum(
        count
        for name, count in waits.items()
        if name in ("cudaStreamSynchronize", "cudaDeviceSynchronize")
    )
    return {
        "runtime_calls": {name: names.count(name) for name in sorted(set(names))},
        "waits_a_step": per_step,
        "passed": "cudaGraphLaunch" in names and blocking <= 2,
        "note": "cudaEventSynchronize waits for a step two before the queued one",
    }


PARTS = [
    Part("tests", "GPU tests: kernels against references, devices, graphs, NCCL", gpu_tests),
    Part("training", "runs: graph equals eager, seeds, fp16 overflow, resume", training),
    Part("g1", "Sudoku step against PyTorch eager and compiled", g1),
    Part("g2", "UNet step in bf16 against lucidrains' trainer", g2, has_trial=True),
    Part("g5", "optimizers and kernels alone", g5),
    Part("g6", "pictures a second against lucidrains and diffusers", g6, has_trial=True),
    Part(
        "g7",
        "FID of 50,000 pictures against pytorch-fid, torch-fidelity, torchmetrics",
        g7,
        has_trial=True,
    ),
    Part("g8", "cost of fp16 loss scaling", g8),
    Part("g9", "time to step 1, 100, 1,000 against PyTorch", g9),
    Part("g11", "what reading inputs costs a UNet step", g11, has_trial=True),
    Part("ranks", "two ranks on one GPU, by NCCL and through the host", two_ranks),
    Part("profile", "no waiting for the GPU in replayed steps", profile),
    Part(
        "pictures",
        "UNet runs: dropout in graphs, the CPU's losses, channels last against channels first",
        pictures,
    ),
]
