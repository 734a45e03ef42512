"""The handwritten digits that scikit-learn carries: real scans for a first run with no file and no network."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.contracts.data import Sample, Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Digits:
    """1,797 scans of 8 x 8 px in 17 shades of gray, ten classes, no splits.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998
    (its test part); the values 0..16 are spread over 0..255.
    """

    name = "digits"
    location = "digits (scikit-learn)"
    task = Task.SINGLE_LABEL
    classes = tuple("0123456789")
    notes: tuple[str, ...] = ()

    def samples(self) -> Sequence[Sample]:
        """All scans in the order of the file; `size_bytes` is that of the pixels."""
        labels = self._arrays[1].tolist()
        return [Sample(f"digits/{i:04d}", (str(label),), size_bytes=64) for i, label in enumerate(labels)]

    def read(self, key: str) -> NDArray[np.uint8]:
        """uint8[8, 8, 1], the ink as high values, as in the original."""
        return self._arrays[0][int(key.removeprefix("digits/"))]

    @functools.cached_property
    def _arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """uint8[1797, 8, 8, 1] and int64[1797]."""
        import numpy as np
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        scaled = np.round(images.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
        return scaled, labels.astype(np.int64)
