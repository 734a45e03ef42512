"""The configuration of a run: from words or saved values to checked, typed parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.config import choices, plugin_defaults, words
from zoo.config.composer import Composed, Composer
from zoo.config.run_config import Component, FinetuneConfig
from zoo.config.typed import Binder, to_plain
from zoo.errors import UserError, raise_all
from zoo.plugins import Plugins

__all__ = ["compose_text", "configure", "configure_data", "from_plain", "known_experiments", "to_plain"]

VERB = "finetune"
"""The primary file in conf/."""

DATA_ALONE = "data_alone"
"""The primary file that holds the data and nothing else."""


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
    given, composed, errors = _composed(VERB, arguments, plugins, source_for=source_for)
    if composed.values:
        binder = _binder(given, composed, plugins)
        config = binder.bind(composed.values, overrides=tuple(arguments))
        errors += binder.errors
        errors += _published_in_a_file(config, plugins) if config is not None else []
        if config is not None and not errors:
            return dataclasses.replace(config, notes=_notes(given, composed))
    raise_all(plugin_defaults.hint(composed.acting, errors))
    raise RuntimeError("no configuration and no error")


def configure_data(
    arguments: Sequence[str], plugins: Plugins, *, source_for: choices.SourceFor
) -> tuple[Component, tuple[str, ...]]:
    """The data source that a command line means, as `configure` would have it. Imports nothing that it does not name.

    Args:
        arguments: `data=VALUE` and `data.KEY=VALUE` words.
        plugins: What is installed.
        source_for: Says which dataset component reads a path.

    Returns:
        The source with its options, and what was decided about them, for the user to read.

    Raises:
        UserErrors: Everything that is wrong with the words, together.
        PluginError: The source cannot be loaded.
    """
    defaults = tuple(default for default in plugins.defaults if default.key.startswith("data."))
    about_data = dataclasses.replace(plugins, defaults=defaults)
    given, composed, errors = _composed(DATA_ALONE, arguments, about_data, source_for=source_for)
    if composed.values:
        binder = _binder(given, composed, plugins)
        component = binder.component("dataset", key="data", node=composed.values["data"])
        errors += binder.errors
        if component is not None and not errors:
            return component, _notes(given, composed)
    raise_all(plugin_defaults.hint(composed.acting, errors))
    raise RuntimeError("no data source and no error")


def _composed(
    primary: str, arguments: Sequence[str], plugins: Plugins, *, source_for: choices.SourceFor
) -> tuple[words.Words, Composed, list[UserError]]:
    """The words, sorted out; what they and a primary file compose to; and what is wrong with them so far."""
    given, errors = words.sort_out(arguments)
    try:
        composer = Composer(plugins, searchpath=given.searchpath)
    except UserError as error:
        raise_all([*errors, error])
        raise
    given, more = choices.resolve_shorthands(given, composer, source_for=source_for)
    composed = composer.compose(primary, given)
    return given, composed, errors + more + composed.errors


def _binder(given: words.Words, composed: Composed, plugins: Plugins) -> Binder:
    typed = {word.key: words.unquote(word.value) for word in given.plain}
    return Binder(plugins.registry, origins=composed.origins, typed=typed)


def _notes(given: words.Words, composed: Composed) -> tuple[str, ...]:
    return (*given.notes, *map(plugin_defaults.note, composed.acting))


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
