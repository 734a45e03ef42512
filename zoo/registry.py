"""Named components, their origin, and which of two owners a bare name means. Imports no torch."""

from __future__ import annotations

import inspect
import pkgutil
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, cast

from zoo.errors import PluginError, UserError, name_list, nearest
from zoo.kinds import BY_NAME

FIRST_PARTY = ("zoo", "torch", "timm", "torchvision", "albumentations")
"""Namespaces of this project's own plugins; where they share a bare name, the earlier one owns it."""

RESERVED = (*FIRST_PARTY, "published")
"""Namespaces that no third party may take. Models that users published have no rank: what is installed goes first."""


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
    """One component: an offer, of a kind, with its origin."""

    kind: str
    name: str
    offer: Offer
    origin: Origin

    @property
    def full_name(self) -> str:
        """`namespace/name`: means the same whatever else is installed."""
        return f"{self.origin.namespace}/{self.name}"

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
        """Calls the target with the arguments bound to this name and those given."""
        return self.load()(**{**self.offer.bound, **arguments})

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
    """

    kind: str
    target: str
    summary: str
    origin: Origin
    schemes: tuple[str, ...] = ()

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


class Registry:
    """All components that the loaded plugins offer."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], list[Entry]] = {}
        self._providers: dict[str, list[LazyProvider]] = {}
        self.failed: list[FailedPlugin] = []

    def add(self, entries: Iterable[Entry], providers: Iterable[LazyProvider] = ()) -> None:
        """Takes over what one plugin offers, all or nothing.

        Raises:
            ValueError: A full name is taken already, by another plugin of the same namespace.
        """
        new = list(entries)
        for entry in new:
            for other in self._entries.get((entry.kind, entry.name), []):
                if other.full_name == entry.full_name:
                    raise ValueError(f"{entry.kind} {entry.full_name!r} is already offered by {other.origin}")
        for entry in new:
            self._entries.setdefault((entry.kind, entry.name), []).append(entry)
        for provider in providers:
            self._providers.setdefault(provider.kind, []).append(provider)

    def entries(self, kind: str) -> list[Entry]:
        """Components offered one by one (not those of providers), sorted by name and owner."""
        found = [entry for (of, _), owners in self._entries.items() if of == kind for entry in owners]
        return sorted(found, key=lambda entry: (entry.name, _rank(entry.origin), entry.full_name))

    def providers(self, kind: str) -> list[LazyProvider]:
        """Libraries that offer names of this kind on demand, the ranking ones first."""
        return sorted(self._providers.get(kind, []), key=lambda p: (_rank(p.origin), p.origin.plugin))

    def names(self, kind: str) -> list[str]:
        """All bare names of a kind; asks the providers, so it may import their libraries."""
        bare = {entry.name for entry in self.entries(kind)}
        for provider in self.providers(kind):
            bare.update(self._tolerant(provider, provider.names) or [])
        return sorted(bare)

    def has(self, kind: str, name: str) -> bool:
        """Whether a bare or full name means anything; stops at the first that offers it."""
        return next(self._offered(kind, name), None) is not None

    def owners(self, kind: str, name: str) -> list[Entry]:
        """Every component that a bare or full name could mean, the owner of the bare name first."""
        return list(self._offered(kind, name))

    def get(self, kind: str, name: str) -> Entry:
        """The component that a bare or full name means.

        Raises:
            UserError: Nobody offers it (the nearest names are listed), or two third parties do.
            PluginError: A built-in provider failed while it was asked.
        """
        found: list[Entry] = []
        for entry in self._offered(kind, name):
            if entry.origin.namespace in FIRST_PARTY:
                return entry  # the ranking ones come first, so that no other library is imported to be asked
            found.append(entry)
        if not found:
            raise self.unknown(kind, name)
        if len(found) > 1:
            raise UserError(
                f"{kind} {name!r} is offered by {len(found)} plugins",
                where=", ".join(str(entry.origin) for entry in found),
                allowed=", ".join(entry.full_name for entry in found),
                do="write the full name of the one you mean",
            )
        return found[0]

    def _offered(self, kind: str, name: str) -> Iterator[Entry]:
        """Every owner in order of rank; providers are asked only when their turn comes."""
        namespace, slash, bare = name.rpartition("/")
        offers: list[Entry | LazyProvider] = [*self._entries.get((kind, bare), []), *self._providers.get(kind, [])]
        scheme, colon, _ = name.partition(":")
        if colon:
            bare, offers = name, [p for p in self._providers.get(kind, []) if scheme in p.schemes]
        elif slash:
            offers = [offer for offer in offers if offer.origin.namespace == namespace]
        seen = set()
        for offer in sorted(offers, key=lambda o: (_rank(o.origin), isinstance(o, LazyProvider), o.origin.plugin)):
            entry = offer if isinstance(offer, Entry) else self._ask(offer, bare)
            if entry is not None and entry.full_name not in seen:
                seen.add(entry.full_name)
                yield entry

    def _ask(self, provider: LazyProvider, name: str) -> Entry | None:
        return cast("Entry | None", self._tolerant(provider, lambda: provider.entry(name)))

    def _tolerant(self, provider: LazyProvider, call: Callable[[], Any]) -> Any:
        """What the call returns; a failing third-party provider is recorded and offers nothing."""
        try:
            return call()
        except PluginError as error:
            if provider.origin.namespace in RESERVED:
                raise
            failed = FailedPlugin(provider.origin, str(error).partition("\n")[0])
            if failed not in self.failed:
                self.failed.append(failed)
            return None

    def unknown(self, kind: str, name: str, *, known: Iterable[str] | None = None) -> UserError:
        """The error for a name that nobody offers: the nearest names, and the plugins that failed to load.

        Args:
            kind: Kind of the component.
            name: What was asked for.
            known: What would have been accepted; None takes the names of all components of the kind.
        """
        bare = name.rpartition("/")[2]
        names = self.names(kind) if known is None else list(known)
        if bare != name:  # a full name: who else has the bare one?
            names += [entry.full_name for near in nearest(bare, names) for entry in self.owners(kind, near)]
        hint = ["`python -m zoo models PATTERN` lists all"] if kind == "model" else []
        hint += [f"plugin {failed.origin} failed to load: {failed.reason}" for failed in self.failed]
        return UserError(
            f"unknown {kind} {name!r}",
            where=f"{BY_NAME[kind].group or kind}={name}",
            allowed=name_list(name, names),
            do=hint,
        )


def _rank(origin: Origin) -> int:
    """Place among the first-party namespaces; third parties come after all of them."""
    return FIRST_PARTY.index(origin.namespace) if origin.namespace in FIRST_PARTY else len(FIRST_PARTY)
