"""Composes a verb's configuration with Hydra, and turns it into typed, checked parts."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zoo.config import choices, schema, words
from zoo.config.run_config import Component, FinetuneConfig, RunConfig, TrainConfig
from zoo.config.source import bind, conf_path
from zoo.config.words import Word, Words
from zoo.errors import UserError, name_list, nearest, raise_all
from zoo.kinds import BY_GROUP
from zoo.plugins import Plugins

AUTO = {"loss": "auto"}
"""Groups in which `auto` is no component but a rule of the verb."""


def configure(arguments: Sequence[str], plugins: Plugins, *, source_for: choices.SourceFor) -> FinetuneConfig:
    """The typed configuration that a command line means.

    Args:
        arguments: `key=value` words.
        plugins: What is installed.
        source_for: Says which dataset component reads a path.

    Raises:
        UserErrors: Everything that is wrong with the words, together.
    """
    composer = Composer(plugins)
    sorted_words, errors = words.sort_out(arguments)
    sorted_words, more = choices.resolve_shorthands(sorted_words, plugins.registry, source_for)
    errors += more
    values, origins, more = composer.compose("finetune", sorted_words)
    errors += more
    config, more = _typed(values, plugins, origins=origins, overrides=tuple(arguments))
    raise_all(_unique(errors + more))
    if config is None:  # only with errors, which were raised
        raise RuntimeError("no configuration and no error")
    return dataclasses.replace(config, notes=sorted_words.notes)


def compose_text(arguments: Sequence[str], plugins: Plugins, *, source_for: choices.SourceFor) -> str:
    """What `--cfg job` prints: the composed configuration as YAML."""
    import yaml

    config = configure(arguments, plugins, source_for=source_for)
    return yaml.safe_dump(to_plain(config), sort_keys=False, allow_unicode=True)


class Composer:
    """Runs Hydra over zoo's conf/, the registry, and folders of YAML that plugins ship."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        bind(plugins)

    def compose(self, verb: str, given: Words) -> tuple[dict[str, Any], dict[str, str], list[UserError]]:
        """Composes in two steps, so that one run shows every error.

        The first step takes the group choices alone; against its keys the other words are checked; the second
        takes all that passed.

        Returns:
            Plain values, the origin of each dotted leaf, and the errors (their words were left out).
        """
        groups = [w for w in given.plain if w.key in BY_GROUP or w.key == "experiment"]
        rest = [w for w in given.plain if w not in groups]
        errors = choices.check_choices(Words(tuple(groups)), self._plugins.registry, {k: [v] for k, v in AUTO.items()})
        bad = {error.where for error in errors}
        groups = [w for w in groups if str(w) not in bad and not _has_bad_item(w, bad)]
        skeleton, more = self._hydra(verb, groups)
        errors += more
        good, more = _check_keys(rest, skeleton)
        errors += more
        values, more = self._hydra(verb, groups + good)
        errors += more
        for key, value in given.literal.items():
            error = _unknown_key(key, value, values)
            if error is None:
                _set(values, key, value)
            else:
                errors.append(error)
        values.pop("experiment", None)
        return values, _origins(values, [*groups, *good], given.literal, self._experiment_keys(groups)), errors

    def _hydra(self, verb: str, given: Sequence[Word]) -> tuple[dict[str, Any], list[UserError]]:
        """One composition; an error leaves the defaults."""
        GlobalHydra.instance().clear()
        hydra = Hydra.create_main_hydra2(
            task_name="zoo", config_search_path=create_config_search_path(conf_path())
        )
        try:
            try:
                return self._container(hydra, verb, [str(w) for w in given]), []
            except (HydraException, OmegaConfBaseException) as error:
                return self._container(hydra, verb, []), [_hydra_error(error, given)]
        finally:
            GlobalHydra.instance().clear()

    @staticmethod
    def _container(hydra: Hydra, verb: str, overrides: list[str]) -> dict[str, Any]:
        config = hydra.compose_config(
            config_name=verb, overrides=overrides, run_mode=RunMode.RUN, with_log_configuration=False, from_shell=False
        )
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        return typing.cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))

    def _experiment_keys(self, groups: Sequence[Word]) -> dict[str, str]:
        """Dotted leaves that the chosen experiment file sets, with the file's name."""
        chosen = [w.value for w in groups if w.key == "experiment" and w.value not in ("null", "")]
        if not chosen:
            return {}
        GlobalHydra.instance().clear()
        hydra = Hydra.create_main_hydra2(task_name="zoo", config_search_path=create_config_search_path(conf_path()))
        try:
            loaded = hydra.config_loader.repository.load_config(f"experiment/{chosen[-1]}")  # type: ignore[attr-defined]
            if loaded is None:
                return {}
            values = typing.cast(dict[str, Any], OmegaConf.to_container(loaded.config))
            defaults = values.pop("defaults", [])
            file = f"file experiment/{chosen[-1]}.yaml"
            keys = dict.fromkeys(_leaves(values), file)
            for item in loaded.defaults_list or defaults or []:
                group = str(getattr(item, "group", "")).strip("/")
                if group in BY_GROUP:
                    keys[f"{group}.name"] = file
            return keys
        finally:
            GlobalHydra.instance().clear()


