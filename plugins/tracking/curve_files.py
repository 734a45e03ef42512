"""Curves in files of the run's folder: a wide table, or a line a value. Both go on after a resume without doubling."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from zoo.contracts.tracking import TrackedRun
from zoo.files import to_json, write_bytes, write_error


class JsonLines:
    """`trackers/jsonl/curves.jsonl`: one line a value, `{"step": 10, "name": "train/loss", "value": 0.52}`.

    The format that every tool reads without knowing which curves there are; NaN is null. Settings are not repeated:
    they are in the run's config.yaml.

    Source: https://jsonlines.org
    """

    FILE = "curves.jsonl"

    def __init__(self) -> None:
        self._path = Path()
        self._step = -1

    def start(self, run: TrackedRun) -> None:
        """Makes the file; of a resumed run it keeps what lies before the checkpoint.

        Raises:
            UserError: It cannot be written.
        """
        self._path, self._step = run.folder / self.FILE, run.step
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        write_bytes(self._path, b"".join(line for line in whole if json.loads(line)["step"] <= run.step))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Adds a line a value.

        Raises:
            UserError: The disk is full.
        """
        self._step = step
        lines = [to_json({"step": step, "name": name, "value": value}) + "\n" for name, value in values.items()]
        _append(self._path, "".join(lines).encode())

    def finish(self, scores: Mapping[str, float], error: BaseException | None = None) -> None:
        """Adds the scores at the last step."""
        if scores:
            self.log(scores, max(0, self._step))


class Csv:
    """`trackers/csv/curves.csv`: one row a step, one column a curve; a cell is empty where nothing was logged.

    What is logged at one step stands in one row. A curve that comes later gets a column at the right, and the file is
    written anew with it. Settings are not repeated: they are in the run's config.yaml.

    Source: RFC 4180. Deviation: lines end in a line feed alone.
    """

    FILE = "curves.csv"

    def __init__(self) -> None:
        self._path = Path()
        self._step = -1
        self._names: list[str] = []
        self._row: dict[str, float] = {}
        self._row_at = 0

    def start(self, run: TrackedRun) -> None:
        """Makes the file; of a resumed run it keeps what lies before the checkpoint.

        Raises:
            UserError: It cannot be written.
        """
        self._path, self._step = run.folder / self.FILE, run.step
        self._names, rows = self._read()
        kept = [row for row in rows if int(row[0]) <= run.step]
        self._write(kept)
        if kept and int(kept[-1][0]) == run.step:
            pairs = zip(self._names, kept[-1][1:], strict=True)
            self._row = {name: float(cell) for name, cell in pairs if cell}
            self._row_at -= len(_text([kept[-1]]))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Adds to the row of this step.

        Raises:
            UserError: The disk is full.
        """
        if step != self._step or not self._row:
            self._row, self._row_at = {}, self._size()
        self._step = step
        self._row |= values
        new = [name for name in values if name not in self._names]
        if new:
            _, rows = self._read()
            before = rows[: len(rows) - (self._size() > self._row_at)]
            self._names += new
            self._write([[*row, *[""] * len(new)] for row in before])
        _append(self._path, _text([[step, *(self._row.get(name, "") for name in self._names)]]), at=self._row_at)

    def finish(self, scores: Mapping[str, float], error: BaseException | None = None) -> None:
        """Adds the scores at the last step."""
        if scores:
            self.log(scores, max(0, self._step))

    def _size(self) -> int:
        return self._path.stat().st_size

    def _write(self, rows: Iterable[Sequence[object]]) -> None:
        """The whole file anew; the next row comes at its end."""
        write_bytes(self._path, _text([["step", *self._names], *rows]))
        self._row_at = self._size()

    def _read(self) -> tuple[list[str], list[list[str]]]:
        """Names of the curves, and the whole rows; a torn last line, left by a kill, is not one."""
        if not self._path.exists():
            return [], []
        text = self._path.read_bytes().decode()
        rows = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline="")))
        return (rows[0][1:], rows[1:]) if rows else ([], [])


def _text(rows: Iterable[Sequence[object]]) -> bytes:
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode()


def _append(path: Path, content: bytes, *, at: int | None = None) -> None:
    """Adds to a file at its end, or at a place behind which all is replaced, and hands it to the system at once."""
    try:
        with path.open("r+b", buffering=0) as stream:
            place = stream.seek(0, os.SEEK_END) if at is None else stream.seek(at)
            _write_whole(stream, content, place=place)
    except OSError as error:
        raise write_error(error, path, keys="run.dir=") from error


def _write_whole(stream: IO[bytes], content: bytes, *, place: int) -> None:
    """Writes all of it, or leaves nothing of it behind."""
    import errno

    stream.truncate(place)
    if stream.write(content) != len(content):
        stream.truncate(place)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
