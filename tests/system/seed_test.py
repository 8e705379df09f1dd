#!/usr/bin/env python3
"""The Sudoku seed as a person who comes from its notebook uses it, with what does not fit, on a
CPU.

Every message is looked at; a sweep with points that cannot run marks them and runs the others.
"""

import json

import harness
import safetensors_file as st

USAGE, ENVIRONMENT, DATA, CHECKPOINT = 2, 3, 4, 5
CONFIG = """\
run: {{name: seed, folder: {work}/runs, seed: 17}}
launch: {{ranks_per_node: 1, threads_per_rank: 1, max_restarts: 0}}
data: {{kind: grids, train: [{data}/train-*.h5], validation: [{data}/validation.h5]}}
task: {{kind: sudoku, objective: seed, k_max: 3, model: {{kind: seed_conv, hidden_dim: 4, num_layers: 1, num_groups: 2, embedding_dim: 4}}}}
optimizer: {{kind: adamw, lr: 1.0e-3, weight_decay: 1.0e-4}}
train: {{steps: 8, global_batch: 8, clip_norm: 1.0}}
checkpoint: {{every_steps: 4, keep: 2}}
evaluate: [{{kind: seed_validation, every_steps: 4, samples: 32}}]
log: {{every_steps: 4}}
"""
SWEEP = """\
name: some
folder: {work}/runs
base: seed.yaml
grid:
  optimizer.lr: [1.0e-3, 2.0e-3]
list:
  - {{optimizer.lr: 3.0e-3, run.device: cuda}}
  - {{optimizer.lr: 3.0e-3, step.graph: on}}
  - {{optimizer.lr: 3.0e-3, task.model.embedding: {work}/wide.safetensors}}
  - {{optimizer.lr: 3.0e-3, task.model.embedding: {work}/runs/embedding}}
"""


def set_up(test):
    test.run(
        "data",
        "make",
        "sudoku-sequences",
        test.work / "data",
        "train_sequences=64",
        "validation_sequences=32",
    ).expect(0)
    path = test.work / "seed.yaml"
    path.write_text(CONFIG.format(work=test.work, data=test.work / "data"))
    return path


def digit_vectors(width):
    return {"embed.weight": st.tensor("F32", [10, width], [0.1 * i for i in range(10 * width)])}


def train_embedding(test, config):
    task = "task={kind: sudoku2vec, model: {embedding_dim: 4}}"
    evaluate = "evaluate=[{kind: sudoku2vec_validation}]"
    test.run("train", config, task, evaluate, "--run-folder", test.work / "runs/embedding").expect(
        0
    )
    return "8 steps"


def run_of(test, config, name, *words):
    return test.run("train", config, "--run-folder", test.work / "runs" / name, *words)


def switches(test, config):
    """compile, AMP and fused asked for as in configs/sudoku/seed-*.yaml: said once, then
    trained."""
    words = ("step.graph=auto", "precision.compute=fp16", "optimizer.implementation=auto")
    plain = run_of(test, config, "plain", *words).expect(
        0,
        "step.graph: auto: a CPU has no CUDA graphs; continuing",
        "precision.compute: fp16: CPUs compute fp16 in fp32 and convert; continuing, right but "
        "slower",
        "optimizer adamw: fused (",
    )
    assert plain.err.count("a CPU has no CUDA graphs") == 1, plain.text()
    run_of(test, config, "style", "log.style=seed", *words).expect(
        0,
        "⚠️  Could not compile model: step.graph needs CUDA graphs, and this run computes on a "
        "CPU\n"
        "   Continuing without compilation\n",
        "Using mixed precision: True\n",
        "Dataset size: 64, Batch size: 8, Batches per epoch: 8\n",
        "Epoch    1/1 | Loss: ",
    )
    notes = json.loads((test.work / "runs/style/plan.json").read_text())["notes"]
    assert any("Could not compile" in note for note in notes), notes
    resumed = test.run("resume", test.work / "runs/plain", "checkpoint.keep=1").expect(0)
    assert "CUDA graphs" not in resumed.err, resumed.text()
    quiet = run_of(test, config, "quiet").expect(0)
    assert "CUDA" not in quiet.err, quiet.text()
    return f"{len(notes)} notes"


def gpu_features(test, config):
    run_of(test, config, "graph", "step.graph=on").expect(
        USAGE, "step.graph is on", "CUDA graphs", "set step.graph=auto"
    )
    run_of(test, config, "device", "run.device=cuda").expect(
        ENVIRONMENT, "run.device is cuda", "help: "
    )
    for name in ("graph", "device"):
        assert not (test.work / "runs" / name).exists(), name
    return "exit 2 and 3, no folder"


def embeddings(test, config):
    """A width that does not fit, nothing there, a damaged checkpoint: before anything is
    started."""
    wide = test.work / "wide.safetensors"
    st.write(wide, digit_vectors(6))
    key = "task.model.embedding="
    run_of(test, config, "wide", f"{key}{wide}").expect(
        DATA,
        "task.model.embedding is 6 wide, and task.model.embedding_dim is 4",
        str(wide),
        "task.model.embedding_dim=6",
    )
    run_of(test, config, "none", f"{key}{test.work}/none").expect(
        USAGE, "task.model.embedding names nothing that exists"
    )
    source = test.work / "runs/embedding"
    taken = run_of(test, config, "taken", f"{key}{source}").expect(0)
    assert "damaged" not in taken.err, taken.text()
    newest = source / "checkpoints/step-00000008/model.safetensors"
    whole = newest.read_bytes()
    newest.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    older = run_of(test, config, "older", f"{key}{source}").expect(
        0, "step-00000008 is damaged and skipped"
    )
    run_of(test, config, "damaged", f"{key}{newest.parent}").expect(
        CHECKPOINT, "content does not match the manifest's hash"
    )
    for part in (source / "checkpoints").glob("step-*/model.safetensors"):
        part.write_bytes(b"")
    run_of(test, config, "gone", f"{key}{source}").expect(
        CHECKPOINT, "all 2 checkpoints are damaged"
    )
    for name in ("wide", "none", "damaged", "gone"):
        assert not (test.work / "runs" / name).exists(), name
    newest.write_bytes(whole)
    return older.err.count("damaged")


def sweep(test):
    """Points that this machine or their files do not allow are marked with their own message; the
    others run."""
    path = test.work / "some.yaml"
    path.write_text(SWEEP.format(work=test.work))
    result = test.run("sweep", path, limit=60).expect(
        ENVIRONMENT,  # of the first point that failed
        "run.device is cuda, and ",
        "step.graph is on, and a CPU has no CUDA graphs",
        "wide.safetensors is wrong (exit code 4):\nerror: task.model.embedding is 6 wide",
        "3 of 6 points done, 3 failed",
        out=("best validation_loss",),
    )
    points = json.loads((test.work / "runs/some/results.json").read_text())["points"]
    states = {point["state"]: point["error"] for point in points}
    assert sorted(point["state"] for point in points) == ["done"] * 3 + ["wrong"] * 3, result.text()
    assert "is 6 wide" in "".join(point["error"] or "" for point in points), points
    return ", ".join(states)


def main():
    test = harness.Test(__doc__)
    config = set_up(test)
    test.case("sudoku2vec", train_embedding, test, config)
    test.case("compile, AMP, fused", switches, test, config)
    test.case("GPU features on a CPU", gpu_features, test, config)
    test.case("embeddings", embeddings, test, config)
    test.case("a sweep with points that cannot run", sweep, test)
    test.finish()


if __name__ == "__main__":
    main()
