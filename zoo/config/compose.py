"""The configuration of a run: from words or saved values to checked, typed parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.config import choices, plugin_defaults, words
from zoo.config.composer import Composer
from zoo.config.run_config import FinetuneConfig
from zoo.config.typed import Binder, to_plain
from zoo.errors import UserError, raise_all
from zoo.plugins import Plugins

__all__ = ["compose_text", "configure", "from_plain", "known_experiments", "to_plain"]

VERB = "finetune"
"""The primary file in conf/."""


def configure(arguments: Sequence[str], plugins: Plugins, *, source_for: choices.SourceFor) -> FinetuneConfig:
    """The typed configuration that a command line means.

    Args:
        arguments: `key=value` words.
        plugins: What is installed.
        source_for: Says which dataset component reads a path.

    Raises:
        UserErrors: Everything that is wrong with the words, together.
        PluginError: A chosen component cannot be loaded.
    """
    given, errors = words.sort_out(arguments)
    try:
        composer = Composer(plugins, searchpath=given.searchpath)
    except UserError as error:
        raise_all([*errors, error])
        raise
    given, more = choices.resolve_shorthands(given, composer, source_for=source_for)
    composed = composer.compose(VERB, given)
    errors += more + composed.errors
    if composed.values:
        typed = {word.key: words.unquote(word.value) for word in given.plain}
        binder = Binder(plugins.registry, origins=composed.origins, typed=typed)
        config = binder.bind(composed.values, overrides=tuple(arguments))
        errors += binder.errors
        errors += _published_in_a_file(config, plugins) if config is not None else []
        if config is not None and not errors:
            notes = (*given.notes, *map(plugin_defaults.note, composed.acting))
            return dataclasses.replace(config, notes=notes)
    raise_all(plugin_defaults.hint(composed.acting, errors))
    raise RuntimeError("no configuration and no error")


def _published_in_a_file(config: FinetuneConfig, plugins: Plugins) -> list[UserError]:
    """An error where a file chose a published model: the run would depend on a folder that others change."""
    folder = choices.saved_in(config.model.name, plugins.registry)
    if folder is None:
        return []
    return [
        UserError(
            f"a file chooses {config.model.name}, which is a published model",
            where=config.origins.get("model.name", "configuration"),
            do=[f"say model={config.model.name} on the command line", f"or set weights: {folder} and its network"],
        )
    ]


def compose_text(arguments: Sequence[str], plugins: Plugins, *, source_for: choices.SourceFor) -> str:
    """What `--cfg job` prints: the composed configuration as YAML."""
    import yaml

    config = configure(arguments, plugins, source_for=source_for)
    return str(yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True))


def from_plain(values: Mapping[str, Any], plugins: Plugins, *, origins: Mapping[str, str]) -> FinetuneConfig:
    """The inverse of `to_plain`, checked against what is installed now.

    Raises:
        UserErrors: A component or option of the saved configuration does not exist here.
    """
    binder = Binder(plugins.registry, origins=origins, typed={})
    config = binder.bind(values, overrides=())
    raise_all(binder.errors)
    if config is None:
        raise UserError("the saved configuration cannot be read", where="config.yaml")
    return config


def known_experiments(plugins: Plugins) -> list[str]:
    """Names of the experiments that `experiment=` takes."""
    return Composer(plugins).names("experiment")
