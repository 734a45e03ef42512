"""From plain values to the typed configuration and back: every value is bound to the type it must have."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from zoo.config import schema, words
from zoo.config.run_config import Component, FinetuneConfig, RunConfig, TrainConfig
from zoo.errors import UserError, name_list
from zoo.kinds import BY_GROUP
from zoo.registry import Registry

AUTO: Mapping[str, str] = {"loss": "auto"}
"""Groups in which `auto` is no component but a rule of the verb."""

SECTIONS: Mapping[str, type[Any]] = {"train": TrainConfig, "run": RunConfig}


class Binder:
    """Binds values to types, and gathers everything that does not fit.

    Attributes:
        errors: What did not fit so far.
    """

    def __init__(self, registry: Registry, *, origins: Mapping[str, str], typed: Mapping[str, str]) -> None:
        """Takes what is installed, where values came from, and values as they were typed on the command line."""
        self._registry = registry
        self._origins = origins
        self._typed = typed
        self.errors: list[UserError] = []

    def bind(self, values: Mapping[str, Any], *, overrides: tuple[str, ...]) -> FinetuneConfig | None:
        """The configuration, or None where there are errors."""
        parts: dict[str, Any] = {}
        for group, kind in BY_GROUP.items():
            node = values.get(group) or {}
            if kind.many:
                items = [self.component(kind.name, key=f"{group}.{key}", node=item) for key, item in node.items()]
                parts[group] = tuple(item for item in items if item is not None)
            elif group in AUTO and isinstance(node, Mapping) and node.get("name") == AUTO[group]:
                self._unknown(group, node, {"name"})
                parts[group] = None
            else:
                parts[group] = self.component(kind.name, key=group, node=node)
        for name, section in SECTIONS.items():
            parts[name] = self._section(section, name, values.get(name) or {})
        weights = values.get("weights", "auto")
        if not isinstance(weights, str):
            self.errors.append(self._misfit("weights", weights, "auto, none, or a path"))
        self._unknown("", values, {*BY_GROUP, *SECTIONS, "weights"})
        if self.errors:
            return None
        return FinetuneConfig(**parts, weights=weights, origins=self._origins, overrides=overrides)

    def component(self, kind: str, *, key: str, node: Any) -> Component | None:
        """A chosen component with checked options."""
        if not isinstance(node, Mapping) or not isinstance(node.get("name"), str):
            self.errors.append(
                UserError(
                    f"{key} names no {kind}",
                    where=self._where(f"{key}.name"),
                    do=f"give `name:` below `{key}:`, or begin the file's defaults with the component",
                )
            )
            return None
        try:
            entry = self._registry.get(kind, node["name"])
        except UserError as error:
            self.errors.append(error)
            return None
        options = {option.name for option in schema.options(entry)}
        self._unknown(key, node, {"name", *options})
        checked: dict[str, Any] = {}
        for option in schema.options(entry):
            leaf = f"{key}.{option.name}"
            if option.name not in node or node[option.name] == words.MISSING:
                if option.required:
                    self.errors.append(_missing(kind, entry.full_name, leaf, option))
                continue
            try:
                checked[option.name] = self._convert(leaf, node[option.name], option.annotation)
            except ValueError:
                self.errors.append(
                    self._misfit(
                        leaf, node[option.name], option.type_name, f"{kind} {entry.full_name} ({entry.origin})"
                    )
                )
        return Component(kind, key, entry.full_name, checked, claimed=entry.claimed)

    def _section(self, target: type[Any], key: str, node: Mapping[str, Any]) -> Any:
        """A section of fixed keys as its dataclass; defaults stand in for what does not fit."""
        hints = typing.get_type_hints(target, include_extras=True)
        self._unknown(key, node, set(hints))
        checked: dict[str, Any] = {}
        for name in [field.name for field in dataclasses.fields(target) if field.name in node]:
            leaf = f"{key}.{name}"
            try:
                checked[name] = self._convert(leaf, node[name], hints[name])
            except ValueError:
                self.errors.append(self._misfit(leaf, node[name], schema.describe(hints[name])))
        return target(**checked)

    def _convert(self, leaf: str, value: Any, annotation: Any) -> Any:
        """The value as the annotation wants it; text that looks like a number is taken as text where that fits."""
        try:
            return schema.convert(value, annotation)
        except ValueError:
            if leaf in self._typed and not isinstance(value, str | list | Mapping):
                return schema.convert(self._typed[leaf], annotation)
            raise

    def _unknown(self, key: str, node: Mapping[str, Any], known: set[str]) -> None:
        """Notes keys that a file brought in and that nothing reads."""
        prefix = f"{key}." if key else ""
        for name in node:
            if name not in known:
                self.errors.append(
                    UserError(
                        f"unknown key '{prefix}{name}'",
                        where=self._where(f"{prefix}{name}"),
                        allowed=name_list(f"{prefix}{name}", [f"{prefix}{k}" for k in known if k != "name"]),
                    )
                )

    def _misfit(self, leaf: str, value: Any, allowed: str, owner: str = "") -> UserError:
        where = self._where(leaf)
        return UserError(
            f"{leaf}={value!r} does not fit", where=f"{where}; {owner}" if owner else where, allowed=allowed
        )

    def _where(self, leaf: str) -> str:
        """Origin of a leaf, or of the first one below it."""
        found = self._origins.get(leaf)
        below = [origin for key, origin in self._origins.items() if key.startswith(f"{leaf}.")]
        return found or (below[0] if below else "configuration")


def _missing(kind: str, name: str, leaf: str, option: schema.Option) -> UserError:
    ways = ["give the path itself: data=PATH"] if leaf == "data.path" else [f"add {leaf}=VALUE"]
    return UserError(
        f"{kind} {name!r} needs a value for {option.name!r}", where=leaf, allowed=option.type_name, do=ways
    )


def to_plain(config: FinetuneConfig) -> dict[str, Any]:
    """The configuration as plain values: what config.yaml holds. Full names, so that it means the same anywhere."""
    values: dict[str, Any] = {}
    for group, kind in BY_GROUP.items():
        part = getattr(config, group)
        if kind.many:
            values[group] = {component.key.partition(".")[2]: _plain_component(component) for component in part}
        else:
            values[group] = {"name": AUTO[group]} if part is None else _plain_component(part)
    values["weights"] = config.weights
    for name in SECTIONS:
        values[name] = dataclasses.asdict(getattr(config, name))
    return typing.cast(dict[str, Any], schema.plain(values))


def _plain_component(component: Component) -> dict[str, Any]:
    return {"name": component.name, **component.options}
