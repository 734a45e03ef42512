"""The window of a training image: a random part of it, scaled to the network's input."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TRIES = 10
_MOST_SIZES = 5


def random_crop(
    image: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    size: int,
    scale: tuple[float, float] = (0.4, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    flip: bool = False,
) -> NDArray[np.uint8]:
    """Cuts a random part, scales it to a square, and mirrors half of the images where `flip` says so.

    The scaling averages (`INTER_AREA`) where it shrinks and is linear where it enlarges.

    Source: Szegedy et al., Going Deeper with Convolutions, CVPR 2015, section 6, in the form of torchvision's
    `RandomResizedCrop`, but for the lower bound of `scale` (0.08 there), which suits fine-tuning less.

    Args:
        image: uint8[H, W, C].
        rng: Every draw comes from here.
        size: Side of the result in pixels.
        scale: Range of the part's share of the area, within (0, 1].
        ratio: Range of the part's width over its height; drawn evenly on a log scale.
        flip: Mirror left to right with probability one half.

    Returns:
        uint8[size, size, C].
    """
    top, left, height, width = crop_box(image.shape[0], image.shape[1], rng=rng, scale=scale, ratio=ratio)
    window = resize_to(image[top : top + height, left : left + width], size)
    return np.ascontiguousarray(window[:, ::-1]) if flip and rng.random() < 0.5 else window


def crop_box(
    height: int,
    width: int,
    *,
    rng: np.random.Generator,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[int, int, int, int]:
    """Draws top, left, height and width of a part; the largest central one of an allowed ratio where none fits."""
    area = height * width
    log_ratio = (math.log(ratio[0]), math.log(ratio[1]))
    for _ in range(_TRIES):
        part = area * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(*log_ratio))
        part_width, part_height = round(math.sqrt(part * aspect)), round(math.sqrt(part / aspect))
        if 0 < part_width <= width and 0 < part_height <= height:
            top = int(rng.integers(0, height - part_height + 1))
            left = int(rng.integers(0, width - part_width + 1))
            return top, left, part_height, part_width
    aspect = min(max(width / height, ratio[0]), ratio[1])
    part_width = max(1, min(width, round(height * aspect)))
    part_height = max(1, min(height, round(width / aspect)))
    return (height - part_height) // 2, (width - part_width) // 2, part_height, part_width


def growing_side(epoch: int, *, epochs: float, first: int, last: int) -> int:
    """Side of the training images in an epoch, in pixels: from `first` to `last` in at most five sizes.

    Each size serves an equal share of the epochs, and the last epoch always has full size. Sizes between are multiples
    of 8, so that what strided layers leave of them stays whole.

    Args:
        epoch: Number of the pass, from 0.
        epochs: Passes in all.
        first: Side in the first epochs, at most `last`.
        last: Side in the last epochs.
    """
    steps = min(_MOST_SIZES, int(epochs)) - 1
    between = [8 * round((first + (last - first) * step / steps) / 8) for step in range(1, steps)]
    sides = [first] * (steps > 0) + [side for side in dict.fromkeys(between) if first < side < last] + [last]
    return sides[min(int(epoch / epochs * len(sides)), len(sides) - 1)]


def resize_to(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """uint8[H, W, C] to uint8[size, size, C] with OpenCV: averaging where it shrinks, linear where it enlarges."""
    height, width, channels = image.shape
    if height == width == size:
        return np.ascontiguousarray(image)
    shrinks = height * width > size * size
    scaled = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(scaled, np.uint8).reshape(size, size, channels)
