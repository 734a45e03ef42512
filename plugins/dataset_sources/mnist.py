"""All 70,000 MNIST digits, with the published split: from a folder, or fetched once."""

from __future__ import annotations

import functools
import gzip
import hashlib
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.contracts.data import Sample, Task
from zoo.data.cache import cache_root
from zoo.errors import UserError
from zoo.files import write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ADDRESS = "https://ossci-datasets.s3.amazonaws.com/mnist/"
"""Where torchvision fetches it, too."""

TIMEOUT_S = 20.0
IMAGES, LABELS = 0x0803, 0x0801  # the first four bytes of an idx file: uint8, and three axes or one


@dataclass(frozen=True)
class Part:
    """The files of one half of MNIST, with the MD5 of their compressed form as torchvision publishes it."""

    split: str
    images: str
    images_md5: str
    labels: str
    labels_md5: str


PARTS = (
    Part(
        "train",
        *("train-images-idx3-ubyte", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        *("train-labels-idx1-ubyte", "d53e105ee54ea40749a09fcbcd1e9432"),
    ),
    Part(
        "test",
        *("t10k-images-idx3-ubyte", "9fb629c4189551a2d022fa330f9573f3"),
        *("t10k-labels-idx1-ubyte", "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
)


class Mnist:
    """60,000 scans of 28 x 28 px to train on, of which validation takes its share, and the 10,000 that test.

    The four files (11 MB) are fetched once into the cache, and compared with their published hashes. With `path`
    nothing is fetched.

    Source: LeCun, Cortes, Burges, The MNIST database of handwritten digits; address and hashes are those of torchvision
    0.29, `torchvision.datasets.MNIST`.

    Args:
        path: A folder with the four idx files, with or without `.gz`; null takes the cache, or the network.
        cache_dir: Folder of the cache; null takes the usual one.
    """

    name = "mnist"
    task = Task.SINGLE_LABEL
    classes = tuple("0123456789")
    notes: tuple[str, ...] = ()

    def __init__(self, *, path: str | None = None, cache_dir: str | None = None) -> None:
        self._cache = cache_root(cache_dir)
        self._folder = None if path is None else Path(path).expanduser()
        if self._folder is not None and not self._folder.is_dir():
            raise UserError(
                f"{str(self._folder)!r} is not a folder",
                where="data.path",
                allowed="a folder with " + ", ".join(name for part in PARTS for name in (part.images, part.labels)),
                do="leave data.path out to fetch them",
            )
        self.location = "mnist" if self._folder is None else str(self._folder)

    def samples(self) -> Sequence[Sample]:
        """All scans, train before test, in the order of the files; `size_bytes` is that of the pixels."""
        found = []
        for part, (images, labels) in self._halves.items():
            size = images[0].size
            found += [
                Sample(f"mnist/{part}/{i:05d}", (str(label),), part, size_bytes=size)
                for i, label in enumerate(labels.tolist())
            ]
        return found

    def read(self, key: str) -> NDArray[np.uint8]:
        """uint8[28, 28, 1], the ink as high values, as in the original."""
        _, part, number = key.split("/")
        return self._halves[part][0][int(number)]

    @functools.cached_property
    def _halves(self) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """Split to uint8[N, 28, 28, 1] and uint8[N]."""
        return {part.split: self._half(part) for part in PARTS}

    def _half(self, part: Part) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        images = read_idx(self._file(part.images, part.images_md5), kind=IMAGES)
        labels = read_idx(self._file(part.labels, part.labels_md5), kind=LABELS)
        if len(images) != len(labels) or not len(images) or labels.max() > 9:
            raise UserError(
                f"these files are not MNIST: {len(images)} images, {len(labels)} labels, the highest "
                f"{labels.max(initial=0)}",
                where=self.location,
            )
        return images[..., None], labels

    def _file(self, name: str, md5: str) -> Path:
        """The file in the user's folder, or in the cache, or fetched into it.

        Raises:
            UserError: It is not in the folder, or cannot be fetched.
        """
        if self._folder is None:
            return fetched(f"{name}.gz", md5, cache=self._cache)
        for path in (self._folder / name, self._folder / f"{name}.gz"):
            if path.is_file():
                return path
        raise UserError(
            f"no file {name} or {name}.gz", where=f"data.path={self._folder}", do="leave data.path out to fetch it"
        )


def fetched(name: str, md5: str, *, cache: Path) -> Path:
    """A file of MNIST in the cache; fetched where it is not there, or was changed.

    Raises:
        UserError: There is no way to fetch it, what came is something else, or the cache cannot be written.
    """
    path = cache / "mnist" / name
    if path.is_file() and _md5(path.read_bytes()) == md5:
        return path
    ways = [
        "data=mnist5k: 5,000 of the digits, with no network",
        "data=mnist data.path=DIR: a folder with the four idx files of MNIST",
    ]
    try:
        with urllib.request.urlopen(ADDRESS + name, timeout=TIMEOUT_S) as answer:
            content: bytes = answer.read()
    except OSError as error:
        raise UserError(
            f"MNIST is not in the cache ({path.parent}) and cannot be fetched: {error}",
            where=f"data=mnist, {ADDRESS}{name}",
            do=ways,
        ) from error
    if _md5(content) != md5:
        raise UserError(
            f"what was fetched is not MNIST: MD5 {_md5(content)}, not {md5}",
            where=f"data=mnist, {ADDRESS}{name}",
            do=ways,
        )
    return write_bytes(path, content)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def read_idx(path: Path, *, kind: int) -> NDArray[np.uint8]:
    """The array of an idx file of bytes, with or without gzip: uint8[N] or uint8[N, H, W].

    Source: the format at the end of the page of the MNIST database: a number of four bytes that says type and axes, the
    length of each axis (uint32, big-endian), then the values, the last axis fastest.

    Raises:
        UserError: It is no such file.
    """
    import numpy as np

    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot be read: {error}", where=str(path)) from error
    axes = kind & 0xFF
    start = 4 + 4 * axes
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], ">u4")) if len(content) >= start else ()
    if int.from_bytes(content[:4], "big") != kind or len(content) - start != int(np.prod(shape, dtype=np.int64)):
        what = "images" if kind == IMAGES else "labels"
        raise UserError(f"this is no whole idx file of {what}", where=str(path), do="fetch it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
