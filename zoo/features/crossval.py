"""Which images a small sample takes, how images fall into folds, and the probe's answers on images it never saw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zoo.contracts.data import Task
from zoo.features.probe import Labelled, fit_probe
from zoo.features.ranking import label_f1

FOLDS = 5


def label_numbers(targets: NDArray[np.int64] | NDArray[np.float32]) -> NDArray[np.int64]:
    """int64[N]: one number a class, or in a multi-label task one a combination of labels; for balancing alone."""
    if targets.ndim == 1:
        return targets.astype(np.int64)
    return np.unique(targets > 0.5, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def balanced_order(labels: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
    """An order of all images in which every beginning has the classes as nearly in their shares as may be.

    The i-th image of a class of n (in a drawn order) has its place at (i + 1/2) / n; equal places are drawn. So the
    sample of a small round is a part of the sample of the next.

    Args:
        labels: int64[N].
        seed: Of the draws.
    """
    rng = np.random.default_rng([seed, 0])
    drawn = rng.permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = drawn[labels[drawn] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return drawn[np.argsort(place[drawn], kind="stable")].astype(np.int64)


def assign_folds(
    labels: NDArray[np.int64], *, seed: int, groups: NDArray[np.int64] | None = None, folds: int = FOLDS
) -> NDArray[np.int64]:
    """Fold of each image, int64[N]: classes balanced, groups whole.

    Units (images, or groups of them) are dealt out in a drawn order, large ones first, each to the fold that has the
    fewest images of its commonest class, then the fewest images. Without groups, the folds have equally many images
    of each class to within one.

    Args:
        labels: int64[N].
        seed: Of the order.
        groups: int64[N]; None takes every image for itself.
        folds: At least 2, and no more than there are units.

    Raises:
        ValueError: There are fewer units than folds.
    """
    unit_of = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(unit_of)
    if len(sizes) < folds or folds < 2:
        raise ValueError(f"{len(sizes)} units for {folds} folds")
    numbers = np.unique(labels, return_inverse=True)[1].reshape(-1)
    drawn = np.random.default_rng([seed, 1]).permutation(len(sizes))
    by_unit = np.split(np.argsort(unit_of, kind="stable"), np.cumsum(sizes)[:-1])
    held = np.zeros((folds, int(numbers.max()) + 1), np.int64)
    fold_of_unit = np.zeros(len(sizes), np.int64)
    for unit in drawn[np.argsort(-sizes[drawn], kind="stable")]:
        counts = np.bincount(numbers[by_unit[unit]], minlength=held.shape[1])
        common = int(counts.argmax())
        fold = min(range(folds), key=lambda k: (held[k, common], int(held[k].sum())))
        held[fold] += counts
        fold_of_unit[unit] = fold
    return fold_of_unit[unit_of]


def out_of_fold_scores(data: Labelled, *, folds: NDArray[np.int64], classes: int, task: Task) -> NDArray[np.float64]:
    """Score of each image by a probe that never saw its fold, float64[N] in [0, 1].

    1 or 0 for a right or wrong class; in a multi-label task the F1 between given labels and true ones. The strength
    of L2 is chosen on a fold of the training images, then the probe is fitted again on all of them: the fold that is
    scored chooses nothing.

    Args:
        data: Features and targets.
        folds: int64[N], from `assign_folds`; at least three different ones, so that one can choose.
        classes: Number of outputs.
        task: One label an image or several.
    """
    numbers = np.unique(folds)
    scores = np.zeros(len(folds))
    for place, fold in enumerate(numbers):
        outside, chooses = folds != fold, folds == numbers[(place + 1) % len(numbers)]
        train, val, rest = (_part(data, rows) for rows in (outside & ~chooses, chooses, outside))
        chosen = fit_probe(train, val, classes=classes, task=task)
        probe = fit_probe(rest, val, classes=classes, task=task, grid=(chosen.l2,))
        held = _part(data, ~outside)
        logits = probe.logits(held.features)
        if task is Task.SINGLE_LABEL:
            scores[~outside] = logits.argmax(axis=1) == held.targets
        else:
            scores[~outside] = label_f1(logits > 0, held.targets > 0.5)
    return scores


def _part(data: Labelled, rows: NDArray[np.bool_]) -> Labelled:
    return Labelled(data.features[rows], data.targets[rows])
