"""`data=PATH`: which data source reads a path, judged by a look at it. Imports nothing heavy."""

from __future__ import annotations

import os
from pathlib import Path

from zoo.errors import UserError, name_list
from zoo.files import listing_error

_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")
_SPLITS = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))
_ALLOWED = f"a folder, or a file ending in {', '.join(_TABLES + _ARCHIVES)}"


def source_name_for(path: Path) -> str:
    """The data source that reads a path: `folder`, `table` or `archive`.

    A folder with parquet files (in itself or its data/) is a table, and so is one with a single text table and no
    class folders. Every other folder is read as class folders.

    Raises:
        UserError: There is no such path (the nearest names beside it are listed), it or a folder in it cannot be read,
            or its ending means nothing.
    """
    if str(path).startswith("hf:") and not path.exists():
        raise UserError(
            f"data={path}: data sets from the hub are read by a plugin, and none is installed",
            allowed=_ALLOWED,
            do="pip install a plugin that offers the dataset `hf`, or download the data and give its path",
        )
    if not path.exists():
        raise _not_there(path)
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise UserError(f"{str(path)!r} may not be read", where="data", do="change its permissions")
    if path.is_dir():
        return _folder_kind(path)
    name = path.name.lower()
    if name.endswith(_ARCHIVES):
        return "archive"
    if name.endswith(_TABLES):
        return "table"
    raise UserError(
        f"{str(path)!r} is no kind of data that is known",
        where="data",
        allowed=_ALLOWED,
        do="give the folder that holds one folder for each class, or a table of paths and labels",
    )


def _folder_kind(path: Path) -> str:
    visible = _visible(path)
    inner = path / "data"
    names = [entry.name.lower() for entry in visible]
    below = [entry.name.lower() for entry in _visible(inner)] if inner.is_dir() else []
    if any(name.endswith(".parquet") for name in names + below):
        return "table"
    tables = [name for name in names if name.endswith(_TABLES) and not name.startswith("classes.")]
    class_folders = [entry.name for entry in visible if entry.is_dir() and entry.name.lower() not in _SPLITS]
    split_folders = [entry.path for entry in visible if entry.is_dir() and entry.name.lower() in _SPLITS]
    nested = any(entry.is_dir() for folder in split_folders for entry in _visible(folder))
    return "table" if len(tables) == 1 and len(class_folders) < 2 and not nested else "folder"


def _visible(folder: str | Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, without dot files.

    Raises:
        UserError: It cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise listing_error(error, folder) from error


def _not_there(path: Path) -> UserError:
    """Looks where the path stops existing, and lists what is there."""
    parent = path.parent
    while not parent.exists() and parent != parent.parent:
        parent = parent.parent
    missing = path.relative_to(parent).parts[0] if path != parent else path.name
    try:
        there = [name for name in os.listdir(parent) if not name.startswith(".")]
    except OSError:
        there = []
    return UserError(
        f"no file or folder {str(path)!r}",
        where=f"data; the nearest folder that is there: {str(parent.resolve())!r}",
        allowed=name_list(missing, there),
        do="correct the path, or quote it if it holds spaces",
    )
