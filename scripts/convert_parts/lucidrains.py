"""denoising-diffusion-pytorch's model-N.pt (Trainer.save, 2.x) ↔ Lockstep: weights, averages,
Adam's moments.

The file is a dict of torch.save: step; model (the state dict of GaussianDiffusion: 13 tables and
the UNet under "model."); opt (Adam's); ema (ema-pytorch's: initted, step, online_model.*,
ema_model.*); scaler; version.
"""

import re
from pathlib import Path

from convert_parts import gaussian_schedule, lockstep_folder, torch_file
from convert_parts.messages import USAGE, Command, ConvertError
from convert_parts.safetensors_file import BYTES
from convert_parts.sudoku_seed import moments, plain_tensors

VERSION = "2.3.4"  # of the package whose files these are
UNET = "model."
AVERAGED = "ema_model."
LIVE = "online_model."
SAVE_EVERY = 1000  # the Trainer's own default between two milestones


# --- to-lucidrains --------------------------------------------------------------------------------


def to_arguments(parser):
    parser.add_argument("source", help="a run, or one of its checkpoints")
    parser.add_argument("target", help="model-N.pt, or the Trainer's results_folder")
    parser.add_argument("--milestone", help="N of model-N.pt in a folder (default: steps / 1000)")


def to_lucidrains(arguments):
    source = lockstep_folder.read_source(arguments.source, "model")
    if source.run is None:
        raise ConvertError(
            "the noise schedule is in the run's config",
            "name a run or one of its checkpoints",
            arguments.source,
            USAGE,
        )
    values = lockstep_folder.config_values(source.run)
    check_run(values, source)
    torch = torch_file.need_torch()
    buffers = run_tables(torch, values)
    model = {
        **buffers,
        **{UNET + name: torch_file.from_plain(tensor) for name, tensor in source.model.items()},
    }
    averaged, has_average = averages(arguments.source, source, buffers, model)
    updates = updates_of(source)
    ema = {"initted": torch.tensor(updates > 0), "step": torch.tensor(updates)}
    ema |= {LIVE + name: tensor for name, tensor in model.items()} | {
        AVERAGED + name: tensor for name, tensor in averaged.items()
    }
    content = {
        "step": source.step,
        "model": model,
        "opt": adam_state(torch, source, values, updates),
        "ema": ema,
        "scaler": scaler_state(torch, values, arguments.source, source),
        "version": VERSION,
    }
    target = target_file(arguments, source)
    torch_file.save(content, target)
    lockstep_folder.print_facts(
        f"wrote {target} ({lockstep_folder.size_text(target)})",
        [
            ("weights", f"{len(source.model)} tensors and {len(buffers)} tables"),
            ("average", "ema-pytorch's" if has_average else "the weights: the run keeps none"),
            ("optimizer", f"Adam, {updates} updates" if source.optimizer else "Adam, fresh"),
            ("step", str(source.step)),
        ],
    )
    print(f"load it with\n{python_text(values)}")


def check_run(values, source):
    if values.get("task.kind") != "image_diffusion":
        raise ConvertError(
            f"the run's task is {values.get('task.kind')}, not image_diffusion",
            "",
            source.run,
            USAGE,
        )
    if values.get("task.model.kind") != "unet":
        raise ConvertError(
            f"the Trainer has no network like {values.get('task.model.kind')}: it gives no classes",
            "lockstep export --format safetensors writes its weights",
            source.run,
            USAGE,
        )
    kind, decay = values.get("optimizer.kind"), float(values.get("optimizer.weight_decay", 0))
    if source.optimizer and not (kind == "adam" or (kind == "adamw" and decay == 0)):
        raise ConvertError(
            f"the run's optimizer is {kind}, the Trainer's Adam",
            "lockstep export --format safetensors writes the weights alone",
            source.run,
            USAGE,
        )


def number(values, key):
    """A number of the config, None for null."""
    text = values.get(key, "null")
    return None if text == "null" else float(text)


