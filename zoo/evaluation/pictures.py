"""Pictures of a report as PNG bytes: confusion matrix, label table, reliability, learning curves.

Figures are made without pyplot, so nothing global is set and no display is needed.
"""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.contracts.evaluation import ClassScore, Scores
from zoo.evaluation.calibration import Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

NAMED_CLASSES = 200
"""Up to this many classes a picture names each of them."""

COUNTED_CLASSES = 20
"""Up to this many classes the cells of a confusion matrix hold their counts."""

_NAME_LENGTH = 28
_INK, _FAINT, _BLUE, _ORANGE = "#222222", "#888888", "#2166ac", "#d6701d"
_DPI = 110

CURVES: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("loss", (("train_loss", "training", _ORANGE), ("val_loss", "validation", _BLUE))),
    ("accuracy", (("train_accuracy", "training", _ORANGE), ("val_accuracy", "validation", _BLUE))),
    ("learning rate", (("lr", "", _INK),)),
)
"""Panels of the learning curves: title, and for each line the key of a metrics row, its name and colour."""


def draw_confusion(scores: Scores) -> bytes:
    """The confusion matrix: rows the truth, columns the prediction, colour the square root of the row's share.

    Up to 20 classes the cells hold counts, up to 200 the rows and columns are named; beyond, ticks count classes.
    """
    from matplotlib.colors import PowerNorm

    names, confusion = [entry.name for entry in scores.per_class], scores.confusion
    size = len(names)
    support = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, support, out=np.zeros(confusion.shape), where=support > 0)
    cell_in = 0.62 if size <= 5 else 0.5 if size <= COUNTED_CLASSES else max(0.14, 0.3 - 0.002 * size)
    if size > NAMED_CLASSES:
        cell_in = 28 / size
    side_in = max(2.6, cell_in * size)
    figure, axes = canvas(side_in, side_in)
    # Square roots, so that the few per cent of a confusion are seen beside a full diagonal.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1), interpolation="nearest")
    _name_ticks(axes, names, cell_in=cell_in)
    if size <= COUNTED_CLASSES:
        _write_counts(axes, confusion, shares=shares)
    large = 11 if size <= 60 else 20
    axes.set_xlabel("prediction", fontsize=large, labelpad=8)
    axes.set_ylabel("truth", fontsize=large, labelpad=8)
    accuracy = scores.accuracy
    axes.set_title(
        f"{scores.split}: {100 * accuracy.value:.1f} % of {scores.count} images right "
        f"({100 * accuracy.low:.1f} to {100 * accuracy.high:.1f})",
        fontsize=large,
        pad=14,
        parse_math=False,
    )
    _share_bar(figure, image, side_in=side_in, label="share of the true class", font_size=large - 1)
    return png(figure)


def draw_label_table(scores: Scores) -> bytes:
    """One row a label of a multi-label task: counts, precision, recall and F1, coloured by value.

    Beyond 200 labels only the 200 with the lowest F1 are drawn, which the title says.
    """
    order = list(range(len(scores.per_class)))
    title = f"{scores.split}: {len(order)} labels, {scores.count} images"
    if len(order) > NAMED_CLASSES:
        order = sorted(order, key=lambda c: _sort_key(scores.per_class[c]))[:NAMED_CLASSES]
        title = f"{scores.split}: the {NAMED_CLASSES} of {len(scores.per_class)} labels with the lowest F1"
    columns = ("images", "found", "missed", "wrong", "precision", "recall", "F1")
    rows = [scores.per_class[c] for c in order]
    shares = np.array([[row.precision.value, row.recall.value, row.f1] for row in rows])
    colours = np.full((len(rows), len(columns)), np.nan)
    colours[:, 4:] = shares
    figure, axes = canvas(0.85 * len(columns), 0.3 * len(rows) + 0.2)
    axes.imshow(colours, cmap="Blues", vmin=0, vmax=1.6, aspect="auto", interpolation="nearest")
    for r, c in enumerate(order):
        (_, wrong), (missed, found) = scores.confusion[c]
        numbers = [str(rows[r].support), str(found), str(missed), str(wrong), *map(_percent, shares[r])]
        for k, text in enumerate(numbers):
            axes.text(k, r, text, ha="center", va="center", fontsize=9, color=_INK)
    axes.set_yticks(range(len(rows)), [short_name(row.name) for row in rows], fontsize=9, parse_math=False)
    axes.set_xticks(range(len(columns)), columns, fontsize=9)
    axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    axes.set_title(title, fontsize=11, pad=14, parse_math=False)
    _no_frame(axes)
    return png(figure)


