#!/usr/bin/env python3
"""`lockstep fid` and the converters of pictures as a person runs them, and inputs that do not
fit."""

import json
import math
import os
import shutil

import harness
import safetensors_file as st
from inception_file import write_weights

USAGE, DATA = 2, 4
GOLDEN = harness.SOURCE / "tests/data/golden/images.safetensors"


def refused(result, code, *words):
    result.expect(code, "error: ", *words)
    for word in ("Traceback", "terminate called", "Exception raised from"):
        assert word not in result.err, result.text()
    return next(line for line in result.err.splitlines() if line.startswith("error: "))[:140]


def write_pictures(folder):
    golden = st.read(GOLDEN)
    for side, names in (
        ("a", ("png_rgb", "png_gray", "jpeg_420")),
        ("b", ("png_rgba", "jpeg_cmyk", "png_palette", "jpeg_444")),
    ):
        (folder / side / "deep").mkdir(parents=True)
        for i, name in enumerate(names):
            path = (
                folder
                / side
                / ("deep" if i == 0 else "")
                / (name + (".png" if name.startswith("png") else ".jpg"))
            )
            path.write_bytes(golden["file." + name].data)
    return folder / "a", folder / "b"


def matrix(*rows, dtype="F64"):
    return st.tensor(dtype, [len(rows), len(rows[0])], [value for row in rows for value in row])


def score(result):
    result.expect(0)
    assert len(result.out.splitlines()) == 1, result.text()
    return json.loads(result.out)


def statistics(test):
    a, b = test.work / "stats-a.safetensors", test.work / "stats-b.safetensors"
    st.write(
        a,
        {
            "mu": st.tensor("F64", [2], [0, 0]),
            "sigma": matrix([4, 0], [0, 9]),
            "n": st.tensor("I64", [], [50]),
        },
    )
    st.write(b, {"mu": st.tensor("F64", [2], [1, 2]), "sigma": matrix([1, 0], [0, 16])})
    found = score(test.run("fid", a, b, "--json"))
    assert abs(found["fid"] - (1 + 4 + 1 + 1)) < 1e-9, found
    assert (found["kid"], found["n_a"], found["n_b"]) == (None, 50, None), found
    features = test.work / "features.safetensors"
    st.write(features, {"features": matrix([1, 1], [1, 1], [1, 1], dtype="F32")})
    other = test.work / "others.safetensors"
    st.write(other, {"features": matrix([2, 2], [2, 2])})
    found = score(test.run("fid", features, other, "--json"))
    # Two points: FID is their squared distance; KID has k(1,1) = 8, k(2,2) = 125, k(1,2) = 27.
    assert abs(found["fid"] - 2) < 1e-9 and abs(found["kid"] - (8 + 125 - 54)) < 1e-9, found
    assert (found["n_a"], found["n_b"]) == (3, 2), found
    return "mu and sigma: 7; features: FID 2, KID 79"


def pictures(test, a, b, weights):
    first = score(test.run("fid", a, b, "--inception", weights, "--features", "64", "--json"))
    assert first["fid"] > 0 and (first["n_a"], first["n_b"]) == (3, 4), first
    one = score(
        test.run(
            "fid", a, b, "--inception", weights, "--features", "64", "--threads", "1", "--json"
        )
    )
    assert one == first, (one, first)
    same = score(test.run("fid", a, a, "--inception", weights, "--features", "64", "--json"))
    assert abs(same["fid"]) < 1e-6, same
    clean = score(
        test.run(
            "fid", a, b, "--inception", weights, "--features", "64", "--resize", "clean", "--json"
        )
    )
    assert clean["fid"] != first["fid"]
    shards = test.work / "shards"
    test.run("data", "convert", "image-folder", b, shards).expect(0, out=("4 pictures",))
    stored = score(test.run("fid", a, shards, "--inception", weights, "--features", "64", "--json"))
    assert stored == first, (stored, first)
    kept = test.work / "kept.safetensors"
    test.run("fid", b, "--inception", weights, "--features", "64", "--save", kept).expect(0)
    again = score(test.run("fid", a, kept, "--inception", weights, "--features", "64", "--json"))
    assert abs(again["fid"] - first["fid"]) <= 1e-9 * first["fid"] and again["kid"] is None, (
        again,
        first,
    )
    return f"FID {first['fid']:.6f} from folders, shards and kept statistics"


def ranks(test, a, b, weights):
    mpirun = shutil.which("mpirun")
    if mpirun is None:
        raise harness.Skip("no mpirun in PATH")
    shapes = test.work / "shapes"
    test.run(
        "data", "make", "shapes", shapes, "train_images=130", "validation_images=20", "image_size=8"
    ).expect(0)
    words = [
        test.lockstep,
        "fid",
        f"{shapes}/train-*.h5",
        shapes / "validation.h5",
        "--inception",
        weights,
        "--features",
        "64",
        "--json",
    ]
    lines, root = set(), ["--allow-run-as-root"] if os.geteuid() == 0 else []
    for count in (1, 2, 4):
        start = (
            []
            if count == 1
            else [
                mpirun,
                "-n",
                str(count),
                "--host",
                "localhost:4",
                "--bind-to",
                "none",
                "--mca",
                "plm",
                "isolated",
                *root,
            ]
        )
        lines.add(harness.Running(test, [*start, *words]).wait(120).expect(0).out)
    assert len(lines) == 1, lines
    return f"the same line on 1, 2 and 4 ranks: {lines.pop().strip()}"


