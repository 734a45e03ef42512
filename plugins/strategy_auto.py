"""The strategy that chooses among others."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from zoo_plugins.strategy_plans import FromScratch, LinearProbe, ProbeThenFineTune
from zoo_plugins.strategy_recipe import SMALL_PX, Count

from zoo.contracts.data import DataFacts
from zoo.contracts.model import NetworkFacts
from zoo.contracts.training import Plan

Choice = Literal["scratch", "probe", "lpft"]
PLANS: dict[str, Any] = {"scratch": FromScratch, "probe": LinearProbe, "lpft": ProbeThenFineTune}


@dataclass(frozen=True, kw_only=True)
class Auto:
    """Chooses a strategy and says why: random weights, `scratch`; few photos a class, `probe`; else `lpft`.

    Small pictures that are blown up to the network's input look like nothing that it was trained on: its features fit
    badly, and training it pays from a few images a class on. The size of the network is said, and decides nothing: with
    3.4 and 11 million values the same strategies won (benchmarks/strategies.md).

    Args:
        few_images: Median number of training images a class below which only the head is fitted, with photos.
        few_small: The same with small pictures.
        small_px: Pictures whose median short side is below it, and below the network's input, are small.
    """

    few_images: Count = 10
    few_small: Count = 3
    small_px: Count = SMALL_PX

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """The plan of the chosen strategy, with the rule as its reason."""
        chosen, reason = self._choose(facts, network, pretrained=pretrained, must_train=must_train)
        plan: Plan = PLANS[chosen]().plan(facts, network=network, pretrained=pretrained)
        return dataclasses.replace(plan, reason=reason)

    def _choose(
        self, facts: DataFacts, network: NetworkFacts, *, pretrained: bool, must_train: bool
    ) -> tuple[Choice, str]:
        if not pretrained:
            return "scratch", "weights=none: there is nothing to transfer"
        small = facts.median_side_px < min(self.small_px, network.input_px)
        few = self.few_small if small else self.few_images
        count = facts.median_class
        why = (
            f"{count} training images a class (median), {'fewer than ' if count < few else ''}{few}"
            f"{'' if count < few else ' or more'}, of {facts.median_side_px} px"
            f"{f' blown up to {network.input_px} px, whose features fit badly' if small else ''}, and a network of "
            f"{network.parameters / 1e6:.1f} million values"
        )
        if count >= few:
            return "lpft", why
        return ("lpft", f"something was asked for that acts only in training; {why}") if must_train else ("probe", why)
