"""Dotted keys (`optimizer.lr`): whether they exist, what was probably meant, and reading and setting them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from zoo.config.words import Word, short_key
from zoo.errors import UserError, name_list, nearest
from zoo.kinds import BY_GROUP

Tree = Mapping[str, Any]
"""A composed configuration as plain values."""


def leaves(values: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of all values that are no maps; an empty map is a value."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def set_value(values: dict[str, Any], key: str, *, value: Any) -> None:
    """Sets a dotted key, making the maps on the way."""
    *path, last = key.split(".")
    for part in path:
        values = values.setdefault(part, {})
    values[last] = value


def is_free(key: str, values: Tree) -> bool:
    """Whether a key lies inside an option that is itself a map (`model.args.depth`), where any name may stand.

    An option without a value may be one; where it is not, its type refuses the map that is made here.
    """
    parts = key.split(".")
    kind = BY_GROUP.get(parts[0])
    depth = 0 if kind is None else 3 if kind.many else 2
    if not depth or len(parts) <= depth:
        return False
    node: Any = values
    for part in parts[:depth]:
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return node is None or isinstance(node, Mapping)


def check_keys(
    given: Sequence[Word], values: Tree, *, broken: frozenset[str], has: Callable[[str, str], bool]
) -> tuple[list[Word], list[UserError]]:
    """The words whose keys exist, and errors for the others.

    Args:
        given: Words that set single values.
        values: What is composed from the group choices alone.
        broken: Groups whose choice was refused: what their options are is not known.
        has: Whether a group has an option.
    """
    good: list[Word] = []
    errors: list[UserError] = []
    for word in given:
        if word.key.partition(".")[0] in broken:
            continue
        error = unknown_key(word, values, has=has) or _section(word, values)
        if error is None:
            good.append(word)
        else:
            errors.append(error)
    return good, errors


def unknown_key(word: Word, values: Tree, *, has: Callable[[str, str], bool]) -> UserError | None:
    """An error where there is no such key."""
    if is_free(word.key, values):
        return None
    node: Any = values
    path: list[str] = []
    for part in word.key.split("."):
        empty_list = not path and part in BY_GROUP and BY_GROUP[part].many and part not in values
        if not empty_list and (not isinstance(node, Mapping) or part not in node):
            return _unknown(word, part, path, node, values, has)
        node = {} if empty_list else node[part]
        path.append(part)
    return None


def _unknown(
    word: Word, part: str, path: list[str], node: Any, values: Tree, has: Callable[[str, str], bool]
) -> UserError:
    """What is wrong with a key of which `path` exists and `part` does not."""
    kind = BY_GROUP.get(path[0]) if len(path) == 1 else None
    if kind is not None and kind.many and short_key(part) != part and short_key(part) in node:
        return UserError(
            f"{word.key!r}: the options of {part} stand under another key",
            where=str(word),
            do=f"write {word.key.replace(part, short_key(part), 1)}",
        )
    if kind is not None and kind.many and has(path[0], part):
        return UserError(
            f"{word.key!r}: {part} is not among the chosen {path[0]}",
            where=str(word),
            do=f"choose it too: '{path[0]}=[{','.join([*node, part])}]'",
        )
    prefix = ".".join([*path, ""])
    known = [f"{prefix}{name}" for name in node if name != "name"] if isinstance(node, Mapping) else []
    owner = node.get("name") if isinstance(node, Mapping) else None
    elsewhere = [key for key, _ in leaves(values) if key.rpartition(".")[2] == word.key.rpartition(".")[2]]
    meant = elsewhere[:1] or nearest(word.key, known, most=1)
    return UserError(
        f"unknown option {word.key!r} of {owner}" if owner else f"unknown key {word.key!r}",
        where=str(word),
        allowed=name_list(word.key, known) if known else f"{'.'.join(path) or 'this'} has no options",
        do=[f"did you mean {name}?" for name in meant],
    )


def _section(word: Word, values: Tree) -> UserError | None:
    """An error where a key names a whole section, or the name of a component."""
    parts = word.key.split(".")
    node: Any = values
    for part in parts:
        node = node.get(part) if isinstance(node, Mapping) else None
    kind = BY_GROUP.get(parts[0])
    option_depth = 1 if kind is None else 3 if kind.many else 2
    if kind is not None and parts[-1] == "name" and len(parts) == option_depth:
        choice = f"'{parts[0]}=[{word.value}]'" if kind.many else f"{parts[0]}={word.value}"
        return UserError(f"{word.key!r} cannot be set", where=str(word), do=f"choose a component by {choice}")
    if isinstance(node, Mapping) and (kind is None or len(parts) < option_depth):
        return UserError(
            f"{word.key!r} is a section and cannot be set as a whole",
            where=str(word),
            allowed=", ".join(f"{word.key}.{name}" for name in node) or None,
        )
    return None
