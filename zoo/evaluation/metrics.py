"""Scores of one split, each with what the number of images allows one to say about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.contracts.data import Task
from zoo.contracts.evaluation import ClassScore, Interval, LabelScores, Outputs, Scores
from zoo.errors import UserError, ZooError
from zoo.evaluation.average_precision import average_precisions, mean_average_precision
from zoo.evaluation.intervals import (
    NOTHING,
    balanced_accuracy,
    even_trials,
    interval_of_mean,
    wilson_interval,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 1000
"""Bootstrap samples behind the variances of the F1 scores."""

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
    given: NDArray[np.bool_] | None = None,
    note: str = "",
) -> Scores:
    """All scores of one split.

    Accuracy, precision and recall carry Wilson intervals. The macro F1 is the mean over the classes that occur in the
    truth or in the predictions; F1 scores carry Wilson's interval at the number of trials that would vary as much as
    the bootstrap over images does (`zoo.evaluation.intervals.interval_of_mean`).

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
        given: bool[N, classes], labels that were given in another way than at thresholds.
        note: How they were given, for whoever reads the scores.

    Raises:
        UserError: The split is empty.
        ZooError: Logits that are not finite, shapes that do not fit, targets out of range, or thresholds in a
            single-label task.
    """
    _check(outputs, split=split, classes=classes, task=task, thresholds=thresholds)
    generator = np.random.default_rng(seed)
    if task is Task.SINGLE_LABEL:
        return _score_single_label(outputs, split=split, classes=classes, generator=generator)
    limits = np.full(len(classes), 0.5) if thresholds is None else np.asarray(thresholds, np.float64)
    half = decide(outputs.logits, np.full(len(classes), 0.5))
    chosen = decide(outputs.logits, limits, temperature=temperature) if given is None else given
    scores = _score_multi_label(
        outputs,
        chosen,
        half=half,
        split=split,
        classes=classes,
        limits=limits if given is None else None,
        generator=generator,
    )
    differs = thresholds is not None or given is not None
    return dataclasses.replace(scores, note=note, at_half=scores.at_half if differs else None)


def accuracy_of(outputs: Outputs) -> float:
    """Share of right answers; in a multi-label task, of images with every label right at a threshold of 0.5.

    The accuracy of `score` without anything else of it, for the validation after each epoch.
    """
    if outputs.targets.ndim == 1:
        return float((outputs.logits.argmax(axis=1) == outputs.targets).mean())
    given = decide(outputs.logits, np.full(outputs.logits.shape[1], 0.5))
    return float((given == outputs.targets.astype(bool)).all(axis=1).mean())


def balanced_accuracy_of(outputs: Outputs) -> float:
    """Mean recall of the classes that occur, with one label an image; for the validation after each epoch."""
    truth = outputs.targets.astype(np.int64)
    right = outputs.logits.argmax(axis=1) == truth
    support = np.bincount(truth, minlength=outputs.logits.shape[1])
    hits = np.bincount(truth, weights=right, minlength=outputs.logits.shape[1])
    return float((hits[support > 0] / support[support > 0]).mean())


def decide(
    logits: NDArray[np.float32], thresholds: NDArray[np.float64], *, temperature: float = 1.0
) -> NDArray[np.bool_]:
    """Which labels are given: bool[N, classes], sigmoid(logit / temperature) >= threshold.

    The comparison is made between logits, where nothing saturates.
    """
    limits = temperature * np.log(thresholds / (1 - thresholds))
    answer: NDArray[np.bool_] = logits.astype(np.float64) >= limits
    return answer


def macro_f1_of(given: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Mean F1 over the labels that occur or are given, of bool[N, classes] each; 0 where none does."""
    f1 = f1_by_class(_label_counts(given, truth))
    return 0.0 if np.isnan(f1).all() else float(np.nanmean(f1))


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
        macro_f1=_macro_f1(confusion, np.concatenate(list(_resample_cells(confusion, generator)))),
        loss=outputs.loss,
        per_class=_class_scores(
            classes, confusion, hits=hits, predicted=confusion.sum(axis=0), support=confusion.sum(axis=1)
        ),
        confusion=confusion,
        balanced_accuracy=balanced_accuracy(hits, confusion.sum(axis=1)),
    )