def unread(test, a, weights):
    """Pictures that are not read change a score: exit 4, unless a flag leaves them out."""
    folder = test.work / "mixed"
    shutil.copytree(a, folder / "own")
    (folder / "linked").symlink_to(a)
    (folder / "notes.txt").write_text("no picture")

    def fid(*words):
        return test.run(
            "fid", folder, a, "--inception", weights, "--features", "64", "--json", *words
        )

    result = fid()
    assert score(result)["n_a"] == 6, result.text()
    result.expect(0, "1 file(s) named .txt ('notes.txt')")
    (folder / "own/x.webp").write_bytes(b"RIFF....WEBP")
    (folder / "gone.png").symlink_to(test.work / "nowhere.png")
    refused(
        fid(),
        DATA,
        "1 file(s) of format .webp",
        "1 link(s) that lead nowhere ('gone.png')",
        "--skip-unread",
    )
    result = fid("--skip-unread")
    assert score(result)["n_a"] == 6, result.text()
    result.expect(0, "1 file(s) of format .webp ('own/x.webp')")
    words = ("--inception", weights, "--features", "64")
    refused(test.run("fid", "/dev/stdin", a, *words), DATA, "pipe or a device")
    return "linked folder used, .webp and a dead link refused, then counted"


def bad_inputs(test, a, b, weights):
    def fid(*words):
        return test.run("fid", *words)

    good = test.work / "good.safetensors"
    st.write(good, {"mu": st.tensor("F64", [2], [0, 0]), "sigma": matrix([4, 0], [0, 9])})
    bad = test.work / "bad.safetensors"

    def file(tensors):
        st.write(bad, tensors)
        return bad

    mu = st.tensor("F64", [2], [0, 0])
    cases = {
        "sigma in float32": (
            {"mu": mu, "sigma": matrix([1, 0], [0, 1], dtype="F32")},
            ["sigma", "Double"],
        ),
        "sigma of another size": (
            {"mu": mu, "sigma": matrix([1, 0, 0], [0, 1, 0], [0, 0, 1])},
            ["[2]", "[3, 3]"],
        ),
        "sigma that is not symmetric": ({"mu": mu, "sigma": matrix([1, 5], [0, 1])}, ["symmetric"]),
        "numbers that are not finite": (
            {"mu": mu, "sigma": matrix([1, 0], [0, math.nan])},
            ["finite"],
        ),
        "no sigma": ({"mu": mu}, ["sigma"]),
        "an unknown tensor": ({"mu": mu, "sigma": matrix([1, 0], [0, 1]), "var": mu}, ["'var'"]),
        "one sample": ({"features": matrix([1, 2])}, ["1 picture", "at least 2"]),
        "n of 1": (
            {"mu": mu, "sigma": matrix([1, 0], [0, 1]), "n": st.tensor("I64", [], [1])},
            ["'n'"],
        ),
        "other dimensions": ({"features": matrix([1, 2, 3], [4, 5, 6])}, ["2 features", "3"]),
    }
    for name, (tensors, words) in cases.items():
        test.case(
            f"statistics, {name}", lambda t=tensors, w=words: refused(fid(good, file(t)), DATA, *w)
        )

    def one_picture():
        folder = test.work / "one"
        folder.mkdir()
        shutil.copy(b / "jpeg_444.jpg", folder)
        return refused(
            fid(a, folder, "--inception", weights, "--features", "64"),
            DATA,
            "1 picture",
            "at least 2",
        )

    test.case("a folder of one picture", one_picture)

    def corrupt():
        folder = test.work / "corrupt"
        shutil.copytree(b, folder)
        (folder / "x.png").write_bytes((a / "png_gray.png").read_bytes()[:200])
        return refused(
            fid(a, folder, "--inception", weights, "--features", "64"), DATA, "x.png", "damaged"
        )

    test.case("a corrupt picture", corrupt)

    def other_weights():
        kept, other = test.work / "kept-b.safetensors", test.work / "w2.safetensors"
        fid(b, "--inception", weights, "--features", "64", "--save", kept).expect(0)
        write_weights(
            other,
            lambda tensors: tensors.update(
                {"Conv2d_2b_3x3.bn.bias": st.tensor("F32", [64], [0.5] * 64)}
            ),
        )
        refused(
            fid(a, kept, "--inception", weights, "--features", "64", "--resize", "clean"),
            DATA,
            "resizing",
        )
        return refused(
            fid(a, kept, "--inception", other, "--features", "64"), DATA, "other Inception weights"
        )

    test.case("statistics of other weights", other_weights)

    def wrong_weights(change, *words):
        path = write_weights(test.work / "wrong.safetensors", change)
        return refused(fid(a, b, "--inception", path, "--features", "64"), DATA, *words)

    test.case(
        "Inception: a tensor is missing",
        wrong_weights,
        lambda t: t.pop("Conv2d_2a_3x3.bn.bias"),
        "Conv2d_2a_3x3.bn.bias",
    )
    test.case(
        "Inception: another shape",
        wrong_weights,
        lambda t: t.update({"Conv2d_2a_3x3.bn.bias": st.tensor("F32", [3], [0] * 3)}),
        "[3]",
        "[32]",
    )
    test.case(
        "Inception: another network",
        wrong_weights,
        lambda t: t.update({"layer1.weight": st.tensor("F32", [1], [0])}),
        "layer1.weight",
    )
    test.case(
        "Inception: only the first layers",
        lambda: refused(fid(a, b, "--inception", weights), DATA, "Conv2d_3b_1x1"),
    )
    test.case("no weights", lambda: refused(fid(a, b), USAGE, "--inception"))
    test.case(
        "features of an unknown layer",
        lambda: refused(fid(a, b, "--inception", weights, "--features", "100"), USAGE, "100"),
    )
    test.case("one side", lambda: refused(fid(a), USAGE, "two sides"))
    test.case(
        "a folder that does not exist",
        lambda: refused(
            fid(a, test.work / "nowhere", "--inception", weights, "--features", "64"),
            DATA,
            "nowhere",
        ),
    )


