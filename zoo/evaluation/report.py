"""What is left on disk and on the terminal of a split's scores."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.contracts.evaluation import ClassScore, Interval, Scores
from zoo.evaluation.calibration import Reliability
from zoo.evaluation.pictures import draw_confusion, draw_curves, draw_label_table, draw_reliability, printable
from zoo.files import write_bytes

UNEVEN = 1.5
"""The balanced accuracy is shown where a class has more than so many times the images of another."""


def write_report(folder: Path, scores: Scores, *, reliability: Reliability | None = None) -> tuple[Path, ...]:
    """Writes one split's report and returns its files.

    `scores.json` (all numbers, NaN as null), `confusion.csv`, `per_class.csv`, and `confusion.png`, or in a multi-label
    task `labels.png`; `reliability.png` where a reliability is given. Each file is replaced in one step.

    Raises:
        UserError: The folder cannot be written.
    """
    multi_label = scores.confusion.ndim == 3
    contents: dict[str, bytes] = {
        "scores.json": (json.dumps(plain_scores(scores), indent=2, allow_nan=False) + "\n").encode(),
        "confusion.csv": _csv(_label_counts(scores) if multi_label else _confusion_rows(scores)),
        "per_class.csv": _csv(_class_rows(scores)),
    }
    if multi_label:
        contents["labels.png"] = draw_label_table(scores)
    else:
        contents["confusion.png"] = draw_confusion(scores)
    if reliability is not None:
        contents["reliability.png"] = draw_reliability(reliability, title=scores.split)
    return tuple(write_bytes(folder / name, content) for name, content in contents.items())


def write_curves(metrics_rows: Iterable[Mapping[str, Any]], path: Path) -> Path | None:
    """Draws loss, accuracy and learning rate over the epochs from the rows of metrics.jsonl.

    Rows use the keys `epoch` (or `step`), `phase`, `train_loss`, `val_loss`, `train_accuracy`, `val_accuracy`, `lr`;
    others are not looked at.

    Returns:
        The path, or None where no row has anything to draw (a probe has no epochs); nothing is written then.

    Raises:
        UserError: The file cannot be written.
    """
    content = draw_curves(list(metrics_rows))
    return None if content is None else write_bytes(path, content)


def plain_scores(scores: Scores) -> dict[str, Any]:
    """All numbers of a split as plain values for JSON, NaN as None."""
    return {
        "split": scores.split,
        "count": scores.count,
        "loss": _plain(scores.loss),
        "accuracy": _plain_interval(scores.accuracy),
        "top5": None if scores.top5 is None else _plain_interval(scores.top5),
        "macro_f1": _plain_interval(scores.macro_f1),
        **_plain_of_task(scores),
        "classes": [_plain_class(entry) for entry in scores.per_class],
        "confusion": scores.confusion.tolist(),
    }


def _plain_of_task(scores: Scores) -> dict[str, Any]:
    """What only the scores of one kind of task hold."""
    found: dict[str, Any] = {
        name: _plain_interval(interval)
        for name in ("balanced_accuracy", "micro_f1", "mean_average_precision")
        if (interval := getattr(scores, name)) is not None
    }
    if scores.at_half is not None:
        half = scores.at_half
        found["at_half"] = {name: _plain_interval(getattr(half, name)) for name in ("accuracy", "macro_f1", "micro_f1")}
    if scores.note:
        found["note"] = scores.note
    return found


def _plain_class(entry: ClassScore) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": entry.name,
        "support": entry.support,
        "precision": _plain_interval(entry.precision),
        "recall": _plain_interval(entry.recall),
        "f1": _plain(entry.f1),
    }
    if entry.average_precision is not None:
        found |= {"average_precision": _plain(entry.average_precision), "threshold": entry.threshold}
    return found


def render_scores(scores: Scores, *, most: int = 25) -> list[str]:
    """The scores as lines of text for a terminal.

    Args:
        scores: Of one split.
        most: Classes that are listed; of more, those with the lowest F1 are shown, which a line says.
    """
    multi_label = scores.confusion.ndim == 3
    lines = [f"{scores.split}: {scores.count:,} images, loss {_decimal(scores.loss, 4)}"]
    exact = "all labels right" if multi_label else "accuracy"
    lines.append(f"  {exact:<16} {_range(scores.accuracy)}")
    if scores.top5 is not None:
        lines.append(f"  {'top 5':<16} {_range(scores.top5)}")
    supports = [entry.support for entry in scores.per_class if entry.support]
    if scores.balanced_accuracy is not None and max(supports) > UNEVEN * min(supports):
        lines.append(f"  {'balanced':<16} {_range(scores.balanced_accuracy)}  (mean recall of the classes)")
    lines.append(f"  {'macro F1':<16} {_range(scores.macro_f1)}")
    lines += _label_lines(scores)
    shown = list(scores.per_class)
    if len(shown) > most:
        shown = sorted(shown, key=lambda entry: 2.0 if math.isnan(entry.f1) else entry.f1)[:most]
        lines.append(f"  the {most} of {len(scores.per_class)} classes with the lowest F1:")
    lines += _class_lines(shown, heading="label" if multi_label else "class")
    if not multi_label:
        lines += [f"  {line}" for line in _worst_confusions(scores)]
    return lines


def _label_lines(scores: Scores) -> list[str]:
    """What a multi-label task has beside the macro F1."""
    if scores.micro_f1 is None or scores.mean_average_precision is None:
        return []
    lines = [
        f"  {'micro F1':<16} {_range(scores.micro_f1)}",
        f"  {'mean AP':<16} {_range(scores.mean_average_precision)}",
    ]
    if scores.note:
        lines.append(f"  {scores.note}")
    half = scores.at_half
    if half is not None:
        lines.append(
            f"  at 0.5 for all: all labels right {_range(half.accuracy)}, macro F1 {_range(half.macro_f1)}, "
            f"micro F1 {_range(half.micro_f1)}"
        )
    return lines


def _class_lines(shown: Sequence[ClassScore], *, heading: str) -> list[str]:
    from rich.cells import cell_len, set_cell_size

    names = [printable(entry.name) for entry in shown]
    width = min(30, max(map(cell_len, (heading, *names)), default=0))
    ranked = any(entry.average_precision is not None for entry in shown)
    cut = any(entry.threshold is not None for entry in shown)
    more = f" {'AP':>6}" * ranked + f" {'from':>6}" * cut
    lines = [f"  {heading:<{width}} {'images':>7}  {'precision':<23} {'recall':<23} {'F1':>6}{more}"]
    for name, entry in zip(names, shown, strict=True):
        more = f" {_percent(entry.average_precision):>6}" * ranked + f" {entry.threshold or 0:>6.3f}" * cut
        lines.append(
            f"  {set_cell_size(name, width)} {entry.support:>7}  {_range(entry.precision):<23} "
            f"{_range(entry.recall):<23} {_percent(entry.f1):>6}{more}"
        )
    return lines


def _worst_confusions(scores: Scores, *, most: int = 3) -> list[str]:
    """The pairs of classes that are mixed up most often."""
    wrong = scores.confusion.copy()
    np.fill_diagonal(wrong, 0)
    places = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [(int(row), int(column)) for row, column in zip(*np.unravel_index(places, wrong.shape), strict=True)]
    names = [printable(entry.name) for entry in scores.per_class]
    return [
        f"{names[row]} taken for {names[column]}: {wrong[row, column]} of {scores.per_class[row].support}"
        for row, column in pairs
        if wrong[row, column] > 0
    ]


def _range(interval: Interval) -> str:
    if math.isnan(interval.value):
        return "-"
    return f"{100 * interval.value:.1f} % ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _percent(share: float | None) -> str:
    return "-" if share is None else _decimal(100 * share, 1)


def _decimal(value: float, places: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{places}f}"


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _plain_interval(interval: Interval) -> dict[str, float | None]:
    return {"value": _plain(interval.value), "low": _plain(interval.low), "high": _plain(interval.high)}


def _confusion_rows(scores: Scores) -> list[list[object]]:
    names = [entry.name for entry in scores.per_class]
    counts = scores.confusion.tolist()
    return [["truth \\ prediction", *names], *([name, *row] for name, row in zip(names, counts, strict=True))]


def _label_counts(scores: Scores) -> list[list[object]]:
    rows: list[list[object]] = [["label", "true_negative", "false_positive", "false_negative", "true_positive"]]
    for entry, counts in zip(scores.per_class, scores.confusion, strict=True):
        rows.append([entry.name, *counts.ravel().tolist()])
    return rows


def _class_rows(scores: Scores) -> list[list[object]]:
    measures = [f"{name}{end}" for name in ("precision", "recall") for end in ("", "_low", "_high")]
    ranked = [name for name in ("average_precision", "threshold") if scores.confusion.ndim == 3]
    rows: list[list[object]] = [["class", "support", *measures, "f1", *ranked]]
    for entry in scores.per_class:
        numbers = [getattr(part, end) for part in (entry.precision, entry.recall) for end in ("value", "low", "high")]
        numbers += [entry.f1, *(getattr(entry, name) for name in ranked)]
        cells = ["" if number is None or math.isnan(number) else round(number, 6) for number in numbers]
        rows.append([entry.name, entry.support, *cells])
    return rows


def _csv(rows: list[list[object]]) -> bytes:
    stream = io.StringIO(newline="")
    # All text is quoted: Python's writer leaves a lone carriage return bare, which its reader takes for a new row.
    csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).writerows(rows)
    # A folder name that is not valid Unicode becomes a class name with its raw bytes kept as surrogates.
    return stream.getvalue().encode("utf-8", "surrogateescape")
