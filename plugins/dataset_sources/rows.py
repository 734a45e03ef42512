"""Rows of CSV, JSON lines and parquet files, column by column; image bytes only when they are asked for."""

from __future__ import annotations

import bisect
import collections
import csv
import io
import itertools
import json
import threading
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from zoo_plugins.dataset_sources.trees import Tree

from zoo.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_KEPT_ROW_GROUPS = 4
"""Row groups whose images stay in memory: threads that read in order are never further apart."""


class Rows(Protocol):
    """One file of rows.

    Attributes:
        path: Its path within the tree.
        columns: Names of its columns.
        embedded: Those that hold image bytes.
        count: Number of rows.
        numbers: What a reader of the file would call each row, for messages: in text files its line.
    """

    path: str
    columns: tuple[str, ...]
    embedded: frozenset[str]
    count: int
    numbers: Sequence[int]

    def column(self, name: str) -> list[Any]:
        """The values of a column: text, numbers, lists of these, or None."""

    def label_names(self, name: str) -> tuple[str, ...]:
        """What the numbers in a column are called, or nothing where the file does not say."""

    def image(self, name: str, row: int) -> tuple[bytes | None, str | None]:
        """Bytes and path of an embedded image, of which either may be missing."""


def open_rows(tree: Tree, path: str) -> Rows:
    """Reads a file by its ending.

    Raises:
        UserError: The file is none of these formats inside, or damaged.
    """
    suffix = PurePosixPath(path).suffix.lower()
    return ParquetRows(tree, path) if suffix == ".parquet" else TextRows(tree, path)


class TextRows:
    """A CSV file (comma, semicolon or tab, by its first line), or JSON lines. UTF-8; blank lines are passed over."""

    embedded: frozenset[str] = frozenset()

    def __init__(self, tree: Tree, path: str) -> None:
        self.path = path
        self._where = f"{tree.location}/{path}"
        try:
            text = tree.read(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(
                f"the table is not UTF-8 (byte {error.start})", where=self._where, do="save it as UTF-8"
            ) from error
        except OSError as error:
            raise UserError(f"the table cannot be read: {error}", where=self._where) from error
        is_json = PurePosixPath(path).suffix.lower() == ".jsonl"
        self.numbers: Sequence[int] = ()
        self._values = self._parse_json(text) if is_json else self._parse_csv(text)
        self.columns = tuple(self._values)
        self.count = len(next(iter(self._values.values()), []))
        if not self.count:
            raise UserError("the table has no rows", where=self._where)

    def column(self, name: str) -> list[Any]:
        """The values; text in a CSV file."""
        return self._values[name]

    def label_names(self, name: str) -> tuple[str, ...]:
        """Text files do not say."""
        return ()

    def image(self, name: str, row: int) -> tuple[bytes | None, str | None]:
        """Text files hold no images."""
        raise NotImplementedError

    def _parse_csv(self, text: str) -> dict[str, list[Any]]:
        first = text.lstrip("\r\n ").partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            read = [(reader.line_num, row) for row in reader if any(value.strip() for value in row)]
        except csv.Error as error:
            raise UserError(
                f"the table cannot be read: {error}", where=f"{self._where}, line {reader.line_num}"
            ) from error
        header = [name.strip() for name in read[0][1]] if read else []
        if len(set(header)) < len(header):
            twice = sorted(name for name, count in collections.Counter(header).items() if count > 1)
            raise UserError(f"the table has two columns named {twice[0]!r}", where=self._where)
        self.numbers = [number for number, _ in read[1:]]
        rows = [row for _, row in read[1:]]
        for number, row in zip(self.numbers, rows, strict=True):
            if len(row) != len(header):
                raise UserError(
                    f"row {number} has {len(row)} values, the first line has {len(header)}",
                    where=self._where,
                    do="put values that contain a comma into double quotes",
                )
        return {name: [row[i] for row in rows] for i, name in enumerate(header)}

    def _parse_json(self, text: str) -> dict[str, list[Any]]:
        objects: list[dict[str, Any]] = []
        numbers: list[int] = []
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"line {number} is no JSON: {error}", where=self._where) from error
            if not isinstance(value, dict):
                raise UserError(f"line {number} is no JSON object", where=self._where, allowed='{"path": ..., ...}')
            objects.append(value)
            numbers.append(number)
        self.numbers = numbers
        names = dict.fromkeys(name for value in objects for name in value)
        return {name: [value.get(name) for value in objects] for name in names}


class ParquetRows:
    """A parquet file; images may lie in it as bytes or as `{bytes, path}`, as the Hugging Face hub has them."""

    def __init__(self, tree: Tree, path: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        self._tree = tree
        try:
            with tree.open(path) as file:
                parquet = pq.ParquetFile(file)
                self._metadata: pq.FileMetaData = parquet.metadata
                self._schema: pa.Schema = parquet.schema_arrow
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"no parquet file that can be read: {error}", where=f"{tree.location}/{path}") from error
        self.columns = tuple(self._schema.names)
        self.embedded = frozenset(field.name for field in self._schema if _holds_bytes(field.type))
        self.count = self._metadata.num_rows
        self.numbers: Sequence[int] = range(self.count)
        ends = [self._metadata.row_group(i).num_rows for i in range(self._metadata.num_row_groups)]
        self._starts = [0, *itertools.accumulate(ends)]
        self._lock = threading.Lock()
        self._groups: collections.OrderedDict[tuple[str, int], list[Any]] = collections.OrderedDict()

    def column(self, name: str) -> list[Any]:
        """The values of all rows."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with self._tree.open(self.path) as file:
                table = pq.ParquetFile(file, metadata=self._metadata).read(columns=[name])
        except (OSError, pa.ArrowException) as error:
            raise UserError(
                f"column {name!r} cannot be read: {error}", where=f"{self._tree.location}/{self.path}"
            ) from error
        values: list[Any] = table.column(name).to_pylist()
        return values

    def label_names(self, name: str) -> tuple[str, ...]:
        """The names of a `ClassLabel` feature in the Hugging Face metadata."""
        raw = (self._schema.metadata or {}).get(b"huggingface")
        if raw is None:
            return ()
        try:
            feature = json.loads(raw)["info"]["features"][name]
            while isinstance(feature, dict) and "names" not in feature:
                feature = feature["feature"]
            return tuple(map(str, feature["names"]))
        except (ValueError, KeyError, TypeError):
            return ()

    def image(self, name: str, row: int) -> tuple[bytes | None, str | None]:
        """Bytes and path of one row; a whole row group is read and kept."""
        number = bisect.bisect_right(self._starts, row) - 1
        with self._lock:
            value = self._group(name, number)[row - self._starts[number]]
        if isinstance(value, dict):
            return value.get("bytes"), value.get("path")
        return value, None

    def _group(self, name: str, number: int) -> list[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        key = (name, number)
        if key not in self._groups:
            try:
                with self._tree.open(self.path) as file:
                    table = pq.ParquetFile(file, metadata=self._metadata).read_row_group(number, columns=[name])
                self._groups[key] = table.column(name).to_pylist()
            except (OSError, ValueError, pa.ArrowException) as error:
                raise OSError(f"row group {number}: {error}") from error
            while len(self._groups) > _KEPT_ROW_GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end(key)
        return self._groups[key]


def _holds_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
