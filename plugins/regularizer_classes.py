"""The built-in regularizers: each has some of the methods of `zoo.contracts.training.Regularizer`, no others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from zoo_plugins.option_checks import check_choice, check_range, no_effect

from zoo.contracts.data import Task
from zoo.contracts.model import Model
from zoo.contracts.training import Batch, Setting
from zoo.errors import UserError

PenaltyTarget = Literal["kernel", "bias", "activity"]


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


class LabelSmoothing:
    """Moves a share e of each target to all classes evenly: t' = (1 - e) * t + e / K.

    In a multi-label task each label stands alone, with two outcomes: t' = (1 - e) * t + e / 2.

    Source: arXiv:1512.00567 (Szegedy et al. 2015, section 7).

    Args:
        share: The share e, in (0, 1).
    """

    def __init__(self, *, share: float = 0.1) -> None:
        where = "regularizers.label_smoothing.share"
        if share == 0:
            raise no_effect("label smoothing with share=0", where=where, do="raise share, or leave it out")
        check_range(share, where=where, low=0, high=1, above=True, below=True)
        self.share = share
        self._multi_label = False

    def check(self, setting: Setting) -> None:
        """Looks whether the task has one label an image, and whether the loss takes shares.

        Raises:
            UserError: The loss takes class numbers only.
        """
        _check_loss(setting, "label_smoothing")
        self._multi_label = setting.task == Task.MULTI_LABEL

    def change_batch(self, batch: Batch, generator: torch.Generator, classes: int) -> Batch:
        """The batch with smoothed targets float32[B, classes]; nothing is drawn."""
        outcomes = 2 if self._multi_label else classes
        targets = (1 - self.share) * soften(batch.targets, classes) + self.share / outcomes
        return dataclasses.replace(batch, targets=targets)


class Mixup:
    """Blends each image with another of the batch, and the targets with them.

    x' = l * x + (1 - l) * x[q], t' = l * t + (1 - l) * t[q], with one l ~ Beta(alpha, alpha) and one permutation q
    a batch, as in the authors' code.

    Source: arXiv:1710.09412 (Zhang et al. 2017).

    Args:
        alpha: Above 0; small values blend little, 1 draws l evenly from 0 to 1.
    """

    def __init__(self, *, alpha: float = 0.2) -> None:
        where = "regularizers.mixup.alpha"
        if alpha == 0:
            raise no_effect("mixup with alpha=0", where=where, do="raise alpha, or leave mixup out")
        check_range(alpha, where=where, low=0, high=float("inf"), above=True)
        self.alpha = alpha

    def check(self, setting: Setting) -> None:
        """Refuses settings in which no images pass through the network, or the loss takes no shares.

        Raises:
            UserError: The backbone is frozen and its features are cached, or the loss takes class numbers only.
        """
        if setting.trainable == "head":
            raise no_effect(
                "mixup while only the head is fitted, on features that were computed once,",
                where="regularizers.mixup",
                do=["train the backbone too: strategy=full or strategy=lpft", "leave mixup out"],
            )
        _check_loss(setting, "mixup")

    def change_batch(self, batch: Batch, generator: torch.Generator, classes: int) -> Batch:
        """The blended batch, with targets float32[B, classes]."""
        # Torch's own Beta takes no generator, so numpy's is seeded by a draw from it.
        seed = int(torch.randint(2**63 - 1, (), generator=generator))
        share = float(np.random.default_rng(seed).beta(self.alpha, self.alpha))
        partner = torch.randperm(len(batch.targets), generator=generator).to(batch.images.device)
        targets = soften(batch.targets, classes)
        return Batch(
            images=share * batch.images + (1 - share) * batch.images[partner],
            targets=share * targets + (1 - share) * targets[partner],
        )


class GradientClipping:
    """Scales all gradients by min(1, max_norm / |g|), |g| the Euclidean norm of all of them together.

    Source: arXiv:1211.5063 (Pascanu et al. 2012, algorithm 1).

    Args:
        max_norm: Largest norm, above 0.
    """

    def __init__(self, *, max_norm: float = 1.0) -> None:
        check_range(max_norm, where="regularizers.gradient_clipping.max_norm", low=0, high=float("inf"), above=True)
        self.max_norm = max_norm

    def change_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Scales the gradients in place."""
        nn.utils.clip_grad_norm_(list(parameters), self.max_norm)


def soften(targets: Tensor, classes: int) -> Tensor:
    """Class numbers int64[B] as shares float32[B, classes]; shares pass through."""
    if targets.is_floating_point():
        return targets
    return nn.functional.one_hot(targets, classes).to(torch.float32)


def _check_loss(setting: Setting, name: str) -> None:
    """Refuses a single-label loss that takes class numbers only."""
    if setting.task == Task.SINGLE_LABEL and not setting.loss_takes_soft_targets:
        raise UserError(
            f"{name} makes targets that are shares of classes, and the chosen loss takes class numbers only",
            where=f"regularizers.{name}",
            do=["choose loss=cross_entropy or loss=binary_cross_entropy", f"leave {name} out"],
        )
