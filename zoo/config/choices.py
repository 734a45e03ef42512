"""Group choices (`optimizer=sgd`, `augmentations=[flip,rotate]`, `data=PATH`), checked before Hydra composes."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from zoo.config.keys import leaves
from zoo.config.words import Word, Words, exists, looks_like_path, settle, short_key, unquote, without_copy
from zoo.errors import UserError, name_list
from zoo.kinds import BY_GROUP
from zoo.registry import Registry

SourceFor = Callable[[Path], str]
"""Says which dataset component reads a path."""

LOCAL_STARTS = (".", "/", "~")
"""How a path begins that no registered name can be taken for."""


class Options(Protocol):
    """What may be chosen: registered components and options written as YAML."""

    @property
    def registry(self) -> Registry:
        """The registered components."""

    def has(self, group: str, name: str) -> bool:
        """Whether there is such an option."""

    def has_yaml(self, group: str, name: str) -> bool:
        """Whether a YAML file, zoo's or the user's, is this option."""

    def names(self, group: str) -> list[str]:
        """All options of a group."""


def is_choice(word: Word) -> bool:
    """Whether a word chooses an option of a group."""
    return word.key in BY_GROUP or word.key == "experiment"


def resolve_shorthands(words: Words, options: Options, *, source_for: SourceFor) -> tuple[Words, list[UserError]]:
    """Replaces `data=PATH` and `model=PATH` by a registered name and literal values."""
    plain: list[Word] = []
    notes: list[str] = []
    refused: set[str] = set()
    errors: list[UserError] = []
    literal = dict(words.literal)
    saved: Mapping[str, tuple[Any, str]] = {}
    for word in words.plain:
        if word.key not in ("data", "model"):
            plain.append(word)
            continue
        try:
            resolve = _data if word.key == "data" else _model
            found = resolve(unquote(word.value), options, source_for)
            plain.append(Word(word.key, found.option))
            if literal.get(found.key, found.value) not in (found.value, "auto"):
                raise UserError(
                    f"{word} brings {found.key}={found.value}, and {found.key}={literal[found.key]} is given too",
                    where="command line",
                    do="leave one of them out",
                )
            literal |= {found.key: found.value} if found.key else {}
            notes += [found.note] if found.note else []
            saved = found.saved or saved
        except UserError as error:
            refused.add(word.key)
            errors.append(error)
    resolved = dataclasses.replace(
        words, plain=tuple(plain), literal=literal, saved=saved, refused=frozenset(refused), notes=tuple(notes)
    )
    return resolved, errors


@dataclass(frozen=True)
class Resolved:
    """What `data=VALUE` or `model=VALUE` means.

    Attributes:
        option: The registered component.
        key: A key that is set beside it, "" for none.
        value: Its value.
        note: What was decided for the user.
        saved: Dotted key to value and the file it stands in, for options that a saved model was built with.
    """

    option: str
    key: str = ""
    value: str = ""
    note: str = ""
    saved: Mapping[str, tuple[Any, str]] = field(default_factory=dict)


def _data(value: str, options: Options, source_for: SourceFor) -> Resolved:
    """A registered data set, or a path and the component that reads it."""
    names = options.registry.names
    if value and not value.startswith(LOCAL_STARTS) and options.has("data", value):
        return Resolved(value, note=_taken("data", value, "data set"))
    if value.startswith("hf:"):
        if not options.registry.has("dataset", "hf"):
            raise UserError(
                f"data={value}: no installed plugin reads data sets from the hub",
                where="command line",
                allowed=name_list(value, names("dataset")) + ", or a path",
                do="pip install a plugin that offers the dataset `hf`, or download the data and give its path",
            )
        return Resolved("hf", "data.path", value.removeprefix("hf:"))
    if not exists(value):
        given = Path(settle(value))
        folder = given.parent if looks_like_path(value) else Path()
        what = "a path that does not exist" if looks_like_path(value) else "neither a path that exists nor a data set"
        raise UserError(
            f"data={value!r} is {what}" if value else "data is empty",
            where=f"command line, from {Path.cwd()}",
            allowed=f"data sets: {name_list(value, names('dataset'))}; "
            f"in {folder}: {name_list(given.name, _visible(folder))}",
            do="give the path of a folder, a .csv, .parquet, .tar or .zip file",
        )
    path = settle(value)
    return Resolved(source_for(Path(path)), "data.path", path)


def _model(value: str, options: Options, source_for: SourceFor) -> Resolved:
    """A registered network, or a run or saved model from which to continue."""
    if value and not value.startswith(LOCAL_STARTS) and options.has("model", value):
        folder = None if options.has_yaml("model", value) else saved_in(value, options.registry)
        taken = _taken("model", value, "model")
        if folder is not None:
            return _continued(folder / "zoo.json", value, note=taken)
        meant = _meant(value, options)
        return Resolved(meant.option, note="; ".join(note for note in (taken, meant.note) if note))
    if not looks_like_path(value):
        return Resolved(value)  # unknown: checked with the other choices
    folder = Path(settle(value))
    saved = next((f for f in (folder / "model" / "zoo.json", folder / "zoo.json") if f.is_file()), None)
    if saved is None:
        raise UserError(
            f"model={value!r} is a path, but no run and no saved model",
            where=str(folder.absolute()),
            allowed="a run folder (with model/zoo.json), a saved model folder (with zoo.json), or a model's name",
            do="`python -m zoo models PATTERN` lists names",
        )
    return _continued(saved, value)


def saved_in(name: str, registry: Registry) -> Path | None:
    """The folder of a published model that a name means; None for a network without values of its own.

    Raises:
        UserError: Two third parties offer the name, or what it means cannot be had.
    """
    folder = registry.get("model", name).facts.get("saved_in")
    return None if folder is None else Path(folder)


def _continued(saved: Path, value: str, *, note: str = "") -> Resolved:
    """The network of a saved model, with its own options and weights: nothing of the name is left in the run."""
    name, built_with = _saved_network(saved)
    where = "there" if looks_like_path(value) and not note else f"in {saved.parent}"
    return Resolved(
        name,
        "weights",
        str(saved.parent),
        "; ".join(part for part in (note, f"model={value}: continues from the saved {name} {where}") if part),
        {f"model.{leaf}": (leaf_value, str(saved)) for leaf, leaf_value in leaves(built_with)},
    )


def _saved_network(saved: Path) -> tuple[str, dict[str, Any]]:
    """The network's full name in a saved model's description, and the options with which it was built."""
    try:
        network = json.loads(saved.read_text(encoding="utf-8"))["model"]
        return str(network["name"]), dict(network["options"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the saved model's description cannot be read: {type(error).__name__}: {error}",
            where=str(saved.absolute()),
            do="the folder was changed or copied in part; save or copy it again",
        ) from error


def _taken(group: str, value: str, what: str) -> str:
    if not exists(value):
        return ""
    return f"{group}={value}: took the registered {what}; write {group}=./{value} for the path"


def _meant(value: str, options: Options) -> Resolved:
    """The network of a name: under the name itself, or, for an address (`scheme:...`), under its full name.

    An address may hold signs that no name has; its full name is what configurations keep.
    """
    if options.has_yaml("model", value):
        return Resolved(value)
    entry = options.registry.get("model", value)
    if ":" in value:
        return Resolved(entry.full_name, note=f"model={value}: {entry.full_name}")
    older = entry.name != value.rpartition("/")[2]
    return Resolved(value, note=f"model={value}: an older name of {entry.full_name}" if older else "")


def _visible(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError:
        return []


def check_choices(words: Iterable[Word], options: Options) -> tuple[list[Word], list[UserError]]:
    """The choices that can be composed, lists in brackets, and the errors of the others."""
    good: list[Word] = []
    errors: list[UserError] = []
    for word in words:
        found = _choice_errors(word, options)
        errors += found
        if not found:
            many = word.key in BY_GROUP and BY_GROUP[word.key].many
            good.append(Word(word.key, f"[{','.join(list_items(word.value))}]") if many else word)
    return good, errors


def _choice_errors(word: Word, options: Options) -> list[UserError]:
    """Errors of one choice: several values without a list, unknown names, the same key twice in a list."""
    many = word.key == "experiment" or BY_GROUP[word.key].many
    if len(split_values(word.value)) > 1:
        ways = [f"add -m to run {word.key} with one after the other"]
        ways += [f"write '{word.key}=[{word.value}]' for all of them in one run"] if many else []
        return [UserError(f"{word} gives several values", where="command line", do=ways)]
    if word.value in ("null", "") and word.key == "experiment":
        return []
    items = list_items(word.value) if many else [word.value]
    keys = [short_key(item) for item in items]
    errors = [
        UserError(
            f"{word.key}: {key!r} stands twice in the list",
            where=str(word),
            do=f"write {without_copy(item)}@2 for a second copy",
        )
        for n, (key, item) in enumerate(zip(keys, items, strict=True))
        if key in keys[:n]
    ]
    for item in items:
        try:
            _check_option(word, item, options)
        except UserError as error:
            errors.append(error)
    return errors


def _check_option(word: Word, item: str, options: Options) -> None:
    """Raises where an item is no option of its group, or is one of two third parties at once."""
    kind = BY_GROUP.get(word.key)
    name = without_copy(item)
    if name != item and (kind is None or not kind.many):
        raise UserError(f"{item!r}: only items of a list can have a second copy", where=str(word), do=f"write {name}")
    if options.has_yaml(word.key, item):
        return
    if kind is not None and options.registry.has(kind.name, name):
        options.registry.get(kind.name, name)
    elif not options.has(word.key, item):
        known = options.names(word.key)
        if kind is not None:
            raise options.registry.unknown(kind.name, name, known=known)
        raise UserError(f"unknown {word.key} {item!r}", where=str(word), allowed=name_list(item, known))


def list_items(value: str) -> list[str]:
    """`[flip,rotate]` or `flip` as names."""
    inner = value.strip()
    if inner.startswith("[") and inner.endswith("]"):
        inner = inner[1:-1]
    return [item.strip().strip("'\"") for item in inner.split(",") if item.strip()]


def split_values(value: str) -> list[str]:
    """The choices of a sweep `a,b` (commas inside brackets or quotes belong to one value)."""
    found, depth, quote, current = [], 0, "", ""
    for char in value:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        depth += 0 if quote else (char in "[({") - (char in "])}")
        if char == "," and depth == 0 and not quote:
            found.append(current.strip())
            current = ""
        else:
            current += char
    return [*found, current.strip()]
