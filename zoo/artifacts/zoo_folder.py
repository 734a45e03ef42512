"""A zoo in a folder: FOLDER/NAME/ is one published model, whole or not there at all.

The folders are the index: there is no file that two publishers could overwrite. A model is written under a hidden
name beside its place and takes it in one rename, which fails where the name is taken; so of two publishers of one
name exactly one wins, and the other is told.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.artifacts.saved_model import CARD, SavedModel, from_card
from zoo.errors import UserError
from zoo.files import force_folder, read_json, temporary_name, write_error

ZOO_PATH = "ZOO_PATH"
"""Environment variable with folders of published models, separated as in PATH."""

LONGEST_NAME = 80
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

Fill = Callable[[Path], None]
"""Writes all files of a model into an empty folder."""


@dataclass(frozen=True)
class Placed:
    """Where a model was published.

    Attributes:
        new: False where the same model was there already, so that nothing was written.
    """

    folder: Path
    new: bool


def check_name(name: str) -> str:
    """The name, if a model can be published under it: it becomes a folder's name and stands after `model=`.

    Raises:
        UserError: It is empty, too long, or has other signs than letters, digits, `_` and `-`.
    """
    if _NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return name
    raise UserError(
        f"{name!r} is no name for a published model" if name else "the name of the published model is empty",
        where=f"name={name}",
        allowed=f"letters (a to z), digits, `_` and `-`, a letter or digit first, at most {LONGEST_NAME} signs",
        do=f"name={plain_name(name)}" if plain_name(name) else "name=flowers",
    )


def plain_name(*parts: str) -> str:
    """Parts joined to a name that `check_name` takes; "" where nothing of them is left."""
    plain = (re.sub(r"[^A-Za-z0-9_-]+", "-", part).strip("-_") for part in parts)
    return "-".join(part for part in plain if part)[:LONGEST_NAME].rstrip("-_")


def zoo_folders(value: str | None = None) -> tuple[Path, ...]:
    """The folders that ZOO_PATH names, in order.

    Args:
        value: Instead of the environment's.

    Raises:
        UserError: One of them is no folder.
    """
    text = os.environ.get(ZOO_PATH, "") if value is None else value
    folders = tuple(Path(part).expanduser().absolute() for part in text.split(os.pathsep) if part)
    for folder in folders:
        if not folder.is_dir():
            raise UserError(
                f"{ZOO_PATH} names {str(folder)!r}, which is no folder",
                where=f"{ZOO_PATH}={text}",
                allowed=f"folders of published models, with {os.pathsep!r} between them",
                do=f"mend {ZOO_PATH}, or unset it",
            )
    return folders


def published_names(folder: Path) -> list[str]:
    """Names of the models in a zoo folder, sorted. What is hidden is still being written, or was left by a kill.

    Raises:
        UserError: The folder cannot be read.
    """
    try:
        found = [path.name for path in folder.iterdir() if not path.name.startswith(".") and (path / CARD).is_file()]
    except OSError as error:
        raise UserError(f"this zoo cannot be read: {error.strerror or error}", where=str(folder)) from error
    return sorted(name for name in found if _NAME.fullmatch(name))


def describe(folder: Path) -> SavedModel:
    """What a published model says of itself, without reading its tensors or checking any hash.

    Raises:
        UserError: Its description is missing or damaged.
    """
    values = read_json(folder / CARD)
    try:
        return from_card(folder, values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{CARD} is damaged: {type(error).__name__}: {error}", where=str(folder)) from error


def place(zoo: Path, name: str, *, fill: Fill, content: Mapping[str, Any]) -> Placed:
    """Publishes a model into a folder: whole, or not at all.

    Args:
        zoo: The folder of all models; it is made where it is missing.
        name: A checked name.
        fill: Writes the model's files.
        content: What the new model is (`identity`), to tell the same model from another of its name.

    Raises:
        UserError: The name is taken by another model, `zoo` is no folder, or it cannot be written. Nothing is left.
    """
    target = zoo / name
    _refuse_what_is_no_zoo(zoo)
    if os.path.lexists(target) and not _is_empty(target):
        return _already_there(target, content)
    made = _missing_parents(zoo)
    temporary = zoo / temporary_name(name)
    try:
        temporary.mkdir(parents=True)
        fill(temporary)
        force_folder(temporary)
        os.rename(temporary, target)
        force_folder(zoo)
    except OSError as error:
        if error.errno in _TAKEN and os.path.lexists(target):
            return _already_there(target, content)
        raise write_error(error, target, keys="to=") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _remove_empty(made)
    return Placed(target, new=True)


def identity(card: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a published model this one and no other: all that its zoo.json says but the time of publishing."""
    origin = dict(card.get("origin") or {})
    published = {key: value for key, value in dict(origin.get("published") or {}).items() if key != "on"}
    hashes = {name: value for name, value in dict(card.get("sha256") or {}).items() if name != CARD}
    return {**card, "origin": {**origin, "published": published}, "sha256": hashes}


def _already_there(target: Path, content: Mapping[str, Any]) -> Placed:
    """The same model under this name needs no work.

    Raises:
        UserError: Another model, or something else, has the name.
    """
    what = "something else"
    if (target / CARD).is_file():
        found = read_json(target / CARD)
        if isinstance(found, dict) and identity(found) == content:
            return Placed(target, new=False)
        what = "another model"
    raise UserError(
        f"{what} is in {str(target)!r}; it was left as it is",
        where=f"to={target.parent}",
        do=f"name={_free_name(target)}, or another name",
    )


def _free_name(target: Path) -> str:
    """`flowers-2` for `flowers`, `flowers-3` where that is taken too."""
    stem, _, number = target.name.rpartition("-")
    stem, first = (stem, int(number) + 1) if stem and number.isdigit() else (target.name, 2)
    stem = stem[: LONGEST_NAME - 6]
    return next(f"{stem}-{n}" for n in range(first, first + 10_000) if not (target.parent / f"{stem}-{n}").exists())


def _refuse_what_is_no_zoo(zoo: Path) -> None:
    """A file, a run or a saved model is no place for a zoo."""
    if os.path.lexists(zoo) and not zoo.is_dir():
        raise UserError(f"{str(zoo)!r} is no folder", where=f"to={zoo}", do="name a folder, new or old")
    inside = next((name for name in (CARD, "record.json", "config.yaml") if (zoo / name).is_file()), None)
    if inside is not None:
        raise UserError(
            f"{str(zoo)!r} is a run or a saved model (it holds {inside}), no folder of models",
            where=f"to={zoo}",
            do=f"name the folder of all models, such as to={zoo.parent}",
        )


def _is_empty(target: Path) -> bool:
    return target.is_dir() and not target.is_symlink() and next(target.iterdir(), None) is None


def _missing_parents(folder: Path) -> list[Path]:
    """The folders that do not exist yet, the innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _remove_empty(folders: list[Path]) -> None:
    """Takes away folders that were made for nothing."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
