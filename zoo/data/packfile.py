"""One file that holds the pixels of many images, and an index at its end. Memory-mapped when read.

    bytes 0..7              the mark `zoopack1`
    then                    uint8 pixels, one image after the other, each [H, W, C] in C order
    then                    the index, JSON
    last 56 bytes           offset and length of the index (uint64, little-endian), its SHA-256, the mark again

A file is complete or it does not exist: it is written under another name, flushed to the disk, and renamed. What
was torn all the same (a crash of the machine, a copy cut off) fails the checks at the end and is built again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

import numpy as np

from zoo.contracts.data import BadFile, ImageStore
from zoo.data.cache import cache_write_errors
from zoo.files import temporary_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

MARK = b"zoopack1"
_TAIL = struct.Struct("<QQ32s8s")


@dataclass(frozen=True)
class PackIndex:
    """What is known of each image after it was decoded once.

    Attributes:
        keys: Sample keys of the good images, by position.
        sha256: Hash of the encoded contents, by position.
        sizes: int64[N, 2] height and width of the image as the user has it, in pixels.
        offsets: int64[N] where its pixels start in the file; empty where no pixels are kept.
        shapes: int64[N, 3] height, width and channels of the pixels kept.
        bad: Files that are no images, or cannot be read.
        unreadable: Keys among `bad` whose reading failed, which may be mended without a change of the file.
    """

    keys: tuple[str, ...]
    sha256: tuple[str, ...]
    sizes: NDArray[np.int64]
    offsets: NDArray[np.int64]
    shapes: NDArray[np.int64]
    bad: tuple[BadFile, ...]
    unreadable: frozenset[str]

    def to_json(self) -> bytes:
        """The index as it stands in the file."""
        values = {
            "keys": self.keys,
            "sha256": self.sha256,
            "sizes": self.sizes.tolist(),
            "offsets": self.offsets.tolist(),
            "shapes": self.shapes.tolist(),
            "bad": [[bad.key, bad.reason] for bad in self.bad],
            "unreadable": sorted(self.unreadable),
        }
        return json.dumps(values, separators=(",", ":")).encode("ascii")  # escapes odd names, lone surrogates too

    @classmethod
    def from_json(cls, data: bytes) -> PackIndex:
        """The inverse of `to_json`."""
        values = json.loads(data)
        return cls(
            keys=tuple(values["keys"]),
            sha256=tuple(values["sha256"]),
            sizes=np.array(values["sizes"], np.int64).reshape(-1, 2),
            offsets=np.array(values["offsets"], np.int64),
            shapes=np.array(values["shapes"], np.int64).reshape(-1, 3),
            bad=tuple(BadFile(key, reason) for key, reason in values["bad"]),
            unreadable=frozenset(values["unreadable"]),
        )


class IndexedStore(ImageStore, Protocol):
    """Pixels by position, with what is known of each image."""

    @property
    def index(self) -> PackIndex:
        """What is known of each image."""


class PackedStore:
    """Pixels of a pack file: `store[i]` reads one image, from the system's cache after the first time.

    Read, not mapped: a mapped file counts as this process's memory (a gigabyte for 4,000 photos), and a copy of one
    image costs some tens of microseconds. Any number of threads may read at once.
    """

    def __init__(self, path: Path, index: PackIndex) -> None:
        self.path, self.index = path, index
        self._file = path.open("rb", buffering=0)
        self._lock = threading.Lock()
        self._spans = [
            (start, int(np.prod(shape)), tuple(shape))
            for start, shape in zip(index.offsets.tolist(), index.shapes.tolist(), strict=True)
        ]

    def __len__(self) -> int:
        return len(self._spans)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        start, length, shape = self._spans[index]
        data = self._read(start, length)
        if len(data) != length:
            raise OSError(f"{self.path} ends in the middle of image {index}")
        return np.frombuffer(data, np.uint8).reshape(shape)

    def _read(self, start: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file.fileno(), length, start)
        with self._lock:  # Windows has no call that seeks and reads in one
            self._file.seek(start)
            return self._file.read(length)


class PackWriter:
    """Writes a pack file beside its final name; leaving the `with` block without `finish` removes it.

    Args:
        path: The final name.
        root: The cache folder, for messages.
    """

    def __init__(self, path: Path, *, root: Path) -> None:
        self._path, self._root = path, root
        self._file: BinaryIO | None = None
        self._temporary = path.with_name(temporary_name(path.name))
        self._offset = 0

    def __enter__(self) -> Self:
        with cache_write_errors(self._root):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._temporary.open("xb")
        self._write(MARK)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # the disk may be too full even for what is still buffered
                self._file.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, pixels: NDArray[np.uint8]) -> int:
        """Appends uint8[H, W, C] and returns its offset."""
        offset = self._offset
        self._write(np.ascontiguousarray(pixels).data)
        return offset

    def finish(self, index: PackIndex) -> None:
        """Writes the index and gives the file its name."""
        data = index.to_json()
        tail = _TAIL.pack(self._offset, len(data), hashlib.sha256(data).digest(), MARK)
        self._write(data)
        self._write(tail)
        if self._file is None:
            raise ValueError("finish() belongs inside the with block")
        with cache_write_errors(self._root):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._temporary, self._path)

    def _write(self, data: bytes | memoryview) -> None:
        if self._file is None:
            raise ValueError("a PackWriter is used in a with block")
        with cache_write_errors(self._root):
            self._file.write(data)
        self._offset += len(data) if isinstance(data, bytes) else data.nbytes


def open_pack(path: Path) -> PackedStore | None:
    """Opens a pack file; None where there is none, or one that is torn."""
    try:
        size = path.stat().st_size
        if size < len(MARK) + _TAIL.size:
            return None
        with path.open("rb") as file:
            start = file.read(len(MARK))
            file.seek(size - _TAIL.size)
            offset, length, digest, mark = _TAIL.unpack(file.read(_TAIL.size))
            if (start, mark) != (MARK, MARK) or offset + length + _TAIL.size != size:
                return None
            file.seek(offset)
            data = file.read(length)
        if hashlib.sha256(data).digest() != digest:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the time of the last use decides what goes when the cache is full
        return PackedStore(path, PackIndex.from_json(data))
    except OSError:
        return None