def draw_reliability(reliability: Reliability, *, title: str) -> bytes:
    """Confidence against accuracy with the number of answers in each bin."""
    figure, axes = canvas(4.2, 4.2)
    full = reliability.count > 0
    share = reliability.count / reliability.count.sum()
    middles, width = (reliability.edges[:-1] + reliability.edges[1:]) / 2, 1 / len(reliability.count)
    axes.bar(middles, share, width=0.92 * width, color="#cfd8e3", label="share of the answers")
    axes.plot((0, 1), (0, 1), color=_FAINT, linestyle="--", linewidth=1, label="confidence = accuracy")
    axes.plot(
        reliability.confidence[full],
        reliability.accuracy[full],
        color=_BLUE,
        marker="o",
        markersize=4,
        label="measured",
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
    axes.set_xlabel("confidence", fontsize=10)
    axes.set_ylabel("share that was right", fontsize=10)
    axes.set_title(f"{title} (calibration error {100 * reliability.ece:.1f} %)", fontsize=11, parse_math=False)
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    open_frame(axes)
    return png(figure)


def draw_curves(rows: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Loss, accuracy and learning rate over the epochs; panels without a value are left out, None if all are.

    Args:
        rows: Lines of metrics.jsonl. Used are `epoch` (or, in a file without any, `step`) and the keys in `CURVES`.
            Where `phase` changes, a dotted line is drawn; a phase that counts from the start again is drawn behind
            the one before it. Missing values, None and NaN are gaps.
    """
    from matplotlib.ticker import MaxNLocator

    horizontal = "epoch" if any(_number(row, "epoch") is not None for row in rows) else "step"
    rows = _on_one_axis(rows, horizontal)
    panels = [(title, [line for line in lines if _points(rows, line[0], along=horizontal)]) for title, lines in CURVES]
    panels = [(title, lines) for title, lines in panels if lines]
    if not panels:
        return None
    figure, first = canvas(4.6 * len(panels), 3.2)
    first.remove()
    shared: Axes | None = None
    for k, (title, lines) in enumerate(panels):
        axes = shared = figure.add_subplot(1, len(panels), k + 1, sharex=shared)
        for key, name, colour in lines:
            x, y = zip(*_points(rows, key, along=horizontal), strict=True)
            marker = "o" if len(x) <= 40 else None
            axes.plot(x, y, color=colour, label=name or None, marker=marker, markersize=3.5, linewidth=1.5)
        for place in _phase_changes(rows, horizontal):
            axes.axvline(place, color=_FAINT, linestyle=":", linewidth=1)
        axes.set_title(title, fontsize=11)
        axes.set_xlabel(horizontal, fontsize=9)
        axes.tick_params(labelsize=8)
        if len({row[horizontal] for row in rows}) == 1:
            axes.set_xlim(rows[0][horizontal] - 1, rows[0][horizontal] + 1)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
        axes.set_axisbelow(True)
        if any(name for _, name, _ in lines):
            axes.legend(fontsize=8, frameon=False)
        open_frame(axes)
    figure.tight_layout(w_pad=2.5)
    return png(figure)


def canvas(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """A figure whose one plot has the size given; names around it enlarge the picture when it is written."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure, figure.add_axes((0, 0, 1, 1))


def png(figure: Figure, *, source: str | None = None) -> bytes:
    """The figure as a PNG that holds all that was written around it, and names what made it where `source` says so."""
    stream = io.BytesIO()
    named = {} if source is None else {"Source": source}
    with _quiet_fonts():
        figure.savefig(stream, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=0.2, metadata=named)
    return stream.getvalue()


@contextmanager
def _quiet_fonts() -> Iterator[None]:
    """A class name in a script that no font here draws gives boxes; the CSV holds it rightly, so no warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def printable(name: str) -> str:
    """A class name on one line, with a question mark for what neither a picture nor a terminal can show.

    Folder names may hold control characters and bytes that are no valid Unicode.
    """
    flat = " ".join(name.split())
    return "".join(letter if letter.isprintable() else "?" for letter in flat) or "?"


def short_name(name: str) -> str:
    """A class name on one line, its middle left out where it is long."""
    flat = printable(name)
    if len(flat) <= _NAME_LENGTH:
        return flat
    # The middle is left out: long names tend to share their beginning or their end.
    return f"{flat[: _NAME_LENGTH // 2]}…{flat[-(_NAME_LENGTH - _NAME_LENGTH // 2 - 1) :]}"


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.0f} %"


def _sort_key(entry: ClassScore) -> float:
    """F1 in rising order, labels without one last."""
    return 2.0 if np.isnan(entry.f1) else entry.f1


def _name_ticks(axes: Axes, names: Sequence[str], *, cell_in: float) -> None:
    size = len(names)
    axes.tick_params(length=0)
    _no_frame(axes)
    if size > NAMED_CLASSES:
        axes.tick_params(labelsize=14)
        return
    font_size = min(10.0, 72 * cell_in * 0.72)
    shown = [short_name(name) for name in names]
    axes.set_yticks(range(size), shown, fontsize=font_size, parse_math=False)
    if max(map(len, shown)) * font_size * 0.6 <= 72 * cell_in:
        axes.set_xticks(range(size), shown, fontsize=font_size, parse_math=False)
    elif size <= COUNTED_CLASSES:
        axes.set_xticks(
            range(size), shown, fontsize=font_size, rotation=45, ha="right", rotation_mode="anchor", parse_math=False
        )
    else:
        axes.set_xticks(range(size), shown, fontsize=font_size, rotation=90, parse_math=False)
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#e8e8e8", linewidth=0.5)
    axes.tick_params(which="minor", length=0)


def _write_counts(axes: Axes, confusion: NDArray[np.int64], *, shares: NDArray[np.float64]) -> None:
    for row, column in zip(*np.nonzero(confusion), strict=True):
        count = int(confusion[row, column])
        colour = "white" if shares[row, column] > 0.3 else _INK
        font_size = 10 if count < 10_000 else 7
        axes.text(column, row, str(count), ha="center", va="center", fontsize=font_size, color=colour)


def _share_bar(figure: Figure, image: AxesImage, *, side_in: float, label: str, font_size: float) -> None:
    """A bar of constant width beside the plot, whatever the plot's size."""
    height = min(1.0, 4 / side_in)
    bar = figure.add_axes((1 + 0.18 / side_in, 1 - height, 0.14 / side_in, height))
    drawn = figure.colorbar(image, cax=bar, ticks=(0, 0.25, 0.5, 0.75, 1))
    drawn.ax.set_yticklabels(["0 %", "25 %", "50 %", "75 %", "100 %"], fontsize=font_size - 1)
    drawn.ax.tick_params(length=0)
    drawn.set_label(label, fontsize=font_size)
    drawn.outline.set_visible(False)


def _no_frame(axes: Axes) -> None:
    for side in axes.spines.values():
        side.set_visible(False)


def open_frame(axes: Axes) -> None:
    """Leaves out the upper and the right line around a plot."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _number(row: Mapping[str, Any], key: str) -> float | None:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)


def _on_one_axis(rows: Sequence[Mapping[str, Any]], horizontal: str) -> list[dict[str, Any]]:
    """Rows that have a place, with places that go on rising where a phase counts from the start again."""
    placed: list[dict[str, Any]] = []
    before, last = 0.0, None
    for row in rows:
        place = _number(row, horizontal)
        if place is None:
            continue
        if last is not None and row.get("phase") != placed[-1].get("phase") and place <= last:
            before += last
        placed.append({**row, horizontal: before + place})
        last = place
    return placed


def _points(rows: Sequence[Mapping[str, Any]], key: str, *, along: str) -> list[tuple[float, float]]:
    pairs = [(_number(row, along), _number(row, key)) for row in rows]
    return [(x, y) for x, y in pairs if x is not None and y is not None]


def _phase_changes(rows: Sequence[Mapping[str, Any]], horizontal: str) -> list[float]:
    """Half way between the last row of a phase and the first of the next."""
    named = [(row["phase"], float(row[horizontal])) for row in rows if row.get("phase") is not None]
    return [
        (place + after) / 2 for (phase, place), (following, after) in itertools.pairwise(named) if phase != following
    ]
