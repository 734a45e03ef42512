"""Which column of a table is what, and what its values mean."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from zoo_plugins.dataset_sources.folder import SPLIT_NAMES
from zoo_plugins.dataset_sources.rows import Rows

from zoo.errors import UserError, name_list

_IMAGE_NAMES = (
    "image",
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image_path",
    "img",
    "image_id",
)
_LABEL_NAMES = ("label", "labels", "class", "classes", "category", "target", "tag", "tags", "class_name", "y")
_SPLIT_COLUMN_NAMES = ("split", "subset", "partition")
_GROUP_COLUMN_NAMES = ("group", "groups", "group_id")
_SHARD = re.compile(rf"({'|'.join(SPLIT_NAMES)})(?=[-_.])", re.IGNORECASE)


@dataclass(frozen=True)
class TableOptions:
    """Which column is what; `auto` goes by the usual names."""

    image_column: str = "auto"
    label_column: str = "auto"
    split_column: str | None = "auto"
    group_column: str | None = "auto"
    label_separator: str = "|"
    multi_label: bool | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        """Refuses what no table can be read with."""
        if not self.label_separator:
            raise UserError(
                "data.label_separator is empty: nothing stands between two labels",
                where="data.label_separator",
                allowed="one or more characters",
                do=["'data.label_separator=\" \"' for a space", "data.multi_label=false, where an image has one label"],
            )


@dataclass(frozen=True)
class ChosenColumns:
    """Which column is what, in one table."""

    image: str
    label: str
    split: str | None
    group: str | None


def choose_columns(table: Rows, options: TableOptions, *, where: str) -> ChosenColumns:
    """Finds the columns by their options or their usual names.

    Raises:
        UserError: A column is not there, or none has a usual name.
    """
    place = f"{where}/{table.path}"
    split = _pick(options.split_column, _SPLIT_COLUMN_NAMES, table=table, where=place)
    group = _pick(options.group_column, _GROUP_COLUMN_NAMES, table=table, where=place)
    image = _pick(options.image_column, _IMAGE_NAMES, table=table, where=place)
    if image is None and len(table.embedded) == 1:
        image = next(iter(table.embedded))
    label = _pick(options.label_column, _LABEL_NAMES, table=table, where=place)
    rest = [name for name in table.columns if name not in (split, group, image)]
    if label is None and image is not None and len(rest) == 1:
        label = rest[0]
    for what, found in (("image", image), ("label", label)):
        if found is None:
            raise UserError(
                f"no column of the table has a usual name for the {what}",
                where=place,
                allowed=name_list(what, table.columns),
                do=f"data.{what}_column=NAME",
            )
    if image is None or label is None or image == label:
        raise UserError(f"column {image!r} cannot be both image and label", where=place)
    return ChosenColumns(image, label, split, group)


def _pick(wanted: str | None, usual: Sequence[str], *, table: Rows, where: str) -> str | None:
    """The named column, or for `auto` the first of the usual names that the table has."""
    if wanted is None:
        return None
    if wanted != "auto":
        check_column(wanted, table, where=where)
        return wanted
    by_lower = {name.lower(): name for name in reversed(table.columns)}
    return next((by_lower[name] for name in usual if name in by_lower), None)


def check_column(name: str, table: Rows, *, where: str) -> None:
    """Raises UserError, with the columns that there are, where the table has no such column."""
    if name not in table.columns:
        raise UserError(f"no column named {name!r}", where=where, allowed=name_list(name, table.columns))


def shard_splits(files: Sequence[str]) -> dict[str, str]:
    """File to split by name (`train-00000-of-00004.parquet`) or folder (`train/0.parquet`).

    Raises:
        UserError: Some files say a split and others do not.
    """
    found: dict[str, str] = {}
    for path in files:
        match = _SHARD.match(posixpath.basename(path))
        word = match.group(1) if match else posixpath.basename(posixpath.dirname(path))
        if word.lower() in SPLIT_NAMES:
            found[path] = SPLIT_NAMES[word.lower()]
    if found and len(found) < len(files):
        silent = next(path for path in files if path not in found)
        raise UserError(
            f"some parquet files say their split by name, and {silent!r} does not",
            allowed="names that start with train-, validation- or test-",
            do="rename it, or give the path of one file",
        )
    return found


def split_name(value: Any, *, where: str) -> str | None:
    """`train`, `val` or `test` for a table's word, None for an empty one.

    Raises:
        UserError: The word means no split.
    """
    if value is None or value == "":
        return None
    split = SPLIT_NAMES.get(str(value).strip().lower())
    if split is None:
        raise UserError(f"unknown split {value!r}", where=where, allowed="train, val (valid, validation), test")
    return split


def label_text(value: Any, names: tuple[str, ...], *, where: str) -> str:
    """A label as text: numbers by their name where there are names, whole floats as integers."""
    if value is None:
        return ""
    if isinstance(value, float) and value != value:  # a missing number
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, float | dict | list | bytes):
        raise UserError(f"label {value!r} is neither text nor a whole number", where=where)
    if names and isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < len(names):
            raise UserError(f"label {value} has no name", where=where, allowed=f"0 to {len(names) - 1}")
        return names[value]
    return str(value).lower() if isinstance(value, bool) else str(value).strip()
