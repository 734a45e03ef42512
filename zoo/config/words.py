"""The words of a command line: `key=value`, paths that Hydra's grammar would choke on, and what is for Hydra itself.

`photos (1)`, `it's`, `a,b`, `~/x` and `año` are all good file names and all die in Hydra's grammar. A value that
names a path therefore never goes through it: it is kept to the letter and set after Hydra has composed the rest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import UserError

PATH_KEYS = frozenset({"weights", "resume", "run.dir", "run.root", "data.path", "data.cache_dir"})
"""Keys whose values are paths (or single words) and never Hydra expressions."""

SHORTHAND_KEYS = frozenset({"data", "model"})
"""Groups that take a path instead of a registered name."""

MISSING = "???"
"""How a configuration writes a value that the user must give."""

SEARCHPATH = "hydra.searchpath"
"""Folders of the user's own YAML."""


@dataclass(frozen=True)
class Word:
    """One `key=value` as it was typed."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


@dataclass(frozen=True)
class Words:
    """A command line, sorted out.

    Attributes:
        plain: What Hydra parses.
        literal: Dotted key to a value that is taken to the letter; None for `null`.
        searchpath: The value of `hydra.searchpath`, as it was typed.
        launch: Words for Hydra's sweeper and launcher, in a sweep.
        saved: Dotted key to value and the file it stands in, where a saved model is continued; what is given on the
            command line goes before it.
        refused: Groups whose shorthand could not be resolved: what their options are is not known.
        notes: What was decided about a shorthand, one sentence each.
    """

    plain: tuple[Word, ...] = ()
    literal: Mapping[str, str | None] = field(default_factory=dict)
    searchpath: str | None = None
    launch: tuple[Word, ...] = ()
    saved: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def split_word(text: str) -> Word:
    """`key=value` in two.

    Raises:
        UserError: There is no `=`, or the key is no key.
    """
    key, equals, value = text.partition("=")
    if key.startswith(("+", "~")):
        raise UserError(
            f"{text!r}: {key[0]!r} is Hydra's way to add or delete keys, and zoo has no keys to add or delete",
            where="command line",
            allowed="keys that exist: a mistyped key must never stick",
            do=f"write {text.lstrip('+~')!r}",
        )
    if not equals or not key or key != key.strip():
        raise UserError(
            f"{text!r} is not of the form key=value",
            where="command line",
            allowed="group=option or key=value, such as model=resnet18 or train.epochs=5",
            do="`python -m zoo finetune --help` lists groups and keys",
        )
    return Word(key, value)


def without_copy(name: str) -> str:
    """`rotate` of `rotate@2`, the second copy of a component."""
    return name.partition("@")[0]


def short_key(name: str) -> str:
    """Key under which an item of a plural group stands: without its namespace; `@ . -` cannot stand in a key."""
    return name.rpartition("/")[2].replace("@", "_").replace(".", "_").replace("-", "_")


def exists(value: str) -> bool:
    """Whether a path is there, as it is typed or with `~` as the home folder."""
    return bool(value) and (os.path.lexists(value) or os.path.lexists(os.path.expanduser(value)))


def looks_like_path(value: str) -> bool:
    """Whether a value names a path by its look (`./x`, `/x`, `~/x`) or because it exists."""
    return value.startswith((".", "/", "~")) or exists(value)


def settle(value: str) -> str:
    """A path that means the same to every reader: `~/x` with the home folder in place.

    A file here whose name begins with `~`, or is the mark of a missing value, is told apart by `./`.
    """
    if value == MISSING or (value.startswith("~") and os.path.lexists(value)):
        return f"./{value}"
    return os.path.expanduser(value)


def unquote(value: str) -> str:
    """A value that the user quoted for Hydra, without its quotes; anything else as it is."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"" and not exists(value):
        return value[1:-1]
    return value


def sort_out(words: Sequence[str], *, sweep: bool = False) -> tuple[Words, list[UserError]]:
    """Separates what Hydra may parse from literal paths, and checks the form of each word.

    Args:
        words: `key=value` words.
        sweep: Whether words for Hydra's sweeper and launcher have a use.
    """
    plain: dict[str, Word] = {}
    literal: dict[str, str | None] = {}
    launch: dict[str, Word] = {}
    errors: list[UserError] = []
    for text in words:
        try:
            word = split_word(text)
            if word.key in plain or word.key in literal or word.key in launch:
                raise UserError(f"{word.key!r} is given twice", where=str(word), do="leave one of them out")
            if word.key in PATH_KEYS:
                literal[word.key] = _literal(word)
            elif word.key == SEARCHPATH or word.key.startswith(("hydra.", "hydra/")):
                launch[word.key] = _for_hydra(word, sweep=sweep)
            else:
                plain[word.key] = word
        except UserError as error:
            errors.append(error)
    searchpath = launch.pop(SEARCHPATH).value if SEARCHPATH in launch else None
    return Words(tuple(plain.values()), literal, searchpath, tuple(launch.values())), errors


def _literal(word: Word) -> str | None:
    value = unquote(word.value)
    if not value:
        raise UserError(f"{word.key} is empty", where=str(word), allowed="a path", do=f"leave {word.key}= out")
    return None if value in ("null", "None") else settle(value)


def _for_hydra(word: Word, *, sweep: bool) -> Word:
    """A word for Hydra itself: folders of YAML in any run, its sweeper and launcher in a sweep, nothing else.

    Hydra's output folders, logging and change of folder are off, so their keys would have no effect.
    """
    launching = word.key.startswith(("hydra/launcher", "hydra/sweeper", "hydra.launcher.", "hydra.sweeper."))
    if word.key == SEARCHPATH or (sweep and launching):
        return word
    raise UserError(
        f"{word.key!r} has no effect here",
        where=str(word),
        allowed=f"{SEARCHPATH}=[file:///my/conf]; with -m also hydra/launcher, hydra/sweeper and their options",
        do="add -m for a sweep" if launching else "run.dir=PATH chooses the folder of a run",
    )
