"""Whether an augmentation changes what labels mean: images of one class that, once augmented, are another's.

A network that trains on augmented images can learn to see through what takes information away (blur, noise, a crop),
but not through what turns one class into another: a vertical flip makes a 6 of a 9, a turned hue makes a red card a
blue one. Both lower a probe's accuracy. They are told apart by where the images go: see `Judge`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.contracts.data import Task
from zoo.features.probe import Labelled, fit_probe

ALPHA = 0.05
"""Chance of a false warning in a whole check, at most, were every share that moves just at `TOLERATED_SHARE`."""

TOLERATED_SHARE = 0.1
"""So large a share of a class may move into another without a warning: training copes with that much."""

TYPICAL_SHARE = 0.95
"""An image is typical of a class if it is as near to the class's training images as this share of them is."""

_STAKES = np.arange(1, 20)[:, None] / 20
"""Shares of the stake that `p_value` bets, all of them at once: it need not know how strong the effect is."""


@dataclass(frozen=True)
class Move:
    """Images of one class that an augmentation moves into another.

    Attributes:
        source: Their class.
        target: The class that they are taken for.
        images: Validation images of the class `source`.
        share: Share of their draws that move: the probe recognises the image as it is, and takes it for `target` once
            augmented, of which it is then typical.
        back: Share that goes the other way: taken for `target` as it is, recognised once augmented.
        p_value: Corrected for all pairs of classes and all augmentations of the check.
    """

    source: int
    target: int
    images: int
    share: float
    back: float
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

    def without(self, known: Iterable[Move]) -> Judged:
        """The same less moves between pairs of classes of which it is known."""
        pairs = {(move.source, move.target) for move in known}
        return Judged(self.accuracy, tuple(m for m in self.moves if (m.source, m.target) not in pairs))


class Judge:
    """A probe on clean images, and what it says of the same images augmented.

    The probe is fitted on clean training features. An augmentation is judged on validation images, each augmented a
    few times. For each pair of classes A, B it looks for images of A that *move*: the probe recognises them as they
    are, takes them for B once augmented, and they are then typical of B, that is no further from B's nearest training
    image than 95 % of B's training images are from the nearest other one. The last condition tells a change of label
    from a loss of information: what was blurred or drowned in noise is taken for some class or other, and resembles
    none. (6 and 9 of the digits, features of EfficientNet-Lite0: strong noise makes 28 of 28 sixes nines to the probe,
    and 0 of them typical; a vertical flip 26, and 22 of them typical.)

    A pair is warned of where the share of A that moves exceeds the one that goes back (images at the border, which any
    change tips over) by more than a tenth, beyond chance: `p_value` times the number of pairs and augmentations that
    are tested (Bonferroni) is below 0.05.

    Measured (tests/features/test_label_moves.py and benchmarks of the authors): see `docs/preview.md`.

    Args:
        train: Features and class numbers int64[N] of clean training images.
        val: The same of clean validation images.
        classes: Number of classes.
        augmentations: How many augmentations will be judged.
        slack: Factor on the distance up to which an image is typical.
    """

    def __init__(self, train: Labelled, val: Labelled, *, classes: int, augmentations: int, slack: float = 1.0) -> None:
        self._train, self._val, self.classes = train, val, classes
        self._probe = fit_probe(train, val, classes=classes, task=Task.SINGLE_LABEL)
        self._before = self._probe.logits(val.features).argmax(axis=1)
        self._limits = slack * typical_distances(train, classes=classes)
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
        while p_value(np.ones(count)) * self.tests >= ALPHA:
            count += 1
        return count

    @property
    def too_small(self) -> tuple[int, ...]:
        """Classes with fewer validation images than that: of them nothing can be said."""
        return tuple(int(c) for c in np.flatnonzero(self._images < self.fewest_images))

    def judge(self, draws: Sequence[NDArray[np.float32]]) -> Judged:
        """Judges one augmentation.

        Args:
            draws: Of each draw float32[N, D], the features of the validation images, augmented, in their order.
        """
        truth = self._val.targets
        moved, back = (np.zeros((len(truth), self.classes)) for _ in range(2))
        right = 0.0
        for augmented in draws:
            after = self._probe.logits(augmented).argmax(axis=1)
            gone = np.flatnonzero((self._before == truth) & (after != truth))
            gone = gone[self._typical(augmented[gone], after[gone])]
            came = np.flatnonzero((self._before != truth) & (after == truth))
            moved[gone, after[gone]] += 1 / len(draws)
            back[came, self._before[came]] += 1 / len(draws)
            right += float((after == truth).mean()) / len(draws)
        found = [self._move(int(a), moved, back, target=int(b)) for a, b in self._pairs(moved)]
        sure = sorted((move for move in found if move.p_value < ALPHA), key=lambda move: move.p_value)
        return Judged(right, tuple(sure))

    def _pairs(self, moved: NDArray[np.float64]) -> list[tuple[int, int]]:
        """Pairs of classes of which an image moves."""
        images, targets = np.nonzero(moved)
        return sorted(set(zip(self._val.targets[images].tolist(), targets.tolist(), strict=True)))

    def _move(self, source: int, moved: NDArray[np.float64], back: NDArray[np.float64], *, target: int) -> Move:
        own = self._val.targets == source
        shares, returned = moved[own, target], back[own, target]
        p = p_value(shares, back=float(returned.sum()))
        images = int(own.sum())
        return Move(source, target, images, float(shares.mean()), float(returned.mean()), min(1.0, self.tests * p))

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


def p_value(shares: NDArray[np.float64], *, back: float = 0.0) -> float:
    """How surely the mean of shares lies above m = `TOLERATED_SHARE` + (back + 1) / (n + 2), by betting against it.

    Whoever bets the part s of what he has, image after image, on a share x above m, ends with

        K_s = prod_i (1 + s (x_i / m - 1))

    times his stake. If the mean is m or less, the expectation of K_s is at most 1, whatever the distribution in [0, 1]
    and however many draws a share is the mean of; so is that of the mean over s = 0.05, 0.10 ... 0.95, and a mean above
    1 / p has a chance of p at most (Markov). The second term of m stands for the images that go the other way, one
    more of them than were seen.

    Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024),
        arXiv:2010.09686, with fixed stakes in place of adaptive ones.

    Args:
        shares: float64[n] in [0, 1], of independent images.
        back: Number of images, or sum of shares, that go the other way.
    """
    count = len(shares)
    m = TOLERATED_SHARE + (back + 1) / (count + 2)
    if m >= 1:
        return 1.0
    logs = np.log1p(_STAKES * (shares / m - 1)).sum(axis=1)
    top = float(logs.max())
    wealth_log = top + math.log(float(np.exp(logs - top).mean()))
    return min(1.0, math.exp(-wealth_log)) if wealth_log > 0 else 1.0
