"""Starting values of a network that is trained from scratch, by the textbook's formulas.

Of a layer with weights float[O, I, ...] torch counts fan_in = I * places and fan_out = O * places (of a grouped
convolution I is that of one group). Biases start at 0; norms, position tables and whatever else is no weight of a
convolution or dense layer keep what their library gave them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import get_args

import torch
from torch import nn

from zoo.contracts.model import Model
from zoo.contracts.network_options import Initialisation
from zoo.errors import UserError, name_list
from zoo.models.activations import main_activation
from zoo.models.normalisation import NORMS

GAINS: Mapping[str, float] = {"linear": 1.0, "sigmoid": 1.0, "selu": 1.0, "tanh": 5 / 3, "scaled_tanh": 1.0}
"""He's gain for activations that are no rectifiers: torch's numbers; SELU's own (its variance is 1 / fan_in); LeCun's
tanh is scaled to gain 1."""

LEAKY_SLOPE = 0.01

Fill = Callable[[torch.Tensor], None]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def he_gain(activation: str) -> float:
    """The gain g of He's variance g^2 / fan_in behind an activation.

    For the rectifier g^2 = 2, as half of its inputs give 0; with slope a below 0 it is 2 / (1 + a^2). The textbook
    (and Keras) takes 2 for all of the rectifier's kin too (ELU, GELU, SiLU...), and so does this.

    Source: He et al., "Delving Deep into Rectifiers", arXiv:1502.01852, equations 10 and 15; `torch.nn.init.
    calculate_gain` for tanh; Klambauer et al., "Self-Normalizing Neural Networks", arXiv:1706.02515, for SELU.

    Args:
        activation: One of `Activation`; "" for one that is not known, which counts as a rectifier.
    """
    if activation == "leaky_relu":
        return math.sqrt(2 / (1 + LEAKY_SLOPE**2))
    return GAINS.get(activation, math.sqrt(2))


def filler(method: str, *, gain: float) -> Fill:
    """Fills weights float[O, I, ...] in place, with draws of torch's global generator.

    - he_normal: N(0, g^2 / fan_in); he_uniform: U(-b, b) with b = g sqrt(3 / fan_in)
    - xavier_normal: N(0, 2 / (fan_in + fan_out)); xavier_uniform: U(-b, b) with b = sqrt(6 / (fan_in + fan_out))
    - lecun_normal: N(0, 1 / fan_in); lecun_uniform: U(-b, b) with b = sqrt(3 / fan_in)
    - orthogonal: W W^T = I, or W^T W = I where there are more outputs than inputs; W is [O, I * places]

    The normal ones are not cut off, as Keras' are at two standard deviations.

    Args:
        method: One of `Initialisation`.
        gain: He's g; the others have none.

    Source: He et al., arXiv:1502.01852; Glorot and Bengio 2010, "Understanding the difficulty of training deep
        feedforward neural networks", section 4.2.1; LeCun et al. 1998, "Efficient BackProp", section 4.6; Saxe et al.,
        "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", arXiv:1312.6120.

    Raises:
        UserError: There is no such method.
    """
    table: Mapping[str, Fill] = {
        "he_normal": lambda w: _normal(w, gain),
        "he_uniform": lambda w: _uniform(w, gain),
        "xavier_normal": lambda w: _done(nn.init.xavier_normal_(w)),
        "xavier_uniform": lambda w: _done(nn.init.xavier_uniform_(w)),
        "lecun_normal": lambda w: _normal(w, 1.0),
        "lecun_uniform": lambda w: _uniform(w, 1.0),
        "orthogonal": lambda w: _done(nn.init.orthogonal_(w)),
    }
    if method not in table:
        raise UserError(
            f"unknown initialisation {method!r}",
            where="model.init",
            allowed=name_list(method, get_args(Initialisation)),
        )
    return table[method]


def initialise(model: Model, method: str) -> str:
    """Draws the weights of all convolutions and dense layers anew, the head's too, in the network's order of layers.

    Args:
        model: Changed in place.
        method: One of `Initialisation`.

    Returns:
        What was done, in a few words.

    Raises:
        UserError: A layer has weights that are none of these, so that only a part of the network would start so.
    """
    unknown = [f"{path} ({type(layer).__name__})" for path, layer in _unknown(model.module)]
    if unknown:
        raise UserError(
            f"{model.spec.name} has weights that are no convolution's and no dense layer's: {', '.join(unknown[:3])}",
            where=f"model.init={method}",
            do="leave model.init out, or take another network or head",
        )
    by_gain = method.startswith("he_")
    activation = main_activation(model) if by_gain else ""
    gain = he_gain(activation)
    fill = filler(method, gain=gain)
    layers = list(_fillable(model.module))
    with torch.no_grad():
        for _, layer in layers:
            _fill_layer(layer, fill)
    how = f", gain {gain:.3g} ({activation or 'a rectifier is assumed'})" if by_gain else ""
    return f"{method}: {len(layers)} layers{how}"


def _normal(weight: torch.Tensor, gain: float) -> None:
    nn.init.normal_(weight, 0.0, gain / math.sqrt(_fan_in(weight)))


def _uniform(weight: torch.Tensor, gain: float) -> None:
    bound = gain * math.sqrt(3 / _fan_in(weight))
    nn.init.uniform_(weight, -bound, bound)


def _done(_: torch.Tensor) -> None:
    """torch's functions return the tensor that they filled."""


def _fan_in(weight: torch.Tensor) -> int:
    return weight[0].numel()


def _fillable(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers with weights that `_fill_layer` knows, in the order in which the network has them."""
    for path, layer in module.named_modules():
        if isinstance(layer, (nn.Linear, *_CONVOLUTIONS, *_TRANSPOSED, nn.MultiheadAttention)) or _fills_itself(layer):
            yield path, layer


def _unknown(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers with weights of two dimensions or more that `_fill_layer` does not know, or cannot reach."""
    known = {id(layer) for _, layer in _fillable(module)}
    for path, layer in module.named_modules():
        own = dict(layer.named_parameters(recurse=False))
        if id(layer) in known:
            reached = _fills_itself(layer) or isinstance(layer, nn.MultiheadAttention) or "weight" in own
            if not reached:  # computed from other parameters: weight norm, standardised weights
                yield path, layer
        elif "weight" in own and own["weight"].ndim > 1 and not isinstance(layer, NORMS):
            yield path, layer


def _fills_itself(layer: nn.Module) -> bool:
    """Whether a layer has a method `fill_weights(fill)`, for weights that are stored in a form of their own."""
    return callable(getattr(layer, "fill_weights", None))


def _fill_layer(layer: nn.Module, fill: Fill) -> None:
    """Weights by the method, biases 0."""
    if _fills_itself(layer):
        layer.fill_weights(fill)  # type: ignore[operator]  # told by the line above
    elif isinstance(layer, nn.MultiheadAttention):
        _fill_attention(layer, fill)
    elif isinstance(layer, _TRANSPOSED):
        fill(layer.weight.transpose(0, 1))  # stored as [I, O, ...]
    else:
        fill(layer.get_parameter("weight"))
    for name, parameter in layer.named_parameters(recurse=False):
        if name == "bias" or name == "in_proj_bias":
            nn.init.zeros_(parameter)


def _fill_attention(layer: nn.MultiheadAttention, fill: Fill) -> None:
    """The three matrices of queries, keys and values one by one; they may be stored as one. The fourth is a Linear."""
    if layer.in_proj_weight is not None:
        for part in layer.in_proj_weight.chunk(3):
            fill(part)
        return
    for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
        fill(layer.get_parameter(name))
