"""Penalties on the size of weights and features: L1 and L2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from zoo_plugins.option_checks import check_choice, check_range, no_effect

from zoo.contracts.model import Model
from zoo.contracts.training import Setting

PenaltyTarget = Literal["kernel", "bias", "activity"]


class _Penalty:
    """What L1 and L2 share: which tensors are measured, and how a penalty without effect is found.

    Args:
        factor: Weight of the penalty in the loss, above 0.
        on: `kernel` measures all trainable parameters of two or more dimensions (weights of convolutions and linear
            layers, embeddings). `bias` measures the trainable one-dimensional parameters whose name ends in `bias`,
            without those of normalisation layers (whose weight is one-dimensional too). `activity` measures the
            features that enter the head, divided by the number of images in the batch.
    """

    name: str

    def __init__(self, *, factor: float = 1e-4, on: PenaltyTarget = "kernel") -> None:
        where = f"regularizers.{self.name}"
        if factor == 0:
            raise no_effect(f"{self.name} with factor=0", where=f"{where}.factor", do="raise factor, or leave it out")
        check_range(factor, where=f"{where}.factor", low=0, high=float("inf"), above=True)
        check_choice(on, where=f"{where}.on", choices=("kernel", "bias", "activity"))
        self.factor, self.on = factor, on
        self._features = _Recorder()

    def check(self, setting: Setting) -> None:
        """Refuses `activity` where the features are fixed.

        Raises:
            UserError: Only the head is trained, so a penalty on what enters it has no gradient.
        """
        if self.on == "activity" and setting.trainable == "head":
            raise no_effect(
                f"{self.name} on the features of a frozen backbone",
                where=f"regularizers.{self.name}.on",
                do=["use on=kernel or on=bias", "train the backbone too: strategy=full or strategy=lpft"],
            )

    def change_model(self, model: Model) -> None:
        """Lets the features be seen as they enter the head, ahead of any dropout there."""
        if self.on == "activity":
            model.head.register_forward_pre_hook(self._features, prepend=True)

    def penalty(self, model: Model) -> Tensor:
        """The penalty of this step, float32[].

        Raises:
            UserError: The network has nothing of the kind that is trained.
        """
        if self.on == "activity":
            features = self._features.take()
            return self.factor * self._measure(features) / len(features)
        measured = kernels(model.module) if self.on == "kernel" else biases(model.module)
        terms = [self._measure(parameter) for parameter in measured]
        if not terms:
            raise no_effect(
                f"{self.name} on a network none of whose {self.on} parameters is trained",
                where=f"regularizers.{self.name}.on",
                do=f"choose another value for on, or leave {self.name} out",
            )
        return self.factor * torch.stack(terms).sum()

    def _measure(self, values: Tensor) -> Tensor:
        raise NotImplementedError


class L1(_Penalty):
    """Adds factor * sum(|w|) to the loss, or factor * sum(|h|) / B of the features h.

    Source: Tibshirani 1996; the sum (no mean, no half) and the division by the batch size B are those of Keras.

    Args:
        factor: Weight of the penalty in the loss, above 0.
        on: `kernel`: all trainable parameters of two or more dimensions. `bias`: trainable biases, without those of
            normalisation layers. `activity`: the features that enter the head.
    """

    name = "l1"

    def __init__(self, *, factor: float = 1e-5, on: PenaltyTarget = "kernel") -> None:
        super().__init__(factor=factor, on=on)

    def _measure(self, values: Tensor) -> Tensor:
        return values.float().abs().sum()


class L2(_Penalty):
    """Adds factor * sum(w^2) to the loss, or factor * sum(h^2) / B of the features h.

    Source: Krogh and Hertz 1991; the sum (no mean, no half) and the division by the batch size B are those of Keras.
    Its gradient is 2 * factor * w: for plain SGD the same as a weight decay of 2 * factor.

    Args:
        factor: Weight of the penalty in the loss, above 0.
        on: `kernel`: all trainable parameters of two or more dimensions. `bias`: trainable biases, without those of
            normalisation layers. `activity`: the features that enter the head.
    """

    name = "l2"

    def _measure(self, values: Tensor) -> Tensor:
        return values.float().square().sum()


class _Recorder:
    """A forward pre-hook that keeps what entered a module in the last training pass until it is taken."""

    def __init__(self) -> None:
        self._seen: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module.training and torch.is_grad_enabled():
            self._seen = inputs[0]

    def take(self) -> Tensor:
        """The features, once: keeping them would keep the whole graph of the step.

        Raises:
            RuntimeError: No training pass went through the module since the last time.
        """
        seen, self._seen = self._seen, None
        if seen is None:
            raise RuntimeError("a penalty on features was asked for with no forward pass in training mode before it")
        return seen

    def __getstate__(self) -> Mapping[str, Any]:
        return {"_seen": None}  # a tensor inside a graph can neither be copied nor pickled


def kernels(module: nn.Module) -> Iterator[nn.Parameter]:
    """Trainable parameters of two or more dimensions."""
    return (p for p in module.parameters() if p.requires_grad and p.ndim >= 2)


def biases(module: nn.Module) -> Iterator[nn.Parameter]:
    """Trainable one-dimensional parameters named `...bias`, without those of normalisation layers."""
    for owner in module.modules():
        weight = getattr(owner, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim == 1:
            continue
        for name, parameter in owner.named_parameters(recurse=False):
            if parameter.requires_grad and parameter.ndim == 1 and name.endswith("bias"):
                yield parameter
