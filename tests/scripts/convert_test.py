"""scripts/convert: what hostile and broken files get for an answer, safetensors in plain Python,
and, where Python has torch, the Sudoku seed's checkpoints both ways. Without torch those cases are
skipped, and counted."""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import math
import os
import pathlib
import pickle
import struct
import sys
import tempfile
import unittest
import unittest.mock
import zipfile

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from convert_parts import (  # noqa: E402
    inception,
    lockstep_folder,
    safetensors_file,
    sudoku_seed,
    torch_file,
)
from convert_parts.messages import ConvertError  # noqa: E402
from convert_parts.safetensors_file import Tensor  # noqa: E402

try:
    import torch
except ImportError:
    torch = None
if not hasattr(torch, "save"):  # LibTorch alone has a folder of that name, too
    torch = None
needs_torch = unittest.skipIf(torch is None, "this Python has no torch")


def load_program():
    loader = importlib.machinery.SourceFileLoader("convert", str(ROOT / "scripts/convert"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("convert", loader))
    loader.exec_module(module)
    return module


CONVERT = load_program()


class Runs:
    """Anything that runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch /tmp/lockstep-convert-was-here",)


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_convert(self, *words):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = CONVERT.main([str(word) for word in words])
            except SystemExit as stop:
                code = stop.code
        return code, out.getvalue(), err.getvalue()

    def expect(self, code, *words, says=()):
        got, out, err = self.run_convert(*words)
        self.assertEqual(got, code, out + err)
        for text in says:
            self.assertIn(text, out + err)
        return out

    def archive(self, entries, name="a.pt", compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(self.folder / name, "w", compression) as archive:
            for entry, content in entries.items():
                archive.writestr(entry, content)
        return self.folder / name


class CommandLine(InFolder):
    def test_help_has_examples_of_every_part(self):
        out = self.expect(0, "--help")
        for command in ("from-seed", "to-seed", "state-dict", "inspect"):
            self.assertIn(f"scripts/convert {command} ", out)

    def test_an_unknown_command_is_a_usage_error_with_help(self):
        self.expect(2, "form-seed", says=["error: ", "invalid choice: 'form-seed'", "help: "])
        self.expect(
            2, "from-seed", says=["error: ", "checkpoint", "`scripts/convert from-seed --help`"]
        )

    def test_a_missing_file_is_named(self):
        self.expect(
            4,
            "from-seed",
            self.folder / "no.pt",
            self.folder / "out",
            says=["there is no such file", "no.pt"],
        )
        self.expect(
            4,
            "to-seed",
            self.folder / "no",
            self.folder / "out.pt",
            says=["no such run, checkpoint or file"],
        )

    def test_without_torch_it_says_how_to_get_it(self):
        path = self.archive({"a/data.pkl": pickle.dumps({"epoch": 1}, 2), "a/version": "3\n"})
        with unittest.mock.patch.dict(sys.modules, {"torch": None}):
            self.expect(
                3,
                "from-seed",
                path,
                self.folder / "out",
                says=["needs Python's torch", "pip install torch"],
            )
            self.expect(0, "inspect", path, says=["nothing in it runs code"])
        self.assertFalse((self.folder / "out").exists())


class HostileFiles(InFolder):
    def refused(self, path, *says):
        self.expect(4, "from-seed", path, self.folder / "out", says=["error: ", str(path), *says])
        self.assertFalse((self.folder / "out").exists())

    def test_a_pickle_that_runs_code_is_refused_without_running_it(self):
        mark = pathlib.Path("/tmp/lockstep-convert-was-here")
        mark.unlink(missing_ok=True)
        self.refused(
            self.archive({"a/data.pkl": pickle.dumps({"x": Runs()}, 2)}),
            "posix.system",
            "plain values",
        )
        self.refused(self.archive({"a/data.pkl": pickle.dumps({"x": Runs()}, 4)}), "STACK_GLOBAL")
        self.refused(self.archive({"a/data.pkl": pickle.dumps({"x": Runs()}, 0)}), "posix.system")
        self.refused(
            self.archive(
                {"a/data.pkl": b"(S'touch /tmp/lockstep-convert-was-here'\nios\nsystem\n."}
            ),
            "INST",
        )
        self.assertFalse(mark.exists())

    def test_numpy_scalars_and_classes_of_the_user_are_named(self):
        pickled = b"\x80\x02cnumpy.core.multiarray\nscalar\nq\x00."
        self.refused(self.archive({"a/data.pkl": pickled}), "numpy.core.multiarray.scalar")

    def test_what_is_no_archive_of_torch_is_refused(self):
        text = self.folder / "text.pt"
        text.write_text("hello")
        self.refused(text, "no file of torch.save")
        old = self.folder / "old.pt"
        old.write_bytes(pickle.dumps([1], 2))
        self.refused(old, "torch before 1.6")
        self.refused(self.archive({"a/other": b""}), "0 files data.pkl")
        self.refused(
            self.archive({"a/data.pkl": pickle.dumps(1, 2), "a/code/m.py": b""}), "TorchScript"
        )
        self.refused(
            self.archive(
                {"a/data.pkl": pickle.dumps([0] * 999, 2)}, compression=zipfile.ZIP_DEFLATED
            ),
            "compressed",
        )

    def test_damage_is_refused(self):
        path = self.archive({"a/data.pkl": pickle.dumps({"epoch": 1}, 2)[:-3]})
        self.refused(path, "damaged")
        cut = self.archive({"a/data.pkl": pickle.dumps({"epoch": list(range(500))}, 2)}, "cut.pt")
        content = bytearray(cut.read_bytes())
        content[60] ^= 0xFF
        cut.write_bytes(content)
        self.refused(cut, "damaged")


class Safetensors(InFolder):
    def test_what_is_written_is_read_again_and_wide_types_come_first(self):
        path = self.folder / "x.safetensors"
        tensors = {
            "a": Tensor("F32", (2, 2), floats(1, 2, 3, 4)),
            "n": Tensor("I64", (), struct.pack("<q", 7)),
            "e": Tensor("F32", (0, 3), b""),
            "b": Tensor("BOOL", (3,), b"\1\0\1"),
        }
        safetensors_file.write(path, tensors)
        self.assertEqual(safetensors_file.read(path), tensors)
        self.assertEqual(list(safetensors_file.read(path))[0], "n")
        self.assertEqual([entry.name for entry in self.folder.iterdir()], ["x.safetensors"])

    def test_a_wrong_header_is_refused(self):
        good = {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
        wrong = {
            "longer than the file": struct.pack("<Q", 999),
            "shorter": b"123",
            "no JSON object": b"[]",
            "Expecting": b"{nonsense",
            "twice": b'{"a": {}, "a": {}}',
            "does not have dtype": b'{"a": {}}',
            "wrong dtype": json.dumps({"a": {**good["a"], "dtype": "F33"}}).encode(),
            "do not fit its shape": json.dumps({"a": {**good["a"], "shape": [2]}}).encode(),
            "hole": json.dumps({"a": {**good["a"], "data_offsets": [4, 8]}}).encode(),
            "ends early": json.dumps(
                {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
            ).encode(),
            "wrong dtype, shape": json.dumps({"a": {**good["a"], "shape": [-1]}}).encode(),
            "nested": b"[" * 100_000,
        }
        for words, header in wrong.items():
            path = self.folder / "x.safetensors"
            whole = words in ("longer than the file", "shorter")
            path.write_bytes(
                header if whole else struct.pack("<Q", len(header)) + header + b"\0\0\0\0"
            )
            with self.assertRaisesRegex(ConvertError, words):
                safetensors_file.read(path)


class Checkpoints(InFolder):
    def checkpoint(self, name="step-00000010"):
        folder = self.folder / "run/checkpoints" / name
        folder.mkdir(parents=True)
        safetensors_file.write(folder / "model.safetensors", {"w": Tensor("F32", (1,), floats(2))})
        size = (folder / "model.safetensors").stat().st_size
        manifest = {
            "format": "lockstep-checkpoint",
            "version": 1,
            "step": 10,
            "files": [{"name": "model.safetensors", "size": size}],
        }
        (folder / "MANIFEST.json").write_text(json.dumps(manifest))
        return folder

    def test_the_newest_complete_one_of_a_run_is_taken(self):
        self.checkpoint("step-00000005")
        self.checkpoint()
        (self.folder / "run/checkpoints/step-00000015").mkdir()
        with unittest.mock.patch.object(lockstep_folder, "_hasher", lambda: None):
            self.assertEqual(lockstep_folder.read_source(self.folder / "run").step, 10)

    def test_a_file_that_changed_is_refused(self):
        folder = self.checkpoint()
        with open(folder / "model.safetensors", "ab") as file:
            file.write(b"x")
        with self.assertRaisesRegex(ConvertError, "another size"):
            lockstep_folder.read_source(folder)

    def test_a_manifest_that_names_files_elsewhere_is_refused(self):
        folder = self.checkpoint()
        (folder / "MANIFEST.json").write_text(
            '{"format": "lockstep-checkpoint", "files": [{"name": "../../x", "size": 1}]}'
        )
        with self.assertRaisesRegex(ConvertError, "outside the checkpoint"):
            lockstep_folder.read_source(folder)

    def test_values_of_a_printed_config_are_found(self):
        (self.folder / "config.yaml").write_text(
            "optimizer:\n  kind: adamw  # default\n  lr: 0.001  # a.yaml:3\ntask:\n  model:\n"
            '    kind: "seed_conv"\n'
        )
        values = lockstep_folder.config_values(self.folder)
        self.assertEqual(
            values,
            {"optimizer.kind": "adamw", "optimizer.lr": "0.001", "task.model.kind": "seed_conv"},
        )

    def test_names_sort_as_the_seed_lists_its_parameters(self):
        names = [
            "value_head.0.bias",
            "conv_blocks.10.0.weight",
            "conv_blocks.2.4.bias",
            "conv_in.bias",
            "time_embed.0.weight",
            "conv_in.weight",
            "embedding_layer.weight",
            "conv_blocks.2.4.weight",
            "conv_out.weight",
        ]
        self.assertEqual(
            sorted(names, key=sudoku_seed.order_key),
            [
                "embedding_layer.weight",
                "time_embed.0.weight",
                "conv_in.weight",
                "conv_in.bias",
                "conv_blocks.2.4.weight",
                "conv_blocks.2.4.bias",
                "conv_blocks.10.0.weight",
                "conv_out.weight",
                "value_head.0.bias",
            ],
        )


def seed_network(channels=8, layers=2, embedding=4):
    """A network with the seed's module names and shapes (a small one)."""
    nn = torch.nn
    network = nn.Module()
    network.embedding_layer = nn.Embedding(10, embedding)
    network.time_embed = nn.Sequential(
        nn.Linear(1, channels), nn.SiLU(), nn.Linear(channels, channels)
    )
    network.conv_in = nn.Conv2d(embedding, channels, 3, padding=1)
    network.conv_blocks = nn.ModuleList(
        nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
        )
        for _ in range(layers)
    )
    network.conv_out = nn.Conv2d(channels, channels, 3, padding=1)
    network.position_head = nn.Sequential(
        nn.Linear(81 * channels, channels), nn.SiLU(), nn.Linear(channels, 81)
    )
    network.value_head = nn.Sequential(
        nn.Linear(81 * channels, channels), nn.SiLU(), nn.Linear(channels, 10)
    )
    return network


