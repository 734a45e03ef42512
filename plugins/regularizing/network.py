"""Regularizers that change the network for training: dropout."""

from __future__ import annotations

from typing import Any

from torch import nn
from zoo_plugins.option_checks import check_range, no_effect

from zoo.contracts.model import Model


class Dropout:
    """Sets each feature that enters the head to zero with probability `p` and divides the rest by 1 - p.

    In training mode of the head only. It sits in a hook before the head, so no parameter changes its name; draws
    come from torch's generator of the device, as those of any dropout layer do.

    Source: arXiv:1207.0580 (Hinton et al. 2012), with the division moved from test to training time.

    Args:
        p: Probability in (0, 1) that a feature is dropped.
    """

    def __init__(self, *, p: float = 0.2) -> None:
        where = "regularizers.dropout.p"
        if p == 0:
            raise no_effect("dropout with p=0", where=where, do="raise p, or leave dropout out")
        check_range(p, where=where, low=0, high=1, above=True, below=True)
        self.p = p

    def change_model(self, model: Model) -> None:
        """Puts the dropout before the head."""
        model.head.register_forward_pre_hook(_DropInput(self.p))


class _DropInput:
    """A forward pre-hook; a class and not a closure, so that the network can still be pickled and copied."""

    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (nn.functional.dropout(inputs[0], self.p, module.training), *inputs[1:])
