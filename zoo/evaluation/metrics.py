"""Scores of one split, each with what the number of images allows one to say about it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.contracts.data import Task
from zoo.contracts.evaluation import ClassScore, Interval, Outputs, Scores
from zoo.errors import UserError, ZooError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z_95 = 1.959963984540054
"""Quantile of the standard normal distribution that leaves 2.5 % on each side."""

RESAMPLES = 1000
"""Bootstrap samples behind the interval of the macro F1."""

_CELLS_AT_ONCE = 2_000_000


def score(
    outputs: Outputs,
    *,
    split: str,
    classes: Sequence[str],
    task: Task,
    thresholds: Sequence[float] | None = None,
    temperature: float = 1.0,
    seed: int = 0,
) -> Scores:
    """All scores of one split.

    Accuracy, precision and recall carry Wilson intervals. The macro F1 is the mean over the classes that occur in the
    truth or in the predictions, and carries a percentile bootstrap interval over images; since it is a mean of ratios,
    that interval is not centred on the value, and with few images a class it lies lower.

    Args:
        outputs: Logits float32[N, classes] with their targets.
        split: Name of the split, for the scores and the messages.
        classes: Label names in the order of the logits.
        task: One label an image or any number of them.
        thresholds: Probability in (0, 1) for each label, from which on it is given; None is 0.5 for all.
            Multi-label only.
        temperature: What the logits are divided by before they become probabilities; it matters only together with
            thresholds other than 0.5.
        seed: Of the bootstrap.

    Raises:
        UserError: The split is empty.
        ZooError: Logits that are not finite, shapes that do not fit, targets out of range, or thresholds in a
            single-label task.
    """
    _check(outputs, split=split, classes=classes, task=task, thresholds=thresholds)
    generator = np.random.default_rng(seed)
    if task is Task.MULTI_LABEL:
        limits = np.full(len(classes), 0.5) if thresholds is None else np.asarray(thresholds, np.float64)
        given = decide(outputs.logits, limits, temperature=temperature)
        return _score_multi_label(outputs, given, split=split, classes=classes, generator=generator)
    return _score_single_label(outputs, split=split, classes=classes, generator=generator)


def accuracy_of(outputs: Outputs) -> float:
    """Share of right answers; in a multi-label task, of images with every label right at a threshold of 0.5.

    The accuracy of `score` without anything else of it, for the validation after each epoch.
    """
    if outputs.targets.ndim == 1:
        return float((outputs.logits.argmax(axis=1) == outputs.targets).mean())
    given = decide(outputs.logits, np.full(outputs.logits.shape[1], 0.5))
    return float((given == outputs.targets.astype(bool)).all(axis=1).mean())


def wilson_interval(right: int, count: int) -> Interval:
    """A share with its 95 % interval; NaN where nothing was counted.

    With p = right / count, n = count, z = 1.96: centre (p + z^2 / 2n) / (1 + z^2 / n), half width
    z sqrt(p (1 - p) / n + z^2 / 4n^2) / (1 + z^2 / n).

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    if count == 0:
        return Interval(math.nan, math.nan, math.nan)
    share = right / count
    scale = 1 + Z_95**2 / count
    centre = (share + Z_95**2 / (2 * count)) / scale
    half = Z_95 * math.sqrt(share * (1 - share) / count + Z_95**2 / (4 * count**2)) / scale
    low = 0.0 if right == 0 else centre - half
    high = 1.0 if right == count else centre + half
    return Interval(share, low, high)


def decide(
    logits: NDArray[np.float32], thresholds: NDArray[np.float64], *, temperature: float = 1.0
) -> NDArray[np.bool_]:
    """Which labels are given: bool[N, classes], sigmoid(logit / temperature) >= threshold.

    The comparison is made between logits, where nothing saturates.
    """
    limits = temperature * np.log(thresholds / (1 - thresholds))
    answer: NDArray[np.bool_] = logits.astype(np.float64) >= limits
    return answer


