"""The Inception of FID with random weights, the same in every program, since no public weights are
at hand.

Needs: torch, pytorch-fid, torch-fidelity (for its network), safetensors.
"""

import torch
from pytorch_fid import inception
from safetensors.torch import save_file


def state(seed=1):
    """Weights by pytorch-fid's names, scaled so that features stay of order one."""
    network = inception._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    generator = torch.Generator().manual_seed(seed)
    tensors = network.state_dict()
    for name, value in tensors.items():
        if name.endswith("num_batches_tracked"):
            continue
        u = torch.rand(value.shape, generator=generator)
        if name.endswith("conv.weight"):
            tensors[name] = (2 * u - 1) * (6.0 / (value.numel() // value.shape[0])) ** 0.5
        elif name.endswith(("bn.weight", "running_var")):
            tensors[name] = 0.5 + u
        else:
            tensors[name] = 0.2 * u - 0.1
    return tensors


def save_for_lockstep(tensors, path):
    save_file(
        {
            name: value
            for name, value in tensors.items()
            if not name.endswith("num_batches_tracked")
        },
        path,
    )


def pytorch_fid_network(tensors, dims=2048):
    inception.load_state_dict_from_url = lambda *_, **__: tensors
    return inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[dims]]).eval()


def torch_fidelity_network(tensors, folder, dims=2048):
    """Also the one of torchmetrics. Its resizing is TensorFlow's, so its features are others."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = f"{folder}/inception.pth"
    torch.save(tensors, path)
    return FeatureExtractorInceptionV3(
        "inception-v3-compat", [str(dims)], feature_extractor_weights_path=path
    ).eval()
