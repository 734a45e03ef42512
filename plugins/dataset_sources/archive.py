"""Tar and zip files, read in place. Nothing is unpacked; a compressed tar is unzipped, as one file, into the cache."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import hashlib
import lzma
import os
import stat
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from zoo_plugins.dataset_sources.columns import TableOptions
from zoo_plugins.dataset_sources.folder import SPLIT_NAMES, list_folders
from zoo_plugins.dataset_sources.table import TableReader, find_tables
from zoo_plugins.dataset_sources.trees import MemberTree, Tree

from zoo.contracts.data import Sample, Task
from zoo.data.cache import cache_root, cache_write_errors
from zoo.errors import UserError
from zoo.files import temporary_name
from zoo.imaging.decode import SUFFIXES

MAX_MEMBER_BYTES = 2**31
"""Largest member that is read: a zip file of some kilobytes may claim to hold terabytes."""

_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, NotImplementedError)
_COPY_BYTES = 1 << 20


class Archive:
    """A .tar (also .gz, .bz2, .xz) or .zip file of class folders, of a table with its images, or of parquet files.

    Members are read where they are; nothing is written beside the archive, and no member's path is ever used to
    write. A compressed tar cannot be read in any order, so it is unzipped once, as one file, into the cache folder.
    The options for columns act where the archive holds a table, as they do for `table`.

    Args:
        path: The archive.
        image_column: As for `table`.
        label_column: As for `table`.
        split_column: As for `table`.
        group_column: As for `table`.
        label_separator: As for `table`.
        multi_label: As for `table`.
        cache_dir: Folder of the cache; null takes the usual one.
    """

    def __init__(
        self,
        *,
        path: str,
        image_column: str = "auto",
        label_column: str = "auto",
        split_column: str | None = "auto",
        group_column: str | None = "auto",
        label_separator: str = "|",
        multi_label: bool | Literal["auto"] = "auto",
        cache_dir: str | None = None,
    ) -> None:
        full = Path(path).expanduser()
        options = TableOptions(image_column, label_column, split_column, group_column, label_separator, multi_label)
        self.location = str(full)
        self.name = full.resolve().name.split(".")[0] or "archive"
        self._tree = open_archive(full, cache=cache_root(cache_dir))
        self._again = partial(type(self), path=str(full), cache_dir=cache_dir, **dataclasses.asdict(options))
        tables = _tables(self._tree)
        self._reader: TableReader | None = None
        self.task, self.classes = Task.SINGLE_LABEL, tuple[str, ...]()
        if tables:
            self._reader = TableReader(self._tree, tables, options=options, named_shards=True)
            self.task, self.classes = self._reader.task, self._reader.classes
            self.notes, self._samples = self._reader.notes, self._reader.samples
            return
        _refuse_options(options, where=self.location)
        listing = list_folders(self._tree)
        self.notes, self._samples = listing.notes, listing.samples

    def __reduce__(self) -> tuple[Callable[[], Archive], tuple[()]]:
        """A copy for another process opens the file anew: an open one cannot be sent."""
        return self._again, ()

    def samples(self) -> Sequence[Sample]:
        """All images."""
        return self._samples

    def read(self, key: str) -> bytes:
        """The encoded image."""
        return self._tree.read(key) if self._reader is None else self._reader.read(key)


UNZIPPED = "unzip it yourself, and give the .tar: nothing is written for that"
"""How to do without a cache of compressed archives."""


def open_archive(path: Path, *, cache: Path) -> Tree:
    """Lists the members of an archive.

    Args:
        path: The archive, by whose ending it is read.
        cache: Folder into which a compressed tar is unzipped.

    Raises:
        UserError: It is not there, damaged, encrypted, or of no known kind.
    """
    name = path.name.lower()
    if not path.is_file():
        raise UserError(f"no archive at {str(path)!r}", where="data.path")
    try:
        mtime_ns = path.stat().st_mtime_ns
        if name.endswith(".zip"):
            return ZipTree(path, mtime_ns=mtime_ns)
        if name.endswith(".tar"):
            return TarTree(path, location=str(path), mtime_ns=mtime_ns)
        opener = _decompressor(name)
        if opener is not None:
            return TarTree(_unzipped(path, opener, cache=cache), location=str(path), mtime_ns=mtime_ns)
    except (OSError, *_DAMAGED) as error:
        raise UserError(f"the archive cannot be read: {error}", where=str(path), do="fetch or pack it again") from error
    raise UserError(
        f"{path.name!r} is no archive that is read here", allowed=".tar, .tar.gz, .tgz, .tar.bz2, .tar.xz, .zip"
    )


class ZipTree(MemberTree):
    """The members of a zip file."""

    def __init__(self, path: Path, *, mtime_ns: int) -> None:
        self._zip = zipfile.ZipFile(path)
        infos = [info for info in self._zip.infolist() if not info.is_dir()]
        if any(info.flag_bits & 0x1 for info in infos):
            self._zip.close()
            raise UserError("the archive is encrypted", where=str(path), do="unpack it yourself and give the folder")
        plain = [info for info in infos if not stat.S_ISLNK(info.external_attr >> 16)]
        sizes = {info.filename: info.file_size for info in plain}
        super().__init__(str(path), sizes, mtime_ns=mtime_ns, left_out=len(infos) - len(plain))

    def read(self, path: str) -> bytes:
        """The member's contents; safe in many threads at once."""
        info = self._zip.getinfo(self.member(path))
        _check_size(info.file_size)
        try:
            return self._zip.read(info)
        except _DAMAGED as error:
            raise OSError(f"damaged in the archive: {error}") from error


