"""The Sudoku seed's checkpoint_epoch_N.pt ↔ Lockstep: weights, AdamW's moments, where the training
stood.

The file is a dict of torch.save: epoch (from 0), model_state_dict, optimizer_state_dict,
scheduler_state_dict, epoch_losses, epoch_accuracies, val_losses, val_accuracies, config
{batch_size, learning_rate, weight_decay, k_max}. Tensor names are the same on both sides; a
compiled model's have "_orig_mod." before them.
"""

import math
import re

from convert_parts import lockstep_folder as folders
from convert_parts import torch_file
from convert_parts.messages import USAGE, Command, ConvertError
from convert_parts.safetensors_file import BYTES, Tensor

COMPILED = "_orig_mod."
# The seed's modules in the order in which it makes them: its optimizer counts parameters so.
ORDER = (
    "embedding_layer",
    "time_embed",
    "conv_in",
    "conv_blocks",
    "conv_out",
    "position_head",
    "value_head",
)
NAME = re.compile(
    r"(embedding_layer\.weight)|(time_embed|position_head|value_head)\.[02]\.(weight|bias)|"
    r"(conv_in|conv_out)\.(weight|bias)|conv_blocks\.\d+\.[0134]\.(weight|bias)"
)
SEED_DEFAULTS = {"batch_size": 1024, "learning_rate": 1e-3, "weight_decay": 1e-4, "k_max": 3}


def order_key(name):
    """Sorts names as the seed's parameters() lists them."""
    parts = name.split(".")
    return (
        ORDER.index(parts[0]),
        [int(part) for part in parts[1:] if part.isdigit()],
        parts[-1] != "weight",
    )


def check_names(names, place):
    """Raises ConvertError unless these are the tensors of the seed's network."""
    foreign = [name for name in names if not NAME.fullmatch(name)]
    missing = [
        name
        for name in (
            "conv_in.weight",
            "conv_out.weight",
            "position_head.2.weight",
            "value_head.2.weight",
        )
        if name not in names
    ]
    if foreign or missing:
        raise ConvertError(
            "this is not the seed's network: "
            + (f"it has '{foreign[0]}'" if foreign else f"it lacks '{missing[0]}'"),
            "for any other network use the command state-dict",
            place,
        )


def dimensions(model):
    """task.model of the config that these weights belong to; num_groups leaves no trace in them."""
    weight = model["conv_in.weight"]
    blocks = {name.split(".")[1] for name in model if name.startswith("conv_blocks.")}
    embedding = model.get("embedding_layer.weight")
    return {
        "kind": "seed_conv",
        "hidden_dim": weight.shape[0],
        "num_layers": len(blocks),
        "kernel_size": weight.shape[-1],
        "embedding_dim": embedding.shape[1] if embedding else 0,
    }


# --- from-seed ------------------------------------------------------------------------------------


def from_seed_arguments(parser):
    parser.add_argument("checkpoint", help="checkpoint_epoch_N.pt or checkpoint_latest.pt")
    parser.add_argument(
        "folder",
        help="new folder; a config takes it by init: {from: FOLDER, parts: [model, optimizer]}",
    )


def from_seed(arguments):
    path = arguments.checkpoint
    content = torch_file.load(path)
    if not isinstance(content, dict) or not isinstance(content.get("model_state_dict"), dict):
        keys = (
            ", ".join(map(str, list(content)[:6]))
            if isinstance(content, dict)
            else type(content).__name__
        )
        raise ConvertError(
            f"this is no checkpoint of the seed: it has no model_state_dict, but {keys}",
            "for a plain state dict use the command state-dict",
            path,
        )
    model = plain_tensors(content["model_state_dict"], path)
    check_names(model, path)
    optimizer, updates = moments(content.get("optimizer_state_dict"), model, path)
    config = {
        key: value
        for key, value in dict(content.get("config") or {}).items()
        if isinstance(value, (int, float, str, bool))
    }
    epoch = content.get("epoch")
    network = dimensions(model)
    folders.write_import(
        arguments.folder,
        model,
        optimizer,
        {
            "kind": "sudoku seed",
            "epoch": epoch if isinstance(epoch, int) else None,
            "updates": updates,
            "config": config,
            "model": network,
        },
    )
    report_import(arguments.folder, network, config, epoch, updates, bool(optimizer))


def plain_tensors(state, path):
    """name → float32 tensor, without the prefix of a compiled model."""
    torch = torch_file.need_torch()
    out = {}
    for name, tensor in state.items():
        name = str(name)
        name = name[len(COMPILED) :] if name.startswith(COMPILED) else name
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            raise ConvertError(f"'{name}' is no tensor of weights", "", path)
        if not bool(torch.isfinite(tensor).all()):
            raise ConvertError(
                f"'{name}' has values that are not finite", "take an earlier checkpoint", path
            )
        out[name] = torch_file.to_plain(name, tensor.float())
    return out


