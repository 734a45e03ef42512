"""Accuracy against latency of several networks, as a PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.contracts.evaluation import Interval
from zoo.evaluation.comparison import pareto_front
from zoo.evaluation.pictures import canvas, open_frame, png, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _FAINT, _BLUE, _ORANGE = "#222222", "#888888", "#2166ac", "#d6701d"


@dataclass(frozen=True)
class Point:
    """One network in the picture.

    Attributes:
        score: Share with its interval.
        latency_ms: Of one image, above 0.
        whole: Scored on all images of the last round; the others, dropped before, are drawn faint and are in no front.
    """

    name: str
    score: Interval
    latency_ms: float
    whole: bool = True


def draw_ranking(points: Sequence[Point], *, take: str, what: str, where: str) -> bytes:
    """Scores over latencies (on a logarithmic axis) with names and intervals, and the Pareto front as steps.

    Args:
        points: At least one.
        take: Name of the one that is recommended; it is drawn in another colour.
        what: What the score is, for the axis.
        where: The machine that the latencies were measured on, for the axis.
    """
    figure, axes = canvas(6.4, 4.2)
    whole = [point for point in points if point.whole]
    front = [whole[i] for i in pareto_front([p.score.value for p in whole], [p.latency_ms for p in whole])]
    for point in points:
        colour = _ORANGE if point.name == take else _BLUE if point.whole else _FAINT
        below, above = point.score.value - point.score.low, point.score.high - point.score.value
        axes.errorbar(
            point.latency_ms,
            point.score.value,
            yerr=[[max(below, 0.0)], [max(above, 0.0)]],
            fmt="o" if point.whole else "x",
            color=colour,
            capsize=3,
            markersize=6,
            linewidth=1.2,
            zorder=3,
        )
    if len(front) > 1:
        axes.step(
            [point.latency_ms for point in front],
            [point.score.value for point in front],
            where="post",
            color=_FAINT,
            linewidth=1,
            linestyle="--",
            zorder=1,
            label="nobody is both quicker and better",
        )
        axes.legend(fontsize=8, frameon=False, loc="lower right")
    _scale(axes, points)
    _write_names(axes, points, take=take)
    axes.set_xlabel(f"ms an image ({where})", fontsize=9, parse_math=False)
    axes.set_ylabel(what, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="#ececec", linewidth=0.8)
    axes.set_axisbelow(True)
    open_frame(axes)
    return png(figure)


def _scale(axes: Axes, points: Sequence[Point]) -> None:
    """A logarithmic axis with plain numbers, and room for names beside the outermost points."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = min(p.latency_ms for p in points), max(p.latency_ms for p in points)
    axes.set_xlim(low / 1.5, high * max(1.5, (high / low) ** 0.35))
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(
        max(0.0, min(p.score.low for p in points) - 0.04), min(1.02, max(p.score.high for p in points) + 0.04)
    )


def _write_names(axes: Axes, points: Sequence[Point], *, take: str) -> None:
    """Names right of their points; one whose place is taken moves up or down until it is free."""
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    taken: list[tuple[float, ...]] = []
    for point in sorted(points, key=lambda p: (-p.score.value, p.latency_ms)):
        for shift_px in (0, 11, -11, 22, -22, 33, -33, 44, -44):
            text = axes.annotate(
                printable(point.name),
                (point.latency_ms, point.score.value),
                xytext=(7, shift_px + 3),
                textcoords="offset points",
                fontsize=8,
                color=_INK if point.whole else _FAINT,
                weight="bold" if point.name == take else "normal",
                parse_math=False,
            )
            box = text.get_window_extent(renderer).extents
            if not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken):
                break
            if shift_px != -44:
                text.remove()
        taken.append(tuple(float(edge) for edge in box))
