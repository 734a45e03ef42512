"""Tables that say which image has which label: CSV, JSON lines, parquet, and parquet with the images inside."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from zoo_plugins.dataset_sources.columns import (
    TableOptions,
    check_column,
    choose_columns,
    label_text,
    shard_splits,
    split_name,
)
from zoo_plugins.dataset_sources.folder import TABLE_SUFFIXES
from zoo_plugins.dataset_sources.rows import Rows, open_rows
from zoo_plugins.dataset_sources.trees import DiskTree, FileInfo, Tree

from zoo.contracts.data import Sample, Task
from zoo.errors import UserError


class Table:
    """A CSV, TSV, JSON-lines or parquet file, or a folder of parquet files named `train-*`, `validation-*`, `test-*`.

    Paths are relative to the table's folder. A path that leads nowhere is listed and cannot be read, which puts it
    into quarantine. Images may lie in a parquet file as bytes or as `{bytes, path}`; numbers are then named by the
    file's metadata, or by the lines of a `classes.tsv` or `classes.txt` beside it. Spaces around labels are removed.

    Args:
        path: The file or folder.
        image_column: Column of the images or their paths; `auto` takes one of the usual names (image, path, file...).
        label_column: Column of the labels; `auto` takes one of the usual names (label, class, category...).
        split_column: Column that says train, val (valid, validation) or test; `auto` takes one named split, subset or
            partition; null ignores it.
        group_column: Column of what must not be torn apart by a split (a patient, a video); `auto` takes one named
            group; null ignores it.
        label_separator: What stands between the labels of one image.
        multi_label: Whether an image may have any number of labels; `auto` says so where the separator occurs.
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
    ) -> None:
        full = Path(path).expanduser()
        options = TableOptions(image_column, label_column, split_column, group_column, label_separator, multi_label)
        if full.is_dir():
            tree = DiskTree(full)
            files = find_tables(tree.files)
        else:
            tree = DiskTree(full.parent)
            files = [full.name]
        if not files or not (full.is_dir() or full.is_file()):
            raise UserError(
                f"no table at {path!r}", where="data.path", allowed="a file or folder of " + ", ".join(TABLE_SUFFIXES)
            )
        self.location = str(full)
        self.name = full.resolve().stem or "table"
        self._reader = TableReader(tree, files, options=options, named_shards=full.is_dir())
        self.task, self.classes, self.notes = self._reader.task, self._reader.classes, self._reader.notes

    def samples(self) -> Sequence[Sample]:
        """One for each row, in the order of the rows."""
        return self._reader.samples

    def read(self, key: str) -> bytes:
        """The encoded image."""
        return self._reader.read(key)


def find_tables(files: Iterable[FileInfo]) -> list[str]:
    """The parquet files of the topmost folder that has any (or of its data/), else the one text table at the top.

    Raises:
        UserError: There are several text tables.
    """
    paths = [info.path for info in files if PurePosixPath(info.path).suffix.lower() in TABLE_SUFFIXES]
    paths = [path for path in paths if PurePosixPath(path).stem.lower() != "classes"]
    parquet = _topmost([path for path in paths if path.lower().endswith(".parquet")])
    text = _topmost([path for path in paths if not path.lower().endswith(".parquet")])
    if parquet and (not text or parquet[0].count("/") <= text[0].count("/") + 1):
        return parquet
    if len(text) > 1:
        raise UserError(
            f"{len(text)} tables lie there, and one is wanted",
            allowed=", ".join(text),
            do="give the path of one of them",
        )
    return text


def _topmost(paths: Sequence[str]) -> list[str]:
    depth = min((path.count("/") for path in paths), default=0)
    return [path for path in paths if path.count("/") == depth]


@dataclass
class _Gathered:
    """Samples as they are read, by key."""

    samples: dict[str, Sample] = field(default_factory=dict)
    places: dict[str, tuple[Rows, int]] = field(default_factory=dict)
    repeated: int = 0
    unlabelled: int = 0


