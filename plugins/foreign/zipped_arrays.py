"""Reads .npz files strictly: no pickles, no sizes that the file does not hold, no bombs."""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from zoo.errors import UserError

_MOST_GROWTH = 100
"""How much larger than its file the content may be; weights hardly compress, and zeros do by a thousand."""

_SMALL_BYTES = 1 << 26
"""Up to this size any growth is harmless."""

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file by name.

    Args:
        path: The file.

    Raises:
        UserError: The file is torn, is no .npz, holds Python objects, or states sizes that it does not hold.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_growth(archive, path)
            for entry in archive.infolist():
                _check_entry(archive, entry, path)
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"this file cannot be read as numpy arrays: {reason[:200]}",
            where=str(path),
            do="it may be torn or of another format: fetch it again",
        ) from error


def _check_growth(archive: zipfile.ZipFile, path: Path) -> None:
    total = sum(entry.file_size for entry in archive.infolist())
    if total > max(_SMALL_BYTES, _MOST_GROWTH * path.stat().st_size):
        raise UserError(
            f"this file of {path.stat().st_size} bytes says it holds {total}",
            where=str(path),
            do="write it without compression if these are weights: numpy.savez",
        )


def _check_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """Compares the shape that an array's header states with the bytes behind it."""
    with archive.open(entry) as stream:
        version = npy.read_magic(stream)
        if version not in _HEADERS:
            raise UserError(f"{entry.filename} has the unknown .npy version {version}", where=str(path))
        shape, _, dtype = _HEADERS[version](stream)
        left = entry.file_size - stream.tell()
    if dtype.hasobject:
        raise UserError(
            f"{entry.filename} holds Python objects, which are a pickle: reading it would run code",
            where=str(path),
            allowed="arrays of numbers",
            do="where it comes from, write each array of the list by itself: numpy.savez('model.npz', *values)",
        )
    if math.prod(shape) * dtype.itemsize != left:
        raise UserError(
            f"{entry.filename} says it has {' x '.join(map(str, shape))} values in {left} bytes", where=str(path)
        )
