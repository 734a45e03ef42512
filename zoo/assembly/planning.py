"""What will be trained, and the refusal of everything asked for that would do nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from zoo.assembly.objective import exclude_each_other, loss_component, momentum_option
from zoo.assembly.session import Session
from zoo.assembly.telling import only_in_training
from zoo.config.run_config import FinetuneConfig
from zoo.contracts.data import DataFacts, Task
from zoo.contracts.model import Model
from zoo.contracts.training import Plan
from zoo.errors import UserError, raise_all
from zoo.files import to_plain
from zoo.models.adapters import adapted_layers
from zoo.models.build import check_forward, norms_of
from zoo.models.facts import network_facts

TRAINING_GROUPS = ("optimizer", "schedule", "loss")
TRAINING_KEYS = ("epochs", "batch_size", "sampling", "validate_every", "patience", "save_every_s", "save_every_steps")


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
            *cannot_keep_norms(config, model, pretrained=pretrained),
            *recipe_without_effect(session, plan, task=facts.task),
            *momentum_without_effect(session, plan),
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


def cannot_keep_norms(config: FinetuneConfig, model: Model, *, pretrained: bool) -> list[UserError]:
    """An error where batch norms of a network from random values should keep statistics that they do not have."""
    key = "strategy.freeze_norm"
    asked = config.asked(key) and config.strategy.options["freeze_norm"] is True
    if pretrained or not asked or next(iter(norms_of(model.module)), None) is None:
        return []
    what = f"{key}=true with weights=none: the batch norms of {model.spec.name} would stay at mean 0 and variance 1"
    return [UserError(what, where=key, do=["leave it out", "or take pretrained weights"])]


def recipe_without_effect(session: Session, plan: Plan, *, task: Task) -> list[UserError]:
    """One error for each option of the strategy's recipe that was asked for and that something else leaves unused."""
    config = session.config
    unused = [
        *_unused_factor(config),
        *(_unused_smoothing(session, plan, task=task) if config.asked("strategy.label_smoothing") else ()),
        *_unused_decay(session),
    ]
    return [
        UserError(
            f"strategy.{name}={config.strategy.options[name]} has no effect: {why}",
            where=f"strategy.{name}",
            do=[f"leave strategy.{name} out", f"or {way}"],
        )
        for name, why, way in unused
        if config.asked(f"strategy.{name}")
    ]


def _unused_factor(config: FinetuneConfig) -> Iterator[tuple[str, str, str]]:
    """Option, why it does nothing, and a way out; as of the others below."""
    lr = config.optimizer.options["lr"]
    if lr != "auto":
        yield "lr_factor", f"optimizer.lr={lr} is taken as it is", "leave optimizer.lr out"


def _unused_smoothing(session: Session, plan: Plan, *, task: Task) -> Iterator[tuple[str, str, str]]:
    config, name = session.config, "label_smoothing"
    loss, planned = loss_component(session, task), any(f"zoo/{name}" in phase.regularizers for phase in plan.phases)
    if not config.strategy.options[name]:
        return
    if f"zoo/{name}" in {component.name for component in config.regularizers}:
        yield name, f"regularizers=[{name}] stands in its place", f"leave {name} out of the regularizers"
    elif not planned:
        yield name, "the recipe smooths where an image has one label", f"regularizers=[{name}], which takes several"
    elif not session.facts(loss).get("soft_targets"):
        yield name, f"loss {loss.name!r} takes class numbers only", "leave loss out"


def _unused_decay(session: Session) -> Iterator[tuple[str, str, str]]:
    config, name = session.config, "ema_decay"
    averages = [c.key.rpartition(".")[2] for c in config.regularizers if hasattr(session.build(c), "swapped_in")]
    if not config.strategy.options.get("ema", True):
        yield name, "strategy.ema=false keeps no average", "leave strategy.ema out"
    elif averages:
        yield name, f"regularizers=[{averages[0]}] keeps the average in its place", f"leave {averages[0]} out"


def momentum_without_effect(session: Session, plan: Plan) -> list[UserError]:
    """An error where a momentum was asked for that the schedule overwrites, or one of a schedule that nothing takes."""
    config = session.config
    schedule, optimizer = (c.name.rpartition("/")[2] for c in (config.schedule, config.optimizer))
    built = session.build(config.schedule)
    first = built.momentum(0.0) if hasattr(built, "momentum") else None
    if first is None or not _trains(plan):
        return []
    option, own = momentum_option(session), "schedule.momenta"
    if option is None and config.asked(own):
        what = f"{own} has no effect: optimizer {optimizer!r} has neither momentum nor betas"
        return [UserError(what, where=own, do=[f"leave {own} out", "or take one that has: optimizer=sgd"])]
    if option is None or not config.asked(f"optimizer.{option}"):
        return []
    given = config.optimizer.options[option]
    if (given if option == "momentum" else given[0]) == first:
        return []
    what = f"optimizer.{option}={given} would be overwritten at every step: schedule={schedule} sets the momentum"
    ways = [f"leave optimizer.{option} out"]
    ways += [f"or {own}=null, which leaves it alone"] if "momenta" in config.schedule.options else []
    ways += [f"or optimizer.betas=[{first:g},{given[1]:g}], to set the second alone"] if option == "betas" else []
    return [UserError(what, where=f"optimizer.{option}", do=ways)]


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
    found = asked_for_training(config, loss_fits_heads=loss_fits_heads, listening=listening)
    if config.asked("train.max_time") and config.strategy.name.rpartition("/")[2] == plan.strategy:
        found.append("train.max_time")  # as a limit it does not keep `auto` from a probe, which is the quickest
    return [
        UserError(
            f"{asked} has no effect: strategy {plan.strategy!r} fits only the head, on cached features",
            where=asked,
            allowed="strategies that train: all but probe",
            do=["strategy=lpft", f"or leave {asked} out"],
        )
        for asked in map(_as_written, found)
    ]


def _as_written(key: str) -> str:
    """How the user asked for what stands under a key: `callbacks=[worst]` for `callbacks.worst.name`."""
    group, *inside = key.removesuffix(".name").split(".")
    if not key.endswith(".name"):
        return key
    return f"{group}=[{inside[0]}]" if inside else f"{group}="


def _trains(plan: Plan) -> bool:
    return any(phase.kind == "train" for phase in plan.phases)
