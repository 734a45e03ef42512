"""Finds plugins by entry points and fills the registry, one plugin at a time. Imports no torch.

A plugin that fails (while it is imported, validated, or asked what it offers) is left out whole and recorded;
the others are not touched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

import pluggy

from zoo import hookspecs
from zoo.disabled import choices_file, disabled_names, is_disabled
from zoo.errors import PluginError, UserError, name_list
from zoo.kinds import KINDS
from zoo.load_times import LoadCost, watched
from zoo.registering import NAME, ConfigDefault, Register, RegisterConfigDir, RegisterDefault, RegisterWrapper
from zoo.registry import RESERVED, Entry, FailedPlugin, LazyProvider, Origin, Registry
from zoo.wrapping import Wrapper

__all__ = ["DISTRIBUTION", "GROUP", "LoadedPlugin", "Plugins", "Register", "installed_plugins", "load_plugins"]

GROUP = "zoo.v1"
"""The entry-point group; the number is the generation of the hooks. Within it hooks only gain arguments."""

DISTRIBUTION = "zoo"
"""The distribution whose plugins are built in: they always load, and they alone may use the first-party names."""


@dataclass(frozen=True)
class LoadedPlugin:
    """A plugin as `zoo plugins` shows it.

    Attributes:
        status: `ok`, `failed` or `ignored`.
        counts: How much of what it offers.
        reason: Why it failed or was ignored.
        cost: What loading it took, in this process.
    """

    origin: Origin
    status: str
    counts: tuple[tuple[str, int], ...] = ()
    reason: str = ""
    cost: LoadCost = field(default_factory=LoadCost)

    @property
    def slows(self) -> bool:
        """Whether it makes every command slower, and is not zoo's own."""
        return self.cost.noteworthy and not _is_built_in(self.origin)


@dataclass(frozen=True)
class Plugins:
    """The registry and what became of each plugin.

    Attributes:
        config_dirs: Packages of YAML.
        defaults: What plugins would have values of a configuration be.
    """

    registry: Registry
    plugins: tuple[LoadedPlugin, ...]
    config_dirs: tuple[str, ...]
    defaults: tuple[ConfigDefault, ...] = ()


def load_plugins(*, only: Iterable[str] | None = None, strict: bool | None = None) -> Plugins:
    """Loads the built-in plugins and the installed third-party ones that the user did not switch off.

    Args:
        only: Names of third-party plugins to load, switched off or not; None reads `ZOO_PLUGINS` (unset: all but those
            that are switched off; empty: none).
        strict: Raise at the first failure; None reads `ZOO_STRICT=1`.

    Raises:
        UserError: `only` names a plugin that is not installed, or the list of disabled plugins cannot be read.
        PluginError: A plugin failed, and `strict` is on.
    """
    selected = _selection(only)
    strict = os.environ.get("ZOO_STRICT") == "1" if strict is None else strict
    off = disabled_names() if selected is None else frozenset()
    points = installed_plugins()
    _check_selection(selected, [point.name for point, origin in points if not _is_built_in(origin)])
    loader = _Loader(strict=strict)
    for point, origin in points:
        if point.group != GROUP:
            loader.ignore(origin, f"speaks {point.group}, this zoo speaks {GROUP}")
        elif _is_built_in(origin):
            loader.load(point, origin)
        elif selected is not None and point.name not in selected:
            loader.ignore(origin, "not in ZOO_PLUGINS")
        elif is_disabled(origin, off):
            loader.ignore(origin, f"disabled by you ({choices_file()})")
            loader.registry.disabled.append(origin)
        else:
            loader.load(point, origin)
    return Plugins(loader.registry, tuple(loader.seen), tuple(loader.config_dirs), tuple(loader.defaults))


@dataclass
class _Offered:
    """All that one plugin offers."""

    entries: list[Entry] = field(default_factory=list)
    providers: list[LazyProvider] = field(default_factory=list)
    wrappers: list[Wrapper] = field(default_factory=list)
    defaults: list[ConfigDefault] = field(default_factory=list)
    dirs: list[str] = field(default_factory=list)

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """How many of what, the kinds of components first."""
        names = [entry.kind for entry in self.entries]
        names += [f"{provider.kind} provider" for provider in self.providers]
        names += ["wrapper"] * len(self.wrappers) + ["config default"] * len(self.defaults)
        names += ["YAML folder"] * len(self.dirs)
        return tuple((name, names.count(name)) for name in dict.fromkeys(names))


