"""Where decoded pixels are kept between runs, and what happens when they cannot be."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from zoo.errors import UserError
from zoo.files import NO_ROOM

LIMIT_BYTES = 50 * 2**30
"""How much the cache may hold; beyond it, what was not used for longest goes."""

DECODE_ANEW = "data.cache=none, which decodes every image anew in every epoch"
"""How to do without a cache of decoded images."""

_KEPT = ("packs/*.pack*", "archives/*.tar*", "archives/*.tmp-*", "features/*.npy*")
"""What takes room in the cache, with its temporary files."""

_STALE_S = 24 * 3600  # a temporary file that nobody has written to for a day was left by a run that was killed


def cache_root(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The cache folder: the one given, else ZOO_CACHE, else `zoo` in XDG_CACHE_HOME, else `~/.cache/zoo`."""
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    if os.environ.get("ZOO_CACHE"):
        return Path(os.environ["ZOO_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "zoo"


@contextlib.contextmanager
def cache_write_errors(root: Path, *, without: str = DECODE_ANEW) -> Iterator[None]:
    """Gives a failure to write into the cache its message.

    Args:
        root: The cache folder.
        without: How to do without it.

    Raises:
        UserError: The disk is full, or the folder may not be written to.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in NO_ROOM
        raise UserError(
            "the disk is full: the cache cannot be written" if full else f"the cache cannot be written: {error}",
            where=str(root),
            do=[
                "data.cache_dir=PATH (or ZOO_CACHE=PATH), on a disk with more room",
                without,
            ],
        ) from error


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Waits until no other process holds the lock of this file; without effect where the system has no such locks.

    It only saves work: two runs that build the same cache are safe without it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with path.open("ab") as file:
        with contextlib.suppress(OSError):  # some network disks have no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prune(root: Path, *, limit_bytes: int = LIMIT_BYTES, keep: Path | None = None) -> list[Path]:
    """Removes what was not used for longest until the cache holds no more than `limit_bytes`.

    Temporary files of runs that were killed go first. A pack that a running process has open stays readable for it.

    Args:
        root: The cache folder.
        limit_bytes: What may stay.
        keep: A file that is never removed.

    Returns:
        What was removed.
    """
    removed: list[Path] = []
    kept: list[tuple[int, int, Path]] = []
    for path in (path for pattern in _KEPT for path in root.glob(pattern)):
        with contextlib.suppress(OSError):
            status = path.stat()
            if path.name.startswith(".") or ".tmp-" in path.name:  # as zoo names them, and as it did
                if time.time() - status.st_mtime > _STALE_S:
                    path.unlink()
                    removed.append(path)
            else:
                kept.append((status.st_mtime_ns, status.st_size, path))
    total = sum(size for _, size, _ in kept)
    for _, size, path in sorted(kept):
        if total <= limit_bytes:
            break
        if path != keep:
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size
                removed.append(path)
    return removed
