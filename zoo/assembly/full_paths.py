"""Paths of a run, kept so that they mean the same from any folder: `resume` and `evaluate` may come from elsewhere."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from zoo.assembly.network import weight_sources
from zoo.config.run_config import Component, FinetuneConfig
from zoo.config.words import exists
from zoo.registry import Registry


def with_full_paths(config: FinetuneConfig, registry: Registry) -> FinetuneConfig:
    """The configuration with the paths of data, caches and weights made absolute.

    A value that may mean something else stays as it is: the name of a weight source, an address that a plugin reads.
    """
    is_name = config.weights in ("auto", "none") or bool(weight_sources(registry, config.weights))
    weights = config.weights if is_name else _full(config.weights)
    return dataclasses.replace(config, data=_of_data(config.data, registry), weights=weights)


def _of_data(data: Component, registry: Registry) -> Component:
    entry = registry.get(data.kind, data.name)
    options: dict[str, Any] = dict(data.options)
    if options["cache_dir"] is not None:
        options["cache_dir"] = os.path.abspath(os.path.expanduser(options["cache_dir"]))
    if entry.origin.namespace == "zoo" or entry.facts.get("suffixes"):
        options |= {"path": _full(options["path"])} if isinstance(options.get("path"), str) else {}
    return dataclasses.replace(data, options=options)


def _full(value: str) -> str:
    """A path that is there, absolute; anything else as it is."""
    return os.path.abspath(os.path.expanduser(value)) if exists(value) else value
