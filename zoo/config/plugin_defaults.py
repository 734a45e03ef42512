"""Defaults of the configuration that plugins set: below the user's files and command line, above conf/finetune.yaml."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hydra._internal.config_repository import IConfigRepository
from hydra.core.default_element import GroupDefault, ResultDefault

from zoo.config import choices, keys, schema
from zoo.config.typed import SECTIONS
from zoo.config.words import Word, short_key
from zoo.errors import PluginError, UserError, name_list
from zoo.kinds import BY_GROUP
from zoo.registering import ConfigDefault


def chosen_in_files(repository: IConfigRepository, verb: str, *, composed: Sequence[ResultDefault]) -> set[str]:
    """Groups of which a chosen file chooses the component, be it the one that is chosen anyway."""
    chosen: set[str] = set()
    for item in composed:
        loaded = None if item.config_path == verb else repository.load_config(str(item.config_path))
        if loaded is not None and not loaded.path.startswith("zoo://"):
            lines = [line for line in loaded.defaults_list or [] if isinstance(line, GroupDefault)]
            chosen |= {str(line.group).strip("/") for line in lines}
    return chosen


def acting_choices(
    defaults: Sequence[ConfigDefault], options: choices.Options, *, said: Collection[str]
) -> tuple[list[tuple[ConfigDefault, Word]], list[UserError]]:
    """The choices of plugins that act, each as a word of the command line, and the errors of those that disagree.

    Args:
        defaults: Of all plugins.
        options: What may be chosen.
        said: Groups of which the user's command line or files choose the component.

    Raises:
        PluginError: A plugin chooses what nobody offers.
    """
    found, errors = _agreed([default for default in defaults if default.key in BY_GROUP], said=said)
    words = []
    for default in found:
        items = default.value if isinstance(default.value, list) else [default.value]
        many = BY_GROUP[default.key].many
        good, wrong = choices.check_choices([Word(default.key, f"[{','.join(items)}]" if many else items[0])], options)
        if wrong or (len(items) != 1 and not many):
            raise _blamed(default, wrong[0].allowed if wrong else "one name")
        words.append((default, good[0]))
    return words, errors


def set_values(
    defaults: Sequence[ConfigDefault], values: dict[str, Any], *, origins: dict[str, str]
) -> tuple[list[ConfigDefault], list[UserError]]:
    """Sets the single values that plugins would have, where the user said nothing, and notes where each came from.

    Args:
        defaults: Of all plugins.
        values: The composed configuration; it is changed.
        origins: Dotted key to where the user set it; what is set here is added.

    Returns:
        Those that act, and errors for keys over which plugins disagree.

    Raises:
        PluginError: A plugin sets a key that there is not, or a value that does not fit.
    """
    found, errors = _agreed([default for default in defaults if default.key not in BY_GROUP], said=origins)
    types = _types()
    for default in found:
        if default.key not in types:
            raise _blamed(default, name_list(default.key, [*types, *BY_GROUP]))
        try:
            schema.convert(default.value, types[default.key])
        except ValueError as error:
            raise _blamed(default, schema.describe(types[default.key])) from error
        keys.set_value(values, default.key, value=default.value)
        origins[default.key] = default.source
    return found, errors


def origins_of(default: ConfigDefault, word: Word) -> dict[str, str]:
    """The leaves that a plugin's choice sets."""
    if not BY_GROUP[default.key].many:
        return {f"{default.key}.name": default.source}
    return {f"{default.key}.{short_key(item)}.name": default.source for item in choices.list_items(word.value)}


def note(default: ConfigDefault) -> str:
    """What a run prints of a default that acts."""
    value = f"[{','.join(map(str, default.value))}]" if isinstance(default.value, list) else default.value
    return f"{default.key}={value}: {default.source}"


def hint(acting: Sequence[ConfigDefault], errors: Sequence[UserError]) -> list[UserError]:
    """Errors, those of keys below a group that a plugin chose with a line that says so."""
    told = []
    for error in errors:
        chose = [d for d in acting if d.key in BY_GROUP and f"'{d.key}." in error.what]
        ways = [f"{note(d)}; choose {d.key}= yourself to have another" for d in chose]
        plain = type(error) is UserError and ways
        do = [*error.do, *ways]
        told.append(UserError(error.what, where=error.where, allowed=error.allowed, do=do) if plain else error)
    return told


def _agreed(defaults: Sequence[ConfigDefault], *, said: Collection[str]) -> tuple[list[ConfigDefault], list[UserError]]:
    """One default for each key of which the user says nothing, and an error for each over which plugins disagree."""
    found, errors = [], []
    for key in dict.fromkeys(default.key for default in defaults if default.key not in said):
        wanted = [default for default in defaults if default.key == key]
        if all(default.value == wanted[0].value for default in wanted):
            found.append(wanted[0])
            continue
        first = wanted[0].origin.plugin
        errors.append(
            UserError(
                f"plugins have different defaults for {key}",
                where="; ".join(f"{default.value!r}: {default.source}" for default in wanted),
                do=[
                    f"say it on the command line: {key}={wanted[0].value}",
                    f"or leave one of the plugins out: python -m zoo plugins disable {first}",
                    "or name those that you want in ZOO_PLUGINS",
                ],
            )
        )
    return found, errors


def _types() -> Mapping[str, Any]:
    """Every key for which a plugin may have a default, with its type: those that are there whatever is chosen."""
    found: dict[str, Any] = {"weights": str}
    for name, section in SECTIONS.items():
        hints = typing.get_type_hints(section, include_extras=True)
        found |= {f"{name}.{field.name}": hints[field.name] for field in dataclasses.fields(section)}
    for group, kind in BY_GROUP.items():
        if not kind.many:
            found |= {f"{group}.{option.name}": option.annotation for option in schema.common_options(kind.name)}
    return found


def _blamed(default: ConfigDefault, allowed: str | None) -> PluginError:
    return PluginError(
        f"plugin {default.origin} has a default that cannot be: {default.key}={default.value}\n"
        f"  reason:  {default.reason}\n  allowed: {allowed}\n  plugin:  {default.origin}\n"
        f"  do:      say {default.key}= yourself, or python -m zoo plugins disable {default.origin.plugin}"
    )
