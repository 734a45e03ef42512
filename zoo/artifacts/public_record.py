"""What of a run's record is for others: everything but places on its owner's machine and names of single files."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from zoo.artifacts.record import RunRecord

_PATH_IN_TEXT = re.compile(r"(?<![\w./:~\\-])(?:file:/*|~)?/[^\s'\",;()\[\]]+")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")
_PRIVATE_KEYS = ("run.", "hydra.", "data.cache_dir")
_WORD = re.compile(r"(\w[\w.@/-]*)=(.*)", re.DOTALL)


def public_record(record: RunRecord) -> RunRecord:
    """The record of a published model.

    Of a path its last part is left (`photos` of `/home/anna/photos`), in the configuration, the command line, notes
    and origins. Quarantined files are counted, not named. Cache folders, the run's own folder and folders of YAML go.

    Args:
        record: As the run wrote it; it is not changed.
    """
    clean = _Cleaner(_known_places(record))
    config = {key: value for key, value in dict(record.config).items() if key != "run"}
    if isinstance(config.get("data"), Mapping):
        config["data"] = {key: value for key, value in config["data"].items() if key != "cache_dir"}
    return dataclasses.replace(
        record,
        data=None if record.data is None else _public_data(record, clean),
        weights=record.weights and dataclasses.replace(record.weights, location=clean.last(record.weights.location)),
        config=clean(config),
        choices=clean(dict(record.choices)),
        origins=clean({key: value for key, value in record.origins.items() if not key.startswith(_PRIVATE_KEYS)}),
        overrides=tuple(
            clean(word) for word in record.overrides if not word.startswith(("run.", "hydra.", "data.cache_"))
        ),
    )


def without_places(value: Any) -> Any:
    """Plain values with the last part of every path that stands in their text."""
    return _Cleaner(_longest_first(set()))(value)


def _public_data(record: RunRecord, clean: _Cleaner) -> Any:
    data = record.data
    if data is None:
        return None
    count = len(data.quarantined)
    left_out = [f"{count} files could not be read and were left out"] if count else []
    return dataclasses.replace(
        data, location=clean.last(data.location), quarantined=(), notes=(*clean(data.notes), *left_out)
    )


def _known_places(record: RunRecord) -> list[str]:
    """Places that the record names in full, in every way in which they may be written; the longest first."""
    data, run = dict(record.config.get("data") or {}), dict(record.config.get("run") or {})
    named: list[Any] = [record.data.location if record.data else "", record.weights.location if record.weights else ""]
    named += [data.get("path"), data.get("cache_dir"), run.get("dir"), record.config.get("weights")]
    given = {str(place) for place in named if place and _is_path(str(place))}
    given |= {os.path.abspath(os.path.expanduser(place)) for place in given}
    return _longest_first(given)


def _longest_first(places: set[str]) -> list[str]:
    """Places that are taken out of text, the folder of work and the home among them."""
    return sorted(places | {str(Path.cwd()), str(Path.home())} - {"/"}, key=len, reverse=True)


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or text.startswith("~")


@dataclasses.dataclass(frozen=True)
class _Cleaner:
    """Takes folders out of text, and out of all text in a value."""

    places: Sequence[str]

    def __call__(self, value: Any) -> Any:
        """The value with the last part of every path in it."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {self._text(str(key)): self(item) for key, item in value.items()}
        if isinstance(value, tuple):
            return tuple(self(item) for item in value)
        return [self(item) for item in value] if isinstance(value, list) else value

    def last(self, text: str) -> str:
        """The last part of a path; a name stays as it is."""
        return _last(text) if _is_path(text) and not text.startswith("hf:") else text

    def _text(self, text: str) -> str:
        quoted = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
        if quoted in self.places or quoted.startswith(("/", "~", "./", "../")) or _WINDOWS.match(quoted):
            return _last(quoted)
        word = _WORD.fullmatch(text)
        if word is not None:
            return f"{word[1]}={self._text(word[2])}"
        for place in self.places:
            text = text.replace(place, _last(place))
        return _PATH_IN_TEXT.sub(lambda found: _last(found[0]), text)


def _last(path: str) -> str:
    """Last part of a path of this or of the other kind of system."""
    kind = PureWindowsPath if _WINDOWS.match(path) or ("\\" in path and "/" not in path) else PurePath
    return kind(path.rstrip("/\\")).name or "."
