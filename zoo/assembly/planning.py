"""What will be trained, and the refusal of everything asked for that would do nothing."""

from __future__ import annotations

import dataclasses

from zoo.assembly.session import Session
from zoo.config.run_config import FinetuneConfig
from zoo.contracts.data import DataFacts
from zoo.contracts.model import Model, ModelSpec
from zoo.contracts.training import Plan
from zoo.errors import UserError, raise_all
from zoo.models.build import check_forward
from zoo.models.facts import network_facts

TRAINING_GROUPS = ("optimizer", "schedule", "loss")
TRAINING_KEYS = ("epochs", "validate_every", "patience", "save_every_s", "save_every_steps")


def make_plan(session: Session, facts: DataFacts, *, model: Model, pretrained: bool) -> Plan:
    """What will be trained, and why. `train.epochs` replaces the strategy's own number.

    Raises:
        UserErrors: Something that the user asked for can have no effect in this plan, the network has fewer stages than
            are to be frozen, or images cannot grow as asked.
    """
    config = session.config
    strategy = session.build(config.strategy)
    fits = config.loss is not None and facts.task.value in session.facts(config.loss).get("fits_heads", ())
    plan: Plan = strategy.plan(
        facts,
        network=network_facts(model),
        pretrained=pretrained,
        must_train=bool(asked_for_training(config, loss_fits_heads=fits)),
    )
    if config.train.epochs != "auto":
        epochs = float(config.train.epochs)
        phases = [dataclasses.replace(p, epochs=epochs) if p.kind == "train" else p for p in plan.phases]
        plan = dataclasses.replace(plan, phases=tuple(phases))
    raise_all(
        [
            *without_effect(config, plan, loss_fits_heads=fits),
            *too_many_frozen(plan, model.spec),
            *cannot_grow(config, plan, model=model),
        ]
    )
    return plan


def too_many_frozen(plan: Plan, spec: ModelSpec) -> list[UserError]:
    """An error where a phase would freeze more stages than the network has."""
    asked = max((phase.freeze_stages for phase in plan.phases), default=0)
    if asked <= len(spec.stages):
        return []
    names = ", ".join(stage.name for stage in spec.stages)
    return [
        UserError(
            f"{asked} stages cannot be frozen: {spec.name} has {len(spec.stages)}" + (f" ({names})" if names else ""),
            where=f"strategy.freeze_stages={asked}",
            allowed=f"0 to {len(spec.stages)}",
            do="to train the head alone: strategy=probe",
        )
    ]


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


def asked_for_training(config: FinetuneConfig, *, loss_fits_heads: bool = False) -> list[str]:
    """What the user set that acts only where gradient descent runs.

    Args:
        config: With the origins of its values.
        loss_fits_heads: Whether the chosen loss is also what a head on cached features is fitted by.
    """
    keys = [key for key in config.origins if config.asked(key)]
    groups = [group for group in TRAINING_GROUPS if not (group == "loss" and loss_fits_heads)]
    found = [key for key in keys if key.partition(".")[0] in (*groups, "augmentations", "regularizers")]
    found += [f"train.{key}" for key in TRAINING_KEYS if config.asked(f"train.{key}")]
    return found


def without_effect(config: FinetuneConfig, plan: Plan, *, loss_fits_heads: bool = False) -> list[UserError]:
    """One error for each thing asked for that this plan never uses."""
    if _trains(plan):
        return []
    return [
        UserError(
            f"{key} has no effect: strategy {plan.strategy!r} fits only the head, on cached features",
            where=key,
            allowed="strategies that train: lpft, full, scratch",
            do=["strategy=lpft", f"or leave {key} out"],
        )
        for key in asked_for_training(config, loss_fits_heads=loss_fits_heads)
    ]


def _trains(plan: Plan) -> bool:
    return any(phase.kind == "train" for phase in plan.phases)
