#!/usr/bin/env python3
"""Writes philox.json: Philox numbers by plain Python integers and IEEE doubles.

An implementation of its own, from Salmon et al., SC 2011, section 3.3, and Vigna's SplitMix64;
it stops unless the known answers of Random123's kat_vectors come out. Needs Python 3.8 only.

    python3 make_philox.py > philox.json
"""

import json
import math
import struct

MASK32, MASK64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
KNOWN = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


def philox(counter, key, rounds=10):
    a, b, c, d = counter
    for r in range(rounds):
        k0 = (key[0] + r * 0x9E3779B9) & MASK32
        k1 = (key[1] + r * 0xBB67AE85) & MASK32
        left, right = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (right >> 32) ^ b ^ k0, right & MASK32, (left >> 32) ^ d ^ k1, left & MASK32
    return [a, b, c, d]


def splitmix64(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK64
    return x ^ (x >> 31)


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def words(text):
    return [int(word, 16) for word in text.split()]


def block(seed, purpose, sample, step, element):
    key = splitmix64(seed ^ splitmix64(purpose))
    return philox([element // 4, step, sample & MASK32, sample >> 32], [key & MASK32, key >> 32])


def row(seed, purpose, sample, step, element):
    four = block(seed, purpose, sample, step, element)
    bits = four[element % 4]
    pair = element % 4 // 2 * 2
    u, v = ((x >> 8) * 2.0**-24 for x in four[pair : pair + 2])
    radius, angle = math.sqrt(-2 * math.log(1 - u)), 2 * math.pi * v
    normal = radius * (math.sin(angle) if element % 2 else math.cos(angle))
    return {
        "seed": seed,
        "purpose": purpose,
        "id": sample,
        "step": step,
        "element": element,
        "bits": bits,
        "uniform": (bits >> 8) * 2.0**-24,
        "normal": single(normal),
        "below_1000": bits * 1000 >> 32,
    }


def main():
    for counter, key, answer in KNOWN:
        assert philox(words(counter), words(key)) == words(answer)
    assert (
        splitmix64(0) == 0xE220A8397B1DCDAF and splitmix64(0x9E3779B97F4A7C15) == 0x6E789E6AA1B965F4
    )
    known = [{"counter": words(c), "key": words(k), "answer": words(a)} for c, k, a in KNOWN]
    eight = philox([1, 2, 3, 4], [5, 6], rounds=8)
    seeds = [(0, 1), (17, 3), (2**63 + 5, 7)]
    places = [
        (0, 0, 0),
        (1, 0, 1),
        (12345678901, 42, 6),
        (7, 2**32 - 1, 1000003),
        (2**40 + 3, 9, 2**33 + 3),
    ]
    rows = [row(seed, purpose, *place) for seed, purpose in seeds for place in places]
    print(json.dumps({"known": known, "eight_rounds": eight, "rows": rows}, indent=1))


main()
