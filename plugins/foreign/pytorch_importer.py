"""Reads state dicts of PyTorch networks that zoo does not have: same layers, other names.

Source: https://pytorch.org/docs/stable/generated/torch.nn.Module.html#torch.nn.Module.state_dict.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from zoo_plugins.option_checks import check_range, no_effect

from zoo.contracts.importing import ForeignLayer, ForeignModel
from zoo.errors import UserError
from zoo.weights.files import SUFFIXES, read_tensors

if TYPE_CHECKING:
    import torch

    from zoo.contracts.importing import Forward

_ROLES = ("weight", "bias", "running_mean", "running_var")
_EPSILON = 1e-5
"""PyTorch's BatchNorm2d adds this by default."""

_COUNTER = "num_batches_tracked"


class PyTorchImporter:
    """Convolutions, linear layers and batch normalisations, put together by what stands before the last dot.

    Tensors are taken in the order of the file, which for PyTorch is that in which the modules were made; a safetensors
    file has lost it. Names of data-parallel and compiled training, and checkpoints around a state dict, are seen
    through. Nothing is unpickled that could run code.

    Args:
        epsilon: What norms add to the variance, which a state dict does not say; PyTorch's 1e-5 where it is left out.
    """

    def __init__(self, *, epsilon: float | None = None) -> None:
        if epsilon is not None:
            check_range(epsilon, where="importer.epsilon", low=0, high=1)
        self.epsilon = epsilon

    def reads(self, path: Path) -> bool:
        """Whether the file has one of the endings of PyTorch's weights."""
        return path.suffix in SUFFIXES

    def read(self, path: Path, *, definition: Path | None = None) -> ForeignModel:
        """All layers with their values.

        Args:
            path: The state dict or checkpoint.
            definition: None; a network's code is not read.

        Raises:
            UserError: The file is torn, would have to run code to be read, or holds tensors of other layers.
        """
        if definition is not None:
            raise no_effect("a definition", where=f"definition={definition}", do="leave it out")
        epsilon = _EPSILON if self.epsilon is None else self.epsilon
        layers = _layers(read_tensors(path), epsilon=epsilon, where=str(path))
        notes = []
        if any(layer.kind == "norm" for layer in layers):
            notes.append(f"a state dict does not say the norms' epsilon; taken as {epsilon:g} (importer.epsilon)")
        elif self.epsilon is not None:
            raise no_effect("epsilon", where="importer.epsilon", do="leave it out: the file holds no normalisation")
        if path.suffix == ".safetensors":
            notes.append("a safetensors file keeps tensors in the order of their names, not of the network")
        return ForeignModel("pytorch", tuple(layers), "file", notes=tuple(notes))

    def forward(self, path: Path, *, definition: Path | None = None) -> Forward | None:
        """None: a state dict is no network."""
        return None


def _layers(tensors: Mapping[str, torch.Tensor], *, epsilon: float, where: str) -> list[ForeignLayer]:
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        layer, _, role = name.rpartition(".")
        if role == _COUNTER:
            continue
        if role not in _ROLES or not layer or not tensor.is_floating_point():
            raise _stranger(name, tensor, where)
        groups.setdefault(layer, {})[role] = tensor
    return [_layer(name, group, epsilon=epsilon, where=where) for name, group in groups.items()]


def _layer(name: str, group: Mapping[str, torch.Tensor], *, epsilon: float, where: str) -> ForeignLayer:
    values: dict[str, NDArray[np.float32]] = {role: tensor.float().numpy() for role, tensor in group.items()}
    if "running_mean" in values and "running_var" in values:
        mean = values["running_mean"]
        values = {"weight": np.ones_like(mean), "bias": np.zeros_like(mean)} | values
        kind: Any = "norm"
    elif "weight" in values and values["weight"].ndim in (2, 4):
        kind = "conv" if values["weight"].ndim == 4 else "dense"
    else:
        role = next(iter(group))
        raise _stranger(f"{name}.{role}", group[role], where)
    width = values["weight"].shape[0] if values["weight"].ndim else 0
    odd = [role for role in values if role != "weight" and values[role].shape != (width,)]
    if odd or (kind == "norm" and values["weight"].ndim != 1) or (kind != "norm" and "running_var" in values):
        shapes = ", ".join(f"{role} {list(array.shape)}" for role, array in values.items())
        raise UserError(f"the tensors of {name!r} do not belong together: {shapes}", where=where)
    return ForeignLayer(name, kind, values, {"epsilon": epsilon} if kind == "norm" else {})


def _stranger(name: str, tensor: torch.Tensor, where: str) -> UserError:
    return UserError(
        f"{name!r} {list(tensor.shape)} belongs to no layer that can be brought over",
        where=where,
        allowed="weight and bias of two-dimensional convolutions and linear layers; batch normalisations with their "
        "running_mean and running_var",
        do="for a network that zoo has under the same names, no import is needed: weights=FILE",
    )
