"""The data source that a configuration names: built, listed, told apart from others in caches. Imports no torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Sequence

from zoo.components import Entry
from zoo.config.run_config import Component
from zoo.contracts.data import DataSource
from zoo.data.listing import Listing, list_images
from zoo.errors import UserError, raise_all
from zoo.registry import Registry

CACHE_DIR = "cache_dir"
"""The option of all data on which the framework acts, and of which a source that keeps files of its own is told too."""

_NOT_PIXELS = frozenset({"path", CACHE_DIR})
"""Options of a source that say where bytes lie; the location and the keys of the samples tell these apart."""


def build_source(component: Component, registry: Registry) -> DataSource:
    """The source, with its own options; one that takes a `cache_dir` is told where the user wants caches."""
    entry = registry.get(component.kind, component.name)
    told = {CACHE_DIR: component.options[CACHE_DIR]} if entry.takes(CACHE_DIR) else {}
    source: DataSource = entry.build(**component.own, **told)
    return source


def refuse_idle(words: Sequence[str], idle: Collection[str], *, source: Entry, why: str) -> None:
    """Refuses words about data that could do nothing; `cache_dir` does something to a source that keeps files there.

    Args:
        words: `data.KEY=VALUE`.
        idle: The keys without `data.`, `cache_dir` among them or not.
        source: What reads the data.
        why: What makes them idle.

    Raises:
        UserErrors: All of them.
    """
    keys = {f"data.{key}" for key in idle if not (key == CACHE_DIR and source.takes(key))}
    given = [word.partition("=")[0] for word in words]
    raise_all([UserError(f"{key} has no effect: {why}", where=key, do="leave it out") for key in given if key in keys])


def list_configured(component: Component, registry: Registry) -> tuple[DataSource, Listing]:
    """The source that a configuration names, and its images with the splits that the configuration means."""
    source = build_source(component, registry)
    names = ("val_fraction", "test_fraction", "channels")
    options = {name: component.options[name] for name in names}
    listing = list_images(source, seed=component.options["split_seed"], **options)
    return source, dataclasses.replace(listing, read_by=_reader(component, registry))


def _reader(component: Component, registry: Registry) -> str:
    """What decides which pixels a key stands for: the source's options, its plugin's version, and what is around it."""
    options = {key: str(value) for key, value in component.own.items() if key not in _NOT_PIXELS}
    return json.dumps([component.name, *registry.get(component.kind, component.name).made_by, options], sort_keys=True)
