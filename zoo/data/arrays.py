"""Data that are numbers and no images: checked once, kept in memory, handed on as they are."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

import numpy as np

from zoo.contracts.data import ArraySource, BadFile, DataSource
from zoo.data.packfile import PackIndex
from zoo.errors import PluginError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo.data.listing import Listing


class ArrayStore:
    """Arrays by position, as a batch wants them: `store[i]` is float32[S, S, C]."""

    def __init__(self, values: NDArray[np.float32], index: PackIndex) -> None:
        self.index = index
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        row: NDArray[np.float32] = self._values[index]
        return row


def holds_arrays(source: DataSource) -> bool:
    """Whether a source has numbers instead of images."""
    return hasattr(source, "arrays")


def arrays_of(source: DataSource) -> NDArray[np.float32]:
    """float32[N, C, S, S] of a source that holds arrays, row i for sample i.

    Raises:
        PluginError: It breaks its contract.
    """
    values = cast(ArraySource, source).arrays()
    count = len(source.samples())
    if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.ndim != 4:
        got = f"{values.dtype}{list(values.shape)}" if isinstance(values, np.ndarray) else type(values).__name__
        raise PluginError(f"data source {source.name!r} has arrays of {got}, not float32[N, C, S, S]")
    if len(values) != count or values.shape[1] < 1 or values.shape[2] < 1 or values.shape[2] != values.shape[3]:
        raise PluginError(
            f"data source {source.name!r} has arrays of shape {list(values.shape)} for {count} samples, not "
            f"[{count}, C, S, S]"
        )
    return values


def read_arrays(listing: Listing, source: DataSource) -> ArrayStore:
    """The arrays of a listing's samples, in their order; rows that are not finite are bad."""
    row_of = {sample.key: row for row, sample in enumerate(source.samples())}
    rows = np.array([row_of[sample.key] for sample in listing.samples], np.int64)
    values = arrays_of(source)[rows]
    finite = np.logical_and.reduce(np.isfinite(values), axis=(1, 2, 3))
    keys = [sample.key for sample in listing.samples]
    kept = np.ascontiguousarray(values[finite].transpose(0, 2, 3, 1))
    kept.setflags(write=False)
    side = listing.median_side_px
    index = PackIndex(
        keys=tuple(key for key, good in zip(keys, finite, strict=True) if good),
        sha256=tuple(hashlib.sha256(row.tobytes()).hexdigest() for row in kept),
        sizes=np.full((len(kept), 2), side, np.int64),
        offsets=np.empty(0, np.int64),
        shapes=np.tile(np.array(kept.shape[1:], np.int64), (len(kept), 1)),
        bad=tuple(BadFile(key, "a number is not finite") for key, good in zip(keys, finite, strict=True) if not good),
        unreadable=frozenset(),
    )
    return ArrayStore(kept, index)