def _has_bad_item(word: Word, bad: set[str | None]) -> bool:
    return any(f"{word.key}={item.partition('@')[0]}" in bad for item in choices.list_items(word.value))


def _hydra_error(error: Exception, given: Sequence[Word]) -> UserError:
    """Hydra's message without its hint to add a key that does not exist."""
    text = str(error).split("To append to your config")[0].strip()
    return UserError(text.splitlines()[0] if text else type(error).__name__, where=" ".join(str(w) for w in given))


def _check_keys(given: Sequence[Word], skeleton: Mapping[str, Any]) -> tuple[list[Word], list[UserError]]:
    good: list[Word] = []
    errors: list[UserError] = []
    for word in given:
        error = None if word.key.startswith("hydra.") else _unknown_key(word.key, word.value, skeleton)
        if error is None and not word.key.startswith("hydra."):
            error = _not_a_leaf(word, skeleton)
        if error is None:
            good.append(word)
        else:
            errors.append(error)
    return good, errors


def _unknown_key(key: str, value: str, skeleton: Mapping[str, Any]) -> UserError | None:
    """An error where the skeleton has no such key; free-form maps (`model.args`) take any."""
    node: Any = skeleton
    path: list[str] = []
    for part in key.split("."):
        if path and path[-1] == "args" and len(path) >= 2:
            return None
        if not isinstance(node, Mapping) or part not in node:
            known = list(node) if isinstance(node, Mapping) else []
            prefix = ".".join(path)
            full = [f"{prefix}.{name}" if prefix else str(name) for name in known if name != "name"]
            elsewhere = [leaf for leaf in _leaves(skeleton) if leaf.rpartition(".")[2] == part]
            close = nearest(key, full, most=1)
            owner = node.get("name") if isinstance(node, Mapping) else None
            what = f"unknown option {key!r} of {owner}" if owner else f"unknown key {key!r}"
            return UserError(
                what,
                where=f"{key}={value}",
                allowed=name_list(key, full) if full else "no options",
                do=[f"did you mean {name}?" for name in (elsewhere[:1] or close)],
            )
        node = node[part]
        path.append(part)
    return None


def _not_a_leaf(word: Word, skeleton: Mapping[str, Any]) -> UserError | None:
    node: Any = skeleton
    for part in word.key.split("."):
        node = node[part] if isinstance(node, Mapping) and part in node else None
    if isinstance(node, Mapping) and word.key.rpartition(".")[2] != "args":
        return UserError(
            f"{word.key!r} is a section and cannot be set as a whole",
            where=str(word),
            allowed=", ".join(f"{word.key}.{name}" for name in node),
        )
    return None


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys of all values that are no maps."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        values = values.setdefault(part, {})
    values[last] = value


def _origins(
    values: Mapping[str, Any], given: Sequence[Word], literal: Mapping[str, str], files: Mapping[str, str]
) -> dict[str, str]:
    """Where each leaf came from."""
    origins = {leaf: "default" for leaf in _leaves(values)}
    origins.update({key: file for key, file in files.items() if key in origins})
    for key in [w.key for w in given] + list(literal):
        kind = BY_GROUP.get(key)
        if kind is not None and kind.many:
            origins.update({leaf: "command line" for leaf in origins if leaf.startswith(f"{key}.") and leaf.endswith(".name")})
        elif kind is not None:
            origins[f"{key}.name"] = "command line"
        else:
            origins[key] = "command line"
    return origins


