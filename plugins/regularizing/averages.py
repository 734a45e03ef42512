"""Regularizers that keep an average of the weights, which is validated and saved instead of the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from zoo_plugins.option_checks import check_range

from zoo.contracts.model import Model
from zoo.contracts.training import Moment


class _Average:
    """What averages share: the kept values, their exchange with the network's own, and their saved state.

    Kept are all parameters that are trained, and all buffers (the statistics of BatchNorm); what is frozen stays.
    Buffers of whole numbers (counts of batches) follow the network.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}
        self._updates = 0

    def change_model(self, model: Model) -> None:
        """Begins with the network's own values; nothing in the network changes."""
        self._kept = {name: tensor.detach().clone() for name, tensor in _followed(model.module)}

    @torch.no_grad()
    def _move(self, module: nn.Module, share: float) -> None:
        """Moves what is kept by `share` in [0, 1] of the way to the network's values."""
        for name, tensor in _followed(module):
            kept = self._kept[name]
            if kept.is_floating_point():
                kept.lerp_(tensor.detach().to(kept.dtype), share)
            else:
                kept.copy_(tensor)

    @contextmanager
    def swapped_in(self, model: Model) -> Iterator[None]:
        """Inside, the network carries the average; behind it, its own weights again, after an error too."""
        own = {name: tensor.detach().clone() for name, tensor in _followed(model.module)}
        _copy(self._kept, model.module)
        try:
            yield
        finally:
            _copy(own, model.module)

    def state_dict(self) -> Mapping[str, Tensor]:
        """The average, and how often it moved."""
        return {
            **{f"kept.{name}": tensor for name, tensor in self._kept.items()},
            "updates": torch.tensor(self._updates),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes a saved average, on the devices of its own tensors."""
        for name, kept in self._kept.items():
            kept.copy_(state[f"kept.{name}"])
        self._updates = int(state["updates"])


class SWA(_Average):
    """Averages the weights of the last part of a phase, each step counting the same.

    From the step on at which the share `start` of the phase is over, the average after n steps is their mean:
    a += (w - a) / n. Before, the network's own weights are validated and kept.

    Source: arXiv:1803.05407 (Izmailov et al. 2018, algorithm 1). Deviations: every step is averaged, not one an epoch,
    since a fine-tuning has few epochs; the learning rate is left to the schedule (the paper holds it constant or cycles
    it: `schedule=constant` does); BatchNorm's statistics are averaged too, in place of the paper's pass over the data
    (`torch.optim.swa_utils.update_bn`), which a run would need before every validation.

    Args:
        start: Share of the phase that is over when averaging begins, in [0, 1).
    """

    def __init__(self, *, start: float = 0.75) -> None:
        check_range(start, where="regularizers.swa.start", low=0, high=1, below=True)
        super().__init__()
        self.start = start

    def after_step(self, model: Model, moment: Moment) -> None:
        """Takes one step's weights into the mean, once it is time."""
        if moment.step + 1 > self.start * moment.steps:
            self._updates += 1
            self._move(model.module, 1 / self._updates)

    @contextmanager
    def swapped_in(self, model: Model) -> Iterator[None]:
        """Inside, the network carries the average, where it has begun; behind it, its own weights again."""
        with super().swapped_in(model) if self._updates else nullcontext():
            yield


class EMA(_Average):
    """Keeps an exponential moving average of the weights, ramped so that it helps in a run of a few hundred steps.

    After step t (counted from 1) the average moves by 1 - d towards the weights, d = min(decay, (1 + t) / (10 + t)):
    at first it follows closely, so that the starting point is forgotten.

    Source: Polyak and Juditsky 1992, Acceleration of stochastic approximation by averaging; the ramp is that of
    TensorFlow's `ExponentialMovingAverage(num_updates=...)`.

    Args:
        decay: Decay once ramped, in (0, 1).
    """

    def __init__(self, *, decay: float = 0.99) -> None:
        check_range(decay, where="regularizers.ema.decay", low=0, high=1, above=True, below=True)
        super().__init__()
        self.decay = decay

    def after_step(self, model: Model, moment: Moment) -> None:
        """Follows one step of the network."""
        self._updates += 1
        self._move(model.module, 1 - min(self.decay, (1 + self._updates) / (10 + self._updates)))


def _followed(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Trained parameters and saved buffers of a network, by name."""
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    return ((name, tensor) for name, tensor in module.state_dict(keep_vars=True).items() if name not in frozen)


@torch.no_grad()
def _copy(tensors: Mapping[str, Tensor], module: nn.Module) -> None:
    """Copies values in place: memory layout and the optimizer's references stay."""
    for name, tensor in _followed(module):
        tensor.copy_(tensors[name])
