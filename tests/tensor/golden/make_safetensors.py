#!/usr/bin/env python3
"""Writes golden.safetensors with the Python package, and reads back a file that Lockstep wrote.

pip install safetensors==0.8.0 numpy==2.4.6 ml_dtypes==0.6.0
python3 make_safetensors.py golden.safetensors            # writes
python3 make_safetensors.py --check written.safetensors   # reads what SaveSafetensors tests wrote
"""

import sys

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file, save_file

TENSORS = {
    "bool": np.array([[True, False, True]]),
    "u8": np.arange(250, 256, dtype=np.uint8),
    "i8": np.array([-128, 127], dtype=np.int8),
    "u16": np.array([65535, 1], dtype=np.uint16),
    "i16": np.array([-32768], dtype=np.int16),
    "u32": np.array([4294967295], dtype=np.uint32),
    "i32": np.array([[-2147483648], [7]], dtype=np.int32),
    "u64": np.array([9223372036854775807], dtype=np.uint64),
    "i64": np.array([-9223372036854775808, 3], dtype=np.int64),
    "f16": np.array([0.5, -65504.0], dtype=np.float16),
    "bf16": np.array([1.5, -3.0e38], dtype=ml_dtypes.bfloat16),
    "f32": np.array([[[0.1], [-1e-45]]], dtype=np.float32),
    "f64": np.array([1 / 3, 5e-324], dtype=np.float64),
    "scalar": np.array(2.5, dtype=np.float32),
    "empty": np.zeros((0, 3), dtype=np.float32),
    'näme/ "quoted"': np.array([1], dtype=np.int64),
}


def main():
    if sys.argv[1] != "--check":
        save_file(TENSORS, sys.argv[1], metadata={"format": "pt", "note": 'a\n"b"'})
        return
    read = load_file(sys.argv[2])
    assert read.keys() == TENSORS.keys(), read.keys()
    for name, want in TENSORS.items():
        got = read[name]
        assert (
            got.dtype == want.dtype and got.shape == want.shape and got.tobytes() == want.tobytes()
        ), name
    print("equal")


main()