def own_folder(test, b):
    """From a folder of pictures to a run, with configs/images/folder.yaml and nothing else."""
    photos, data = test.work / "photos", test.work / "datasets/photos"
    (photos / "cat").mkdir(parents=True)
    (photos / "dog").mkdir()
    for i in range(60):
        shutil.copy(b / "jpeg_cmyk.jpg", photos / ("cat" if i % 2 else "dog") / f"{i}.jpg")
    words = ("data", "convert", "image-folder", photos)
    test.run(*words, data, "size=8", "resize=shorter_side", "validation=0.1").expect(
        0, out=("60 pictures of 2 classes", "as validation-*.h5", "classes: 0 cat, 1 dog")
    )
    test.run("data", "inspect", data).expect(0, out="0 cat, 1 dog")
    test.run(*words, data, "size=8", "prefix=test").expect(0)
    refused(
        test.run(*words, data, "size=8", "prefix=test"), DATA, "test-00000.h5", "overwrite=true"
    )
    refused(test.run(*words, "$HOME/x", "size=8"), USAGE, "$HOME", "~/")
    run = test.work / "folder-run"
    test.run(
        "train",
        harness.SOURCE / "configs/images/folder.yaml",
        f"data.train=[{data}/train-*.h5]",
        f"data.validation=[{data}/validation-*.h5]",
        *("task.image_size=8", "task.model.dim=8", "task.model.dim_mults=[1, 2]"),
        *("train.steps=2", "train.global_batch=8", "precision.compute=fp32", "evaluate.1.batch=5"),
        *("launch.ranks_per_node=1", "evaluate.1.images=5", "evaluate.1.sampler.steps=2"),
        "--run-folder",
        run,
    ).expect(0)
    scores = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["validation_loss"] for line in scores if "validation_loss" in line]
    assert losses and all(0 < loss < 10 for loss in losses), scores
    return f"validation loss {losses[-1]:.3f}"


def conversions(test, b):
    folder = test.work / "broken-source"
    shutil.copytree(b, folder)
    (folder / "c.jpg").write_bytes(b"\xff\xd8 no picture")
    refused(
        test.run("data", "convert", "image-folder", folder, test.work / "no", "size=8"),
        DATA,
        "c.jpg",
    )
    test.run(
        "data",
        "convert",
        "image-folder",
        folder,
        test.work / "yes",
        "size=8",
        "resize=shorter_side",
        "--skip-broken",
    ).expect(0, out=("4 pictures", "1 broken"))
    test.run("data", "verify", test.work / "yes").expect(0)
    recipe = json.loads((test.work / "yes" / "dataset.json").read_text())["recipe"]
    assert (recipe["resize"], recipe["skipped"]) == ("shorter_side", 1), recipe
    refused(
        test.run("data", "convert", "cifar", folder, test.work / "no"), DATA, "data_batch_1.bin"
    )
    refused(
        test.run("data", "convert", "mnist", folder, test.work / "no"),
        DATA,
        "train-images-idx3-ubyte",
    )
    refused(
        test.run("data", "convert", "webdataset", test.work / "x.tar", test.work / "no"),
        DATA,
        "x.tar",
    )
    refused(test.run("data", "convert", "gif", folder, test.work / "no"), USAGE, "image-folder")
    return "a broken file is named or counted; missing files are named"


def main():
    test = harness.Test(__doc__)
    a, b = write_pictures(test.work / "pictures")
    weights = write_weights(test.work / "w.safetensors")
    test.case("statistics and features", statistics, test)
    test.case("pictures", pictures, test, a, b, weights)
    test.case("ranks", ranks, test, a, b, weights)
    test.case("pictures that are not read", unread, test, a, weights)
    bad_inputs(test, a, b, weights)
    test.case("a folder of one's own", own_folder, test, b)
    test.case("conversions", conversions, test, b)
    test.finish()


if __name__ == "__main__":
    main()