def seed_checkpoint(path, prefix="", steps=3):
    """What the seed writes after some updates; returns network and optimizer."""
    torch.manual_seed(1)
    network = seed_network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        sum((parameter**2).sum() for parameter in network.parameters()).backward()
        optimizer.step()
        scheduler.step()
    torch.save(
        {
            "epoch": steps - 1,
            "model_state_dict": {
                prefix + name: value for name, value in network.state_dict().items()
            },
            "optimizer_state_dict": optimizer.state_dict(),
            "scheduler_state_dict": scheduler.state_dict(),
            "epoch_losses": [5.8, 5.7, 5.6],
            "epoch_accuracies": [0.07, 0.08, 0.09],
            "val_losses": [],
            "val_accuracies": [],
            "config": {"batch_size": 64, "learning_rate": 1e-3, "weight_decay": 1e-4, "k_max": 3},
            "wandb_run_id": "abc",
        },
        path,
    )
    return network, optimizer, scheduler


@needs_torch
class SeedCheckpoints(InFolder):
    def test_are_imported_by_name(self):
        network, optimizer, _ = seed_checkpoint(self.folder / "c.pt")
        out = self.expect(0, "from-seed", self.folder / "c.pt", self.folder / "in")
        self.assertIn(
            "model: {kind: seed_conv, hidden_dim: 8, num_layers: 2, kernel_size: 3, embedding_dim: "
            "4}",
            out,
        )
        self.assertIn("k_max: 3", out)
        model = safetensors_file.read(self.folder / "in/model.safetensors")
        moments = safetensors_file.read(self.folder / "in" / lockstep_folder.OPTIMIZER)
        self.assertEqual(set(model), set(network.state_dict()))
        for name, parameter in network.named_parameters():
            self.assertTrue(torch.equal(torch_file.from_plain(model[name]), parameter.data), name)
            for key in ("exp_avg", "exp_avg_sq"):
                self.assertTrue(
                    torch.equal(
                        torch_file.from_plain(moments[f"{key}.{name}"]),
                        optimizer.state[parameter][key],
                    ),
                    name,
                )
        self.assertEqual(moments["updates"], Tensor("I64", (), struct.pack("<q", 3)))
        facts = json.loads((self.folder / "in/import.json").read_text())
        self.assertEqual((facts["epoch"], facts["updates"], facts["config"]["k_max"]), (2, 3, 3))

    def test_of_a_compiled_model_lose_their_prefix(self):
        network, _, _ = seed_checkpoint(self.folder / "c.pt", prefix="_orig_mod.")
        self.expect(0, "from-seed", self.folder / "c.pt", self.folder / "in")
        self.assertEqual(
            set(safetensors_file.read(self.folder / "in/model.safetensors")),
            set(network.state_dict()),
        )

    def test_there_and_back_go_on_as_if_nothing_had_happened(self):
        network, optimizer, scheduler = seed_checkpoint(self.folder / "c.pt")
        self.expect(0, "from-seed", self.folder / "c.pt", self.folder / "in")
        self.expect(
            0, "to-seed", self.folder / "in", self.folder / "back.pt", "--epoch", 3, "--epochs", 10
        )
        back = torch.load(self.folder / "back.pt", weights_only=True)
        other = seed_network()
        other.load_state_dict(back["model_state_dict"])
        other_optimizer = torch.optim.AdamW(other.parameters(), lr=1e-3, weight_decay=1e-4)
        other_optimizer.load_state_dict(back["optimizer_state_dict"])
        other_scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(other_optimizer, T_max=10)
        other_scheduler.load_state_dict(back["scheduler_state_dict"])
        self.assertEqual(back["epoch"], 2)
        for net, opt, sched in (
            (network, optimizer, scheduler),
            (other, other_optimizer, other_scheduler),
        ):
            for _ in range(3):
                opt.zero_grad(set_to_none=True)
                sum((parameter**2).sum() for parameter in net.parameters()).backward()
                opt.step()
                sched.step()
        self.assertAlmostEqual(
            scheduler.get_last_lr()[0], other_scheduler.get_last_lr()[0], places=12
        )
        for (name, a), (_, b) in zip(network.named_parameters(), other.named_parameters()):
            self.assertTrue(torch.allclose(a, b, rtol=1e-6, atol=1e-8), name)

    def test_are_exported_from_a_run_with_its_curves(self):
        network, _, _ = seed_checkpoint(self.folder / "c.pt")
        self.expect(0, "from-seed", self.folder / "c.pt", self.folder / "in")
        checkpoint = self.folder / "run/checkpoints/step-00000008"
        checkpoint.mkdir(parents=True)
        files = []
        for name in ("model.safetensors", lockstep_folder.OPTIMIZER):
            (checkpoint / name).write_bytes((self.folder / "in" / name).read_bytes())
            files.append({"name": name, "size": (checkpoint / name).stat().st_size})
        (checkpoint / "MANIFEST.json").write_text(
            json.dumps({"format": "lockstep-checkpoint", "step": 8, "files": files})
        )
        run = self.folder / "run"
        (run / "plan.json").write_text('{"global_batch": 64, "train_samples": 256, "steps": 40}')
        (run / "config.yaml").write_text(
            "task:\n  k_max: 6\noptimizer:\n  kind: adamw\n  lr: 0.002\n  weight_decay: 0.0001\n"
        )
        lines = [{"step": step, "loss": float(step), "accuracy": 0.5} for step in range(1, 13)]
        lines.append(
            {"kind": "evaluation", "step": 8, "validation_loss": 5.5, "validation_accuracy": 0.1}
        )
        (run / "metrics.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in lines) + '{"torn'
        )
        with unittest.mock.patch.object(lockstep_folder, "_hasher", lambda: None):
            self.expect(0, "to-seed", run, self.folder / "out.pt", "--compiled")
        out = torch.load(self.folder / "out.pt", weights_only=True)
        self.assertEqual(
            (out["epoch"], out["epoch_losses"], out["epoch_accuracies"]),
            (1, [2.5, 6.5], [0.5, 0.5]),
        )
        self.assertEqual((out["val_losses"], out["val_accuracies"]), ([5.5], [0.1]))
        self.assertEqual(
            out["config"],
            {"batch_size": 64, "learning_rate": 0.002, "weight_decay": 0.0001, "k_max": 6},
        )
        self.assertEqual(
            list(out["model_state_dict"]), ["_orig_mod." + name for name in network.state_dict()]
        )
        self.assertEqual(out["scheduler_state_dict"]["T_max"], 10)
        self.assertAlmostEqual(
            out["optimizer_state_dict"]["param_groups"][0]["lr"],
            0.001 * (1 + math.cos(math.pi * 0.2)),
        )
        other = seed_network()
        torch.optim.AdamW(other.parameters()).load_state_dict(out["optimizer_state_dict"])

    def test_that_do_not_fit_are_refused(self):
        network, optimizer, _ = seed_checkpoint(self.folder / "c.pt")
        content = torch.load(self.folder / "c.pt", weights_only=True)

        def refused(change, *says):
            changed = torch.load(self.folder / "c.pt", weights_only=True)
            change(changed)
            torch.save(changed, self.folder / "d.pt")
            self.expect(
                4, "from-seed", self.folder / "d.pt", self.folder / "out", says=["error: ", *says]
            )
            self.assertFalse((self.folder / "out").exists())

        refused(lambda c: c.pop("model_state_dict"), "no model_state_dict", "state-dict")
        refused(
            lambda c: c["model_state_dict"].pop("conv_out.weight"), "it lacks 'conv_out.weight'"
        )
        refused(
            lambda c: c["model_state_dict"].update({"lm_head.weight": torch.ones(1)}),
            "it has 'lm_head.weight'",
        )
        refused(lambda c: c["model_state_dict"]["conv_in.bias"].fill_(math.nan), "not finite")
        refused(
            lambda c: c["optimizer_state_dict"]["param_groups"][0]["params"].pop(),
            "parameters, its model",
        )
        refused(
            lambda c: c["optimizer_state_dict"]["state"][2].update(exp_avg=torch.ones(3)),
            "has the shape [3]",
        )
        refused(
            lambda c: c["optimizer_state_dict"]["state"][2].update(step=torch.tensor(9.0)),
            "updated [3, 9] times",
        )
        torch.save(
            {"model_state_dict": content["model_state_dict"], "class": seed_network},
            self.folder / "e.pt",
        )
        self.expect(
            4, "from-seed", self.folder / "e.pt", self.folder / "out", says=["seed_network"]
        )
        (self.folder / "out").mkdir()
        (self.folder / "out/file").touch()
        self.expect(
            2, "from-seed", self.folder / "c.pt", self.folder / "out", says=["exists already"]
        )
        del network, optimizer


