"""Finds plugins by entry points and fills the registry, one plugin at a time. Imports no torch.

A plugin that fails (while it is imported, validated, or asked what it offers) is left out whole and recorded;
the others are not touched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from zoo import hookspecs
from zoo.errors import PluginError, UserError, name_list
from zoo.kinds import KINDS, Kind
from zoo.registry import RESERVED, Entry, FailedPlugin, LazyProvider, Offer, Origin, Registry

GROUP = "zoo.v1"
"""The entry-point group; the number is the generation of the hooks. Within it hooks only gain arguments."""

DISTRIBUTION = "zoo"
"""The distribution whose plugins are built in: they always load, and they alone may use the first-party names."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin as `zoo plugins` shows it. `reason` says why it failed or was ignored."""

    origin: Origin
    status: str
    counts: tuple[tuple[str, int], ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Plugins:
    """The registry and what became of each plugin."""

    registry: Registry
    plugins: tuple[LoadedPlugin, ...]
    config_dirs: tuple[str, ...]


class Register:
    """What a hook is handed: offers one component, or a provider of many.

    Everything is checked at the plugin's own line, and taken over only when all hooks of the plugin succeed.
    """

    def __init__(self, kind: Kind, origin: Origin) -> None:
        self._kind, self._origin = kind, origin
        self.entries: list[Entry] = []
        self.providers: list[LazyProvider] = []

    def __call__(self, name: str, target: str, *, summary: str, source: str | None = None, **facts: Any) -> None:
        """Offers one component.

        Args:
            name: Lower-case name that users write.
            target: `module:attr`, imported on first use.
            summary: One line of what it is.
            source: Paper or page it follows.
            **facts: What the kind's contract asks for beside options (docs/contracts.md).

        Raises:
            ValueError: A malformed name or target, no summary, or the name twice in one plugin.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{self._kind.name} name {name!r}: letters, digits and _ . - only")
        if not _TARGET.fullmatch(target):
            raise ValueError(f"{self._kind.name} {name!r}: target {target!r} is not of the form 'module:attr'")
        if not summary.strip():
            raise ValueError(f"{self._kind.name} {name!r}: the summary is empty")
        if any(entry.name == name for entry in self.entries):
            raise ValueError(f"{self._kind.name} {name!r} is registered twice by one plugin")
        offer = Offer(target, summary.strip(), source, facts)
        self.entries.append(Entry(self._kind.name, name, offer, self._origin))

    def provider(self, target: str, *, summary: str, schemes: Iterable[str] = ()) -> None:
        """Offers a library of names: `target` names a class with `names()` and `offer(name)`.

        Args:
            target: `module:Class`, imported when its names are first asked for.
            summary: One line of what it is.
            schemes: Addresses `scheme:...` that `offer` reads as well; they are asked of no other provider.
        """
        if not _TARGET.fullmatch(target):
            raise ValueError(f"{self._kind.name} provider: target {target!r} is not of the form 'module:attr'")
        self.providers.append(LazyProvider(self._kind.name, target, summary, self._origin, tuple(schemes)))


def load_plugins(*, only: Iterable[str] | None = None, strict: bool | None = None) -> Plugins:
    """Loads the built-in plugins and the installed third-party ones.

    Args:
        only: Names of third-party plugins to load; None reads `ZOO_PLUGINS` (unset: all; empty: none).
        strict: Raise at the first failure; None reads `ZOO_STRICT=1`.

    Raises:
        UserError: `only` names a plugin that is not installed.
        PluginError: A plugin failed, and `strict` is on.
    """
    selected = _selection(only)
    strict = os.environ.get("ZOO_STRICT") == "1" if strict is None else strict
    points = _entry_points()
    _check_selection(selected, [point.name for point, origin in points if not _is_built_in(origin)])
    loader = _Loader(strict=strict)
    for point, origin in points:
        if point.group != GROUP:
            loader.ignore(origin, f"speaks {point.group}, this zoo speaks {GROUP}")
        elif not _is_built_in(origin) and selected is not None and point.name not in selected:
            loader.ignore(origin, "not in ZOO_PLUGINS")
        else:
            loader.load(point, origin)
    return Plugins(loader.registry, tuple(loader.seen), tuple(loader.config_dirs))


class _Loader:
    """Loads plugins one by one; what one of them does wrong touches no other."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._manager = pluggy.PluginManager("zoo")
        self._manager.add_hookspecs(hookspecs)
        self.registry = Registry()
        self.seen: list[LoadedPlugin] = []
        self.config_dirs: list[str] = []

    def ignore(self, origin: Origin, reason: str) -> None:
        """Notes a plugin that is not to be loaded."""
        self.seen.append(LoadedPlugin(origin, "ignored", reason=reason))

    def load(self, point: EntryPoint, origin: Origin) -> None:
        """Takes over all that a plugin offers, or nothing of it."""
        plugin: object = None
        try:
            _check_name(self._manager, origin)
            with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints must not get into results
                plugin = point.load()
                origin, entries, providers, dirs = self._ask(plugin, origin)
            self.registry.add(entries, providers)
        except (Exception, SystemExit) as error:
            if plugin is not None and self._manager.get_name(plugin) == origin.plugin:
                self._manager.unregister(plugin)
            self._fail(origin, error)
        else:
            self.config_dirs += dirs
            self.seen.append(LoadedPlugin(origin, "ok", _counts(entries, providers)))

    def _fail(self, origin: Origin, error: BaseException) -> None:
        """Records the failure; a built-in plugin, and any under `ZOO_STRICT=1`, ends the command."""
        reason = f"{type(error).__name__}: {error}"
        if self._strict or _is_built_in(origin):
            raise PluginError(f"plugin {origin} failed: {reason}") from error
        self.registry.failed.append(FailedPlugin(origin, reason))
        self.seen.append(LoadedPlugin(origin, "failed", reason=reason))

    def _ask(self, plugin: object, bare: Origin) -> tuple[Origin, list[Entry], list[LazyProvider], list[str]]:
        """Validates a plugin's hooks and collects all that it offers."""
        self._manager.register(plugin, name=bare.plugin)
        self._manager.check_pending()
        origin = dataclasses.replace(bare, file=getattr(plugin, "__file__", None) or "")
        others = [other for _, other in self._manager.list_name_plugin() if other is not plugin and other is not None]
        entries: list[Entry] = []
        providers: list[LazyProvider] = []
        for kind in KINDS:
            register = Register(kind, origin)
            self._call(f"register_{kind.hook}", others, register)
            entries += register.entries
            providers += register.providers
        dirs: list[str] = []
        self._call("register_config_dirs", others, partial(_add_config_dir, dirs))
        if not (entries or providers or dirs):
            raise ValueError("it offers nothing: mark its hook functions with @hookimpl from zoo.hookspecs")
        return origin, entries, providers, dirs

    def _call(self, hook: str, others: list[object], register: Callable[..., None]) -> None:
        """Calls one hook of one plugin. `others` are left out: the first failing plugin would end a common call."""
        self._manager.subset_hook_caller(hook, remove_plugins=others)(register=register)


def _selection(only: Iterable[str] | None) -> set[str] | None:
    if only is not None:
        return set(only)
    value = os.environ.get("ZOO_PLUGINS")
    return None if value is None else {name.strip() for name in value.split(",") if name.strip()}


def _check_selection(selected: set[str] | None, installed: list[str]) -> None:
    for name in sorted((selected or set()) - set(installed)):
        raise UserError(
            f"plugin {name!r} is not installed",
            where="ZOO_PLUGINS",
            allowed=name_list(name, installed),
            do=f"pip install the distribution that offers {name!r}, or leave it out of ZOO_PLUGINS",
        )


def _entry_points() -> list[tuple[EntryPoint, Origin]]:
    """Entry points of every generation, sorted by distribution and name.

    Of two installations of one distribution, the order of `sys.path` decides, as it does for imports.
    """
    found = []
    everything = entry_points()
    for group in everything.groups:
        for point in everything.select(group=group) if re.fullmatch(r"zoo\.v\d+", group) else ():
            found.append((point, Origin(point.name, _about(point, "Name"), _about(point, "Version"))))
    return sorted(found, key=lambda pair: (pair[1].distribution, pair[0].group, pair[0].name))


def _about(point: EntryPoint, field: str) -> str:
    """What the metadata of an entry point's distribution say; those of a torn installation may say nothing."""
    if point.dist is None or field not in point.dist.metadata:
        return "unknown"
    return point.dist.metadata[field]


def _is_built_in(origin: Origin) -> bool:
    return origin.distribution == DISTRIBUTION


def _check_name(manager: pluggy.PluginManager, origin: Origin) -> None:
    """Refuses an entry-point name that is malformed, zoo's own, or taken."""
    if not _NAME.fullmatch(origin.plugin) or not origin.namespace:
        raise ValueError(f"plugin name {origin.plugin!r}: letters, digits and _ . - only, starting with no dot")
    if origin.namespace in RESERVED and not _is_built_in(origin):
        raise ValueError(f"the namespace {origin.namespace!r} belongs to zoo itself; rename the entry point")
    if manager.has_plugin(origin.plugin):
        raise ValueError(f"another distribution already offers a plugin named {origin.plugin!r}")


def _add_config_dir(dirs: list[str], package: str) -> None:
    """Notes a package of YAML.

    Raises:
        ValueError: There is no such package.
    """
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"config_dir {package!r} is no importable package (a folder with an __init__.py)")
    dirs.append(package)


def _counts(entries: list[Entry], providers: list[LazyProvider]) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.kind] = counts.get(entry.kind, 0) + 1
    for provider in providers:
        counts[f"{provider.kind} provider"] = counts.get(f"{provider.kind} provider", 0) + 1
    return tuple(counts.items())
