"""Whether an augmentation changes what labels mean: images of one class that, once augmented, are another's.

A network that trains on augmented images can learn to see through what takes information away (blur, noise, a crop),
but not through what turns one class into another: a vertical flip makes a 6 of a 9, a turned hue makes a red card a
blue one. Both lower a probe's accuracy. They are told apart by where the images go: see `Judge`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.contracts.data import Task
from zoo.features.probe import Labelled, fit_probe

ALPHA = 0.05
"""Chance of a false warning in a whole check, at most, were every share just at `TOLERATED_SHARE`."""

TOLERATED_SHARE = 0.1
"""So large a share of a class may move into another without a warning: training copes with that much."""

TYPICAL_SHARE = 0.95
"""An image is typical of a class if it is as near to the class's training images as this share of them is."""


@dataclass(frozen=True)
class Move:
    """Images of one class that an augmentation moves into another.

    Attributes:
        source: Their class.
        target: The class that they are taken for.
        images: Validation images of the class `source`.
        moved: Of these, the ones that the probe recognises as they are, and takes for `target` once augmented.
        back: The other way: taken for `target` as they are, recognised once augmented.
        p_value: Chance of so many, corrected for all pairs of classes and all augmentations of the check, if the share
            that moves were at most `TOLERATED_SHARE`.
    """

    source: int
    target: int
    images: int
    moved: int
    back: int
    p_value: float


@dataclass(frozen=True)
class Judged:
    """What one augmentation does to the probe's answers.

    Attributes:
        accuracy: Of the probe on the augmented images.
        moves: Classes that it moves into others, the surest first; empty where there is no reason for a warning.
    """

    accuracy: float
    moves: tuple[Move, ...]


class Judge:
    """A probe on clean images, and what it says of the same images augmented.

    The probe is fitted on clean training features. An augmentation is judged on validation images, each augmented
    once. For each pair of classes A, B it counts the images of A that *move*: the probe recognises them as they are,
    takes them for B once augmented, and they are then typical of B, that is no further from B's nearest training image
    than 95 % of B's training images are from the nearest other one. The last condition tells a change of label from a
    loss of information: what was blurred or drowned in noise is taken for some class or other, and resembles none.

    With n images of A, `moved` of which move and `back` of which go the other way (taken for B before, recognised
    after: images at the border, which any change tips over), the warning's p-value is

        P(X >= moved), X ~ Binomial(n, 0.1 + (back + 1) / (n + 2))

    times the number of pairs of classes and of augmentations that are tested (Bonferroni): the share that moves must
    exceed the one that moves back by more than a tenth, beyond chance. It warns below 0.05.

    Args:
        train: Features and class numbers int64[N] of clean training images.
        val: The same of clean validation images.
        classes: Number of classes.
        augmentations: How many augmentations will be judged.
    """

    def __init__(self, train: Labelled, val: Labelled, *, classes: int, augmentations: int) -> None:
        self._train, self._val, self.classes = train, val, classes
        self._probe = fit_probe(train, val, classes=classes, task=Task.SINGLE_LABEL)
        self._before = self._probe.logits(val.features).argmax(axis=1)
        self._limits = typical_distances(train, classes=classes)
        self._images = np.bincount(val.targets, minlength=classes)
        known = np.bincount(train.targets, minlength=classes) > 0
        pairs = sum(int(known.sum()) - int(known[c]) for c in np.flatnonzero(self._images))
        self.tests = max(1, pairs * augmentations)

    @property
    def accuracy(self) -> float:
        """Of the probe on clean validation images."""
        return float((self._before == self._val.targets).mean())

    @property
    def fewest_images(self) -> int:
        """Validation images that a class must have to be warned of, should all of them move."""
        count = 1
        while p_value(count, images=count, back=0) * self.tests >= ALPHA:
            count += 1
        return count

    @property
    def too_small(self) -> tuple[int, ...]:
        """Classes with fewer validation images than that: of them nothing can be said."""
        return tuple(int(c) for c in np.flatnonzero(self._images < self.fewest_images))

    def judge(self, augmented: NDArray[np.float32]) -> Judged:
        """Judges one augmentation.

        Args:
            augmented: float32[N, D], features of the validation images, augmented, in their order.
        """
        after = self._probe.logits(augmented).argmax(axis=1)
        truth, before = self._val.targets, self._before
        moved = (before == truth) & (after != truth)
        moved[moved] = self._typical(augmented[moved], after[moved])
        back = (before != truth) & (after == truth)
        there = self._counted(truth[moved], after[moved])
        here = self._counted(truth[back], before[back])
        found = [
            Move(
                int(a),
                int(b),
                int(self._images[a]),
                int(there[a, b]),
                int(here[a, b]),
                min(1.0, self.tests * p_value(there[a, b], images=self._images[a], back=here[a, b])),
            )
            for a, b in zip(*np.nonzero(there), strict=True)
        ]
        sure = sorted((move for move in found if move.p_value < ALPHA), key=lambda move: move.p_value)
        return Judged(float((after == truth).mean()), tuple(sure))

    def _counted(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
        counts = np.zeros((self.classes, self.classes), np.int64)
        np.add.at(counts, (rows, columns), 1)
        return counts

    def _typical(self, features: NDArray[np.float32], classes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each image lies as near to the training images of a class as they lie to each other."""
        near = np.zeros(len(features))
        for c in np.unique(classes):
            rows = classes == c
            near[rows] = distances(features[rows], self._train.features[self._train.targets == c]).min(axis=1)
        return near <= self._limits[classes]


def typical_distances(train: Labelled, *, classes: int) -> NDArray[np.float64]:
    """Distance to the nearest other training image of its class that 95 % of a class's training images keep to.

    Returns:
        float64[classes]; for a class of one image, which has no other, the largest of all classes' (infinite where
        there is none).
    """
    limits = np.full(classes, np.nan)
    for c in range(classes):
        own = train.features[train.targets == c]
        if len(own) > 1:
            between = distances(own, own)
            np.fill_diagonal(between, np.inf)
            limits[c] = np.quantile(between.min(axis=1), TYPICAL_SHARE)
    largest = np.nanmax(limits) if np.isfinite(limits).any() else np.inf
    return np.where(np.isnan(limits), largest, limits)


def distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Euclidean distances float64[N, M] between the rows of two matrices, from differences, so that 0 stays 0."""
    exact = "donot_use_mm_for_euclid_dist"
    found = torch.cdist(torch.from_numpy(a), torch.from_numpy(b), compute_mode=exact)
    return found.numpy().astype(np.float64)


def p_value(moved: int, *, images: int, back: int) -> float:
    """P(X >= moved) for X ~ Binomial(images, TOLERATED_SHARE + (back + 1) / (images + 2))."""
    share = min(1.0, TOLERATED_SHARE + (back + 1) / (images + 2))
    if share == 1.0:
        return 1.0
    log_terms = (
        math.lgamma(images + 1)
        - math.lgamma(k + 1)
        - math.lgamma(images - k + 1)
        + k * math.log(share)
        + (images - k) * math.log1p(-share)
        for k in range(int(moved), int(images) + 1)
    )
    return min(1.0, math.fsum(math.exp(term) for term in log_terms))
