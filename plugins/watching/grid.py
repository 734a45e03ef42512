"""Images in rows with a few words below each, as a PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.evaluation.pictures import canvas, png, printable
from zoo.evaluation.preview_picture import framed

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_CELL_PX, _MOST_CELL_PX = 128, 192
_GAP_PX = 10
_DPI = 110
_FONT_PT = 8
_LINE_PX = 15
_LETTER_PX = 6.5
"""Width of a letter of a caption, on average, in the finished picture."""

_INK = "#222222"


def draw_grid(images: Sequence[NDArray[np.uint8]], *, captions: Sequence[str], title: str) -> bytes:
    """A page of images, about as wide as it is high; small ones are enlarged by a whole factor, pixel by pixel.

    Args:
        images: uint8[S, S, C] with C one of 1, 3 and 4; at least one.
        captions: One for each; lines are parted by line breaks, and cut where they are too long.
        title: One line.
    """
    side = max(max(image.shape[:2]) for image in images)
    factor = -(-_LEAST_CELL_PX // side) if side < _LEAST_CELL_PX else 1
    cell = side * factor
    shrink = min(1.0, _MOST_CELL_PX / cell)
    lines = max(caption.count("\n") + 1 for caption in captions)
    columns = min(len(images), max(4, math.ceil(math.sqrt(len(images)))))
    rows = -(-len(images) // columns)
    gap, below = round(_GAP_PX / shrink), round(lines * _LINE_PX / shrink)
    across, down = cell + gap, cell + below + gap
    page = np.full((rows * down - gap, columns * across - gap, 3), 255, np.uint8)
    figure, axes = canvas(page.shape[1] * shrink / _DPI, page.shape[0] * shrink / _DPI)
    letters = int(cell * shrink / _LETTER_PX)
    for k, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top, left = k // columns * down, k % columns * across
        page[top : top + cell, left : left + cell] = framed(image, cell=cell, factor=factor)
        words = "\n".join(_cut(line, letters) for line in caption.split("\n"))
        axes.text(
            left + cell / 2,
            top + cell + 3 / shrink,
            words,
            ha="center",
            va="top",
            fontsize=_FONT_PT,
            color=_INK,
            linespacing=1.1,
            parse_math=False,
        )
    axes.imshow(page, interpolation="nearest" if shrink == 1.0 else "antialiased")
    axes.set_axis_off()
    axes.set_title(printable(title), fontsize=9, loc="left", pad=8, color=_INK, parse_math=False)
    return png(figure)


def _cut(line: str, letters: int) -> str:
    flat = printable(line)
    return flat if len(flat) <= letters else f"{flat[: letters - 1]}…"