class TarTree(MemberTree):
    """The members of a tar file that is not compressed.

    Args:
        file: The tar file.
        location: What to call it in messages: of an unzipped one the original.
        mtime_ns: Time of the last change of the original.
    """

    def __init__(self, file: Path, *, location: str, mtime_ns: int) -> None:
        # Kept open, so that a cache that is cleared meanwhile takes nothing away.
        self._file = file.open("rb")
        self._close = weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self._offsets: dict[str, tuple[int, int]] = {}
        left_out = 0
        with tarfile.open(fileobj=self._file, mode="r:") as tar:
            for member in tar:
                if member.isreg() and not member.issparse():
                    self._offsets[member.name] = (member.offset_data, member.size)
                elif not member.isdir():
                    left_out += 1
        sizes = {name: size for name, (_, size) in self._offsets.items()}
        super().__init__(location, sizes, mtime_ns=mtime_ns, left_out=left_out)

    def read(self, path: str) -> bytes:
        """The member's contents; safe in many threads at once."""
        offset, size = self._offsets[self.member(path)]
        _check_size(size)
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(size)
        if len(data) < size:
            raise OSError("cut off: the archive ends before the member does")
        return data


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_MEMBER_BYTES:
        raise OSError(f"{size_bytes:,} bytes are more than the {MAX_MEMBER_BYTES:,} that are read of one member")


def _tables(tree: Tree) -> list[str]:
    """The tables that label the images, or none where class folders do.

    Raises:
        UserError: There are several text tables and no class folders.
    """
    images = [info.path.split("/") for info in tree.files if PurePosixPath(info.path).suffix.lower() in SUFFIXES]
    folders = {tuple(parts[:-1]) for parts in images}
    only_splits = all(parts and parts[-1].lower() in SPLIT_NAMES for parts in folders)
    return find_tables(tree.files) if len(folders) < 2 or only_splits else []


def _refuse_options(options: TableOptions, *, where: str) -> None:
    """An option that can have no effect is an error."""
    default = TableOptions()
    for name in TableOptions.__dataclass_fields__:
        if getattr(options, name) != getattr(default, name):
            raise UserError(
                f"data.{name}={getattr(options, name)!r} has no effect: the archive holds class folders and no table",
                where=where,
                do=f"leave data.{name} out",
            )


def _decompressor(name: str) -> Callable[[Path], IO[bytes]] | None:
    openers: dict[tuple[str, ...], Callable[[Path], Any]] = {
        (".tar.gz", ".tgz"): gzip.open,
        (".tar.bz2", ".tbz2"): bz2.open,
        (".tar.xz", ".txz"): lzma.open,
    }
    return next((opener for endings, opener in openers.items() if name.endswith(endings)), None)


def _unzipped(path: Path, opener: Callable[[Path], IO[bytes]], *, cache: Path) -> Path:
    """The tar without its compression, in the cache under a name made of the archive's path, size and time."""
    status = path.stat()
    identity = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    folder = cache / "archives"
    target = folder / (hashlib.sha256(os.fsencode(identity)).hexdigest()[:32] + ".tar")
    if target.is_file():
        os.utime(target)
        return target
    temporary = target.with_name(temporary_name(target.name))
    with cache_write_errors(cache, without=UNZIPPED):
        folder.mkdir(parents=True, exist_ok=True)
        out = temporary.open("xb")
    try:
        with out, opener(path) as source:
            while chunk := source.read(_COPY_BYTES):
                with cache_write_errors(cache, without=UNZIPPED):
                    out.write(chunk)
            with cache_write_errors(cache, without=UNZIPPED):
                out.flush()
                os.fsync(out.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
