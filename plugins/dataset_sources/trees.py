"""Files by relative path, whether they lie in a folder or in an archive. Nothing is ever written here."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from zoo.files import listing_error

_JUNK = frozenset(("__macosx", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information"))
"""Names that operating systems and network disks leave in users' folders, in lower case."""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One file: its path within the tree (with `/`), size and time of the last change."""

    path: str
    size_bytes: int
    mtime_ns: int


class Tree(Protocol):
    """A folder or an archive."""

    @property
    def location(self) -> str:
        """Its path, for messages."""

    @property
    def files(self) -> Sequence[FileInfo]:
        """All files that are no junk, sorted by path."""

    @property
    def folders(self) -> Sequence[str]:
        """All folders that are no junk, sorted by path, the root left out."""

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each thing that was left out."""

    def find(self, path: str) -> FileInfo | None:
        """The file of this path, or None where there is none."""

    def read(self, path: str) -> bytes:
        """The file's contents.

        Raises:
            OSError: It cannot be read.
        """

    def open(self, path: str) -> BinaryIO:
        """The file, to be read in any order."""


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name is none of the user's images: dot files and what systems leave behind."""
    return name.startswith(".") or name.lower() in _JUNK


class DiskTree:
    """A folder. Symbolic links are followed, except one that leads back to a folder that contains it.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.location = str(root)
        self.notes: tuple[str, ...] = ()
        self._listed: tuple[list[FileInfo], list[str]] | None = None

    @property
    def files(self) -> Sequence[FileInfo]:
        """All files that are no junk, sorted by path."""
        return self._list()[0]

    @property
    def folders(self) -> Sequence[str]:
        """All folders that are no junk, sorted by path."""
        return self._list()[1]

    def find(self, path: str) -> FileInfo | None:
        """The file of this path, which may lie outside the folder: a table's paths may lead anywhere."""
        try:
            status = os.stat(os.path.join(self.root, path))
        except (OSError, ValueError):
            return None
        return FileInfo(path, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None

    def read(self, path: str) -> bytes:
        """The file's contents."""
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:
        """The file; one that would block for ever (a pipe) or has no end (a device) is an OSError."""
        full = os.path.join(self.root, path)
        try:
            if not stat.S_ISREG(os.stat(full).st_mode):
                raise OSError("not a regular file")
            return open(full, "rb")
        except ValueError as error:  # a NUL in a table's path
            raise OSError(str(error)) from error

    def _list(self) -> tuple[list[FileInfo], list[str]]:
        if self._listed is None:
            files: list[FileInfo] = []
            folders: list[str] = []
            for entry, path in _walk(self.root):
                if isinstance(entry, os.stat_result):
                    files.append(FileInfo(path, entry.st_size, entry.st_mtime_ns))
                else:
                    folders.append(path)
            self._listed = sorted(files, key=lambda info: info.path), sorted(folders)
        return self._listed


def _walk(root: Path) -> Iterator[tuple[os.stat_result | None, str]]:
    """Yields (status, path) of each file and (None, path) of each folder below `root`.

    Raises:
        UserError: A folder may not be listed.
    """
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while pending:
        folder, above = pending.pop()
        full = os.path.join(root, folder)
        try:
            status = os.stat(full)
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                continue
            with os.scandir(full) as found:
                entries = [entry for entry in found if not is_junk(entry.name)]
        except OSError as error:
            raise listing_error(error, full) from error
        if folder:
            yield None, folder
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            try:
                entry_status = entry.stat()
            except OSError:  # a link that leads nowhere, or to itself
                continue
            if stat.S_ISDIR(entry_status.st_mode):
                pending.append((path, above | {identity}))
            elif stat.S_ISREG(entry_status.st_mode):
                yield entry_status, path


class MemberTree:
    """The members of an archive, read in place.

    Args:
        location: Path of the archive, for messages.
        sizes: Member path to size in bytes, as the archive lists them.
        mtime_ns: Time of the archive's last change, which stands for all members.
        left_out: Members that are no regular files (links, devices).
    """

    def __init__(self, location: str, sizes: dict[str, int], *, mtime_ns: int, left_out: int) -> None:
        self.location = location
        self._members: dict[str, str] = {}
        outside: list[str] = []
        for member in sizes:
            parts = [part for part in member.replace("\\", "/").split("/") if part not in ("", ".")]
            if member.startswith(("/", "\\")) or ".." in parts or (parts and parts[0].endswith(":")):
                outside.append(member)
            elif parts and not any(is_junk(part) for part in parts):
                self._members["/".join(parts)] = member
        self.files: Sequence[FileInfo] = [
            FileInfo(path, sizes[member], mtime_ns) for path, member in sorted(self._members.items())
        ]
        parents = {path.rpartition("/")[0] for path in self._members}
        self.folders: Sequence[str] = sorted(
            {"/".join(parent.split("/")[: i + 1]) for parent in parents if parent for i in range(parent.count("/") + 1)}
        )
        self._by_path = {info.path: info for info in self.files}
        self.notes = _left_out_notes(outside, left_out)

    def find(self, path: str) -> FileInfo | None:
        """The member of this path."""
        return self._by_path.get(path)

    def member(self, path: str) -> str:
        """The name under which the archive lists it.

        Raises:
            OSError: The archive has no such member.
        """
        if path not in self._members:
            raise FileNotFoundError("no such member in the archive")
        return self._members[path]

    def read(self, path: str) -> bytes:
        """The member's contents."""
        raise NotImplementedError

    def open(self, path: str) -> BinaryIO:
        """The member, held in memory: members of compressed archives cannot be read in any order."""
        return io.BytesIO(self.read(path))


def _left_out_notes(outside: list[str], links: int) -> tuple[str, ...]:
    notes = []
    if outside:
        notes.append(f"left out {len(outside)} members whose paths lead out of the archive (first: {outside[0]!r})")
    if links:
        notes.append(f"left out {links} members that are links or devices")
    return tuple(notes)
