#!/usr/bin/env python3
"""`lockstep pack` as a person runs it: text and .npy lists, JSON, the plan's file, bad input."""

import json
import random
import struct

import harness
import safetensors_file


def npy(values):
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({len(values)},), }}"
    header += " " * (63 - (len(header) + 10) % 64) + "\n"
    data = struct.pack(f"<{len(values)}q", *values)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def some_lengths(test, count, most):
    return [1 + int(random.Random(f"{test.seed}-{i}").random() ** 2 * most) for i in range(count)]


def plans(test):
    """Every algorithm: what the JSON says is what the plan's file holds."""
    lengths = some_lengths(test, 5000, 2000)
    text, array = test.work / "lengths.txt", test.work / "lengths.npy"
    text.write_text("".join(f"{length}\n" for length in lengths))
    array.write_bytes(npy(lengths))
    packs = {}
    for algorithm in ("best_fit_decreasing", "first_fit", "next_fit"):
        output = test.work / f"{algorithm}.safetensors"
        words = ["--capacity", "2048", "--algorithm", algorithm, "--output", output, "--json"]
        answers = []
        for path in (text, array):
            result = test.run("pack", "--lengths", path, *words).expect(0)
            assert len(result.out.splitlines()) == 1, result.text()
            answers.append(json.loads(result.out))
        for answer in answers:
            answer.pop("seconds")
        assert answers[0] == answers[1], answers
        packs[algorithm] = answers[0]["packs"]
        tensors = safetensors_file.read(output)
        order, offsets = tensors["order"].values(), tensors["offsets"].values()
        assert sorted(order) == list(range(len(lengths)))
        assert offsets[0] == 0 and offsets[-1] == len(lengths)
        assert len(offsets) == answers[0]["packs"] + 1
        for begin, end in zip(offsets, offsets[1:]):
            assert 0 < sum(lengths[i] for i in order[begin:end]) <= 2048
        bound = max(-(-sum(lengths) // 2048), sum(2 * length > 2048 for length in lengths))
        assert answers[0]["lower_bound"] == bound, answers[0]
        fill = sum(lengths) / (answers[0]["packs"] * 2048)
        assert abs(answers[0]["fill"] - fill) < 1e-12, (answers[0], fill)
    assert packs["best_fit_decreasing"] <= packs["first_fit"] <= packs["next_fit"], packs
    shown = test.run("pack", "--lengths", text, "--capacity", "2048").expect(0).out
    assert "lower bound" in shown and "Packs by fill" in shown, shown
    return str(packs)


def few_documents_a_pack(test):
    path = test.work / "ones.txt"
    path.write_text("1\n" * 100)
    words = ["pack", "--lengths", path, "--capacity", "64", "--json"]
    assert json.loads(test.run(*words).expect(0).out)["packs"] == 2
    result = test.run(*words, "--max-documents", "10").expect(0)
    assert json.loads(result.out)["packs"] == 10, result.text()


def bad_input(test):
    path = test.work / "bad.txt"
    for line, words in (("0", "bad.txt:2"), ("65", "bad.txt:2"), ("x", "bad.txt:2")):
        path.write_text(f"3\n{line}\n")
        test.run("pack", "--lengths", path, "--capacity", "64", "--json").expect(4, words)
    test.run("pack", "--lengths", test.work / "none.txt", "--capacity", "64").expect(4, "none.txt")
    test.run("pack", "--lengths", path).expect(2, "--capacity")
    path.write_text("3\n")
    test.run("pack", "--lengths", path, "--capacity", "0").expect(2, "--capacity")
    wrong = ["--capacity", "8", "--algorithm", "best_fit"]
    test.run("pack", "--lengths", path, *wrong).expect(2, "best_fit_decreasing")
    output = test.work / "no folder" / "plan.safetensors"
    result = test.run("pack", "--lengths", path, "--capacity", "8", "--output", output)
    assert result.code == 3, result.text()


def main():
    test = harness.Test(__doc__)
    test.case("plans", plans, test)
    test.case("at most so many documents a pack", few_documents_a_pack, test)
    test.case("bad input", bad_input, test)
    test.finish()


if __name__ == "__main__":
    main()
