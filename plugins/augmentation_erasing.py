"""Random erasing of one image, before it is normalised. (The regularizer of that name acts on batches, after it.)"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from zoo_plugins.augmentation_adapter import ImageOp
from zoo_plugins.option_checks import check_choice, check_range

from zoo.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TRIES = 10
"""Rectangles drawn before an image stays whole, as in torchvision."""


class RandomErasing(ImageOp):
    """Covers a rectangle of the image.

    Its share of the area ~ U(min_area, max_area), log(height / width) ~ U(-log max_stretch, log max_stretch), its place
    even among those where it fits; an image into which none of ten fits stays whole. An alpha channel is left alone.

    Source: arXiv:1708.04896 (Zhong et al. 2017, algorithm 1). Deviations: the ratio is drawn log-evenly and there are
    ten tries, as in torchvision's `RandomErasing`; `mean` is the image's own mean and not that of a data set.

    Args:
        p: Probability in [0, 1] that an image is changed.
        min_area: Smallest share of the area, above 0.
        max_area: Largest share of the area, from `min_area` to 1.
        max_stretch: Largest ratio of the rectangle's sides, 1 or more; 1 draws squares.
        fill: `noise` draws each value evenly from 0 to 255; `mean` takes the image's mean of each channel; a whole
            number from 0 to 255 fills all channels with it.
    """

    leaves_alpha = True

    def __init__(
        self,
        *,
        p: float = 0.5,
        min_area: float = 0.02,
        max_area: float = 0.4,
        max_stretch: float = 10 / 3,
        fill: int | Literal["noise", "mean"] = "noise",
    ) -> None:
        where = "augmentations.random_erasing"
        check_range(p, where=f"{where}.p", low=0, high=1)
        check_range(min_area, where=f"{where}.min_area", low=0, high=1, above=True)
        check_range(max_area, where=f"{where}.max_area", low=min_area, high=1)
        check_range(max_stretch, where=f"{where}.max_stretch", low=1, high=math.inf)
        if isinstance(fill, str):
            check_choice(fill, where=f"{where}.fill", choices=("noise", "mean"))
        else:
            check_range(fill, where=f"{where}.fill", low=0, high=255)
        self._p, self._areas, self._max_stretch, self._fill = p, (min_area, max_area), max_stretch, fill

    def _change(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        import numpy as np

        height, width = image.shape[:2]
        if self._areas[1] * height * width < 1:
            raise UserError(
                f"random_erasing covers at most {self._areas[1]:g} of an image of {width} x {height} px: no pixel",
                where="augmentations.random_erasing.max_area",
                do=["raise max_area", "leave random_erasing out"],
            )
        own = np.random.default_rng(rng.integers(2**63))  # one draw, as the others take, whatever then happens
        place = self._rectangle(height, width, own=own) if own.random() < self._p else None
        if place is None:
            return image
        erased = image.copy()
        erased[place] = self._filling(image, erased[place].shape, own=own)
        return erased

    def _rectangle(self, height: int, width: int, *, own: np.random.Generator) -> tuple[slice, slice] | None:
        """Rows and columns that are covered, or None where no draw fits."""
        for _ in range(TRIES):
            area = height * width * own.uniform(*self._areas)
            stretch = math.exp(own.uniform(-1, 1) * math.log(self._max_stretch))
            tall, wide = round(math.sqrt(area * stretch)), round(math.sqrt(area / stretch))
            if 1 <= tall <= height and 1 <= wide <= width and (tall, wide) != (height, width):
                top, left = int(own.integers(height - tall + 1)), int(own.integers(width - wide + 1))
                return slice(top, top + tall), slice(left, left + wide)
        return None

    def _filling(
        self, image: NDArray[np.uint8], shape: tuple[int, ...], *, own: np.random.Generator
    ) -> NDArray[np.uint8] | int:
        import numpy as np

        if self._fill == "noise":
            return own.integers(0, 256, shape, dtype=np.uint8)
        if self._fill == "mean":
            return np.rint(image.mean(axis=(0, 1))).astype(np.uint8)
        return int(self._fill)
