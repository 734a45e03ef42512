"""What a library was told already, so that a resumed run tells it nothing twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from zoo.files import to_json, write_error


class History:
    """A file beside a library's own, with one line a call: the step, and the values.

    A resumed run computes what was computed between its last checkpoint and the kill once more, to the same values.
    A library that only adds (MLflow) is told of them once; one that cannot go on by itself is told all of it again.
    """

    def __init__(self, path: Path) -> None:
        """Reads what is there; a torn last line, left by a kill, is taken away."""
        self._path = path
        self._calls: list[tuple[int, dict[str, float]]] = []
        self._last: dict[str, int] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            return
        lines = path.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        for line in whole:
            call = json.loads(line)
            self._note({name: _number(value) for name, value in call["values"].items()}, call["step"])
        if len(whole) < len(lines):
            path.write_bytes(b"".join(whole))

    @property
    def calls(self) -> tuple[tuple[int, dict[str, float]], ...]:
        """Steps and values, in the order in which they were told."""
        return tuple(self._calls)

    def new(self, values: Mapping[str, float], step: int) -> dict[str, float]:
        """Those of the values that were not told before."""
        return {name: value for name, value in values.items() if step > self._last.get(name, -1)}

    def add(self, values: Mapping[str, float], step: int) -> None:
        """Remembers that these were told.

        Raises:
            UserError: The disk is full.
        """
        self._note(values, step)
        try:
            with self._path.open("ab") as stream:
                stream.write((to_json({"step": step, "values": dict(values)}) + "\n").encode())
        except OSError as error:
            raise write_error(error, self._path, keys="run.dir=") from error

    def cut_back(self, step: int) -> None:
        """Forgets what was told at later steps."""
        calls = [call for call in self._calls if call[0] <= step]
        self._calls, self._last = [], {}
        self._path.write_bytes(b"")
        for at, values in calls:
            self.add(values, at)

    def _note(self, values: Mapping[str, float], step: int) -> None:
        self._calls.append((step, dict(values)))
        self._last |= dict.fromkeys(values, step)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