class _Loader:
    """Loads plugins one by one; what one of them does wrong touches no other."""

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._manager = pluggy.PluginManager("zoo")
        self._manager.add_hookspecs(hookspecs)
        self.registry = Registry()
        self.seen: list[LoadedPlugin] = []
        self.config_dirs: list[str] = []
        self.defaults: list[ConfigDefault] = []

    def ignore(self, origin: Origin, reason: str) -> None:
        """Notes a plugin that is not to be loaded."""
        self.seen.append(LoadedPlugin(origin, "ignored", reason=reason))

    def load(self, point: EntryPoint, bare: Origin) -> None:
        """Takes over all that a plugin offers, or nothing of it."""
        try:
            _check_name(self._manager, bare)
        except ValueError as error:
            self._fail(bare, error)
            return
        asked: list[tuple[Origin, _Offered]] = []

        def ask() -> object:
            plugin: object = point.load()
            asked.append(self._ask(plugin, bare))
            return plugin

        try:
            with contextlib.redirect_stdout(sys.stderr):  # what a plugin prints must not get into results
                _, cost = watched(point.value, ask)
            ((origin, offered),) = asked
            self.registry.add(offered.entries, offered.providers, wrappers=offered.wrappers)
        except (Exception, SystemExit) as error:
            if self._manager.has_plugin(bare.plugin):
                self._manager.unregister(name=bare.plugin)
            self._fail(bare, error)
        else:
            self.config_dirs += offered.dirs
            self.defaults += offered.defaults
            self.seen.append(LoadedPlugin(origin, "ok", offered.counts, cost=cost))

    def _fail(self, origin: Origin, error: BaseException) -> None:
        """Records the failure; a built-in plugin, and any under `ZOO_STRICT=1`, ends the command."""
        reason = f"{type(error).__name__}: {error}"
        if self._strict or _is_built_in(origin):
            raise PluginError(f"plugin {origin} failed: {reason}") from error
        self.registry.failed.append(FailedPlugin(origin, reason))
        self.seen.append(LoadedPlugin(origin, "failed", reason=reason))

    def _ask(self, plugin: object, bare: Origin) -> tuple[Origin, _Offered]:
        """Validates a plugin's hooks and collects all that it offers."""
        self._manager.register(plugin, name=bare.plugin)
        self._manager.check_pending()
        self._refuse_hook_wrappers(plugin)
        origin = dataclasses.replace(bare, file=getattr(plugin, "__file__", None) or "")
        others = [other for _, other in self._manager.list_name_plugin() if other is not plugin and other is not None]
        offered = _Offered()
        for kind in KINDS:
            register = Register(kind, origin)
            self._call(f"register_{kind.hook}", others, register)
            offered.entries += register.entries
            offered.providers += register.providers
        wrap, default, folder = RegisterWrapper(origin), RegisterDefault(origin), RegisterConfigDir()
        self._call("register_wrappers", others, wrap)
        self._call("register_config_defaults", others, default)
        self._call("register_config_dirs", others, folder)
        offered.wrappers, offered.defaults, offered.dirs = wrap.wrappers, default.defaults, folder.packages
        if not offered.counts:
            raise ValueError("it offers nothing: mark its hook functions with @hookimpl from zoo.hookspecs")
        return origin, offered

    def _call(self, hook: str, others: list[object], register: Callable[..., None]) -> None:
        """Calls one hook of one plugin. `others` are left out: the first failing plugin would end a common call."""
        self._manager.subset_hook_caller(hook, remove_plugins=others)(register=register)

    def _refuse_hook_wrappers(self, plugin: object) -> None:
        """Refuses pluggy's own hook wrappers: hooks are called for one plugin alone, with nothing to wrap."""
        for caller in self._manager.get_hookcallers(plugin) or ():
            if any(impl.plugin is plugin and (impl.wrapper or impl.hookwrapper) for impl in caller.get_hookimpls()):
                raise ValueError(f"{caller.name} is a hook wrapper; register_wrappers wraps another's component")


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


def installed_plugins() -> list[tuple[EntryPoint, Origin]]:
    """Entry points of every generation, sorted by distribution and name; nothing is imported.

    Of two installations of one distribution, the order of `sys.path` decides, as it does for imports.
    """
    found = []
    known: dict[int, tuple[str, str]] = {}  # each reading of metadata parses the distribution's whole README
    everything = entry_points()
    for group in everything.groups:
        for point in everything.select(group=group) if re.fullmatch(r"zoo\.v\d+", group) else ():
            if id(point.dist) not in known:
                known[id(point.dist)] = _name_and_version(point)
            found.append((point, Origin(point.name, *known[id(point.dist)])))
    return sorted(found, key=lambda pair: (pair[1].distribution, pair[0].group, pair[0].name))


def _name_and_version(point: EntryPoint) -> tuple[str, str]:
    """What the metadata of an entry point's distribution say; those of a torn installation may say nothing."""
    about = None if point.dist is None else point.dist.metadata

    def stated(field: str) -> str:
        if about is None or field not in about:
            return "unknown"
        return about[field]

    return stated("Name"), stated("Version")


def _is_built_in(origin: Origin) -> bool:
    return origin.distribution == DISTRIBUTION


def _check_name(manager: pluggy.PluginManager, origin: Origin) -> None:
    """Refuses an entry-point name that is malformed, zoo's own, or taken."""
    if not NAME.fullmatch(origin.plugin) or not origin.namespace:
        raise ValueError(f"plugin name {origin.plugin!r}: letters, digits and _ . - only, starting with no dot")
    if origin.namespace in RESERVED and not _is_built_in(origin):
        raise ValueError(f"the namespace {origin.namespace!r} belongs to zoo itself; rename the entry point")
    if manager.has_plugin(origin.plugin):
        raise ValueError(f"another distribution already offers a plugin named {origin.plugin!r}")
