"""What scores on the same images allow one to say: how sure each is, and whether two can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.contracts.evaluation import Interval
from zoo.evaluation.intervals import wilson_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 2000
_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Comparison:
    """The best of several scorers against each of the others, on the same images.

    Attributes:
        best: Place of the one with the highest mean; of equal ones, the first.
        difference: For each scorer, the best's mean less its own, with the 95 % interval of a paired bootstrap.
        chance: For each scorer, the share of the resamples in which its mean is the highest; ties are shared out.
    """

    best: int
    difference: tuple[Interval, ...]
    chance: tuple[float, ...]

    def apart(self, place: int) -> bool:
        """Whether the images tell the best from this one: the interval of the difference leaves zero out."""
        return self.difference[place].low > 0


def mean_interval(scores: NDArray[np.float64], *, groups: NDArray[np.int64] | None = None, seed: int = 0) -> Interval:
    """The mean of the images' scores with its 95 % interval.

    Where every score is 0 or 1 and no images belong together it is Wilson's over all images, which holds near 0 and 1,
    too. Otherwise it is the percentile bootstrap, over groups where there are any: images of one patient or video are
    not independent. An interval over the five folds' means would rest on five numbers that share most of their
    training images, and has no unbiased estimate of its width (Bengio and Grandvalet, JMLR 5, 2004); answers to single
    images have each been given once, by a probe that never saw the image. What none of these covers is how the probe
    would change with other training images.

    Args:
        scores: float64[N] in [0, 1].
        groups: int64[N], or None.
        seed: Of the bootstrap.
    """
    if groups is None and np.isin(scores, (0.0, 1.0)).all():
        return wilson_interval(int(scores.sum()), len(scores))
    means = _resampled_means(scores[None, :], groups=groups, seed=seed)[:, 0]
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(scores.mean()), float(low), float(high))


def compare(
    scores: Sequence[NDArray[np.float64]], *, groups: NDArray[np.int64] | None = None, seed: int = 0
) -> Comparison:
    """Compares scorers on the same images by a paired bootstrap over the images (over groups, where there are any).

    Each resample draws the same images for all, so what makes an image hard for everyone cancels.

    Args:
        scores: For each scorer float64[N], in the same order of images.
        groups: int64[N], or None.
        seed: Of the bootstrap.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), section 13.3 (percentile interval).
    """
    table = np.stack(scores)
    means = table.mean(axis=1)
    best = int(means.argmax())
    drawn = _resampled_means(table, groups=groups, seed=seed)
    gaps = drawn[:, [best]] - drawn
    low, high = np.quantile(gaps, (0.025, 0.975), axis=0)
    leads = np.isclose(drawn, drawn.max(axis=1, keepdims=True), rtol=0, atol=1e-12)
    chance = (leads / leads.sum(axis=1, keepdims=True)).mean(axis=0)
    difference = tuple(
        Interval(float(means[best] - mean), float(lower), float(upper))
        for mean, lower, upper in zip(means, low, high, strict=True)
    )
    return Comparison(best, difference, tuple(float(share) for share in chance))


def pareto_front(scores: Sequence[float], costs: Sequence[float]) -> list[int]:
    """Places of those that nobody beats: no other has a score as high at a cost as low, and one of them better.

    Returns:
        The places in rising order of cost.
    """
    order = sorted(range(len(scores)), key=lambda i: (costs[i], -scores[i], i))
    front: list[int] = []
    for i in order:
        if not front or scores[i] > scores[front[-1]]:
            front.append(i)
    return front


def _resampled_means(table: NDArray[np.float64], *, groups: NDArray[np.int64] | None, seed: int) -> NDArray[np.float64]:
    """Means of bootstrap samples, float64[RESAMPLES, scorers]; groups are drawn whole."""
    if groups is None:
        sums, sizes = table, np.ones(table.shape[1])
    else:
        unit_of = np.unique(groups, return_inverse=True)[1].reshape(-1)
        sizes = np.bincount(unit_of).astype(np.float64)
        sums = np.stack([np.bincount(unit_of, weights=row) for row in table])
    units = len(sizes)
    rng = np.random.default_rng([seed, 2])
    step = max(1, min(RESAMPLES, _AT_ONCE // units))
    pieces: list[NDArray[np.float64]] = []
    for start in range(0, RESAMPLES, step):
        drawn = rng.multinomial(units, np.full(units, 1 / units), size=min(step, RESAMPLES - start))
        pieces.append((drawn @ sums.T) / (drawn @ sizes)[:, None])
    return np.concatenate(pieces)