def run_tables(torch, values):
    d = "task.diffusion."
    betas = gaussian_schedule.betas_of(
        torch,
        values[d + "beta_schedule"],
        int(values[d + "timesteps"]),
        number(values, d + "linear_start"),
        number(values, d + "linear_end"),
    )
    gamma = (
        number(values, d + "min_snr_gamma") if values[d + "min_snr_loss_weight"] == "true" else None
    )
    return gaussian_schedule.tables(torch, betas, values[d + "objective"], gamma)


def averages(path, source, buffers, model):
    """GaussianDiffusion's state dict with averaged weights, and whether the run has some."""
    try:
        averaged = lockstep_folder.read_source(path, "ema").model
    except ConvertError as error:
        if "no ema.safetensors" not in error.fact:
            raise
        return model, False
    return {
        **buffers,
        **{UNET + name: torch_file.from_plain(averaged[name]) for name in source.model},
    }, True


def updates_of(source):
    counted = source.optimizer.get("updates")
    return int.from_bytes(counted.data, "little") if counted else source.step


def adam_state(torch, source, values, updates):
    """What Adam's state_dict() gives: parameters in the network's order."""
    parameters = [
        torch.nn.Parameter(torch_file.from_plain(tensor)) for tensor in source.model.values()
    ]
    adam = torch.optim.Adam(
        parameters,
        lr=float(values["optimizer.lr"]),
        betas=(
            float(values.get("optimizer.beta1", 0.9)),
            float(values.get("optimizer.beta2", 0.999)),
        ),
        eps=float(values.get("optimizer.eps", 1e-8)),
        weight_decay=float(values.get("optimizer.weight_decay", 0)),
    )
    if source.optimizer:
        for parameter, (name, tensor) in zip(parameters, source.model.items()):
            state = {"step": torch.tensor(float(updates))}
            for key in ("exp_avg", "exp_avg_sq"):
                moment = source.optimizer.get(f"{key}.{name}")
                if moment is None or moment.shape != tensor.shape or moment.dtype not in BYTES:
                    raise ConvertError(
                        f"the optimizer has no {key} of '{name}' in the weights' shape",
                        "",
                        source.run,
                    )
                state[key] = torch_file.from_plain(moment)
            adam.state[parameter] = state
    return adam.state_dict()


def scaler_state(torch, values, path, source):
    """torch's GradScaler of a float16 run; None otherwise, as the Trainer without amp writes."""
    if not values.get("precision.compute", "fp32").startswith("fp16"):
        return None
    file = next(
        (
            place
            for place in (
                Path(path) / "state.json",
                *sorted(source.run.glob(f"checkpoints/step-{source.step:08}/state.json")),
            )
            if place.is_file()
        ),
        None,
    )
    scale = (
        lockstep_folder.read_json(file)["loss_scale"]
        if file
        else {"scale": 65536.0, "good_steps": 0}
    )
    return {
        "scale": float(scale["scale"]),
        "growth_factor": 2.0,
        "backoff_factor": 0.5,
        "growth_interval": int(float(values.get("precision.loss_scale.growth_steps", 2000))),
        "_growth_tracker": int(scale["good_steps"]),
    }


