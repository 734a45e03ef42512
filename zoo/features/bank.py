"""The feature bank: what a frozen backbone says of every image, computed once and kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FeatureBank:
    """Features of all images of a data bundle.

    Attributes:
        features: float32[N, D], by position in the bundle.
        cached: Whether they were read from the cache rather than computed.
    """

    features: NDArray[np.float32]
    cached: bool


def bank_key(facts: Mapping[str, Any]) -> str:
    """Name of a bank: a hash over everything that the features depend on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def load_or_compute(
    key: str,
    *,
    folder: Path | None,
    count: int,
    compute: Callable[[], tuple[NDArray[np.float32], NDArray[np.int64]]],
    write: bool = True,
    everywhere: Callable[[bool], bool] = bool,
) -> FeatureBank:
    """The bank of this key from the cache, or computed and kept there.

    Args:
        key: From `bank_key`.
        folder: Cache folder; None keeps nothing.
        count: Number of images; a cached bank of another size is torn and computed anew.
        compute: One pass of the backbone: features and the positions they belong to, sorted, all of them.
        write: Whether this process may write (one of several does).
        everywhere: Whether something holds in all processes that run this together. They compute together or not at
            all: a bank that another run finishes between two looks, or that lies on one machine of several, would
            leave those that did not find it waiting for the others.

    Raises:
        ValueError: The pass left images out.
    """
    file = None if folder is None else folder / f"{key}.npy"
    if file is not None:
        kept = _read(file, count)
        if everywhere(kept is not None) and kept is not None:
            with contextlib.suppress(OSError):
                os.utime(file)  # the time of the last use decides what goes when the cache is full
            return FeatureBank(kept, cached=True)
    features, positions = compute()
    if len(positions) != count or not np.array_equal(positions, np.arange(count)):
        raise ValueError(f"the pass gave features of {len(positions)} images, not of {count}")
    if file is not None and write:
        _write(file, features)
    return FeatureBank(features, cached=False)


def _read(file: Path, count: int) -> NDArray[np.float32] | None:
    try:
        kept = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return kept if kept.ndim == 2 and len(kept) == count and kept.dtype == np.float32 else None


def _write(file: Path, features: NDArray[np.float32]) -> None:
    """Under a temporary name, then renamed: two runs at once both leave a whole file.

    A cache that cannot be written (full disk, read-only home) costs the next run a pass, and this one nothing.
    """
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with new.open("wb") as handle:
            np.save(handle, features)
        new.replace(file)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
