"""Strategies: plans that follow from the facts alone, and can be carried out."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from zoo.contracts.data import DataFacts, Task
from zoo.contracts.model import NetworkFacts
from zoo.contracts.training import Phase, Plan
from zoo.errors import UserError
from zoo.testing.building import needs
from zoo.testing.draws import global_seed
from zoo.testing.results import BrokenError
from zoo.testing.subject import NotBuiltError, Subject

FEW = DataFacts("few", 3, Task.SINGLE_LABEL, 3, 60, 20, 20, 48)
DATA = (
    FEW,
    DataFacts("many", 10, Task.SINGLE_LABEL, 3, 20_000, 1_500, 2_000, 224),
    DataFacts("labels", 4, Task.MULTI_LABEL, 1, 400, 30, 120, 28),
    DataFacts("numbers", 2, Task.SINGLE_LABEL, 2, 400, 200, 200, 1, arrays=True),
)
NETWORKS = (
    NetworkFacts("kit/residual", ("stem", "block1", "block2", "block3"), 11_000_000, 224, 20, 4, 20, 20),
    NetworkFacts("kit/small", ("layer1", "layer2"), 1_000, 28, 0, 2, 0, 2),
)


def builds(subject: Subject) -> None:
    """It has `plan`."""
    needs(subject.build(), "plan")


def use(subject: Subject) -> None:
    """Plans for all facts."""
    list(_plans(subject.build()))


def _plans(strategy: Any) -> Iterator[tuple[str, Plan, NetworkFacts]]:
    """What it plans for each set of facts that it takes, with a name for messages.

    Raises:
        NotBuiltError: It takes none.
    """
    said, count = "", 0
    for facts, network, pretrained, must_train in itertools.product(DATA, NETWORKS, (True, False), (False, True)):
        try:
            plan = strategy.plan(facts, network=network, pretrained=pretrained, must_train=must_train)
        except UserError as error:  # a strategy may refuse data or networks in which an option could not act
            said = error.what
            continue
        count += 1
        yield f"data {facts.name!r}, network {network.name!r}, pretrained={pretrained}", plan, network
    if not count:
        raise NotBuiltError(f"it refuses all data and networks: {said}")


def shapes(subject: Subject) -> None:
    """Plans with phases whose numbers are in range."""
    for where, plan, network in _plans(subject.build()):
        if not isinstance(plan, Plan):
            raise BrokenError(f"plan() gave a {type(plan).__name__} for {where}", fix="Return contracts.training.Plan.")
        if not plan.phases or not plan.reason:
            raise BrokenError(f"the plan for {where} has no {'phases' if not plan.phases else 'reason'}")
        for phase in plan.phases:
            _check_phase(subject, phase, network=network, where=where)


def _check_phase(subject: Subject, phase: Phase, *, network: NetworkFacts, where: str) -> None:
    stages = len(network.stages)
    wrong = {
        f"kind is {phase.kind!r}": phase.kind not in ("fit_head", "train"),
        f"epochs is {phase.epochs}": phase.kind == "train" and not phase.epochs > 0,
        f"lr_factor is {phase.lr_factor}": not phase.lr_factor > 0,
        f"stage_decay is {phase.stage_decay}": not 0 < phase.stage_decay <= 1,
        f"frozen is {phase.frozen}, and there are {stages} stages": not set(phase.frozen) <= set(range(stages)),
        f"crop_scale is {phase.crop_scale}": phase.crop_scale is not None
        and not 0 < phase.crop_scale[0] <= phase.crop_scale[1] <= 1,
        f"start_px is {phase.start_px}": phase.start_px is not None and phase.start_px < 1,
    }
    for name in phase.regularizers:
        wrong[f"the regularizer {name!r} is not installed"] = not subject.registry.has("regularizer", name)
    found = [what for what, is_wrong in wrong.items() if is_wrong]
    if found:
        raise BrokenError(f"in the phase {phase.name!r} planned for {where}, {found[0]}")


def repeatable(subject: Subject) -> None:
    """Asked twice, and from another object: the same plans, and the facts untouched."""
    kept = [dataclasses.replace(facts) for facts in DATA]
    with global_seed(1):
        first = subject.build()
        plans = [plan for _, plan, _ in _plans(first)]
    with global_seed(2):
        again = [plan for _, plan, _ in _plans(first)]
        other = [plan for _, plan, _ in _plans(subject.build())]
    if plans != again or plans != other:
        raise BrokenError(
            "the same facts gave two plans: each process of a run plans for itself, and they would train differently",
            fix="Let plan() depend on its arguments and the options alone: no chance, no clock, no files, no memory.",
        )
    if kept != list(DATA):
        raise BrokenError("the facts were changed", fix="Treat them as constants.")
