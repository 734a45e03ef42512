"""What rows say: means, ranges, intervals, differences on the same images, and who loses."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.contracts.evaluation import Interval
from zoo.evaluation.comparison import compare, mean_interval

ZOO = "zoo default"

Rows = Sequence[dict[str, Any]]


def shares_right(rows: Rows, sides: Sequence[str]) -> list[np.ndarray]:
    """For each side float64[images]: in which share of its seeds it was right on that test image.

    Images that nobody got wrong are alike, so their names are not needed. Only seeds that all sides have count.

    Raises:
        ValueError: The sides share no seed, or were tested on different numbers of images.
    """
    seeds = set.intersection(*({r["seed"] for r in rows if r["side"] == side} for side in sides))
    own = [r for r in rows if r["side"] in sides and r["seed"] in seeds]
    if not own or len({r["count"] for r in own}) != 1:
        raise ValueError(f"{', '.join(sides)}: no seed in common, or other test images")
    names = sorted({name for r in own for name in r["wrong"]})
    place = {name: i for i, name in enumerate(names)}
    found = []
    for side in sides:
        right = np.ones((len(seeds), own[0]["count"]))
        for i, r in enumerate(sorted((r for r in own if r["side"] == side), key=lambda r: r["seed"])):
            right[i, [place[name] for name in r["wrong"]]] = 0
        found.append(right.mean(axis=0))
    return found


def accuracy_of(rows: Rows, side: str) -> Interval:
    """Mean accuracy over the seeds, with the 95 % interval of a bootstrap over the test images."""
    return mean_interval(shares_right(rows, [side])[0])


def difference(rows: Rows, ours: str, theirs: str) -> Interval:
    """Mean accuracy of one side less that of another, with the 95 % interval of a paired bootstrap over images."""
    found = compare(shares_right(rows, [ours, theirs]))
    if found.best == 0:
        return found.difference[1]
    gap = found.difference[0]
    return Interval(-gap.value, -gap.high, -gap.low)


def timed(rows: Rows) -> list[float]:
    """The seconds of the rows that say something of speed: those that repeat epochs may run beside other work."""
    return [r["seconds"] for r in rows if not r.get("as_first")]


def table(rows: Rows) -> list[str]:
    """Markdown: a line for each side, the most accurate first."""
    sides = sorted(dict.fromkeys(r["side"] for r in rows), key=lambda side: -accuracy_of(rows, side).value)
    lines = [
        "| side | test accuracy: mean (range of the seeds) | 95 % interval | zoo's lead, points (95 %) "
        "| seconds: median (range) | epochs | peak GB |",
        "|---|---|---|---|---|---|---|",
    ]
    for side in sides:
        own = [r for r in rows if r["side"] == side]
        each, mean = [r["accuracy"] for r in own], accuracy_of(rows, side)
        seconds = timed(own)
        epochs = statistics.mean(r["epochs"] for r in own) if all("epochs" in r for r in own) else None
        cells = [
            side,
            f"{mean.value:.4f} ({min(each):.4f} to {max(each):.4f})",
            f"{mean.low:.3f} to {mean.high:.3f}",
            _lead(rows, side),
            f"{statistics.median(seconds):.0f} ({min(seconds):.0f} to {max(seconds):.0f})",
            "" if epochs is None else f"{epochs:.1f}",
            f"{max(r['peak_gb'] for r in own):.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _lead(rows: Rows, side: str) -> str:
    if side == ZOO or not any(r["side"] == ZOO for r in rows):
        return ""
    gap = difference(rows, ZOO, side)
    return f"{100 * gap.value:+.1f} ({100 * gap.low:+.1f} to {100 * gap.high:+.1f})"


def verdicts(rows: Rows) -> list[str]:
    """One plain line for each opponent: won, lost, or not told apart."""
    if not any(r["side"] == ZOO for r in rows):
        return []
    found = []
    for side in dict.fromkeys(r["side"] for r in rows if r["side"] != ZOO):
        gap = difference(rows, ZOO, side)
        word = "WINS against" if gap.value > 0 else "LOSES to" if gap.value < 0 else "is level with"
        sure = "the images tell them apart" if gap.low > 0 or gap.high < 0 else "within the interval"
        slower = [f"{r['seed']}" for r in rows if r["side"] == side and r["seconds"] < 0.9 * _seconds(rows, r["seed"])]
        note = f"; in seeds {', '.join(slower)} it had less than 0.9 of zoo's time" if slower else ""
        found.append(f"{ZOO} {word} {side} by {abs(100 * gap.value):.1f} points ({sure}{note})")
    return found


def _seconds(rows: Rows, seed: int) -> float:
    return float(next((r["seconds"] for r in rows if r["side"] == ZOO and r["seed"] == seed), 0.0))


def draw_sides(rows: Rows, file: Path, *, title: str) -> Path:
    """One glance: a point a seed, a bar at the mean with its interval, the most accurate side on top."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    sides = sorted(dict.fromkeys(r["side"] for r in rows), key=lambda side: accuracy_of(rows, side).value)
    figure, axes = pyplot.subplots(figsize=(7, 1.2 + 0.6 * len(sides)), layout="constrained")
    for height, side in enumerate(sides):
        own, mean = [r for r in rows if r["side"] == side], accuracy_of(rows, side)
        colour = "tab:orange" if side == ZOO else "tab:blue"
        axes.plot([mean.low, mean.high], [height, height], color=colour, alpha=0.35, linewidth=6)
        axes.plot(mean.value, height, "|", color=colour, markersize=22, markeredgewidth=3)
        axes.plot([r["accuracy"] for r in own], [height] * len(own), "o", color="black", markersize=4)
        seconds = statistics.median(timed(own))
        axes.annotate(f"{mean.value:.3f}, {seconds:.0f} s", (mean.value, height + 0.28), ha="center", fontsize=8)
    axes.set(
        yticks=range(len(sides)), yticklabels=sides, ylim=(-0.5, len(sides) - 0.3), xlabel="test accuracy", title=title
    )
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)
    return file
