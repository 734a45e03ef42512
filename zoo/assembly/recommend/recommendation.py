"""What a comparison of backbones says: its rows, which one to take and how sure that is, and what is written of it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.contracts.data import Task
from zoo.contracts.evaluation import Interval
from zoo.evaluation.comparison import Comparison
from zoo.evaluation.ranking_picture import Point, draw_ranking
from zoo.files import to_plain, write_bytes, write_json, write_text

NEAR = 0.01
"""A quicker network is taken instead of the best where they cannot be told apart and it is at most this far behind."""

QUICKER = 1.2
"""So many times quicker it must be for that."""

WHAT = {
    Task.SINGLE_LABEL: "accuracy of a linear probe, cross-validated",
    Task.MULTI_LABEL: "mean F1 of an image's labels by a linear probe, cross-validated",
}
"""What the score is."""


@dataclass(frozen=True)
class Row:
    """One candidate in the table.

    Attributes:
        status: `scored`; `refused` (a limit, or no weights); `failed`; `no time`.
        reason: Why it was not scored, or what there is to know of its weights; "" where there is nothing to say.
        score: Of the cross-validated probe, with its 95 % interval; None where it was not scored.
        images: On how many images; fewer than others where it was dropped in an early round.
        log_evidence: LogME; NaN where it was not computed.
        h_score: H-score; NaN where it was not computed, and in a multi-label task.
        neighbours: Leave-one-out score of the five nearest neighbours.
        chance: Share of the resamples in which it is the best of those in the last comparison; NaN for others.
        latency_ms: Median of one image.
        weights: `at hand (package)`, `downloaded`, `none`.
    """

    name: str
    full_name: str
    status: str
    reason: str
    weights: str
    parameters: int | None
    score: Interval | None = None
    images: int = 0
    log_evidence: float = math.nan
    h_score: float = math.nan
    neighbours: float = math.nan
    chance: float = math.nan
    latency_ms: float = math.nan
    input_px: int | None = None
    feature_dim: int | None = None


@dataclass(frozen=True)
class RoundLog:
    """What became of a round: its images, its candidates with their scores (the best first), and its seconds."""

    images: int
    scores: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Advice:
    """Which network to take.

    Attributes:
        take: Its name.
        lines: Why, and how sure that is.
        apart: Whether the images tell the best from all others.
        compared: Names of those that were compared on the same images, in the order of `comparison`.
    """

    take: str
    lines: tuple[str, ...]
    apart: bool
    images: int
    compared: tuple[str, ...]
    comparison: Comparison


@dataclass(frozen=True)
class Recommendation:
    """All that came out of a comparison.

    Attributes:
        rows: The scored ones first, best first; those of earlier rounds behind those of later ones.
        notes: What was decided about the data, what was left out, and what there is to know of some weights.
        facts: Data, machine, versions, budget, seed: for the JSON.
    """

    task: Task
    rows: tuple[Row, ...]
    advice: Advice
    rounds: tuple[RoundLog, ...]
    notes: tuple[str, ...]
    machine: str
    facts: Mapping[str, Any]


COLUMNS = ("model", "probe %", "95 %", "images", "LogME", "H-score", "kNN %", "ms", "parameters", "input", "weights")


def advise(
    names: Sequence[str],
    intervals: Sequence[Interval],
    *,
    latencies: Sequence[float],
    comparison: Comparison,
    images: int,
) -> Advice:
    """Which of the networks that were compared on the same images to take.

    The best, unless one that cannot be told from it is at most a point behind and at least 1.2 times quicker: then
    the quickest such one. That two cannot be told apart does not mean that they are equal, so a network that lies
    further behind is not taken for its speed.

    Args:
        names: Of the networks.
        intervals: Their scores.
        latencies: Milliseconds of an image.
        comparison: Of their scores on the same images.
        images: How many these were.
    """
    best = comparison.best
    score, count = _percent(intervals[best]), f"{images} images"
    others = sorted((i for i in range(len(names)) if i != best), key=lambda i: comparison.difference[i].value)
    if not others:
        alone = f"take {names[best]}: {score} on {count}; no other candidate was scored on as many"
        return Advice(names[best], (alone,), False, images, tuple(names), comparison)
    alike = [i for i in others if not comparison.apart(i)]
    if not alike:
        gap = _points(comparison.difference[others[0]])
        lines = (
            f"take {names[best]}: {score} on {count}",
            f"it can be told from all others: {names[others[0]]}, the next, is {gap} behind on the same images",
        )
        return Advice(names[best], lines, True, images, tuple(names), comparison)
    near = [i for i in alike if comparison.difference[i].value <= NEAR and latencies[i] * QUICKER <= latencies[best]]
    take = min(near, key=lambda i: latencies[i]) if near else best
    unsure = _unsure(names, intervals, latencies=latencies, comparison=comparison, alike=alike, take=take)
    return Advice(names[take], (*unsure, f"measured on {count}"), False, images, tuple(names), comparison)


def _unsure(
    names: Sequence[str],
    intervals: Sequence[Interval],
    *,
    latencies: Sequence[float],
    comparison: Comparison,
    alike: Sequence[int],
    take: int,
) -> list[str]:
    """The lines for a best that others may equal."""
    best = comparison.best
    if take != best:
        times = latencies[best] / latencies[take]
        first = (
            f"take {names[take]}: {_percent(intervals[take])}; {times:.1f} times quicker than {names[best]}, "
            f"the best ({_percent(intervals[best])})"
        )
    else:
        first = f"take {names[best]}: {_percent(intervals[best])}"
    lines = [first]
    for i in alike[:4]:
        quicker = latencies[best] / latencies[i]
        speed = f"; {names[i]} is {quicker:.1f} times quicker" if quicker >= QUICKER and i != take else ""
        gap = _points(comparison.difference[i])
        lines.append(f"{names[best]} and {names[i]} cannot be told apart: {gap} between them{speed}")
    if len(alike) > 4:
        lines.append(f"and {len(alike) - 4} more that cannot be told from {names[best]}")
    lines.append(f"{names[best]} is the best of them in {comparison.chance[best]:.0%} of the resamples")
    return lines


def _percent(score: Interval) -> str:
    return f"{100 * score.value:.1f} % (95 % interval {100 * score.low:.1f} to {100 * score.high:.1f})"


def _points(gap: Interval) -> str:
    return f"{100 * gap.value:.1f} points (95 % interval {100 * gap.low:.1f} to {100 * gap.high:.1f})"


def cells_of(row: Row, short_count: str) -> tuple[str, ...]:
    """A row of the printed table; a candidate that was not scored says why in the column of its weights."""
    score = row.score
    last = row.weights if row.status == "scored" else f"{row.status}: {row.reason}"
    return (
        row.name,
        "-" if score is None else f"{100 * score.value:.1f}",
        "-" if score is None else f"{100 * score.low:.1f}-{100 * score.high:.1f}",
        str(row.images or "-"),
        _number(row.log_evidence, 3),
        _number(row.h_score, 2),
        _number(100 * row.neighbours, 1),
        _number(row.latency_ms, 1),
        short_count,
        f"{row.input_px} px" if row.input_px else "-",
        last,
    )


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def plain_recommendation(found: Recommendation) -> dict[str, Any]:
    """Everything as plain values for JSON; NaN is None."""
    advice = found.advice
    values = {
        "take": advice.take,
        "apart": advice.apart,
        "advice": advice.lines,
        "score": WHAT[found.task],
        "comparison": {
            "images": advice.images,
            "best": advice.compared[advice.comparison.best],
            "networks": [
                {"name": name, "behind_best": gap, "chance_of_being_best": chance}
                for name, gap, chance in zip(
                    advice.compared, advice.comparison.difference, advice.comparison.chance, strict=True
                )
            ],
        },
        "candidates": found.rows,
        "rounds": found.rounds,
        "notes": found.notes,
        "machine": found.machine,
        **found.facts,
    }
    plain: dict[str, Any] = to_plain(values)
    return plain


def write_recommendation(folder: Path, found: Recommendation) -> tuple[Path, ...]:
    """Writes table.csv, table.json and accuracy-latency.png, each in one step.

    Raises:
        UserError: The folder cannot be written.
    """
    points = [
        Point(row.name, row.score, row.latency_ms, whole=row.name in found.advice.compared)
        for row in found.rows
        if row.score is not None
    ]
    picture = draw_ranking(points, take=found.advice.take, what=WHAT[found.task], where=found.machine)
    return (
        write_text(folder / "table.csv", _csv(found.rows)),
        write_json(folder / "table.json", plain_recommendation(found)),
        write_bytes(folder / "accuracy-latency.png", picture),
    )


def _csv(rows: Sequence[Row]) -> str:
    """One line a candidate; the score and its interval in three columns, empty cells for what is not known."""
    flat = []
    for place, row in enumerate(rows, start=1):
        plain = to_plain(row)
        score = plain.pop("score") or {"value": None, "low": None, "high": None}
        rank = {"rank": None if row.score is None else place}
        flat.append(rank | plain | {"score": score["value"], "score_low": score["low"], "score_high": score["high"]})
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return stream.getvalue()
