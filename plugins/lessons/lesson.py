"""What a lesson is: rows of runs that differ in one thing, published figures, and sentences that must hold."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of a table: an experiment with a few words changed.

    Attributes:
        label: What is different in this row.
        words: `key=value` words beside the lesson's experiment.
        published: The published figure as it is printed there; "" where there is none.
    """

    label: str
    words: tuple[str, ...] = ()
    published: str = ""


@dataclass(frozen=True)
class Outcome:
    """What the runs of one row came to, one value a seed.

    Attributes:
        train: Accuracy on the training images, in [0, 1].
        test: Accuracy on the test images.
        loss: Loss on the test images; NaN where it was not finite.
        broken: How many runs ended because their loss was not finite.
    """

    train: tuple[float, ...]
    test: tuple[float, ...]
    loss: tuple[float, ...]
    broken: int = 0

    @property
    def mean_train(self) -> float:
        """Mean training accuracy over the seeds."""
        return statistics.fmean(self.train)

    @property
    def mean_test(self) -> float:
        """Mean test accuracy over the seeds."""
        return statistics.fmean(self.test)

    @property
    def gap(self) -> float:
        """How much better the network is on the images that it was trained on."""
        return self.mean_train - self.mean_test


Outcomes = Mapping[str, Outcome]
"""Label of a row to what its runs came to."""


@dataclass(frozen=True)
class Claim:
    """A sentence of the lesson, and how it is told from the figures whether it holds."""

    text: str
    holds: Callable[[Outcomes], bool]


@dataclass(frozen=True)
class Lesson:
    """One table.

    Attributes:
        title: What it is about.
        source: Where the published figures stand.
        base: Words of all rows; the first is the experiment.
        rows: The runs.
        claims: What the lesson teaches.
        remark: What does not reproduce, and why.
        compare: Label of the row with which the others are compared, with an interval; "" for none.
        seeds: How many seeds by default.
    """

    title: str
    source: str
    base: tuple[str, ...]
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    remark: str = ""
    compare: str = ""
    seeds: int = 1
    columns: tuple[str, ...] = ("test",)


def difference(ours: Sequence[float], base: Sequence[float]) -> tuple[float, float]:
    """Mean difference of paired values, and half of its 95 % interval (Student's t over the pairs).

    Half an interval of one pair is infinite: one run says nothing about chance.
    """
    pairs = [one - other for one, other in zip(ours, base, strict=True)]
    mean = statistics.fmean(pairs)
    if len(pairs) < 2:
        return mean, math.inf
    from scipy.stats import t

    return mean, float(t.ppf(0.975, len(pairs) - 1)) * statistics.stdev(pairs) / math.sqrt(len(pairs))
