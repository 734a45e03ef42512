"""Files that are written whole or not at all, and values that JSON can hold."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import errno
import hashlib
import json
import math
import os
import secrets
import sys
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from pathlib import Path
from typing import Any

from zoo.errors import UserError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a write fails with where there is no room: on the disk, in a user's share of it, or for a file this large."""


def write_bytes(path: Path, content: bytes) -> Path:
    """Replaces a file in one step: a temporary name in the same folder, forced to disk, then renamed.

    Whoever reads it sees the old content or the new, never a part; so does the next start after a power cut.

    Raises:
        UserError: The disk is full, or the folder cannot be written. The old file is still there.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        force_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise write_error(error, path) from error
    return path


def write_text(path: Path, text: str) -> Path:
    """Replaces a text file (UTF-8) in one step.

    Raises:
        UserError: The disk is full, or the folder cannot be written. The old file is still there.
    """
    # File names that are not valid Unicode reach us as surrogates; they are written as the bytes they are.
    return write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: object) -> Path:
    """Replaces a JSON file in one step; `to_plain` says what it may hold.

    Raises:
        UserError: The disk is full, or the folder cannot be written. The old file is still there.
        TypeError: A value that JSON cannot hold.
    """
    return write_text(path, to_json(value, indent=2) + "\n")


def to_json(value: object, *, indent: int | None = None) -> str:
    """JSON text in the order given; every number is one that other readers know (no NaN)."""
    return json.dumps(to_plain(value), indent=indent, allow_nan=False)


def to_plain(value: Any) -> Any:
    """Dataclasses, mappings, sequences, numpy values, paths and times as what JSON holds; NaN and infinity as None.

    Raises:
        TypeError: Anything else.
    """
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    numpy = sys.modules.get("numpy")  # whose values there are only where it was imported
    if numpy is not None and isinstance(value, numpy.generic | numpy.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted(to_plain(item) for item in value)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [to_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no form in JSON: {value!r}")


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: It is not there, cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"{path.name} is missing", where=str(path.parent)) from error
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror or error}", where=str(path)) from error
    except ValueError as error:
        raise UserError(f"{path.name} is no valid JSON: {error}", where=str(path)) from error


def sealed_digest(values: Mapping[str, Any], own: str) -> str:
    """SHA-256 of what a sealing file says, without its hash of itself, whatever the layout of its text.

    Args:
        values: Its content; `sha256` maps file names to hashes.
        own: Its own file name.
    """
    hashes = {name: value for name, value in values["sha256"].items() if name != own}
    text = json.dumps({**values, "sha256": hashes}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def check_sealed(folder: Path, values: Mapping[str, Any], *, own: str, needed: Sequence[str] = ()) -> None:
    """Checks a folder against the hashes that one of its files states, that file's own included.

    Args:
        folder: Where the files lie.
        values: What the sealing file says.
        own: Its own name.
        needed: Files that must be among those that it vouches for.

    Raises:
        UserError: A file is missing, or is not what was saved.
    """
    hashes = values.get("sha256")
    if not isinstance(hashes, dict) or hashes.get(own) != sealed_digest(values, own):
        raise _not_as_saved(folder, own)
    for name in sorted({*needed, *hashes} - {own}):
        path = folder / name
        if not path.is_file():
            raise UserError(
                f"{name} is missing from the saved model", where=str(folder), do="copy the whole folder again"
            )
        if sha256_of(path) != hashes.get(name):
            raise _not_as_saved(folder, name)


def _not_as_saved(folder: Path, name: str) -> UserError:
    return UserError(
        f"{name} is not what was saved: its hash differs, so it was changed or damaged",
        where=str(folder / name),
        do=["copy the whole folder again from where it was saved", "or train again: the run's config.yaml says how"],
    )


def write_error(error: OSError, path: Path, *, keys: str = "run.dir=, output=") -> UserError:
    """The message for a write that failed; `keys` are those with which the user chooses where to write."""
    if error.errno in NO_ROOM:
        return UserError(
            f"the disk is full: {path.name} was not written; what was there before is unchanged",
            where=str(path),
            do=["free some space and run the command again", f"or choose a folder on another disk ({keys})"],
        )
    return UserError(
        f"{path.name} cannot be written: {error.strerror or error}",
        where=str(path),
        do=f"choose a folder that you may write to ({keys})",
    )


def listing_error(error: OSError, folder: str | os.PathLike[str]) -> UserError:
    """The message for a folder of the user's that cannot be listed."""
    return UserError(
        f"folder {os.fspath(folder)!r} cannot be listed: {error.strerror}", do="make it readable, or move it elsewhere"
    )


def temporary_name(name: str) -> str:
    """A hidden name in the same folder that no other process uses. Long names are cut: file systems take 255 bytes."""
    stem = name.encode("utf-8", "surrogateescape")[:200].decode("utf-8", "ignore")
    return f".{stem}.{os.getpid()}-{secrets.token_hex(4)}.tmp"


def force_folder(folder: Path) -> None:
    """Forces a rename to disk where the system lets folders be opened (Windows does not)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
