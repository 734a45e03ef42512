"""Regularizers that change the targets of a batch, or blend its images: label smoothing and mixup."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor, nn
from zoo_plugins.option_checks import check_range, no_effect

from zoo.contracts.data import Task
from zoo.contracts.training import Batch, Setting
from zoo.errors import UserError


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
        check_loss(setting, "label_smoothing")
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
        check_images(setting, "mixup")
        check_loss(setting, "mixup")

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


def soften(targets: Tensor, classes: int) -> Tensor:
    """Class numbers int64[B] as shares float32[B, classes]; shares pass through."""
    if targets.is_floating_point():
        return targets
    return nn.functional.one_hot(targets, classes).to(torch.float32)


def check_images(setting: Setting, name: str) -> None:
    """Refuses a setting in which no images pass through the network.

    Raises:
        UserError: The backbone is frozen and its features are cached.
    """
    if setting.trainable == "head":
        raise no_effect(
            f"{name} while only the head is fitted, on features that were computed once,",
            where=f"regularizers.{name}",
            do=["train the backbone too: strategy=full or strategy=lpft", f"leave {name} out"],
        )


def check_loss(setting: Setting, name: str) -> None:
    """Refuses a single-label loss that takes class numbers only.

    Raises:
        UserError: The chosen loss is one.
    """
    if setting.task == Task.SINGLE_LABEL and not setting.loss_takes_soft_targets:
        raise UserError(
            f"{name} makes targets that are shares of classes, and the chosen loss takes class numbers only",
            where=f"regularizers.{name}",
            do=["choose loss=cross_entropy or loss=binary_cross_entropy", f"leave {name} out"],
        )
