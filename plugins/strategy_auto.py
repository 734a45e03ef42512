"""The strategy that chooses among others."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from zoo_plugins.strategy_plans import FromScratch, LinearProbe, ProbeThenFineTune

from zoo.contracts.data import DataFacts
from zoo.contracts.model import NetworkFacts
from zoo.contracts.training import Plan

FEW_IMAGES = 10
"""Below this many training images a class (median), moving the backbone costs more than it gives."""


class Auto:
    """Chooses a strategy: random weights, `scratch`; few images a class, `probe`; else `lpft`.

    Args:
        few_images: Median number of training images a class below which only the head is fitted.
    """

    def __init__(self, *, few_images: int = FEW_IMAGES) -> None:
        self._few_images = few_images

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """The plan of the chosen strategy, with the rule as its reason."""
        chosen, reason = self._choose(facts, pretrained=pretrained, must_train=must_train)
        plans: dict[str, Any] = {"scratch": FromScratch, "probe": LinearProbe, "lpft": ProbeThenFineTune}
        plan: Plan = plans[chosen]().plan(facts, network=network, pretrained=pretrained)
        return dataclasses.replace(plan, reason=reason)

    def _choose(
        self, facts: DataFacts, *, pretrained: bool, must_train: bool
    ) -> tuple[Literal["scratch", "probe", "lpft"], str]:
        per_class = facts.median_class
        if not pretrained:
            return "scratch", "weights=none: there is nothing to transfer"
        if per_class < self._few_images and must_train:
            return "lpft", "something was asked for that acts only in training"
        if per_class < self._few_images:
            return "probe", f"{per_class} training images a class (median), fewer than {self._few_images}"
        return "lpft", f"{per_class} training images a class (median), {self._few_images} or more"