def f1_by_class(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """2 TP / (2 TP + FP + FN) of each class, float64[classes]; NaN where a class neither occurs nor is predicted.

    Args:
        confusion: int64[classes, classes], or int64[classes, 2, 2] in a multi-label task.
    """
    if confusion.ndim == 3:
        hits, touched = confusion[:, 1, 1], confusion[:, 0, 1] + confusion[:, 1, 0] + 2 * confusion[:, 1, 1]
    else:
        hits, touched = np.diagonal(confusion), confusion.sum(axis=0) + confusion.sum(axis=1)
    return _ratio(2 * hits, touched)


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """part / whole, NaN where whole is zero."""
    shares: NDArray[np.float64] = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
    return shares


def _check(
    outputs: Outputs, *, split: str, classes: Sequence[str], task: Task, thresholds: Sequence[float] | None
) -> None:
    logits, targets = outputs.logits, outputs.targets
    if logits.ndim != 2 or logits.shape[1] != len(classes):
        raise ZooError(f"split {split!r}: logits of shape {logits.shape} for {len(classes)} classes")
    count = len(logits)
    if count == 0:
        raise UserError(f"the split {split!r} has no images, so there is nothing to score", where=split)
    broken = int((~np.isfinite(logits).all(axis=1)).sum())
    if broken:
        raise ZooError(f"split {split!r}: the network's answers to {broken} of {count} images are NaN or infinite")
    expected = (count, len(classes)) if task is Task.MULTI_LABEL else (count,)
    if targets.shape != expected:
        raise ZooError(f"split {split!r}: targets of shape {targets.shape}, expected {expected}")
    if task is Task.MULTI_LABEL:
        if not np.isin(targets, (0, 1)).all():
            raise ZooError(f"split {split!r}: targets of a multi-label task are 0 or 1")
        _check_thresholds(thresholds, classes)
    elif thresholds is not None:
        raise ZooError("thresholds have no effect where an image has exactly one label")
    elif targets.min() < 0 or targets.max() >= len(classes):
        raise ZooError(f"split {split!r}: targets from {targets.min()} to {targets.max()} for {len(classes)} classes")


def _check_thresholds(thresholds: Sequence[float] | None, classes: Sequence[str]) -> None:
    if thresholds is None:
        return
    if len(thresholds) != len(classes):
        raise ZooError(f"{len(thresholds)} thresholds for {len(classes)} labels")
    if not all(0 < threshold < 1 for threshold in thresholds):
        raise ZooError(f"thresholds {list(thresholds)} must lie between 0 and 1")


def _score_single_label(
    outputs: Outputs, *, split: str, classes: Sequence[str], generator: np.random.Generator
) -> Scores:
    logits, truth = outputs.logits, outputs.targets.astype(np.int64)
    guess = logits.argmax(axis=1)
    size = len(classes)
    confusion = np.bincount(truth * size + guess, minlength=size * size).reshape(size, size).astype(np.int64)
    hits = np.diagonal(confusion)
    top5 = None
    if size > 5:
        top5 = wilson_interval(int((_rank_of_truth(logits, truth) < 5).sum()), len(truth))
    return Scores(
        split=split,
        count=len(truth),
        accuracy=wilson_interval(int(hits.sum()), len(truth)),
        top5=top5,
        macro_f1=_macro_f1(confusion, _resample_cells(confusion, generator)),
        loss=outputs.loss,
        per_class=_class_scores(
            classes, confusion, hits=hits, predicted=confusion.sum(axis=0), support=confusion.sum(axis=1)
        ),
        confusion=confusion,
    )


def _score_multi_label(
    outputs: Outputs, given: NDArray[np.bool_], *, split: str, classes: Sequence[str], generator: np.random.Generator
) -> Scores:
    truth = outputs.targets.astype(bool)
    hits = (given & truth).sum(axis=0).astype(np.int64)
    predicted, support = given.sum(axis=0).astype(np.int64), truth.sum(axis=0).astype(np.int64)
    nothing = len(truth) - predicted - support + hits
    confusion = np.stack([nothing, predicted - hits, support - hits, hits], axis=1).reshape(-1, 2, 2)
    return Scores(
        split=split,
        count=len(truth),
        accuracy=wilson_interval(int((given == truth).all(axis=1).sum()), len(truth)),
        top5=None,
        macro_f1=_macro_f1(confusion, _resample_images(given, truth, generator=generator)),
        loss=outputs.loss,
        per_class=_class_scores(classes, confusion, hits=hits, predicted=predicted, support=support),
        confusion=confusion,
    )


def _class_scores(
    classes: Sequence[str],
    confusion: NDArray[np.int64],
    *,
    hits: NDArray[np.int64],
    predicted: NDArray[np.int64],
    support: NDArray[np.int64],
) -> tuple[ClassScore, ...]:
    f1 = f1_by_class(confusion)
    return tuple(
        ClassScore(
            name=name,
            support=int(support[c]),
            precision=wilson_interval(int(hits[c]), int(predicted[c])),
            recall=wilson_interval(int(hits[c]), int(support[c])),
            f1=float(f1[c]),
        )
        for c, name in enumerate(classes)
    )


def _rank_of_truth(logits: NDArray[np.float32], truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of the true class among the sorted logits, 0 the best; of equal logits the lower class comes first."""
    own = np.take_along_axis(logits, truth[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < truth[:, None]
    rank: NDArray[np.int64] = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
    return rank


def _macro_f1(confusion: NDArray[np.int64], resampled: Iterator[NDArray[np.float64]]) -> Interval:
    """The macro F1 with the 2.5 % and 97.5 % quantiles of its bootstrap; NaN where no label occurs at all.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), section 13.3 (percentile interval).
    """
    f1 = f1_by_class(confusion)
    if np.isnan(f1).all():
        return Interval(math.nan, math.nan, math.nan)
    samples = np.concatenate(list(resampled))
    low, high = np.nanquantile(samples, (0.025, 0.975))
    return Interval(float(np.nanmean(f1)), float(low), float(high))


def _mean_of_known(f1: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of the rows of float64[R, classes] over what is not NaN; NaN for a row of NaN only."""
    known = ~np.isnan(f1)
    count = known.sum(axis=1)
    total = np.where(known, f1, 0.0).sum(axis=1)
    means: NDArray[np.float64] = np.divide(total, count, out=np.full(len(f1), np.nan), where=count > 0)
    return means


def _resample_cells(confusion: NDArray[np.int64], generator: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """Macro F1 of bootstrap samples, in pieces: drawing N images is one multinomial draw over the confusion's cells."""
    rows, columns = np.nonzero(confusion)
    counts = confusion[rows, columns]
    size, total = len(confusion), int(counts.sum())
    diagonal = rows == columns
    by_column = np.argsort(columns, kind="stable")
    row_names, row_starts = np.unique(rows, return_index=True)
    column_names, column_starts = np.unique(columns[by_column], return_index=True)
    for resamples in _pieces(max(len(counts), size)):
        drawn = generator.multinomial(total, counts / total, size=resamples)
        hits, touched = np.zeros((resamples, size), np.int64), np.zeros((resamples, size), np.int64)
        hits[:, rows[diagonal]] = drawn[:, diagonal]
        touched[:, row_names] += np.add.reduceat(drawn, row_starts, axis=1)
        touched[:, column_names] += np.add.reduceat(drawn[:, by_column], column_starts, axis=1)
        yield _mean_of_known(_ratio(2 * hits, touched))


def _resample_images(
    given: NDArray[np.bool_], truth: NDArray[np.bool_], *, generator: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Macro F1 of bootstrap samples over images, in pieces; labels of one image stay together."""
    count = len(truth)
    hits = (given & truth).astype(np.float32)
    touched = given.astype(np.float32) + truth.astype(np.float32)
    for resamples in _pieces(max(truth.shape)):
        # float32 counts are exact below 2^24 images.
        weights = generator.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float32)
        hit_counts, touched_counts = (weights @ hits).astype(np.int64), (weights @ touched).astype(np.int64)
        yield _mean_of_known(_ratio(2 * hit_counts, touched_counts))


def _pieces(width: int) -> Iterator[int]:
    """Splits the resamples so that one piece of `width` columns stays within some tens of megabytes."""
    step = max(1, min(RESAMPLES, _CELLS_AT_ONCE // width))
    for start in range(0, RESAMPLES, step):
        yield min(step, RESAMPLES - start)
