"""From which probability on each label of a multi-label task is given."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.contracts.evaluation import Outputs
from zoo.errors import ZooError
from zoo.evaluation.metrics import macro_f1_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS = 5

PRIOR_IMAGES = 5
"""What the shared threshold counts beside a label's own, in images that have the label. On made-up labels (10 of
them on 2 to 40 % of 30 to 1,000 images) 5 was never the worst of 2, 5 and 10; 0, every label for itself, lost up to 2.6
points of macro F1 on 30 images, and one threshold for all up to 6.6 on 1,000."""

_MOST = 12.0
"""Logits of thresholds lie within so much of 0: probabilities between 0.000006 and 0.999994."""


@dataclass(frozen=True)
class Thresholds:
    """Thresholds chosen on validation images, and what they give on images that did not choose them.

    Attributes:
        values: Probability in (0, 1) of each label, after the temperature; None where 0.5 did as well for all.
        given: bool[N, K], which labels the validation images are given at thresholds chosen on the other folds.
        half_f1: Macro F1 at 0.5.
        chosen_f1: Macro F1 of the chosen thresholds, each image judged at those of the other folds.
    """

    values: tuple[float, ...] | None
    given: NDArray[np.bool_]
    half_f1: float
    chosen_f1: float


def choose_thresholds(outputs: Outputs, *, temperature: float = 1.0, seed: int = 0) -> Thresholds:
    """Chooses, for each label, the threshold of the highest F1 on these images, drawn towards one that all share.

    With l_k the logit of the best cut of label k and s that of the cut that is best for all labels pooled, the
    threshold is sigmoid((n_k l_k + 5 s) / (n_k + 5)), n_k the images that have the label: a label with few of them
    takes the shared one. Best cuts lie halfway between neighbouring scores; of equal ones the highest is taken. The
    whole choice is then tried in five folds, each judged at thresholds of the other four; where its macro F1 is not
    higher than that of 0.5, 0.5 stays.

    Source: Lipton, Elkan and Narayanaswamy, "Thresholding classifiers to maximize F1 score", arXiv:1402.1892 (the best
    threshold is half the best F1, so it is rarely 0.5); Fan and Lin, "A study on threshold selection for multi-label
    classification" (2007), for cross-validation, and for rare labels, whose own threshold overfits. Deviation: drawn
    towards a shared threshold, where they leave rare labels out.

    Args:
        outputs: Logits float32[N, K] of validation images with targets of 0 and 1.
        temperature: What logits are divided by before they become probabilities.
        seed: Of the folds.

    Raises:
        ZooError: The targets are no labels that stand alone.
    """
    if outputs.targets.ndim != 2:
        raise ZooError("thresholds are chosen where an image has any number of labels")
    logits, truth = outputs.logits.astype(np.float64) / temperature, outputs.targets > 0.5
    half = logits >= 0
    given = half.copy()
    folds = np.random.default_rng([seed, 2]).permutation(len(truth)) % FOLDS
    for fold in range(FOLDS):
        held = folds == fold
        if held.any() and not held.all():
            given[held] = logits[held] >= _cuts(logits[~held], truth[~held])
    half_f1, chosen_f1 = macro_f1_of(half, truth), macro_f1_of(given, truth)
    if not chosen_f1 > half_f1:
        return Thresholds(None, half, half_f1, half_f1)
    values = tuple(round(_sigmoid(cut), 6) for cut in _cuts(logits, truth))
    return Thresholds(values, given, half_f1, chosen_f1)


def _cuts(logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The logit from which on each label is given, float64[K]; 0 for all where no image has any label."""
    shared = _best_cut(logits.ravel(), truth.ravel())
    if shared is None:
        return np.zeros(truth.shape[1])
    cuts = np.full(truth.shape[1], shared)
    for label in range(truth.shape[1]):
        own = _best_cut(logits[:, label], truth[:, label])
        if own is not None:
            images = int(truth[:, label].sum())
            cuts[label] = (images * own + PRIOR_IMAGES * shared) / (images + PRIOR_IMAGES)
    clipped: NDArray[np.float64] = np.clip(cuts, -_MOST, _MOST)
    return clipped


def _best_cut(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float | None:
    """The cut of the highest F1 = 2 TP / (given + true), None where no image has the label."""
    true = int(truth.sum())
    if true == 0:
        return None
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    f1 = 2 * np.cumsum(truth[order])[ends] / (ends + 1 + true)
    last = int(ends[int(f1.argmax())])
    if last == len(ranked) - 1:
        return float(ranked[last])
    return float(ranked[last] + ranked[last + 1]) / 2


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
