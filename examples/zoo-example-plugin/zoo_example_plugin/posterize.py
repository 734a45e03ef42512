"""Fewer levels of brightness."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray


class Posterize:
    """Keeps the highest bits of each value and sets the others to zero.

    Args:
        min_bits: Fewest bits that are kept; how many is drawn between this and 8.
        p: Share of images that are changed.
    """

    def __init__(self, *, min_bits: Annotated[int, Ge(1), Le(8)] = 3, p: Annotated[float, Ge(0), Le(1)] = 0.5) -> None:
        self._min_bits, self._p = min_bits, p

    def __call__(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """uint8[H, W, C] to uint8[H, W, C]; all chance comes from `rng`, so that runs can be repeated."""
        if rng.random() >= self._p:
            return image
        dropped = 8 - int(rng.integers(self._min_bits, 9))
        return image >> dropped << dropped
