"""What will be trained, and the refusal of everything asked for that would do nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from zoo.assembly.objective import exclude_each_other
from zoo.assembly.session import Session
from zoo.assembly.telling import only_in_training
from zoo.config.run_config import FinetuneConfig
from zoo.contracts.data import DataFacts
from zoo.contracts.model import Model
from zoo.contracts.training import Plan
from zoo.errors import UserError, raise_all
from zoo.files import to_plain
from zoo.models.adapters import adapted_layers
from zoo.models.build import check_forward
from zoo.models.facts import network_facts

TRAINING_GROUPS = ("optimizer", "schedule", "loss")
TRAINING_KEYS = ("epochs", "sampling", "validate_every", "patience", "save_every_s", "save_every_steps")


def make_plan(session: Session, facts: DataFacts, *, model: Model, pretrained: bool) -> Plan:
    """What will be trained, and why. `train.epochs` replaces the strategy's own number.

    Raises:
        UserError: The strategy cannot train this network.
        UserErrors: Something that the user asked for can have no effect in this plan, the network takes no adapters, or
            images cannot grow as asked.
    """
    config = session.config
    strategy = session.build(config.strategy)
    fits = config.loss is not None and facts.task.value in session.facts(config.loss).get("fits_heads", ())
    listening = only_in_training(config.callbacks, session.registry, told=session.told)
    plan: Plan = strategy.plan(
        facts,
        network=network_facts(model),
        pretrained=pretrained,
        must_train=bool(asked_for_training(config, loss_fits_heads=fits, listening=listening)),
    )
    if config.train.epochs != "auto":
        plan = with_epochs(plan, float(config.train.epochs))
    raise_all(
        [
            *without_effect(config, plan, loss_fits_heads=fits, listening=listening),
            *cannot_adapt(plan, model),
            *cannot_grow(config, plan, model=model),
            *exclude_each_other({c.key: session.build(c) for c in config.regularizers}),
        ]
    )
    session.measured["plan"] = to_plain(plan)
    return plan


def with_epochs(plan: Plan, epochs: float) -> Plan:
    """The plan with this many epochs in all; phases keep their shares of them."""
    planned = sum(phase.epochs for phase in plan.phases if phase.kind == "train")
    phases = (
        dataclasses.replace(phase, epochs=epochs * phase.epochs / planned) if phase.kind == "train" else phase
        for phase in plan.phases
    )
    return dataclasses.replace(plan, phases=tuple(phases))


def cannot_adapt(plan: Plan, model: Model) -> list[UserError]:
    """An error where a phase trains adapters that no layer takes, or the library for them is missing."""
    for phase in plan.phases:
        try:
            if phase.adapters is not None:
                adapted_layers(model, phase.adapters)
        except UserError as error:
            return [error]
    return []


def cannot_grow(config: FinetuneConfig, plan: Plan, *, model: Model) -> list[UserError]:
    """An error where training images should grow from a size that is none, or that the network cannot take."""
    first, size = next((p.start_px for p in plan.phases if p.start_px is not None), None), model.spec.preprocess.size
    if first is None:
        return []
    key = "strategy.start_px"
    if not 8 <= first < size:
        what = f"{key}={first} is no size to grow from"
        allowed = f"8 to {size - 1}, less than the input of {size} px; or null"
        return [UserError(what, where=key, allowed=allowed, do="leave it out, or give a larger model.image_size")]
    if config.train.max_time is not None:
        what = "train.max_time cannot be kept with images that grow: the first epochs are quicker than the last"
        return [UserError(what, where=key, do=[f"{key}=null", "or give train.epochs instead of train.max_time"])]
    try:
        check_forward(model, size=first, key=key)
    except UserError as error:
        return [error]
    return []


def asked_for_training(
    config: FinetuneConfig, *, loss_fits_heads: bool = False, listening: Sequence[str] = ()
) -> list[str]:
    """What the user set that acts only where gradient descent runs.

    Args:
        config: With the origins of its values.
        loss_fits_heads: Whether the chosen loss is also what a head on cached features is fitted by.
        listening: Keys of the callbacks that listen to gradient descent alone.
    """
    keys = [key for key in config.origins if config.asked(key)]
    groups = [group for group in TRAINING_GROUPS if not (group == "loss" and loss_fits_heads)]
    found = [key for key in keys if key.partition(".")[0] in (*groups, "augmentations", "regularizers")]
    found += [f"train.{key}" for key in TRAINING_KEYS if config.asked(f"train.{key}")]
    found += [key for key in keys if key.startswith(tuple(f"{callback}." for callback in listening))]
    found += [key for key in keys if key.startswith("trackers.") and key.endswith(".every_steps")]
    return found


def without_effect(
    config: FinetuneConfig, plan: Plan, *, loss_fits_heads: bool = False, listening: Sequence[str] = ()
) -> list[UserError]:
    """One error for each thing asked for that this plan never uses."""
    if _trains(plan):
        return []
    return [
        UserError(
            f"{asked} has no effect: strategy {plan.strategy!r} fits only the head, on cached features",
            where=asked,
            allowed="strategies that train: all but probe",
            do=["strategy=lpft", f"or leave {asked} out"],
        )
        for asked in map(_as_written, asked_for_training(config, loss_fits_heads=loss_fits_heads, listening=listening))
    ]


def _as_written(key: str) -> str:
    """How the user asked for what stands under a key: `callbacks=[worst]` for `callbacks.worst.name`."""
    group, *inside = key.removesuffix(".name").split(".")
    if not key.endswith(".name"):
        return key
    return f"{group}=[{inside[0]}]" if inside else f"{group}="


def _trains(plan: Plan) -> bool:
    return any(phase.kind == "train" for phase in plan.phases)
