"""Average precision of each label: how well its score ranks the images that have it, at no threshold at all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zoo.contracts.evaluation import Interval
from zoo.evaluation.intervals import even_trials, interval_of_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 200
"""Bootstrap samples behind the variance of the mean; fewer where images and labels are many."""

_CELLS = 2e8
_AT_ONCE = 2_000_000


def average_precisions(logits: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """AP_k = sum_i (R_i - R_(i-1)) P_i over the different scores of label k, highest first, float64[K].

    P_i and R_i are precision and recall where all images of at least the i-th score are given the label. NaN for a
    label that no image has.

    Source: as scikit-learn's `average_precision_score`; no interpolation.

    Args:
        logits: float32[N, K].
        truth: bool[N, K].
    """
    once = np.ones((1, len(truth)), np.float64)
    found: NDArray[np.float64] = _weighted(logits, truth, weights=once)[0]
    return found


def mean_average_precision(
    logits: NDArray[np.float32], truth: NDArray[np.bool_], *, generator: np.random.Generator
) -> Interval:
    """The mean over the labels that some image has, with its interval; NaN where there is none.

    The variance is that of the bootstrap over images (labels of one image stay together); trials are `even_trials` of
    the images that have each label, and where nothing varies no more than there are images.
    """
    found = average_precisions(logits, truth)
    if np.isnan(found).all():
        return Interval(math.nan, math.nan, math.nan)
    count = len(truth)
    resamples = int(min(RESAMPLES, max(50, _CELLS // truth.size)))
    step = max(1, _AT_ONCE // count)
    means: list[float] = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=size)
        rows = _weighted(logits, truth, weights=drawn)
        known = ~np.isnan(rows)
        some = known.any(axis=1)
        means += (np.where(known, rows, 0).sum(axis=1)[some] / known.sum(axis=1)[some]).tolist()
    variance = float(np.var(means)) if means else 0.0
    trials = even_trials(truth.sum(axis=0))
    if variance == 0:
        trials = min(count, trials)
    return interval_of_mean(float(np.nanmean(found)), variance=variance, trials=trials)


def _weighted(
    logits: NDArray[np.float32], truth: NDArray[np.bool_], *, weights: NDArray[np.int64] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average precisions float64[R, K], where image i counts weights[r, i] times."""
    found = np.full((len(weights), truth.shape[1]), np.nan)
    for label in range(truth.shape[1]):
        order = np.argsort(-logits[:, label], kind="stable")
        score, own = logits[order, label], truth[order, label]
        ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))
        drawn = weights[:, order]
        hits = np.cumsum(drawn * own, axis=1)[:, ends].astype(np.float64)
        given = np.cumsum(drawn, axis=1)[:, ends]
        precision = np.divide(hits, given, out=np.zeros_like(hits), where=given > 0)
        gained = np.diff(hits, axis=1, prepend=0)
        total = hits[:, -1]
        np.divide((gained * precision).sum(axis=1), total, out=found[:, label], where=total > 0)
    return found
