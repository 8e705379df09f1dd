"""A file of Inception weights for --features 64, small and random."""

import math
import random

import safetensors_file as st

LAYERS = {"Conv2d_1a_3x3": (3, 32), "Conv2d_2a_3x3": (32, 32), "Conv2d_2b_3x3": (32, 64)}


def write_weights(path, change=lambda tensors: None):
    """The first layers of Inception, with random weights: enough for --features 64."""
    numbers = random.Random(5)
    tensors = {}
    for name, (inputs, outputs) in LAYERS.items():
        bound = math.sqrt(6 / (9 * inputs))
        tensors[name + ".conv.weight"] = st.tensor(
            "F32",
            [outputs, inputs, 3, 3],
            [numbers.uniform(-bound, bound) for _ in range(outputs * inputs * 9)],
        )
        for part, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -0.1, 0.1),
            ("running_mean", -0.1, 0.1),
            ("running_var", 0.5, 1.5),
        ):
            tensors[f"{name}.bn.{part}"] = st.tensor(
                "F32", [outputs], [numbers.uniform(low, high) for _ in range(outputs)]
            )
    change(tensors)
    st.write(path, tensors)
    return path
