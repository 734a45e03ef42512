"""What tests of the readers share: a read model's values in a network, by the same steps as `zoo convert`."""

import numpy as np
import torch

from zoo.weights.aligning import align
from zoo.weights.folding import differences, fold
from zoo.weights.tracing import trace_layers


def fill(foreign, module, shape):
    """Puts the values into the module; the assignment must be the only one, and nothing may be computed otherwise."""
    found = list(align(foreign, trace_layers(module, torch.zeros(1, *shape))))
    assert len(found) == 1, [alignment.open for alignment in found]
    assert differences(found[0].pairs) == []
    folded = fold(found[0].pairs, reverse_input=foreign.channel_order == "bgr")
    module.load_state_dict(folded.tensors, strict=False)
    assert set(folded.tensors) == {name for name in module.state_dict() if "num_batches" not in name}
    return module.eval()


def relative_difference(module, images, expected):
    """Largest difference of the outputs over the largest output; images float[B, C, H, W] as the module takes them."""
    with torch.inference_mode():
        found = module(torch.from_numpy(np.ascontiguousarray(images, np.float32))).numpy()
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())