def moments(state, model, path):
    """AdamW's moments by tensor name, and its count of updates; ({}, 0) without an optimizer."""
    if state is None:
        return {}, 0
    groups, entries = state.get("param_groups"), state.get("state")
    if not isinstance(groups, list) or not isinstance(entries, dict):
        raise ConvertError("its optimizer_state_dict has no param_groups and state", "", path)
    ids = [number for group in groups for number in group["params"]]
    names = list(model)
    if len(ids) != len(names):
        raise ConvertError(
            f"its optimizer has {len(ids)} parameters, its model {len(names)}", "", path
        )
    if not entries:
        return {}, 0
    out, steps = {}, set()
    for number, name in zip(ids, names):
        entry = entries.get(number) or {}
        if "max_exp_avg_sq" in entry:
            raise ConvertError(
                "its optimizer is AMSGrad, which Lockstep does not have",
                "import without: --help",
                path,
            )
        for key in ("exp_avg", "exp_avg_sq"):
            if key in entry:
                tensor = torch_file.to_plain(name, entry[key].float())
            else:  # this parameter never had a gradient
                tensor = Tensor("F32", model[name].shape, bytes(len(model[name].data)))
            if tensor.shape != model[name].shape:
                raise ConvertError(
                    f"{key} of '{name}' has the shape {list(tensor.shape)}, the weights "
                    f"{list(model[name].shape)}",
                    "",
                    path,
                )
            out[f"{key}.{name}"] = tensor
        if "step" in entry:
            steps.add(int(entry["step"]))
    if len(steps) != 1:
        raise ConvertError(
            f"its parameters were updated {sorted(steps)} times: Lockstep counts all together",
            "",
            path,
        )
    updates = steps.pop()
    out["updates"] = Tensor("I64", (), updates.to_bytes(8, "little"))
    return out, updates


def report_import(folder, network, config, epoch, updates, has_optimizer):
    parts = "[model, optimizer]" if has_optimizer else "[model]"
    folders.print_facts(
        f"imported into {folder}",
        [
            (
                "weights",
                f"{network['hidden_dim']} channels, {network['num_layers']} blocks, "
                f"embedding {network['embedding_dim'] or 'none'}",
            ),
            ("optimizer", f"AdamW, {updates} updates" if has_optimizer else "none in the file"),
            ("epoch", "unknown" if epoch is None else f"{epoch + 1} done"),
            (
                "config",
                ", ".join(f"{key} {value}" for key, value in config.items()) or "none in the file",
            ),
        ],
    )
    model = ", ".join(f"{key}: {value}" for key, value in network.items())
    print(
        "go on in a config with:\n"
        f"  task: {{kind: sudoku, objective: seed, k_max: "
        f"{config.get('k_max', SEED_DEFAULTS['k_max'])}, "
        f"model: {{{model}}}}}\n"
        f"  init: {{from: {folder}, parts: {parts}}}"
    )


# --- to-seed --------------------------------------------------------------------------------------


def to_seed_arguments(parser):
    parser.add_argument(
        "source", help="a run, one of its checkpoints, an imported folder, or a .safetensors file"
    )
    parser.add_argument("checkpoint", help="the .pt file to write")
    parser.add_argument(
        "--weights", choices=("model", "ema"), default="model", help="ema: the averaged weights"
    )
    parser.add_argument(
        "--compiled", action="store_true", help="names as torch.compile wants them (_orig_mod.)"
    )
    parser.add_argument("--epoch", type=int, help="epochs done, if the source does not say")
    parser.add_argument(
        "--epochs", type=int, help="T_max of the seed's cosine schedule (default: the run's length)"
    )


def to_seed(arguments):
    source = folders.read_source(arguments.source, arguments.weights)
    check_names(source.model, arguments.source)
    names = sorted(source.model, key=order_key)
    facts = run_facts(source, arguments)
    torch = torch_file.need_torch()
    parameters = [torch.nn.Parameter(torch_file.from_plain(source.model[name])) for name in names]
    optimizer, scheduler = torch_optimizer(torch, parameters, names, source, facts)
    prefix = COMPILED if arguments.compiled else ""
    content = {
        "epoch": facts["done"] - 1,
        "model_state_dict": {
            prefix + name: parameter.data for name, parameter in zip(names, parameters)
        },
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler_state_dict": scheduler,
        **facts["curves"],
        "config": facts["config"],
    }
    torch_file.save(content, arguments.checkpoint)
    folders.print_facts(
        f"wrote {arguments.checkpoint} ({folders.size_text(folders.Path(arguments.checkpoint))})",
        [
            ("weights", f"{len(names)} tensors ({arguments.weights})"),
            (
                "optimizer",
                "AdamW's moments" if source.optimizer else "fresh: the source has no moments",
            ),
            ("epoch", f"{facts['done']} done of {facts['epochs']}"),
        ],
    )


