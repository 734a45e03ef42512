"""What hooks are handed: each offer is checked at the plugin's own line. Imports no torch.

Nothing is taken over before all hooks of a plugin have succeeded.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from zoo.kinds import BY_GROUP, Kind
from zoo.registry import Entry, LazyProvider, Offer, Origin
from zoo.wrapping import ANY, Wrapper

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
"""Names of components and of plugins."""

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_KEY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

_USERS_OWN = frozenset({"data", "data.path", "experiment", "resume", "run.dir"})
"""Keys for which no plugin may have a default: which data, where results go, and what is gone on with."""


@dataclass(frozen=True)
class ConfigDefault:
    """What a plugin would have a value of the configuration be, where the user says nothing.

    Attributes:
        key: Dotted key (`train.batch_size`), or a group (`optimizer`), whose value chooses a component.
        value: Plain: a number, text, true, false, None, or a list of these.
        reason: Why, in one line.
        origin: The plugin.
    """

    key: str
    value: Any
    reason: str
    origin: Origin

    @property
    def source(self) -> str:
        """Where the value came from, as `zoo explain config` shows it."""
        return f"default of {self.origin}: {self.reason}"


class Register:
    """Offers components of one kind: single ones, or a provider of many."""

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
        what = f"{self._kind.name} {name!r}"
        if not NAME.fullmatch(name):
            raise ValueError(f"{self._kind.name} name {name!r}: letters, digits and _ . - only")
        _check_target(target, what)
        if any(entry.name == name for entry in self.entries):
            raise ValueError(f"{what} is registered twice by one plugin")
        offer = Offer(target, _one_line(summary, what), source, facts)
        self.entries.append(Entry(self._kind.name, name, offer, self._origin))

    def provider(
        self, target: str, *, summary: str, schemes: Iterable[str] = (), light_names: str | None = None
    ) -> None:
        """Offers a library of names: `target` names a class with `names()` and `offer(name)`.

        Args:
            target: `module:Class`, imported when its names are first asked for.
            summary: One line of what it is.
            schemes: Addresses `scheme:...` that `offer` reads as well; they are asked of no other provider.
            light_names: `module:attr` of the names, or of a function that returns them, without importing the library:
                for tab completion. Without it, names are completed once a command has used the provider.

        Raises:
            ValueError: A malformed target.
        """
        what = f"{self._kind.name} provider"
        _check_target(target, what)
        if light_names is not None:
            _check_target(light_names, f"{what}: light_names")
        self.providers.append(LazyProvider(self._kind.name, target, summary, self._origin, tuple(schemes), light_names))


class RegisterWrapper:
    """Puts something around components that another plugin offers."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.wrappers: list[Wrapper] = []

    def __call__(self, kind: str, wrapped: str, target: str, *, summary: str) -> None:
        """Wraps one component, or all of a kind.

        Args:
            kind: Kind of the component, `optimizer`.
            wrapped: Its full name, `torch/sgd`, or `*` for every component of the kind.
            target: `module:attr` of a function `wrap(component, *, name)` that returns a component of the same kind;
                it is imported when the first such component is built.
            summary: One line of what it does.

        Raises:
            ValueError: There is no such kind, a bare name, a malformed target, no summary, or the same wrapper twice.
        """
        kinds = [one.name for one in BY_GROUP.values()]
        what = f"wrapper of {kind} {wrapped!r}"
        if kind not in kinds:
            raise ValueError(f"{what}: kinds that can be wrapped are {', '.join(kinds)}")
        if wrapped != ANY and "/" not in wrapped:
            raise ValueError(f"{what}: write the full name, as in 'torch/sgd', or '*' for all of the kind")
        _check_target(target, what)
        if any((w.kind, w.wrapped, w.target) == (kind, wrapped, target) for w in self.wrappers):
            raise ValueError(f"{what} by {target!r} is registered twice by one plugin")
        self.wrappers.append(Wrapper(kind, wrapped, target, _one_line(summary, what), self._origin))


class RegisterDefault:
    """Says what a value of the configuration should be where the user says nothing."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.defaults: list[ConfigDefault] = []

    def __call__(self, key: str, value: Any, *, reason: str) -> None:
        """Sets one default.

        Args:
            key: A key that is there whatever is chosen (`train.batch_size`, `optimizer.lr`), or a group (`optimizer`).
            value: A plain value; for a group the name of a component, for one that takes a list the names.
            reason: Why, in one line; the run and `zoo explain config` show it.

        Raises:
            ValueError: A malformed key, one that is the user's own to say, a value that YAML cannot hold, no reason, or
                the key twice.
        """
        what = f"config default {key!r}"
        if not _KEY.fullmatch(key):
            raise ValueError(f"{what}: a key is words with dots between them, as in train.batch_size")
        if key in _USERS_OWN:
            raise ValueError(f"{what}: that is the user's own to say")
        if any(default.key == key for default in self.defaults):
            raise ValueError(f"{what} is registered twice by one plugin")
        items = list(value) if isinstance(value, list | tuple) else [value]
        if not all(item is None or type(item) in (bool, int, float, str) for item in items):
            raise ValueError(f"{what}: {value!r} is no number, text, true, false, None, or list of these")
        if key in BY_GROUP and not all(isinstance(item, str) for item in items):
            raise ValueError(f"{what}: {value!r} names no {BY_GROUP[key].name}")
        plain = items if isinstance(value, list | tuple) else value
        self.defaults.append(ConfigDefault(key, plain, _one_line(reason, what, field="reason"), self._origin))


class RegisterConfigDir:
    """Notes packages of YAML."""

    def __init__(self) -> None:
        self.packages: list[str] = []

    def __call__(self, package: str) -> None:
        """Notes one package.

        Raises:
            ValueError: There is no such package.
        """
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            spec = None
        if spec is None or not spec.submodule_search_locations:
            raise ValueError(f"config_dir {package!r} is no importable package (a folder with an __init__.py)")
        self.packages.append(package)


def _check_target(target: str, what: str) -> None:
    if not _TARGET.fullmatch(target):
        raise ValueError(f"{what}: target {target!r} is not of the form 'module:attr'")


def _one_line(text: str, what: str, *, field: str = "summary") -> str:
    stripped = " ".join(text.split())
    if not stripped:
        raise ValueError(f"{what}: the {field} is empty")
    return stripped