def target_file(arguments, source):
    target = Path(arguments.target)
    if target.suffix == ".pt":
        return target
    if not target.is_dir():
        raise ConvertError(
            "the target is neither a .pt file nor a folder that is there",
            "name results/model-1.pt, or make the folder",
            target,
            USAGE,
        )
    milestone = arguments.milestone or str(max(1, source.step // SAVE_EVERY))
    if not re.fullmatch(r"[A-Za-z0-9._-]+", milestone):
        raise ConvertError(f"--milestone '{milestone}' is no part of a file's name", code=USAGE)
    return target / f"model-{milestone}.pt"


def python_text(values):
    """The Python that makes the same network and diffusion."""
    m, d = "task.model.", "task.diffusion."
    words = {"null": "None", "true": "True", "false": "False"}

    def arguments_of(prefix, names):
        out = []
        for name in names:
            text = values.get(prefix + name, "null")
            if text != "null":
                value = "(" + text[1:-1].rstrip(",") + ",)" if text.startswith("[") else text
                out.append(
                    f"{name}={re.sub('null|true|false', lambda found: words[found[0]], value)}"
                )
        return ", ".join(out)

    unet = arguments_of(
        m,
        (
            "dim",
            "init_dim",
            "out_dim",
            "dim_mults",
            "channels",
            "self_condition",
            "learned_variance",
            "sinusoidal_pos_emb_theta",
            "dropout",
            "attn_dim_head",
            "attn_heads",
            "full_attn",
            "flash_attn",
        ),
    )
    kwargs = {key: number(values, d + "linear_" + key) for key in ("start", "end")}
    given = {key: value for key, value in kwargs.items() if value is not None}
    schedule = f", schedule_fn_kwargs={given}" if given else ""
    return (
        f"  unet = Unet({unet})\n"
        f"  diffusion = GaussianDiffusion(unet, image_size={values['task.image_size']}, "
        f"timesteps={values[d + 'timesteps']}, "
        f"objective='{values[d + 'objective']}', "
        f"beta_schedule='{values[d + 'beta_schedule']}'{schedule})\n"
        f"  trainer = Trainer(diffusion, PICTURES, results_folder=FOLDER, ...); "
        f"trainer.load(MILESTONE)"
    )


# --- from-lucidrains ------------------------------------------------------------------------------


def from_arguments(parser):
    parser.add_argument("checkpoint", help="model-N.pt")
    parser.add_argument(
        "folder",
        help="new folder; a config takes it by init: {from: FOLDER, parts: [model, optimizer]}",
    )


def from_lucidrains(arguments):
    path = arguments.checkpoint
    content = torch_file.load(path)
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("model"), dict)
        or "model.init_conv.weight" not in content["model"]
    ):
        keys = (
            ", ".join(map(str, list(content)[:6]))
            if isinstance(content, dict)
            else type(content).__name__
        )
        raise ConvertError(
            f"this is no checkpoint of denoising-diffusion-pytorch's Trainer: it has {keys}",
            "for a plain state dict use the command state-dict",
            path,
        )
    torch = torch_file.need_torch()
    state = content["model"]
    model = plain_tensors(
        {name[len(UNET) :]: value for name, value in state.items() if name.startswith(UNET)}, path
    )
    foreign = [
        name
        for name in state
        if not name.startswith(UNET) and name not in gaussian_schedule.BUFFERS
    ]
    if foreign:
        raise ConvertError(
            f"its diffusion has a table that Lockstep does not know: '{foreign[0]}'", "", path
        )
    optimizer, updates = moments(content.get("opt"), model, path)
    averaged = averaged_weights(content.get("ema"), model, path)
    try:
        network, notes = network_of(model)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise ConvertError(
            f"its network is not the package's Unet: {error} is missing or has another shape",
            "for the weights of any network use the command state-dict",
            path,
        ) from None
    diffusion = diffusion_of(torch, state, path)
    step = content.get("step")
    lockstep_folder.write_import(
        arguments.folder,
        model,
        optimizer,
        {
            "kind": "lucidrains",
            "step": step if isinstance(step, int) else None,
            "updates": updates,
            "package": str(content.get("version", ""))[:40],
            "model": network,
            "diffusion": diffusion,
        },
        averaged,
    )
    lockstep_folder.print_facts(
        f"imported into {arguments.folder}",
        [
            ("weights", f"{len(model)} tensors"),
            ("average", f"{len(averaged)} tensors" if averaged else "none in the file"),
            ("optimizer", f"Adam, {updates} updates" if optimizer else "none in the file"),
            ("step", "unknown" if not isinstance(step, int) else str(step)),
        ]
        + [("note", note) for note in notes],
    )
    print(config_text(arguments.folder, network, diffusion, optimizer, content))


def averaged_weights(ema, model, path):
    if not isinstance(ema, dict):
        return {}
    prefix = AVERAGED + UNET
    out = plain_tensors(
        {name[len(prefix) :]: value for name, value in ema.items() if str(name).startswith(prefix)},
        path,
    )
    if out and (
        out.keys() != model.keys() or any(out[name].shape != model[name].shape for name in model)
    ):
        raise ConvertError("its averaged weights are of another network than its weights", "", path)
    return {name: out[name] for name in model} if out else {}


