"""Names that the options of a network may take, whatever library it comes from: what starts, acts and normalises."""

from __future__ import annotations

from typing import Literal

Initialisation = Literal[
    "he_normal", "he_uniform", "xavier_normal", "xavier_uniform", "lecun_normal", "lecun_uniform", "orthogonal"
]
"""How the weights of convolutions and dense layers are drawn (zoo/models/initialise.py has the formulas)."""

Activation = Literal[
    "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "hardswish", "softplus", "tanh",
    "scaled_tanh", "sigmoid", "linear",
]  # fmt: skip
"""What stands between the layers (zoo/models/activations.py has the functions); `linear` is none."""

Norm = Literal["batch", "layer", "group", "none"]
"""What normalises between the layers (zoo/models/normalisation.py)."""

Pixels = Literal["unit", "raw", "centred", "imagenet"]
"""Range of the values that a network is fed: [0, 1], [0, 255], [-1, 1], or standardised by ImageNet's statistics."""
