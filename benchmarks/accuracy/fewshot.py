"""Claim: with 1, 5, 20 and 100 training images a class of `clothing`, zoo's default run is at least as accurate as
fastai's `fine_tune` in the same time or two minutes, whichever is longer.

    python benchmarks/accuracy/fewshot.py DATA --python OPPONENTS/bin/python [--seeds 0 1 2] [--counts 1 5 20 100]
                                          [--sides ...] [--add]   # further rows beside those that are there
    python benchmarks/accuracy/fewshot.py DATA --report

Validation and test images are all used, whatever the count; each seed draws other training images, the same for all
sides. fastai is given the seconds of zoo's slowest side on those images, but no less than two minutes: with ten images
zoo ends before fastai has been imported and has validated once. Rows, table and plot: results/fewshot.json,
.md and .png. accuracy.py says how to set the opponents up.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from sets import few_images, open_set
from sides import Opponents, measure_zoo
from tables import ZOO, difference

from measure import RESULTS, keep  # isort: skip

STRATEGIES: dict[str, tuple[str, ...]] = {ZOO: (), "zoo probe": ("strategy=probe",), "zoo lpft": ("strategy=lpft",)}
FASTAI = "fastai fine_tune"
NAME = "fewshot"
LEAST_S = 120.0
"""What fastai is given at least."""


def main() -> None:
    """Measures, then reports."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--python", default=sys.executable, help="the opponents' interpreter")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 5, 20, 100])
    parser.add_argument("--sides", nargs="+", choices=[*STRATEGIES, FASTAI], default=[*STRATEGIES, FASTAI])
    parser.add_argument("--px", type=int, help="side of every network's input")
    parser.add_argument("--zoo", nargs="*", default=[], help="further words for zoo")
    parser.add_argument("--add", action="store_true", help="keep the rows of earlier calls")
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    if not given.report:
        measure(given)
    report()


def measure(given: argparse.Namespace) -> None:
    """The largest count first: there the opponent's speed is measured best."""
    opponents, rows = Opponents(given.python), kept_rows() if given.add else []
    for seed, count in itertools.product(given.seeds, sorted(given.counts, reverse=True)):
        with tempfile.TemporaryDirectory() as folder:
            photos = few_images(open_set(given.data, Path(folder)), Path(folder) / "few", count=count, seed=seed)
            photos = replace(photos, px=given.px or photos.px)
            for side in given.sides:
                if side == FASTAI:
                    new = opponents.measure(side, photos, seed=seed, seconds=budget(rows, seed=seed, count=count))
                else:
                    new = measure_zoo(side, photos, seed=seed, words=(*STRATEGIES[side], *given.zoo))
                key = (side, seed, count)
                rows = [r for r in rows if (r["side"], r["seed"], r["per_class"]) != key]
                rows.append(new | {"per_class": count})
                print(
                    f"{count} a class, {side}, seed {seed}: {new['accuracy']:.4f}, {new['seconds']:.0f} s", flush=True
                )
                keep(NAME, rows)


def budget(rows: list[dict[str, Any]], *, seed: int, count: int) -> float:
    """The seconds of zoo's slowest side on the same images, but no less than `LEAST_S`."""
    own = [r for r in rows if (r["seed"], r["per_class"]) == (seed, count) and r["side"] in STRATEGIES]
    return max(LEAST_S, *(r["seconds"] for r in own), 0.0)


def kept_rows() -> list[dict[str, Any]]:
    """Rows of earlier calls."""
    file = RESULTS / f"{NAME}.json"
    return list(json.loads(file.read_text())["rows"]) if file.exists() else []


def report() -> None:
    """Prints and writes the table, what it says, and the plot."""
    rows = kept_rows()
    lines = [*table(rows), "", *verdicts(rows)]
    print("\n".join(["", *lines]))
    (RESULTS / f"{NAME}.md").write_text("\n".join(lines) + "\n")
    draw(rows, RESULTS / f"{NAME}.png")


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown: a line for each side, a column for each count."""
    counts = sorted({r["per_class"] for r in rows})
    lines = [
        f"| test accuracy | {' | '.join(f'{count} a class' for count in counts)} |",
        "|---|" + "---|" * len(counts),
    ]
    for side in dict.fromkeys(r["side"] for r in rows):
        cells = [cell([r for r in rows if (r["side"], r["per_class"]) == (side, count)]) for count in counts]
        lines.append(f"| {side} | {' | '.join(cells)} |")
    return lines


def cell(rows: list[dict[str, Any]]) -> str:
    """Mean, range and seconds."""
    if not rows:
        return ""
    each, seconds = [r["accuracy"] for r in rows], statistics.median(r["seconds"] for r in rows)
    return f"{statistics.mean(each):.3f} ({min(each):.3f} to {max(each):.3f}), {seconds:.0f} s"


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """For each count, the default against each other side: who leads, and whether the images tell them apart."""
    found = []
    for count in sorted({r["per_class"] for r in rows}):
        own = [r for r in rows if r["per_class"] == count]
        for side in dict.fromkeys(r["side"] for r in own if r["side"] != ZOO):
            if any(r["side"] == ZOO for r in own):
                gap = difference(own, ZOO, side)
                word = "wins against" if gap.value > 0 else "LOSES to" if gap.value < 0 else "is level with"
                range_ = f"{100 * gap.value:+.1f} points, 95 % {100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
                found.append(f"{count} a class: {ZOO} {word} {side} ({range_})")
    return found


def draw(rows: list[dict[str, Any]], file: Path) -> Path:
    """Accuracy by images a class, a line a side, a point a seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.5, 4.2), layout="constrained")
    counts = sorted({r["per_class"] for r in rows})
    for side in dict.fromkeys(r["side"] for r in rows):
        own = [r for r in rows if r["side"] == side]
        here = [count for count in counts if any(r["per_class"] == count for r in own)]
        means = [statistics.mean(r["accuracy"] for r in own if r["per_class"] == count) for count in here]
        (line,) = axes.plot(here, means, label=side, linewidth=2)
        axes.plot(
            [r["per_class"] for r in own], [r["accuracy"] for r in own], "o", color=line.get_color(), markersize=4
        )
    axes.set(xscale="log", xticks=counts, xticklabels=counts, xlabel="training images a class", ylabel="test accuracy")
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(file, dpi=130)
    pyplot.close(figure)
    return file


if __name__ == "__main__":
    main()
