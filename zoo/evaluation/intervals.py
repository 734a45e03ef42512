"""What a number of images allows one to say about a share, or about a mean of shares."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from zoo.contracts.evaluation import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""Quantile of the standard normal distribution that leaves 2.5 % on each side."""

NOTHING = Interval(math.nan, math.nan, math.nan)
"""Of what was never counted."""


def wilson_interval(right: int, count: int) -> Interval:
    """A share with its 95 % interval; NaN where nothing was counted. See `wilson_of`."""
    if count == 0:
        return NOTHING
    return wilson_of(right / count, trials=count)


def wilson_of(share: float, *, trials: float) -> Interval:
    """A share p of n trials with its 95 % interval.

    With z = 1.96: centre (p + z^2 / 2n) / (1 + z^2 / n), half width
    z sqrt(p (1 - p) / n + z^2 / 4n^2) / (1 + z^2 / n).

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).

    Args:
        share: In [0, 1].
        trials: Above 0; it need not be whole.
    """
    scale = 1 + Z_95**2 / trials
    centre = (share + Z_95**2 / (2 * trials)) / scale
    half = Z_95 * math.sqrt(share * (1 - share) / trials + Z_95**2 / (4 * trials**2)) / scale
    low = 0.0 if share == 0 else centre - half
    high = 1.0 if share == 1 else centre + half
    return Interval(share, low, high)


def interval_of_mean(value: float, *, variance: float, trials: float) -> Interval:
    """A mean of shares with its 95 % interval: Wilson's at the number of trials that would vary as much.

    n = min(trials, v (1 - v) / variance). Unlike the percentiles of a bootstrap it is not empty where every answer was
    right: of two classes with five images each, known to 99 %, these held the truth in 10 of 100 repetitions, and this
    in 90 (with 90 % known: 65 and 93; ten classes of 20 images: 93 and 95).

    Source: Kott and Carr, "Developing an estimation strategy for a pesticide data program", Journal of Official
    Statistics 13 (1997), for Wilson's interval at an effective sample size; Korn and Graubard, "Confidence intervals
    for proportions with small expected number of positive counts estimated from survey data", Survey Methodology 24
    (1998).

    Args:
        value: The mean, in [0, 1]; NaN gives NaN.
        variance: Its variance over repetitions, as far as is known.
        trials: What it rests on at most; see `even_trials`.
    """
    if math.isnan(value) or trials <= 0:
        return Interval(value, math.nan, math.nan)
    inner = value * (1 - value)
    if inner > 0 and variance > 0:
        trials = min(trials, inner / variance)
    return wilson_of(value, trials=trials)


def even_trials(counts: NDArray[np.int64] | NDArray[np.float64]) -> float:
    """Images on which the mean over K classes rests: K^2 / sum_k (1 / n_k), over the classes that have any.

    So many images in one class would give a share of the same variance as the mean of the K shares has, if all are
    equal. It is N for K classes of equal size, and little where one class is rare.
    """
    some = counts[counts > 0]
    return 0.0 if len(some) == 0 else float(len(some) ** 2 / (1 / some).sum())


def balanced_accuracy(hits: NDArray[np.int64], support: NDArray[np.int64]) -> Interval:
    """The mean of the recalls r_k = h_k / n_k of the classes that occur, with its interval; NaN where none does.

    Its variance is sum_k s_k (1 - s_k) / n_k / K^2 with s_k = (h_k + 1) / (n_k + 2): the recall of a class of which all
    images were right is not known for sure. The interval is Wilson's at s (1 - s) / variance trials, s the mean of the
    s_k, and at no more than `even_trials`.

    Args:
        hits: int64[K], images of each class that were given it.
        support: int64[K], images of each class.
    """
    some = support > 0
    if not some.any():
        return NOTHING
    right, count = hits[some], support[some]
    smooth = (right + 1) / (count + 2)
    variance = float((smooth * (1 - smooth) / count).sum()) / len(count) ** 2
    centre = float(smooth.mean())
    trials = min(even_trials(count), centre * (1 - centre) / variance)
    return wilson_of(float((right / count).mean()), trials=trials)
