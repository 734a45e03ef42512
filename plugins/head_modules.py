"""The built-in heads: modules from features float[B, features] to logits float[B, classes].

All start with logits near 0: the last layer's weights are drawn from N(0, 0.01^2), its biases are 0. timm's fresh
head is about ten times wider, and its first steps then pull at the pretrained features for no reason.
Draws come from torch's global generator, which the caller seeds.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from zoo_plugins.option_checks import check_choice, check_range

START_STD = 0.01
"""Standard deviation of the last layer's first weights. Source: arXiv:1706.02677 (Goyal et al. 2017, section 5.1)."""


def linear(*, features: int, classes: int) -> nn.Linear:
    """A plain `nn.Linear`, so that other libraries read the saved network as one of theirs: z = W x + b.

    Source: W ~ N(0, 0.01^2), b = 0 after arXiv:1706.02677 (Goyal et al. 2017, section 5.1).

    Args:
        features: Width of the input.
        classes: Number of outputs.
    """
    layer = nn.Linear(features, classes)
    nn.init.normal_(layer.weight, std=START_STD)
    nn.init.zeros_(layer.bias)
    return layer


def mlp(
    *,
    features: int,
    classes: int,
    hidden: int = 512,
    dropout: float = 0.2,
    activation: Literal["relu", "gelu", "silu", "tanh"] = "gelu",
) -> nn.Sequential:
    """One hidden layer: z = W2 dropout(a(W1 x + b1)) + b2; W1 as torch draws it, W2 and b2 as in `linear`.

    Source: Rumelhart et al. 1986, Learning representations by back-propagating errors.

    Args:
        features: Width of the input.
        classes: Number of outputs.
        hidden: Width of the hidden layer, 1 or more.
        dropout: Probability in [0, 1) that a hidden unit is dropped in training; 0: no such layer.
        activation: The function a.
    """
    functions: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}
    check_choice(activation, where="head.activation", choices=functions)
    check_range(hidden, where="head.hidden", low=1, high=math.inf)
    check_range(dropout, where="head.dropout", low=0, high=1, below=True)
    layers = [nn.Linear(features, hidden), functions[activation]()]
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, linear(features=hidden, classes=classes))


class Cosine(nn.Module):
    """z_k = scale * cos(x, w_k): only the direction of the features counts, not their length.

    Directions start as N(0, 1 / features), so that each w_k is about 1 long and the first logits are about
    scale / sqrt(features).

    Source: arXiv:1804.09458 (Gidaris and Komodakis 2018, equation 5); a fixed scale as in arXiv:1904.04232.

    Args:
        features: Width of the input.
        classes: Number of outputs.
        scale: The largest logit possible, above 0; its start where it is learned.
        learn_scale: Train the scale as well (as its logarithm, so that it stays above 0).
    """

    log_scale: Tensor

    def __init__(self, *, features: int, classes: int, scale: float = 16.0, learn_scale: bool = False) -> None:
        super().__init__()
        check_range(scale, where="head.scale", low=0, high=math.inf, above=True)
        self.weight = nn.Parameter(torch.randn(classes, features) / math.sqrt(features))
        log_scale = torch.tensor(math.log(scale))
        if learn_scale:
            self.log_scale = nn.Parameter(log_scale)
        else:
            self.register_buffer("log_scale", log_scale)

    def forward(self, features: Tensor) -> Tensor:
        """Logits float[B, classes] in [-scale, scale]; features of all zeros give logits of 0."""
        cosines = functional.linear(functional.normalize(features, dim=1), functional.normalize(self.weight, dim=1))
        return self.log_scale.exp() * cosines
