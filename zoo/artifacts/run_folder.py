"""The folder of one run: its name, what lies where, and a log of metrics that can be cut back."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from zoo.errors import UserError
from zoo.files import to_json, write_bytes, write_error, write_json, write_text

_NAME_LENGTH = 40


@dataclass(frozen=True)
class RunFolder:
    """One run's folder. Build it with `create`, `at` or `open`; a path alone checks nothing."""

    path: Path

    @classmethod
    def create(cls, *, model: str, data: str, root: Path = Path("runs"), now: datetime | None = None) -> RunFolder:
        """Makes `root/<date>/<time>-<model>-<data>`, with `-2`, `-3`... behind it where that is taken.

        Making the folder is what reserves the name, so two runs that start in the same second get two folders.

        Args:
            model: Name of the model; a namespace before a slash is left out.
            data: Name or path of the data; its last part is used.
            root: Folder of all runs.
            now: Local time of the start; None reads the clock.

        Raises:
            UserError: It cannot be made.
        """
        moment = now or datetime.now()
        day = root / f"{moment:%Y-%m-%d}"
        name = f"{moment:%H-%M-%S}-{_slug(model.rpartition('/')[2])}-{_slug(_last_part(data))}"
        try:
            day.mkdir(parents=True, exist_ok=True)
            for number in itertools.count(1):
                path = day / (name if number == 1 else f"{name}-{number}")
                try:
                    path.mkdir()
                except FileExistsError:
                    continue
                return cls(path)
        except OSError as error:
            raise write_error(error, day / name) from error
        raise AssertionError("counting does not end")

    @classmethod
    def at(cls, path: Path) -> RunFolder:
        """Makes the folder that `run.dir` names, or takes it where it is empty.

        Raises:
            UserError: It is a file, has something in it, or cannot be made.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            first = next(path.iterdir(), None)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(
                f"{str(path)!r} is no folder, or lies in a file",
                where="run.dir",
                do="name a folder that is new or empty",
            ) from error
        except OSError as error:
            raise write_error(error, path) from error
        if first is not None:
            raise UserError(
                f"the folder {str(path)!r} is not empty (it holds {first.name!r}); nothing in it was changed",
                where="run.dir",
                do=["name a folder that is new or empty", f"to continue the run in it: resume={path}"],
            )
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run, to resume, evaluate or predict with.

        Raises:
            UserError: There is no run in it.
        """
        run = cls(path)
        if run.config.is_file() or run.record.is_file():
            return run
        if not path.exists():
            what = f"the run folder {str(path)!r} does not exist"
        elif not path.is_dir():
            what = f"{str(path)!r} is a file, not a run folder"
        else:
            what = f"{str(path)!r} is not a run folder: it has no config.yaml and no record.json"
        raise UserError(
            what,
            where=str(path),
            allowed="a folder that `zoo finetune` made; it prints the name at the end",
            do=f"one of the newest: {', '.join(found)}" if (found := _newest_runs(path)) else (),
        )

    @property
    def config(self) -> Path:
        """The configuration, full names and all defaults resolved."""
        return self.path / "config.yaml"

    @property
    def overrides(self) -> Path:
        """What was written on the command line."""
        return self.path / "overrides.yaml"

    @property
    def record(self) -> Path:
        """What the run was made of and what came out of it."""
        return self.path / "record.json"

    @property
    def metrics(self) -> MetricsLog:
        """The log of losses and scores."""
        return MetricsLog(self.path / "metrics.jsonl")

    @property
    def checkpoints(self) -> Path:
        """Folder of the states that a run continues from."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """Folder of the saved model."""
        return self.path / "model"

    @property
    def report(self) -> Path:
        """Folder of scores and pictures."""
        return self.path / "report"

    def write_text(self, name: str, text: str) -> Path:
        """Replaces a text file of the run in one step.

        Raises:
            UserError: The disk is full, or the folder cannot be written. The old file is still there.
        """
        return write_text(self.path / name, text)

    def write_json(self, name: str, value: object) -> Path:
        """Replaces a JSON file of the run in one step.

        Raises:
            UserError: The disk is full, or the folder cannot be written. The old file is still there.
        """
        return write_json(self.path / name, value)


@dataclass(frozen=True)
class MetricsLog:
    """metrics.jsonl: one JSON object a line, added as training goes, in order."""

    path: Path

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds one line and hands it to the system at once, so that a kill loses at most the line being written.

        A torn last line, left by such a kill, is taken away first. NaN becomes null.

        Raises:
            UserError: The disk is full, or the file cannot be written.
        """
        line = to_json(row).encode() + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b", buffering=0) as stream:
                end = _end_of_whole_lines(stream)
                stream.truncate(end)
                if stream.write(line) != len(line):
                    stream.truncate(end)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise write_error(error, self.path) from error

    def rows(self) -> list[dict[str, Any]]:
        """All whole lines; a torn last one is left out. A file that is not there has none.

        Raises:
            UserError: A line before the last is damaged.
        """
        return [row for row, _ in self._lines()]

    def cut_back(self, to_step: int, *, phase: str | None = None) -> int:
        """Drops what was logged after a checkpoint, so that a resumed run writes it anew. The file is replaced whole.

        Kept is everything up to the last line of `phase` whose `step` is at most `to_step`. Where that phase has no
        such line, everything before its first line is kept, and all lines where the phase has none at all; without a
        phase nothing is.

        Args:
            to_step: Step of the checkpoint, within its phase.
            phase: Value of the lines' `phase`; None where the log has only one count of steps.

        Returns:
            Number of lines dropped, a torn one included.

        Raises:
            UserError: A line before the last is damaged, or the file cannot be written.
        """
        if not self.path.exists():
            return 0
        lines = self._lines()
        own = [k for k, (row, _) in enumerate(lines) if "step" in row and (phase is None or row.get("phase") == phase)]
        before = [k for k in own if lines[k][0]["step"] <= to_step]
        if before:
            keep = before[-1] + 1
        else:
            keep = 0 if phase is None else own[0] if own else len(lines)
        content = b"".join(line for _, line in lines[:keep])
        old = self.path.read_bytes()
        if content != old:
            write_bytes(self.path, content)
        return len(lines) - keep + (not old.endswith(b"\n") and bool(old))

    def _lines(self) -> list[tuple[dict[str, Any], bytes]]:
        """Parsed rows with the bytes they came from."""
        try:
            whole = self.path.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        parsed: list[tuple[dict[str, Any], bytes]] = []
        for number, line in enumerate(whole, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise UserError(
                    f"line {number} of {self.path.name} is damaged",
                    where=f"{self.path}:{number}",
                    do="take the line out to go on without what it measured",
                )
            parsed.append((row, line))
        return parsed


def _end_of_whole_lines(stream: IO[bytes]) -> int:
    """Position after the last line break of an open file, looking back from its end."""
    position = stream.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - 4096)
        stream.seek(start)
        found = stream.read(position - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def _slug(text: str) -> str:
    """Letters (of any script), digits, dots, dashes and underscores, at most 40 characters and 100 bytes."""
    flat = re.sub(r"[^\w.-]+", "-", text.encode("utf-8", "replace").decode())
    cut = flat[:_NAME_LENGTH].encode()[:100].decode("utf-8", "ignore")
    return cut.strip("-.") or "unnamed"


def _last_part(data: str) -> str:
    """Name of a folder or file without its ending; `hf:owner/name` keeps both."""
    if data.startswith("hf:"):
        return data[3:]
    path = Path(os.path.abspath(data))
    return path.name if path.is_dir() else path.name.partition(".")[0]


def _newest_runs(wanted: Path, *, most: int = 3) -> list[str]:
    """Runs in the folder that was named, or in `runs`, the newest first; date and time are their names."""
    for root in (wanted, Path("runs")):
        runs = [path.parent for path in root.glob("*/*/config.yaml")] + [
            path.parent for path in root.glob("*/config.yaml")
        ]
        if runs:
            return [str(path) for path in sorted(runs, key=lambda path: path.parts, reverse=True)[:most]]
    return []