def _typed(
    values: Mapping[str, Any], plugins: Plugins, *, origins: Mapping[str, str], overrides: tuple[str, ...]
) -> tuple[FinetuneConfig | None, list[UserError]]:
    """Binds every value to the type it must have."""
    errors: list[UserError] = []
    parts: dict[str, Any] = {}
    for group, kind in BY_GROUP.items():
        node = values.get(group)
        if kind.many:
            items = [_component(kind.name, f"{group}.{key}", item, plugins, errors) for key, item in (node or {}).items()]
            parts[group] = tuple(item for item in items if item is not None)
        elif isinstance(node, Mapping) and node.get("name") == AUTO.get(group):
            parts[group] = None
        else:
            parts[group] = _component(kind.name, group, node or {}, plugins, errors)
    parts["train"] = _section(TrainConfig, "train", values.get("train", {}), errors)
    parts["run"] = _section(RunConfig, "run", values.get("run", {}), errors)
    weights = values.get("weights", "auto")
    if not isinstance(weights, str):
        errors.append(UserError(f"weights={weights!r} does not fit", where="weights", allowed="auto, none, or a path"))
    if errors:
        return None, errors
    return FinetuneConfig(**parts, weights=weights, origins=origins, overrides=overrides), []


def _component(
    kind: str, key: str, node: Mapping[str, Any], plugins: Plugins, errors: list[UserError]
) -> Component | None:
    try:
        entry = plugins.registry.get(kind, str(node.get("name", "")))
    except UserError as error:
        errors.append(error)
        return None
    given = {name: value for name, value in node.items() if name != "name"}
    known = {option.name for option in schema.options(entry)}
    errors += [
        UserError(f"unknown option {key}.{name!r} of {entry.full_name}", where=key, allowed=name_list(name, known))
        for name in given
        if name not in known
    ]
    checked, more = schema.check(entry, given, where=key)
    errors += more
    return Component(kind, key, entry.full_name, checked)


def _section(target: type[Any], key: str, node: Mapping[str, Any], errors: list[UserError]) -> Any:
    """A section of fixed keys as its dataclass."""
    hints = typing.get_type_hints(target)
    checked: dict[str, Any] = {}
    for field in dataclasses.fields(target):
        if field.name not in node:
            continue
        try:
            checked[field.name] = schema.convert(node[field.name], hints[field.name])
        except ValueError:
            errors.append(
                UserError(
                    f"{key}.{field.name}={node[field.name]!r} does not fit",
                    where=key,
                    allowed=schema.describe(hints[field.name]),
                )
            )
    return target(**checked)


def to_plain(config: FinetuneConfig) -> dict[str, Any]:
    """The configuration as plain values: what config.yaml holds. Full names, so that it means the same anywhere."""
    values: dict[str, Any] = {}
    for group, kind in BY_GROUP.items():
        part = getattr(config, group)
        if kind.many:
            values[group] = {c.key.partition(".")[2]: _component_values(c) for c in part}
        else:
            values[group] = {"name": AUTO[group]} if part is None else _component_values(part)
    values["weights"] = config.weights
    values["train"] = dataclasses.asdict(config.train)
    values["run"] = dataclasses.asdict(config.run)
    return typing.cast(dict[str, Any], schema.plain(values))


def from_plain(values: Mapping[str, Any], plugins: Plugins, *, origins: Mapping[str, str]) -> FinetuneConfig:
    """The inverse of `to_plain`, checked against what is installed now.

    Raises:
        UserErrors: A component or option of the saved configuration does not exist here.
    """
    config, errors = _typed(values, plugins, origins=origins, overrides=())
    raise_all(_unique(errors))
    if config is None:
        raise RuntimeError("no configuration and no error")
    return config


def _component_values(component: Component) -> dict[str, Any]:
    return {"name": component.name, **component.options}


def _unique(errors: Sequence[UserError]) -> list[UserError]:
    """Errors without repetitions, in order."""
    seen: dict[str, UserError] = {}
    for error in errors:
        seen.setdefault(str(error), error)
    return list(seen.values())


def known_experiments() -> list[str]:
    """Names of zoo's own experiments."""
    path = conf_path()
    if path.startswith("file://"):
        root = Path(path.removeprefix("file://"))
    else:
        from importlib.resources import files

        root = Path(str(files("zoo.conf")))
    return sorted(str(f.relative_to(root / "experiment").with_suffix("")) for f in root.glob("experiment/**/*.yaml"))