@needs_torch
class StateDicts(InFolder):
    def test_go_both_ways(self):
        torch.save(
            {
                "model_state_dict": {
                    "module.a": torch.arange(6.0).reshape(2, 3).t(),
                    "module.n": torch.tensor(3),
                }
            },
            self.folder / "a.pt",
        )
        self.expect(
            4,
            "state-dict",
            self.folder / "a.pt",
            self.folder / "a.safetensors",
            says=["there are model_state_dict", "--key"],
        )
        self.expect(
            0,
            "state-dict",
            self.folder / "a.pt",
            self.folder / "a.safetensors",
            "--key",
            "model_state_dict",
            "--strip",
            "module.",
        )
        tensors = safetensors_file.read(self.folder / "a.safetensors")
        self.assertEqual(tensors["a"], Tensor("F32", (3, 2), floats(0, 3, 1, 4, 2, 5)))
        self.expect(0, "state-dict", self.folder / "a.safetensors", self.folder / "b.pt")
        self.assertEqual(torch.load(self.folder / "b.pt", weights_only=True)["n"].item(), 3)

    def test_a_file_of_torch_save_is_harmless_to_look_into(self):
        torch.save(
            {
                "a": torch.ones(2),
                "b": torch.ones(2).bfloat16(),
                "p": torch.nn.Parameter(torch.ones(1)),
                "d": torch.float32,
            },
            self.folder / "a.pt",
        )
        self.expect(
            0,
            "inspect",
            self.folder / "a.pt",
            says=["3 storages", "torch._utils._rebuild_tensor_v2"],
        )


