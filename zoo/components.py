"""Named components: what a plugin offers, and from which plugin it is. Imports no torch."""

from __future__ import annotations

import inspect
import pkgutil
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

from zoo.errors import PluginError, UserError
from zoo.kinds import BY_NAME

if TYPE_CHECKING:
    from zoo.wrapping import Wrapper


@dataclass(frozen=True)
class Origin:
    """Which plugin of which distribution offers a component."""

    plugin: str
    distribution: str
    version: str
    file: str = ""

    @property
    def namespace(self) -> str:
        """The part of the plugin's name before the first dot: what stands before the slash in full names."""
        return self.plugin.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.plugin} ({self.distribution} {self.version})"


@dataclass(frozen=True)
class Offer:
    """What a provider says of one of its names.

    Attributes:
        target: `module:attr`, loaded on first use.
        name: What the component is called, where it was asked for by another name (an older one, with its weight tag).
        bound: Arguments that are fixed for this name.
        parameters: Reads the options where they differ from the target's own signature.
    """

    target: str
    summary: str
    source: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    bound: Mapping[str, Any] = field(default_factory=dict)
    parameters: Callable[[], list[inspect.Parameter]] | None = None


class Provider(Protocol):
    """A library that offers names on demand."""

    def names(self) -> list[str]:
        """All bare names."""

    def offer(self, name: str) -> Offer | None:
        """What the name means, or None where the library does not have it."""


@dataclass(frozen=True)
class Entry:
    """One component: an offer, of a kind, with its origin.

    Attributes:
        wrappers: What other plugins put around it when it is built, the innermost first.
    """

    kind: str
    name: str
    offer: Offer
    origin: Origin
    wrappers: tuple[Wrapper, ...] = ()

    @property
    def full_name(self) -> str:
        """`namespace/name`: means the same whatever else is installed."""
        return f"{self.origin.namespace}/{self.name}"

    @property
    def made_by(self) -> tuple[str, ...]:
        """Its plugin with its version, then each wrapper with its own: what changes where the code behind it does."""
        return (str(self.origin), *(f"{wrapper.target} of {wrapper.origin}" for wrapper in self.wrappers))

    @property
    def summary(self) -> str:
        """One line of what it is."""
        return self.offer.summary

    @property
    def source(self) -> str | None:
        """Paper or page it follows."""
        return self.offer.source

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the plugin says of it beside its options."""
        return self.offer.facts

    def load(self) -> Callable[..., Any]:
        """The target itself.

        Raises:
            PluginError: The plugin's module cannot be imported or lacks the attribute.
        """
        try:
            return cast(Callable[..., Any], pkgutil.resolve_name(self.offer.target))
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{self.kind} {self.full_name!r} cannot be loaded from {self.offer.target!r}: "
                f"{type(error).__name__}: {error}\n  plugin:  {self.origin}"
            ) from error

    def build(self, **arguments: Any) -> Any:
        """Calls the target with the arguments bound to this name and those given; puts the wrappers around the result.

        Raises:
            PluginError: The target or a wrapper cannot be loaded, or a wrapper crashes.
        """
        built = self.load()(**{**self.offer.bound, **arguments})
        for wrapper in self.wrappers:
            built = wrapper.around(built, name=self.full_name)
        return built

    def parameters(self) -> list[inspect.Parameter]:
        """The options: parameters of the target that neither the framework nor the offer fixes, annotations evaluated.

        Raises:
            PluginError: The target cannot be loaded, or its signature or an option's annotation cannot be read.
        """
        target = self.load()
        hidden = BY_NAME[self.kind].supplied | set(self.offer.bound)
        try:
            read = self.offer.parameters
            found = inspect.signature(target).parameters.values() if read is None else read()
            shown = [p for p in found if p.name not in hidden and p.kind not in _COLLECTING]
            return [p.replace(annotation=_evaluated(p.annotation, target)) for p in shown]
        except Exception as error:
            raise PluginError(
                f"the options of {self.kind} {self.full_name!r} cannot be read: {type(error).__name__}: {error}\n"
                f"  plugin:  {self.origin}"
            ) from error

    def takes(self, option: str) -> bool:
        """Whether its own signature has an option of this name.

        Raises:
            PluginError: Its options cannot be read.
        """
        return any(parameter.name == option for parameter in self.parameters())

    @property
    def claimed(self) -> frozenset[str]:
        """Common options of its kind on which it acts itself, in the framework's place.

        Raises:
            PluginError: Its options cannot be read.
        """
        yielding = BY_NAME[self.kind].yielding
        return yielding & {parameter.name for parameter in self.parameters()} if yielding else yielding

    def split(self, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Options that the component takes itself, and those on which the framework acts.

        Raises:
            PluginError: Its options cannot be read.
        """
        framework = set(BY_NAME[self.kind].common) - self.claimed
        own = {key: value for key, value in options.items() if key not in framework}
        return own, {key: value for key, value in options.items() if key in framework}


_COLLECTING = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def _evaluated(annotation: Any, target: Callable[..., Any]) -> Any:
    """An annotation that `from __future__ import annotations` left as text, as the type it names."""
    if not isinstance(annotation, str):
        return annotation
    made_by = inspect.getattr_static(target, "__init__") if isinstance(target, type) else target
    function = inspect.unwrap(made_by)
    home = sys.modules.get(getattr(function, "__module__", None) or "", typing)
    scope: dict[str, Any] = {}
    for owner in reversed(inspect.getmro(target) if isinstance(target, type) else ()):
        scope |= vars(sys.modules.get(owner.__module__, typing))  # a dataclass's __init__ takes fields of its bases
    scope |= getattr(function, "__globals__", vars(home))
    holder = type("Holder", (), {"__annotations__": {"value": annotation}})
    return typing.get_type_hints(holder, globalns=scope, include_extras=True)["value"]


@dataclass(frozen=True)
class LazyProvider:
    """A provider that is imported when its names are first asked for.

    Attributes:
        schemes: What stands before the colon in addresses that it reads (`hf` of `hf:ORG/NAME`); nobody else is asked.
        light_names: `module:attr` of the names, or of a function that lists them, without the library; or None.
    """

    kind: str
    target: str
    summary: str
    origin: Origin
    schemes: tuple[str, ...] = ()
    light_names: str | None = None

    @cached_property
    def provider(self) -> Provider:
        """The provider itself."""
        return cast(Provider, self._guarded(lambda: pkgutil.resolve_name(self.target)()))

    def names(self) -> list[str]:
        """All bare names that it offers.

        Raises:
            PluginError: The provider cannot be imported, or fails.
        """
        provider = self.provider
        return list(self._guarded(provider.names))

    def entry(self, name: str) -> Entry | None:
        """The component of this name, or None.

        Raises:
            PluginError: The provider cannot be imported, or fails.
        """
        provider = self.provider
        offer = self._guarded(lambda: provider.offer(name))
        return None if offer is None else Entry(self.kind, offer.name or name, offer, self.origin)

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except UserError:  # what is named cannot be used as given: the provider works
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"the {self.kind} provider {self.target!r} failed: {type(error).__name__}: {error}\n"
                f"  plugin:  {self.origin}"
            ) from error


@dataclass(frozen=True)
class FailedPlugin:
    """A plugin that could not be used, and why."""

    origin: Origin
    reason: str
