"""Images beside what training makes of them, as a PNG."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.evaluation.pictures import canvas, png, printable, short_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

MARK = "zoo preview"
"""What the PNG names as its source, by which a later preview knows that it may replace it."""

_LEAST_CELL_PX, _MOST_CELL_PX = 96, 192
_GAP_PX = 6
_INK, _FAINT = "#222222", "#666666"
_DPI = 110
_LETTER_IN = 0.075
"""Width of a letter of the title, on average."""


@dataclass(frozen=True)
class PreviewRow:
    """One image of the picture.

    Attributes:
        name: Its class, or its labels.
        original: uint8[S, S, C] with C one of 1 (gray), 3 (colour) and 4 (colour and alpha).
        draws: The same of each draw; smaller where images grow in the course of training.
    """

    name: str
    original: NDArray[np.uint8]
    draws: tuple[NDArray[np.uint8], ...]


def draw_preview(rows: Sequence[PreviewRow], *, title: Sequence[str]) -> bytes:
    """A row an image: the original, a gap, then its draws; class names at the left, the title above.

    Small images are enlarged by a whole factor, pixel by pixel, so that each pixel can be seen.

    Args:
        rows: At least one; all with equally many draws.
        title: Lines; long ones are wrapped.
    """
    side = max(max(image.shape[0] for image in (row.original, *row.draws)) for row in rows)
    factor = -(-_LEAST_CELL_PX // side) if side < _LEAST_CELL_PX else 1
    cell = side * factor
    step, first_draw = cell + _GAP_PX, cell + 4 * _GAP_PX
    width = first_draw + len(rows[0].draws) * step - _GAP_PX
    page = np.full((len(rows) * step - _GAP_PX, width, 3), 255, np.uint8)
    places = [0, *(first_draw + k * step for k in range(len(rows[0].draws)))]
    for r, row in enumerate(rows):
        for left, image in zip(places, (row.original, *row.draws), strict=True):
            page[r * step : r * step + cell, left : left + cell] = framed(image, cell=cell, factor=factor)
    shrink = min(1.0, _MOST_CELL_PX / cell) / _DPI
    figure, axes = canvas(page.shape[1] * shrink, page.shape[0] * shrink)
    axes.imshow(page)
    middles = [left + cell / 2 for left in places]
    _write_names(axes, rows, middles=middles, step=step, cell=cell)
    _write_title(axes, title, width_in=page.shape[1] * shrink)
    return png(figure, source=MARK)


def framed(image: NDArray[np.uint8], *, cell: int, factor: int) -> NDArray[np.uint8]:
    """uint8[cell, cell, 3]: an image with 1, 3 or 4 channels enlarged, in the middle of a white square."""
    colour = _as_colour(image).repeat(factor, axis=0).repeat(factor, axis=1)
    whole = np.full((cell, cell, 3), 255, np.uint8)
    top, left = (cell - colour.shape[0]) // 2, (cell - colour.shape[1]) // 2
    whole[top : top + colour.shape[0], left : left + colour.shape[1]] = colour
    return whole


def _as_colour(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8[H, W, 3] of gray, colour, or colour with alpha (over white)."""
    if image.shape[2] == 1:
        return image.repeat(3, axis=2)
    if image.shape[2] == 3:
        return image
    alpha = image[:, :, 3:].astype(np.float32) / 255
    return np.rint(image[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _write_names(axes: Axes, rows: Sequence[PreviewRow], *, middles: Sequence[float], step: int, cell: int) -> None:
    heads = ["original", *(f"epoch {k + 1}" for k in range(len(middles) - 1))]
    axes.set_xticks(middles, heads, fontsize=9)
    names = [short_name(row.name) for row in rows]
    axes.set_yticks([r * step + cell / 2 for r in range(len(rows))], names, fontsize=9, parse_math=False)
    axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    for side in axes.spines.values():
        side.set_visible(False)


def _write_title(axes: Axes, title: Sequence[str], *, width_in: float) -> None:
    letters = max(30, int(width_in / _LETTER_IN))
    lines = [part for line in title for part in textwrap.wrap(printable(line), letters, subsequent_indent="    ")]
    axes.set_title("\n".join(lines), fontsize=9, loc="left", pad=10, color=_INK, parse_math=False)


def is_preview(path: Path) -> bool:
    """Whether a file is a picture that `draw_preview` made."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.info.get("Source") == MARK
    except (OSError, ValueError, SyntaxError):
        return False