def run_facts(source, arguments):
    """Epochs, hyperparameters and curves: the run's, else the seed's defaults."""
    values, plan, config = {}, {}, dict(SEED_DEFAULTS)
    done, epochs, curves = (
        0,
        1,
        {"epoch_losses": [], "epoch_accuracies": [], "val_losses": [], "val_accuracies": []},
    )
    if source.run:
        values, plan = (
            folders.config_values(source.run),
            folders.read_json(source.run / "plan.json"),
        )
        if values.get("optimizer.kind", "adamw") != "adamw" and source.optimizer:
            raise ConvertError(
                f"the run's optimizer is {values['optimizer.kind']}, the seed's AdamW",
                "export the weights alone: name the model.safetensors",
                source.run,
                USAGE,
            )
        config = {
            "batch_size": plan["global_batch"],
            "learning_rate": float(values.get("optimizer.lr", 1e-3)),
            "weight_decay": float(values.get("optimizer.weight_decay", 0)),
            "k_max": int(values.get("task.k_max", 3)),
        }
        per_epoch = plan.get("train_samples", 0) / plan["global_batch"]
        done = int(source.step / per_epoch) if per_epoch else 0
        epochs = max(1, math.ceil(plan["steps"] / per_epoch)) if per_epoch else 1
        curves = epoch_curves(source, per_epoch)
    done = arguments.epoch if arguments.epoch is not None else done
    if done < 1:
        raise ConvertError(
            "the source does not say how many epochs are done, or less than one is",
            "give it: --epoch N",
            arguments.source,
            USAGE,
        )
    return {
        "done": done,
        "epochs": arguments.epochs or max(epochs, done),
        "config": config,
        "curves": curves,
        "values": values,
    }


def epoch_curves(source, per_epoch):
    """The seed's lists: means over each epoch's logged steps, and one entry an evaluation."""
    sums, losses, accuracies = {}, [], []
    for line in folders.metrics(source.run):
        step = line.get("step", 0)
        if step > source.step:
            continue
        if line.get("kind") == "evaluation" and "validation_loss" in line:
            losses.append(line["validation_loss"])
            accuracies.append(line.get("validation_accuracy", math.nan))
        elif "kind" not in line and per_epoch and line.get("loss") is not None:
            one = sums.setdefault(int((step - 1) / per_epoch), [0, 0.0, 0.0])
            for i, value in enumerate((1, line["loss"], line.get("accuracy", math.nan))):
                one[i] += value
    means = [sums[epoch] for epoch in sorted(sums)]
    return {
        "epoch_losses": [loss / count for count, loss, _ in means],
        "epoch_accuracies": [hits / count for count, _, hits in means],
        "val_losses": losses,
        "val_accuracies": accuracies,
    }


def torch_optimizer(torch, parameters, names, source, facts):
    """An AdamW that holds the moments, and the state of a cosine schedule at the same epoch."""
    lr, values = facts["config"]["learning_rate"], facts["values"]
    optimizer = torch.optim.AdamW(
        parameters,
        lr=lr,
        weight_decay=facts["config"]["weight_decay"],
        betas=(
            float(values.get("optimizer.beta1", 0.9)),
            float(values.get("optimizer.beta2", 0.999)),
        ),
        eps=float(values.get("optimizer.eps", 1e-8)),
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=facts["epochs"])
    now = 0.5 * lr * (1 + math.cos(math.pi * facts["done"] / facts["epochs"]))
    for group in optimizer.param_groups:
        group["lr"] = now
    if source.optimizer:
        updates = (
            int.from_bytes(source.optimizer["updates"].data, "little")
            if "updates" in source.optimizer
            else source.step
        )
        for parameter, name in zip(parameters, names):
            state = {"step": torch.tensor(float(updates))}
            for key in ("exp_avg", "exp_avg_sq"):
                tensor = source.optimizer.get(f"{key}.{name}")
                if (
                    tensor is None
                    or tensor.shape != source.model[name].shape
                    or tensor.dtype not in BYTES
                ):
                    raise ConvertError(
                        f"the optimizer has no {key} of '{name}' in the weights' shape",
                        "export the weights alone: name the model.safetensors",
                        code=USAGE,
                    )
                state[key] = torch_file.from_plain(tensor)
            optimizer.state[parameter] = state
    schedule = scheduler.state_dict()
    schedule.update(last_epoch=facts["done"], _step_count=facts["done"] + 1, _last_lr=[now])
    return optimizer, schedule


EXAMPLES = (
    "scripts/convert from-seed checkpoints/checkpoint_epoch_500.pt weights/seed-500",
    "scripts/convert to-seed runs/seed_k3/20260101-120000 checkpoint_latest.pt",
    "scripts/convert to-seed runs/seed_k3/20260101-120000 checkpoint_latest.pt --weights ema "
    "--compiled",
)
COMMANDS = (
    Command(
        "from-seed",
        "a checkpoint of the Sudoku seed to a folder for init.from",
        from_seed_arguments,
        from_seed,
    ),
    Command(
        "to-seed",
        "a run or checkpoint to a .pt that the seed's code resumes from",
        to_seed_arguments,
        to_seed,
    ),
)