def _score_multi_label(
    outputs: Outputs,
    given: NDArray[np.bool_],
    *,
    half: NDArray[np.bool_],
    split: str,
    classes: Sequence[str],
    limits: NDArray[np.float64] | None,
    generator: np.random.Generator,
) -> Scores:
    truth = outputs.targets.astype(bool)
    confusion = _label_counts(given, truth)
    chosen, at_half = _label_scores((given, half), truth, generator=generator)
    precisions = average_precisions(outputs.logits, truth)
    per_class = _class_scores(
        classes,
        confusion,
        hits=confusion[:, 1, 1],
        predicted=confusion[:, :, 1].sum(axis=1),
        support=confusion[:, 1].sum(axis=1),
    )
    return Scores(
        split=split,
        count=len(truth),
        accuracy=chosen.accuracy,
        top5=None,
        macro_f1=chosen.macro_f1,
        loss=outputs.loss,
        per_class=tuple(
            dataclasses.replace(
                entry, average_precision=float(precisions[k]), threshold=None if limits is None else float(limits[k])
            )
            for k, entry in enumerate(per_class)
        ),
        confusion=confusion,
        micro_f1=chosen.micro_f1,
        mean_average_precision=mean_average_precision(outputs.logits, truth, generator=generator),
        at_half=at_half,
    )


def _label_counts(given: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64[classes, 2, 2], for each label [[TN, FP], [FN, TP]]."""
    hits = (given & truth).sum(axis=0).astype(np.int64)
    predicted, support = given.sum(axis=0).astype(np.int64), truth.sum(axis=0).astype(np.int64)
    nothing = len(truth) - predicted - support + hits
    counts: NDArray[np.int64] = np.stack([nothing, predicted - hits, support - hits, hits], axis=1).reshape(-1, 2, 2)
    return counts


def _label_scores(
    decisions: Sequence[NDArray[np.bool_]], truth: NDArray[np.bool_], *, generator: np.random.Generator
) -> list[LabelScores]:
    """The scores of several ways to give labels, each over the same bootstrap samples."""
    drawn = _resample_images(decisions, truth, generator=generator)
    macro, micro = (np.concatenate(parts, axis=1) for parts in zip(*drawn, strict=True))
    found = []
    for given, macros, micros in zip(decisions, macro, micro, strict=True):
        right = int((given == truth).all(axis=1).sum())
        counts = _label_counts(given, truth)
        found.append(
            LabelScores(
                accuracy=wilson_interval(right, len(truth)),
                macro_f1=_macro_f1(counts, macros),
                micro_f1=_macro_f1(counts.sum(axis=0, keepdims=True), micros),
            )
        )
    return found


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


def _macro_f1(confusion: NDArray[np.int64], resampled: NDArray[np.float64]) -> Interval:
    """The macro F1 with its interval; NaN where no label occurs at all.

    What an F1 rests on is the mean of its two denominators, images of the class and images that were given it.

    Args:
        confusion: Of classes, or of labels.
        resampled: float64[R], macro F1 of bootstrap samples, NaN where one holds no label.
    """
    f1 = f1_by_class(confusion)
    if np.isnan(f1).all():
        return NOTHING
    if confusion.ndim == 3:
        touched, images = confusion[:, 1].sum(axis=1) + confusion[:, :, 1].sum(axis=1), int(confusion[0].sum())
    else:
        touched, images = confusion.sum(axis=0) + confusion.sum(axis=1), int(confusion.sum())
    trials, variance = even_trials(touched / 2), float(np.nanvar(resampled))
    if variance == 0:  # all labels of an image may have been right together
        trials = min(images, trials)
    return interval_of_mean(float(np.nanmean(f1)), variance=variance, trials=trials)


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
    decisions: Sequence[NDArray[np.bool_]], truth: NDArray[np.bool_], *, generator: np.random.Generator
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Macro and micro F1 of bootstrap samples over images, float64[decisions, R] each, in pieces.

    Labels of one image stay together.
    """
    count = len(truth)
    hits = [(given & truth).astype(np.float32) for given in decisions]
    touched = [given.astype(np.float32) + truth.astype(np.float32) for given in decisions]
    for resamples in _pieces(max(truth.shape)):
        # float32 counts are exact below 2^24 images.
        weights = generator.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float32)
        macro, micro = [], []
        for own, any_of in zip(hits, touched, strict=True):
            drawn, whole = (weights @ own).astype(np.int64), (weights @ any_of).astype(np.int64)
            macro.append(_mean_of_known(_ratio(2 * drawn, whole)))
            micro.append(_ratio(2 * drawn.sum(axis=1), whole.sum(axis=1)))
        yield np.stack(macro), np.stack(micro)


def _pieces(width: int) -> Iterator[int]:
    """Splits the resamples so that one piece of `width` columns stays within some tens of megabytes."""
    step = max(1, min(RESAMPLES, _CELLS_AT_ONCE // width))
    for start in range(0, RESAMPLES, step):
        yield min(step, RESAMPLES - start)
