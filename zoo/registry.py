"""All components that are offered, and which of two owners a bare name means. Imports no torch."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from zoo.components import Entry, FailedPlugin, LazyProvider, Offer, Origin, Provider
from zoo.errors import PluginError, UserError, name_list, nearest
from zoo.kinds import BY_NAME
from zoo.wrapping import ANY, Wrapper

__all__ = [
    "FIRST_PARTY",
    "RESERVED",
    "Entry",
    "FailedPlugin",
    "LazyProvider",
    "Offer",
    "Origin",
    "Provider",
    "Registry",
]

FIRST_PARTY = ("zoo", "torch", "timm", "torchvision", "albumentations")
"""Namespaces of this project's own plugins; where they share a bare name, the earlier one owns it."""

RESERVED = (*FIRST_PARTY, "published")
"""Namespaces that no third party may take. Models that users published have no rank: what is installed goes first."""


class Registry:
    """All components that the loaded plugins offer."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], list[Entry]] = {}
        self._providers: dict[str, list[LazyProvider]] = {}
        self.wrappers: list[Wrapper] = []
        self.failed: list[FailedPlugin] = []
        self.disabled: list[Origin] = []

    def add(
        self, entries: Iterable[Entry], providers: Iterable[LazyProvider] = (), *, wrappers: Iterable[Wrapper] = ()
    ) -> None:
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
        self._put_around([*self.wrappers, *wrappers])

    def with_wrappers(self, wrappers: Iterable[Wrapper]) -> Registry:
        """The same components with other wrappers around them: those with which a model was saved."""
        other = copy.copy(self)
        other._put_around(wrappers)
        return other

    def _put_around(self, wrappers: Iterable[Wrapper]) -> None:
        """Takes these wrappers, the innermost first: by distribution, then plugin, then as they were registered."""
        self.wrappers = sorted(wrappers, key=lambda wrapper: (wrapper.origin.distribution, wrapper.origin.plugin))

    def _wrapped(self, entry: Entry) -> Entry:
        around = tuple(wrapper for wrapper in self.wrappers if wrapper.acts_on(entry.kind, entry.full_name))
        return dataclasses.replace(entry, wrappers=around) if around else entry

    def wraps_nothing(self, wrapper: Wrapper) -> bool:
        """Whether nobody offers what is to be wrapped. Providers are not asked: one of that namespace may have it."""
        entries, providers = self.entries(wrapper.kind), self.providers(wrapper.kind)
        if wrapper.wrapped == ANY:
            return not (entries or providers)
        namespace = wrapper.wrapped.partition("/")[0]
        return wrapper.wrapped not in {entry.full_name for entry in entries} and namespace not in {
            provider.origin.namespace for provider in providers
        }

    def entries(self, kind: str) -> list[Entry]:
        """Components offered one by one (not those of providers), sorted by name and owner."""
        found = [self._wrapped(entry) for (of, _), owners in self._entries.items() if of == kind for entry in owners]
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
                yield self._wrapped(entry)

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
        hint += self.not_loaded()
        return UserError(
            f"unknown {kind} {name!r}",
            where=f"{BY_NAME[kind].group or kind}={name}",
            allowed=name_list(name, names),
            do=hint,
        )

    def not_loaded(self) -> list[str]:
        """One line for each plugin that may offer what is missed: those that failed, and those switched off."""
        failed = [f"plugin {failed.origin} failed to load: {failed.reason}" for failed in self.failed]
        off = [f"plugin {origin} is disabled by you: zoo plugins enable {origin.plugin}" for origin in self.disabled]
        return failed + off


def _rank(origin: Origin) -> int:
    """Place among the first-party namespaces; third parties come after all of them."""
    return FIRST_PARTY.index(origin.namespace) if origin.namespace in FIRST_PARTY else len(FIRST_PARTY)