class TableReader:
    """Reads the rows of one or more tables of the same columns into samples.

    Args:
        tree: Where the tables, and the images that they name, lie.
        files: Paths of the tables within it.
        options: Which column is what.
        named_shards: Take the split from names such as `train-00000-of-00004.parquet`.
    """

    def __init__(self, tree: Tree, files: Sequence[str], *, options: TableOptions, named_shards: bool) -> None:
        self._tree, self._options = tree, options
        tables = [open_rows(tree, path) for path in files]
        self._columns = choose_columns(tables[0], options, where=tree.location)
        by_shard = shard_splits(files) if named_shards and self._columns.split is None else {}
        names = self._label_names(tables[0])
        labels = [table.column(self._columns.label) for table in self._checked(tables)]
        self.task = self._task(labels)
        gathered = _Gathered()
        for table, values in zip(tables, labels, strict=True):
            self._add(gathered, table, labels=values, names=names, split=by_shard.get(table.path))
        self.samples = tuple(gathered.samples.values())
        self._places = gathered.places
        self.classes = names
        self.notes = self._notes(gathered)
        self._check_paths()

    def read(self, key: str) -> bytes:
        """The encoded image of one row.

        Raises:
            OSError: Its file is not there, or the row holds none.
        """
        if key not in self._places:
            return self._tree.read(key)
        table, row = self._places[key]
        data, path = table.image(self._columns.image, row)
        if data is None and path:
            return self._tree.read(posixpath.join(posixpath.dirname(table.path), path))
        if data is None:
            raise OSError("the row holds no image")
        return data

    def _checked(self, tables: Sequence[Rows]) -> Sequence[Rows]:
        for table in tables:
            for name in (self._columns.image, self._columns.label, self._columns.split, self._columns.group):
                if name is not None:
                    check_column(name, table, where=f"{self._tree.location}/{table.path}")
        return tables

    def _label_names(self, table: Rows) -> tuple[str, ...]:
        names = table.label_names(self._columns.label)
        folder = posixpath.dirname(table.path)
        for file in ("classes.tsv", "classes.txt", "classes"):
            info = self._tree.find(posixpath.join(folder, file))
            if not names and info is not None and table.path.lower().endswith(".parquet"):
                lines = self._tree.read(info.path).decode("utf-8-sig").splitlines()
                names = tuple(line.split("\t")[0].strip() for line in lines if line.strip())
        if len(set(names)) < len(names):
            raise UserError("two classes have the same name", where=f"{self._tree.location}/{table.path}")
        return names

    def _task(self, labels: Sequence[Sequence[Any]]) -> Task:
        separator, wanted = self._options.label_separator, self._options.multi_label
        lists = any(isinstance(value, list) for values in labels for value in values)
        separated = any(isinstance(value, str) and separator in value for values in labels for value in values)
        if lists and wanted is False:
            raise UserError(
                f"column {self._columns.label!r} holds lists of labels, but multi_label=false", where="data.multi_label"
            )
        several = lists or separated if wanted == "auto" else wanted
        return Task.MULTI_LABEL if several else Task.SINGLE_LABEL

    def _add(
        self, gathered: _Gathered, table: Rows, *, labels: Sequence[Any], names: tuple[str, ...], split: str | None
    ) -> None:
        where = f"{self._tree.location}/{table.path}"
        embedded = self._columns.image in table.embedded
        paths = [None] * table.count if embedded else table.column(self._columns.image)
        splits = [None] * table.count if self._columns.split is None else table.column(self._columns.split)
        groups = [None] * table.count if self._columns.group is None else table.column(self._columns.group)
        file_info = self._tree.find(table.path)
        digits = len(str(max(table.count - 1, 0)))
        for row in range(table.count):
            place = f"{where}, row {table.numbers[row]}"
            texts = self._labels(labels[row], names, where=place)
            if texts is None:
                gathered.unlabelled += 1
                continue
            if embedded:
                key, info = f"{table.path}#{row:0{digits}d}", file_info
                gathered.places[key] = (table, row)
            else:
                key = self._key(paths[row], table, where=place)
                info = self._tree.find(key)
            group = None if groups[row] in (None, "") else str(groups[row])
            sample = Sample(
                key,
                texts,
                split or split_name(splits[row], where=place),
                group,
                info.size_bytes if info else 0,
                info.mtime_ns if info else 0,
            )
            self._put(gathered, sample, where=place)

    def _key(self, path: Any, table: Rows, *, where: str) -> str:
        if not isinstance(path, str) or not path:
            raise UserError(f"no path in column {self._columns.image!r}", where=where)
        return posixpath.normpath(posixpath.join(posixpath.dirname(table.path), path))

    def _labels(self, value: Any, names: tuple[str, ...], *, where: str) -> tuple[str, ...] | None:
        """The row's label names; None where the hub's -1 says that it has none."""
        if self.task is Task.MULTI_LABEL:
            parts = value if isinstance(value, list) else []
            if isinstance(value, str):
                parts = value.split(self._options.label_separator)
            elif value is not None and not isinstance(value, list):
                parts = [value]
            texts = {label_text(part, names, where=where) for part in parts}
            return tuple(sorted(texts - {""}))
        if names and value == -1:
            return None
        text = label_text(value, names, where=where)
        if not text:
            raise UserError(
                f"no label in column {self._columns.label!r}",
                where=where,
                do=["remove such rows", "data.multi_label=true, if an image may have no label"],
            )
        return (text,)

    def _put(self, gathered: _Gathered, sample: Sample, *, where: str) -> None:
        known = gathered.samples.get(sample.key)
        if known is None:
            gathered.samples[sample.key] = sample
            return
        gathered.repeated += 1
        if (known.split, known.group) != (sample.split, sample.group):
            raise UserError(
                f"image {sample.key!r} is listed twice, with different splits or groups",
                where=where,
                allowed="each image in one split",
                do="remove one of the rows",
            )
        if known.labels == sample.labels:
            return
        if self.task is Task.SINGLE_LABEL:
            raise UserError(
                f"image {sample.key!r} is listed twice, as {known.labels[0]!r} and as {sample.labels[0]!r}",
                where=where,
                do=["remove the wrong row", "data.multi_label=true, if an image may have several labels"],
            )
        both = tuple(sorted({*known.labels, *sample.labels}))
        gathered.samples[sample.key] = Sample(
            known.key, both, known.split, known.group, known.size_bytes, known.mtime_ns
        )

    def _notes(self, gathered: _Gathered) -> tuple[str, ...]:
        chosen = self._columns
        named = {"image": chosen.image, "label": chosen.label, "split": chosen.split, "group": chosen.group}
        notes = [*self._tree.notes, "columns: " + ", ".join(f"{k}={v!r}" for k, v in named.items() if v is not None)]
        if gathered.repeated:
            notes.append(f"{gathered.repeated} rows name an image that an earlier row names, too; it counts once")
        if gathered.unlabelled:
            notes.append(f"left out {gathered.unlabelled} rows whose label is -1 (none)")
        return tuple(notes)

    def _check_paths(self) -> None:
        """Raises UserError where not one path leads to a file: the paths mean something else."""
        if self._places or any(sample.size_bytes or sample.mtime_ns for sample in self.samples):
            return
        first = self.samples[0].key if self.samples else ""
        raise UserError(
            f"none of the {len(self.samples)} paths in column {self._columns.image!r} is a file (first: {first!r})",
            where=self._tree.location,
            allowed="paths relative to the table's folder, with the file's ending",
            do=["move the table to where its paths start", "data.image_column=NAME, if another column holds the paths"],
        )
