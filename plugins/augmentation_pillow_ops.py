"""The fourteen operations from which RandAugment, TrivialAugment and AugMix draw, on Pillow, and their strengths.

An operation's strength is a level in [0, 1], with a sign where it has two directions. What a level means differs
between the papers; that is a `Ranges`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from PIL import Image, ImageEnhance, ImageOps

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Operation = Literal[
    "identity",
    "auto_contrast",
    "equalize",
    "posterize",
    "solarize",
    "color",
    "contrast",
    "brightness",
    "sharpness",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
]
Interpolation = Literal["nearest", "bilinear", "bicubic"]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
MOVES: frozenset[Operation] = frozenset({"rotate", "shear_x", "shear_y", "translate_x", "translate_y"})
ENHANCED: frozenset[Operation] = frozenset({"color", "contrast", "brightness", "sharpness"})
SIGNED = MOVES | ENHANCED
"""Operations of two directions: what a negative level means is the other one."""

COLOUR_ONLY: frozenset[Operation] = frozenset({"color"})
"""Operations that do nothing to gray images."""

_RESAMPLING: Mapping[Interpolation, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
_COLOURS = 3


@dataclass(frozen=True)
class Ranges:
    """What the largest level means, by operation.

    Attributes:
        shear: Pixels sideways for each pixel down (or the other way).
        rotate_deg: Degrees.
        enhance: Distance of the factor from 1, for color, contrast, brightness and sharpness.
        bits: Bits that `posterize` keeps at level 0 and at level 1.
        translate_share: Shift as a share of the side; with `translate_px` 0.
        translate_px: Shift in pixels; with `translate_share` 0.
    """

    shear: float
    rotate_deg: float
    enhance: float
    bits: tuple[int, int]
    translate_share: float = 0.0
    translate_px: float = 0.0

    def amount(self, operation: Operation, level: float, *, side_px: int) -> float:
        """What Pillow is told.

        Args:
            operation: Which operation.
            level: In [0, 1], or in [-1, 1] for those of two directions.
            side_px: Width of the image for `translate_x`, height for `translate_y`; no other operation asks for it.

        Returns:
            Pixels a pixel (shear), whole pixels (translate, cut towards 0), degrees counter-clockwise (rotate), the
            factor (enhancing operations), bits kept, to the nearest (posterize), the value in [0, 256] from which on
            values are inverted (solarize), or 0.
        """
        if operation in ("shear_x", "shear_y"):
            return level * self.shear
        if operation in ("translate_x", "translate_y"):
            return int(level * (self.translate_share * side_px + self.translate_px))
        if operation == "rotate":
            return level * self.rotate_deg
        if operation in ENHANCED:
            return 1 + level * self.enhance
        if operation == "posterize":
            mild, strong = self.bits
            return round(mild + level * (strong - mild))
        return 256 * (1 - level) if operation == "solarize" else 0.0


def apply_operation(
    operation: Operation,
    image: NDArray[np.uint8],
    *,
    amount: float,
    interpolation: Interpolation = "nearest",
    fill: int = 0,
) -> NDArray[np.uint8]:
    """One operation on one image.

    Args:
        operation: Which one.
        image: uint8[H, W, C] with C = 1, 3 or 4. Moves take a fourth channel along, changes of colour leave it alone.
        amount: See `Ranges.amount`.
        interpolation: How moves read between pixels.
        fill: Value in [0, 255], of all channels, where a moved image leaves a gap.

    Returns:
        uint8[H, W, C]; `image` itself where the operation is the identity.
    """
    import numpy as np

    if operation == "identity":
        return image
    moves = operation in MOVES
    parts = [image[:, :, :_COLOURS], image[:, :, _COLOURS:]]
    changed = [parts[0], *([parts[1]] if moves and parts[1].size else [])]
    for i, part in enumerate(changed):
        picture = Image.fromarray(np.ascontiguousarray(part[:, :, 0] if part.shape[2] == 1 else part))
        if moves:
            result = _moved(operation, picture, amount=amount, interpolation=interpolation, fill=fill)
        else:
            result = _COLOUR_CHANGES[operation](picture, amount)
        parts[i] = np.asarray(result).reshape(part.shape)
    return np.concatenate(parts, axis=2) if parts[1].size else parts[0]


def _moved(
    operation: Operation, picture: Image.Image, *, amount: float, interpolation: Interpolation, fill: int
) -> Image.Image:
    """Sheared about the upper left corner, shifted, or turned about the centre."""
    resampling = _RESAMPLING[interpolation]
    colour: int | tuple[int, ...] = fill if picture.mode == "L" else (fill,) * _COLOURS
    if operation == "rotate":
        return picture.rotate(amount, resampling, fillcolor=colour)
    matrices: Mapping[str, tuple[float, ...]] = {
        "shear_x": (1, amount, 0, 0, 1, 0),
        "shear_y": (1, 0, 0, amount, 1, 0),
        "translate_x": (1, 0, amount, 0, 1, 0),
        "translate_y": (1, 0, 0, 0, 1, amount),
    }
    return picture.transform(picture.size, Image.Transform.AFFINE, matrices[operation], resampling, fillcolor=colour)


_COLOUR_CHANGES: Mapping[str, Callable[[Image.Image, float], Image.Image]] = {
    "auto_contrast": lambda picture, _: ImageOps.autocontrast(picture),
    "equalize": lambda picture, _: ImageOps.equalize(picture),
    "posterize": lambda picture, bits: ImageOps.posterize(picture, int(bits)),
    "solarize": lambda picture, threshold: ImageOps.solarize(picture, threshold),  # type: ignore[arg-type]
    "color": lambda picture, factor: ImageEnhance.Color(picture).enhance(factor),
    "contrast": lambda picture, factor: ImageEnhance.Contrast(picture).enhance(factor),
    "brightness": lambda picture, factor: ImageEnhance.Brightness(picture).enhance(factor),
    "sharpness": lambda picture, factor: ImageEnhance.Sharpness(picture).enhance(factor),
}
