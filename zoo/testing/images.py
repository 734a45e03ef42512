"""Images to try things on: smooth colours, an edge and some noise, the same at every call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNELS = (3, 1, 4)
"""Numbers of channels that data can have, the usual one first."""


def picture(number: int = 0, *, side: int = 32, channels: int = 3) -> NDArray[np.uint8]:
    """uint8[side, side, channels], contiguous and writable; another image for each number."""
    rng = np.random.Generator(np.random.PCG64(number))
    y, x = np.mgrid[0:side, 0:side] / max(1, side - 1)
    waves = [np.sin(6.3 * (x * rng.uniform(0.3, 2) + y * rng.uniform(0.3, 2) + rng.random())) for _ in range(channels)]
    values = 127.5 + 80 * np.stack(waves, axis=2) + rng.normal(0, 12, (side, side, channels))
    values[side // 4 : side // 2, side // 3 : side // 2 + 1] = rng.integers(0, 256, channels)
    return np.ascontiguousarray(np.clip(values, 0, 255).astype(np.uint8))