def network_of(model):
    """task.model for these tensors, and notes on what they leave open."""
    shape = {name: tensor.shape for name, tensor in model.items()}
    stages = 1 + max(int(name.split(".")[1]) for name in shape if name.startswith("downs."))
    dim = shape["time_mlp.1.weight"][0] // 4
    first, out = shape["init_conv.weight"][1], shape["final_conv.weight"][0]
    ends = [
        shape[f"downs.{i}.3.weight" if i + 1 == stages else f"downs.{i}.3.1.weight"][0]
        for i in range(stages)
    ]
    full = [f"downs.{i}.2.to_out.0.weight" not in shape for i in range(stages)]
    heads = [shape[f"downs.{i}.2.mem_kv"][1] for i in range(stages)]
    width = [shape[f"downs.{i}.2.mem_kv"][3 if full[i] else 2] for i in range(stages)]
    network = {
        "kind": "unet",
        "dim": dim,
        "dim_mults": [end // dim for end in ends],
        "channels": min(first, out),
        "self_condition": first == 2 * out,
        "learned_variance": out == 2 * first,
        "attn_heads": heads,
        "attn_dim_head": width,
        "full_attn": full,
    }
    notes = []
    if shape["init_conv.weight"][0] != dim:
        network["init_dim"] = shape["init_conv.weight"][0]
    if first == out and first % 2 == 0:
        notes.append(
            f"{first} channels, or half of that with self_condition and learned_variance: both "
            f"have these shapes"
        )
    if first not in (out, 2 * out) and out != 2 * first:
        network["channels"], network["out_dim"] = first, out
    if not any(full):
        notes.append("no stage has full attention")
    return network, notes


def diffusion_of(torch, state, path):
    betas, weight = state.get("betas"), state.get("loss_weight")
    if (
        not isinstance(betas, torch.Tensor)
        or not isinstance(weight, torch.Tensor)
        or betas.dim() != 1
        or betas.shape != weight.shape
    ):
        raise ConvertError(
            "it has no tables betas and loss_weight",
            "it is of an older version: save it again with 1.8 or newer",
            path,
        )
    schedule, objective, gamma = gaussian_schedule.recognise(torch, betas, weight)
    out = {"timesteps": len(betas), "beta_schedule": schedule, "objective": objective}
    return out | ({"min_snr_loss_weight": True, "min_snr_gamma": gamma} if gamma else {})


def yaml_of(values):
    def text(value):
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(map(text, value)) + "]"
        return (
            str(value).lower()
            if isinstance(value, bool)
            else "UNKNOWN"
            if value is None
            else str(value)
        )

    return "{" + ", ".join(f"{key}: {text(value)}" for key, value in values.items()) + "}"


def config_text(folder, network, diffusion, optimizer, content):
    lines = [
        "go on in a config with (image_size is not in the file):",
        "  task:",
        "    kind: image_diffusion",
        "    image_size: SIZE",
        f"    model: {yaml_of(network)}",
        f"    diffusion: {yaml_of(diffusion)}",
    ]
    if optimizer:
        group = content["opt"]["param_groups"][0]
        adam = {
            "kind": "adam",
            "lr": group["lr"],
            "beta1": group["betas"][0],
            "beta2": group["betas"][1],
            "eps": group["eps"],
        }
        lines.append(f"  optimizer: {yaml_of(adam)}")
    lines.append(
        f"  init: {{from: {folder}, parts: {'[model, optimizer]' if optimizer else '[model]'}}}   "
        f"# or [ema]"
    )
    return "\n".join(lines)


EXAMPLES = (
    "scripts/convert to-lucidrains runs/cifar10/20260101-120000 results/model-20.pt",
    "scripts/convert to-lucidrains runs/cifar10/20260101-120000 results --milestone latest",
    "scripts/convert from-lucidrains results/model-20.pt weights/cifar10",
)
COMMANDS = (
    Command(
        "to-lucidrains",
        "a run or checkpoint to a .pt that denoising-diffusion-pytorch's Trainer loads",
        to_arguments,
        to_lucidrains,
    ),
    Command(
        "from-lucidrains",
        "a checkpoint of denoising-diffusion-pytorch's Trainer to a folder for init.from",
        from_arguments,
        from_lucidrains,
    ),
)
