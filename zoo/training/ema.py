"""An exponential moving average of the weights, ramped so that it helps in a run of a few hundred steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn


class MovingAverage:
    """Averages all floating-point parameters and buffers of a network.

    After step t (counted from 1) the average moves by `1 - d` towards the weights, with
    `d = min(decay, (1 + t) / (10 + t))`: at first it follows closely, so that the starting point is forgotten.

    Source: the ramp is that of TensorFlow's `ExponentialMovingAverage(num_updates=...)`.

    Args:
        module: The network to follow.
        decay: Decay once ramped, in (0, 1).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.average = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Follows one step of the network."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, tensor in module.state_dict().items():
            kept = self.average[name]
            if kept.is_floating_point():
                kept.lerp_(tensor.to(kept.dtype), 1 - decay)
            else:
                kept.copy_(tensor)

    @contextmanager
    def swapped_in(self, module: nn.Module) -> Iterator[None]:
        """The network carries the average inside this block, and its own weights again after it."""
        own = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        self.copy_to(module)
        try:
            yield
        finally:
            _copy(own, module)

    def copy_to(self, module: nn.Module) -> None:
        """Gives the network the average for good."""
        _copy(self.average, module)


@torch.no_grad()
def _copy(tensors: Mapping[str, torch.Tensor], module: nn.Module) -> None:
    """Copies values in place: memory layout and the optimizer's references stay."""
    for name, tensor in module.state_dict().items():
        tensor.copy_(tensors[name])
