"""Which plugins the user switched off, and the file in the config folder that remembers it. Imports no torch."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from zoo.errors import UserError
from zoo.registry import Origin

FORMAT = 1
"""Generation of the file."""


def choices_file() -> Path:
    """The file: `plugins.json` in ZOO_CONFIG, else in `zoo` in the folder where the system keeps settings.

    That is XDG_CONFIG_HOME or `~/.config`, on Windows APPDATA, on macOS `~/Library/Application Support`.

    Raises:
        UserError: There is no home folder.
    """
    if os.environ.get("ZOO_CONFIG"):
        return Path(os.environ["ZOO_CONFIG"]).expanduser() / "plugins.json"
    try:
        return _settings_folder() / "zoo" / "plugins.json"
    except RuntimeError as error:
        raise UserError("there is no home folder to keep settings in", do="ZOO_CONFIG=DIR names a folder") from error


def _settings_folder() -> Path:
    if sys.platform == "win32" and os.environ.get("APPDATA"):
        return Path(os.environ["APPDATA"])
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return Path(base) if os.path.isabs(base) else Path.home() / ".config"  # relative ones are to be ignored, says XDG


def disabled_names() -> frozenset[str]:
    """Names of plugins and of distributions that the user switched off.

    Raises:
        UserError: The file is there and cannot be read.
    """
    try:
        file = choices_file()
    except UserError:  # without a home folder nothing was ever switched off
        return frozenset()
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except (OSError, ValueError) as error:
        raise _unreadable(file, str(error)) from error
    try:
        values = json.loads(text)
        names = values["disabled"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("it holds no list of names")
        if values.get("format") != FORMAT:
            raise ValueError(f"it has format {values.get('format')!r}; this zoo reads {FORMAT}")
        return frozenset(names)
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(file, str(error)) from error


def write_disabled(names: Iterable[str]) -> Path:
    """Replaces the list in one step.

    Raises:
        UserError: There is no home folder, or the folder cannot be written; the old list is still there.
    """
    from zoo.files import write_text

    return write_text(choices_file(), json.dumps({"format": FORMAT, "disabled": sorted(names)}, indent=2) + "\n")


def is_disabled(origin: Origin, names: Iterable[str]) -> bool:
    """Whether a plugin is switched off, by its own name or by that of its distribution."""
    return any(name_means(name, origin) for name in names)


def name_means(name: str, origin: Origin) -> bool:
    """Whether a name is this plugin's, or its distribution's however that is spelt (`Zoo_Lion` is `zoo-lion`)."""
    return name == origin.plugin or normalized(name) == normalized(origin.distribution)


def normalized(distribution: str) -> str:
    """The name of a distribution as indexes compare it.

    Source: https://packaging.python.org/en/latest/specifications/name-normalization/
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _unreadable(file: Path, why: str) -> UserError:
    return UserError(
        f"the list of disabled plugins cannot be read: {why}",
        where=str(file),
        do=["delete the file: then no plugin is disabled", "or ZOO_CONFIG=DIR names another folder"],
    )
