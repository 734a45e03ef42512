"""The kinds of component: the one table from which hooks, config groups and options are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PLURALS: Mapping[str, str] = {"weights": "weights", "strategy": "strategies", "loss": "losses"}
"""Plurals that an added `s` does not make."""


@dataclass(frozen=True)
class Kind:
    """One kind of component.

    Attributes:
        name: The kind in the singular; its hook is `register_` and the plural.
        group: Name of the config group, or None where a configuration does not choose such a component by name.
        many: Whether the group takes a list, each item under its own short name.
        supplied: Arguments that the framework passes; they are no options.
        common: Options of every component of the kind, with their defaults; the framework acts on them itself.
        yielding: Common options on which a component acts itself where its signature has an option of that name; the
            framework then leaves them alone.
        stage: What of a run this kind shapes, in a few words, for the documentation.
    """

    name: str
    group: str | None
    stage: str
    many: bool = False
    supplied: frozenset[str] = frozenset()
    common: Mapping[str, Any] = field(default_factory=dict)
    yielding: frozenset[str] = frozenset()

    @property
    def hook(self) -> str:
        """Name of the hook through which components of this kind are offered."""
        return PLURALS.get(self.name, f"{self.name}s")


KINDS: tuple[Kind, ...] = (
    Kind(
        "dataset",
        "data",
        "finding images and labels",
        common={
            "cache": "packed",
            "cache_dir": None,
            "channels": "auto",
            "val_fraction": "auto",
            "test_fraction": "auto",
            "split_seed": 0,
            "max_bad_fraction": 0.05,
            "threads": "auto",
        },
    ),
    Kind("augmentation", "augmentations", "changing training images", many=True),
    Kind(
        "model",
        "model",
        "the network",
        supplied=frozenset({"classes", "channels", "image_size"}),
        common={
            "image_size": "auto",
            "init": "auto",
            "activation": "auto",
            "norm": "auto",
            "norm_epsilon": "auto",
            "pixels": "auto",
        },
        yielding=frozenset({"init", "activation", "norm", "norm_epsilon", "pixels"}),
    ),
    Kind("weights", None, "where pretrained values come from"),
    Kind("head", "head", "the last layer", supplied=frozenset({"features", "classes"})),
    Kind("regularizer", "regularizers", "holding the fit back", many=True),
    Kind("optimizer", "optimizer", "the step", supplied=frozenset({"params"}), common={"lr": "auto"}),
    Kind(
        "schedule",
        "schedule",
        "the learning rate over time",
        common={"warmup_share": "auto"},
    ),
    Kind("loss", "loss", "what is minimised"),
    Kind("strategy", "strategy", "what is trained, when, and how fast"),
    Kind("callback", "callbacks", "being told what happens in a run", many=True),
    Kind("tracker", "trackers", "where curves and scores are written", many=True, common={"every_steps": 10}),
    Kind("importer", None, "reading other frameworks' weights"),
    Kind("command", None, "a verb of the command line"),
)

BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}
BY_GROUP: Mapping[str, Kind] = {kind.group: kind for kind in KINDS if kind.group}