class InceptionNames(unittest.TestCase):
    def test_of_the_wrapper_become_those_of_the_checkpoint(self):
        self.assertEqual(inception.unwrapped("blocks.0.0.conv.weight"), "Conv2d_1a_3x3.conv.weight")
        self.assertEqual(
            inception.unwrapped("blocks.2.7.branch7x7dbl_5.bn.bias"),
            "Mixed_6e.branch7x7dbl_5.bn.bias",
        )
        self.assertEqual(
            inception.unwrapped("Mixed_7c.branch_pool.conv.weight"),
            "Mixed_7c.branch_pool.conv.weight",
        )
        for name in ("Conv2d_2b_3x3.bn.running_var", "Mixed_5b.branch1x1.conv.weight"):
            self.assertTrue(inception.NAME.fullmatch(name), name)


@needs_torch
class Inception(InFolder):
    def test_other_networks_are_refused(self):
        for state, says in (
            ({"fc.weight": torch.ones(1000, 2048)}, "torchvision"),
            ({"layer1.weight": torch.ones(1)}, "'layer1.weight'"),
            ({"Conv2d_1a_3x3.conv.weight": torch.ones(32, 3, 3, 3)}, "1 tensors instead of 470"),
            ([torch.ones(1)], "no dict of tensors"),
        ):
            for zipped in (True, False):  # the public file is of a torch before 1.6
                torch.save(state, self.folder / "w.pth", _use_new_zipfile_serialization=zipped)
                self.expect(
                    4,
                    "inception",
                    self.folder / "w.pth",
                    self.folder / "w.safetensors",
                    says=["error: ", says],
                )
        self.assertFalse((self.folder / "w.safetensors").exists())

    def test_an_old_file_with_code_is_refused(self):
        with open(self.folder / "w.pth", "wb") as file:
            pickle.dump(Runs(), file)
        self.expect(
            4,
            "inception",
            self.folder / "w.pth",
            self.folder / "w.safetensors",
            says=["cannot load it"],
        )


if __name__ == "__main__":
    # Another Python that has torch may be named for the cases that need it.
    OTHER = os.environ.pop("LOCKSTEP_TORCH_PYTHON", None)  # once: that one may have none, either
    if torch is None and OTHER:
        os.execv(OTHER, [OTHER, *sys.argv])
    RESULT = unittest.main(exit=False).result
    sys.exit(
        1 if not RESULT.wasSuccessful() else 77 if len(RESULT.skipped) == RESULT.testsRun else 0
    )
