"""Penalties on the size of weights and features: L1, L2, and both at once."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from zoo_plugins.option_checks import check_choice, check_range, no_effect
from zoo_plugins.regularizing.parts import biases, kernels
from zoo_plugins.regularizing.recording import HeadInput

from zoo.contracts.model import Model
from zoo.contracts.training import Setting

PenaltyTarget = Literal["kernel", "bias", "activity"]


class _Penalty:
    """What L1 and L2 share: which tensors are measured, and how a penalty without effect is found."""

    name: str

    def __init__(self, on: PenaltyTarget) -> None:
        check_choice(on, where=f"regularizers.{self.name}.on", choices=("kernel", "bias", "activity"))
        self.on = on
        self._features = HeadInput()

    def check(self, setting: Setting) -> None:
        """Refuses `activity` where the features are fixed.

        Raises:
            UserError: Nothing but the head is trained, so a penalty on what enters it has no gradient.
        """
        if self.on == "activity" and setting.backbone_fixed:
            raise no_effect(
                f"{self.name} on the features of a frozen backbone",
                where=f"regularizers.{self.name}.on",
                do=["use on=kernel or on=bias", "train the backbone too: strategy=full or strategy=lpft"],
            )

    def change_model(self, model: Model) -> None:
        """Lets the features be seen as they enter the head, ahead of any dropout there."""
        if self.on == "activity":
            self._features.attach(model)

    def restore_model(self, model: Model) -> None:
        """Looks at them no longer."""
        self._features.detach()

    def penalty(self, model: Model) -> Tensor:
        """The penalty of this step, float32[].

        Raises:
            UserError: The network has nothing of the kind that is trained.
        """
        if self.on == "activity":
            features = self._features.take()
            return self._measure(features.float()) / max(1, len(features))  # one of several processes may have none
        measured = kernels(model.module) if self.on == "kernel" else biases(model.module)
        terms = [self._measure(parameter.float()) for parameter in measured]
        if not terms:
            raise no_effect(
                f"{self.name} on a network none of whose {self.on} parameters is trained",
                where=f"regularizers.{self.name}.on",
                do=f"choose another value for on, or leave {self.name} out",
            )
        return torch.stack(terms).sum()

    def _measure(self, values: Tensor) -> Tensor:
        """The weighted measure of one tensor, float32[]."""
        raise NotImplementedError


class L1(_Penalty):
    """Adds factor * sum(|w|) to the loss, or factor * sum(|h|) / B of the features h.

    Source: Tibshirani 1996; the sum (no mean, no half) and the division by the batch size B are those of Keras.

    Args:
        factor: Weight of the penalty in the loss, above 0.
        on: `kernel`: all trainable parameters of two or more dimensions (weights of convolutions and linear layers,
            embeddings). `bias`: trainable biases, without those of normalisation layers. `activity`: the features that
            enter the head. For several at once: `'regularizers=[l1,l1@2]' regularizers.l1_2.on=bias`.
    """

    name = "l1"

    def __init__(self, *, factor: float = 1e-5, on: PenaltyTarget = "kernel") -> None:
        self.factor = _checked(factor, name=self.name)
        super().__init__(on)

    def _measure(self, values: Tensor) -> Tensor:
        return self.factor * values.abs().sum()


class L2(_Penalty):
    """Adds factor * sum(w^2) to the loss, or factor * sum(h^2) / B of the features h.

    Source: Krogh and Hertz 1991; the sum (no mean, no half) and the division by the batch size B are those of Keras.
    Its gradient is 2 * factor * w: for plain SGD the same as a weight decay of 2 * factor.

    Args:
        factor: Weight of the penalty in the loss, above 0.
        on: `kernel`: all trainable parameters of two or more dimensions (weights of convolutions and linear layers,
            embeddings). `bias`: trainable biases, without those of normalisation layers. `activity`: the features that
            enter the head. For several at once: `'regularizers=[l2,l2@2]' regularizers.l2_2.on=bias`.
    """

    name = "l2"

    def __init__(self, *, factor: float = 1e-4, on: PenaltyTarget = "kernel") -> None:
        self.factor = _checked(factor, name=self.name)
        super().__init__(on)

    def _measure(self, values: Tensor) -> Tensor:
        return self.factor * values.square().sum()


class ElasticNet(_Penalty):
    """Adds l1 * sum(|w|) + l2 * sum(w^2) to the loss, or the same of the features h, divided by the batch size B.

    Source: Zou and Hastie 2005, Regularization and variable selection via the elastic net; sums and the division by the
    batch size are those of Keras' `L1L2`. Deviation: no scaling by 1 + l2 afterwards, as in every network library.

    Args:
        l1: Weight of the absolute values, above 0.
        l2: Weight of the squares, above 0.
        on: `kernel`: all trainable parameters of two or more dimensions. `bias`: trainable biases, without those of
            normalisation layers. `activity`: the features that enter the head.
    """

    name = "elastic_net"

    def __init__(self, *, l1: float = 1e-5, l2: float = 1e-4, on: PenaltyTarget = "kernel") -> None:
        for key, value, alone in (("l1", l1, "l2"), ("l2", l2, "l1")):
            where = f"regularizers.{self.name}.{key}"
            if value == 0:
                raise no_effect(f"elastic_net with {key}=0", where=where, do=f"regularizers=[{alone}] does the rest")
            check_range(value, where=where, low=0, high=float("inf"), above=True)
        self.l1, self.l2 = l1, l2
        super().__init__(on)

    def _measure(self, values: Tensor) -> Tensor:
        return self.l1 * values.abs().sum() + self.l2 * values.square().sum()


def _checked(factor: float, *, name: str) -> float:
    """The factor itself, where it is above 0."""
    where = f"regularizers.{name}.factor"
    if factor == 0:
        raise no_effect(f"{name} with factor=0", where=where, do="raise factor, or leave it out")
    check_range(factor, where=where, low=0, high=float("inf"), above=True)
    return factor
