"""Words of a configuration: groups, keys, options of what was chosen up to here, and their values.

Not completed: options that a library's component (a network of timm, a transform of albumentations) has beyond those
of its kind, as its signature is known to the library alone; items within the value of a single option; values that are
numbers, but for their default.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.completion.candidates import Candidate, Found, beginning, key_candidates, list_candidates
from zoo.completion.names import names_of_group, names_of_kind, yaml_defaults
from zoo.completion.signatures import REQUIRED, UNKNOWN, StaticOption, as_word, static_options
from zoo.config import schema
from zoo.config.run_config import RunConfig, TrainConfig
from zoo.config.words import PATH_KEYS, short_key, without_copy
from zoo.kinds import BY_GROUP, Kind
from zoo.plugins import Plugins

SECTIONS: Mapping[str, type[Any]] = {"train": TrainConfig, "run": RunConfig}

TOP: Mapping[str, str] = {
    "experiment": "a file that sets several things",
    "weights": "auto, none, a source, or a path",
    "resume": "goes on with a run that was stopped",
}
"""Keys that stand in no group and no section, and what they are."""


class ConfigWords:
    """Completes words of a configuration behind those that stand there already."""

    def __init__(self, plugins: Plugins, *, given: Mapping[str, str], sweeps: bool = False) -> None:
        """Takes what is installed, keys with the values that they were given, and whether `-m` stands there."""
        self._plugins, self._given, self._sweeps = plugins, given, sweeps

    def complete(self, word: str) -> Found:
        """What one word may become."""
        key, equals, value = word.partition("=")
        return self._values(key, value) if equals else Found(tuple(self._keys(word)))

    def _keys(self, word: str) -> list[Candidate]:
        """Keys that begin with the word and were not given yet."""
        abouts = {**{group: kind.stage for group, kind in BY_GROUP.items()}, **TOP}
        keys = [*BY_GROUP, *TOP]
        keys += [f"{name}.{field.name}" for name, section in SECTIONS.items() for field in dataclasses.fields(section)]
        group = BY_GROUP.get(word.partition(".")[0])
        if group is not None and "." in word:
            keys += self._options(group)
        left = [key for key in keys if key not in self._given]
        found = key_candidates(word, left, about=lambda key: abouts.get(key, ""))
        if group is None or "." not in word:  # the options of a group are looked for once its dot stands there
            found += [
                Candidate(f"{name}.", "its options", whole=False) for name in BY_GROUP if self._chosen(BY_GROUP[name])
            ]
        return [one for one in found if one.text.startswith(word)]

    def _chosen(self, kind: Kind) -> dict[str, str]:
        """Key (`optimizer`, `augmentations.rotate`) to the name of each chosen component of a group."""
        group = str(kind.group)
        value = self._given.get(group)
        if value is None:
            value = "" if kind.many else yaml_defaults().get(group, "")
        items = [item.strip().strip("'\"") for item in value.strip("[]").split(",")]
        items = [item for item in items if item]
        if kind.many:
            return {f"{group}.{short_key(item)}": without_copy(item) for item in items}
        return {group: items[0]} if items else {}

    def _options(self, kind: Kind) -> dict[str, StaticOption]:
        """Dotted key to option, of all chosen components of a group."""
        return {
            f"{key}.{option.name}": option
            for key, name in self._chosen(kind).items()
            for option in self.options_of(kind, name)
        }

    def options_of(self, kind: Kind, name: str) -> list[StaticOption]:
        """Options of one component: its own as its source states them, then those of its kind."""
        entries = self._plugins.registry.entries(kind.name)  # no provider is asked
        meant = [entry for entry in entries if name in (entry.name, entry.full_name)]
        own = {option.name: option for option in static_options(meant[0])} if meant else {}
        common = {
            option.name: StaticOption(option.name, option.default, values_of(option.annotation))
            for option in schema.common_options(kind.name)
            if option.name not in own or option.name not in kind.yielding
        }
        return list((own | common).values())

    def _values(self, key: str, value: str) -> Found:
        """Values of a key."""
        before = f"{key}="
        if key in BY_GROUP and BY_GROUP[key].many:
            return Found(tuple(list_candidates(value, self._names(key, value.rpartition(",")[2]), before=before)))
        if key in BY_GROUP or key == "experiment":
            done, comma, part = value.rpartition(",") if self._sweeps else ("", "", value)
            found = [Candidate(f"{before}{done}{comma}{name}") for name in self._names(key, part)]
            path = value if key == "data" or (key == "model" and value.startswith((".", "/", "~"))) else None
            return Found(beginning(f"{before}{value}", found), path, before)
        if key == "weights":
            names = ["auto", "none", *names_of_kind("weights", self._plugins)]
            return Found(beginning(f"{before}{value}", (Candidate(f"{before}{name}") for name in names)), value, before)
        if key in PATH_KEYS:
            return Found((), value, before)
        words = [Candidate(f"{before}{one}", about) for one, about in self._closed_values(key)]
        return Found(beginning(f"{before}{value}", words))

    def _names(self, group: str, part: str) -> list[str]:
        """Names in a group: bare ones, or full ones once a slash stands there."""
        return names_of_group(group, self._plugins, full="/" in part.strip("["))

    def _closed_values(self, key: str) -> list[tuple[str, str]]:
        """Values that a key may have, with what is known of each; the default of one that takes numbers."""
        section, _, name = key.partition(".")
        if section in SECTIONS:
            field = {field.name: field for field in dataclasses.fields(SECTIONS[section])}.get(name)
            hints = typing.get_type_hints(SECTIONS[section], include_extras=True)
            option = None if field is None else StaticOption(name, field.default, values_of(hints[name]))
        else:
            option = self._options(BY_GROUP[section]).get(key) if section in BY_GROUP else None
        if option is None:
            return []
        default = option.default
        if option.values:
            return [(one, "default" if one == as_word(default) else "") for one in option.values]
        plain = default not in (REQUIRED, UNKNOWN) and isinstance(default, int | float | str)
        return [(as_word(default), "default")] if plain and default != "" else []


def values_of(annotation: Any) -> tuple[str, ...]:
    """What a type lists, as users write it: a Literal's members, true, false, null; of a union what its parts list."""
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is bool:
        return ("true", "false")
    if annotation is None or annotation is type(None):
        return ("null",)
    if origin is typing.Literal:
        return tuple(as_word(value) for value in inside)
    if origin is typing.Annotated:
        return values_of(inside[0])
    if origin in (types.UnionType, typing.Union):
        return tuple(dict.fromkeys(value for one in inside for value in values_of(one)))
    return ()


def given_values(words: Sequence[str]) -> dict[str, str]:
    """Key to value of the `key=value` words of a line."""
    pairs = (word.partition("=") for word in words)
    return {key: value for key, equals, value in pairs if equals}
