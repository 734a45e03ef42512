"""What is minimised and how: loss, schedule, optimizer and regularizers, as configuration and recipe name them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from torch import nn

from zoo.assembly.rates import UNKNOWN_LR
from zoo.assembly.session import Session
from zoo.config.rules import automatic_loss
from zoo.config.run_config import Component
from zoo.contracts.data import DataBundle, Task
from zoo.contracts.model import Model
from zoo.contracts.training import Phase, Regularizer, Schedule, Setting
from zoo.errors import UserError, raise_all
from zoo.models.build import parameter_groups
from zoo.training.warmup import with_warmup


def loss_component(session: Session, task: Task) -> Component:
    """The loss that was chosen; `auto` takes cross entropy for one label an image, binary cross entropy for several.

    Raises:
        UserError: The chosen loss does not serve this task.
    """
    chosen = session.config.loss
    if chosen is None:
        name = automatic_loss(task)
        entry = session.registry.get("loss", name)
        options = {p.name: p.default for p in entry.parameters() if p.default is not inspect.Parameter.empty}
        return Component("loss", "loss", name, options)
    tasks = session.facts(chosen).get("tasks", ())
    if tasks and task.value not in tasks:
        raise UserError(
            f"loss {chosen.name!r} does not serve {task.value.replace('_', '-')} data",
            where="loss",
            allowed=", ".join(
                e.name for e in session.registry.entries("loss") if task.value in e.facts.get("tasks", ())
            ),
            do="leave loss=auto",
        )
    return chosen


def make_loss(session: Session, bundle: DataBundle, *, setting: Setting | None = None) -> nn.Module:
    """The loss itself, float[B] an image; it may look at the setting where it has a `check`.

    Raises:
        UserError: The loss finds that an option of it can have no effect.
    """
    built: nn.Module = session.build(loss_component(session, bundle.task))
    check = getattr(built, "check", None)
    if setting is not None and check is not None:
        check(setting)
    if session.config.train.sampling == "balanced" and getattr(built, "balance", None) is not None:
        raise UserError(
            "rare classes would be made up for twice: by the loss, and by showing them more often",
            where="train.sampling=balanced",
            do=["leave train.sampling out", "or take the class weights or the prior out of the loss"],
        )
    return built


def setting_of(
    session: Session, bundle: DataBundle, *, phase: Phase, pretrained: bool, head_only: bool = False
) -> Setting:
    """What regularizers and losses may look at to find that they would do nothing.

    Args:
        session: With the configuration.
        bundle: The data.
        phase: What is trained in it.
        pretrained: Whether the network started from pretrained values.
        head_only: Whether every phase of the plan freezes all stages.
    """
    targets = bundle.targets[bundle.splits["train"]]
    counts = np.bincount(targets, minlength=len(bundle.classes)) if targets.ndim == 1 else targets.sum(axis=0)
    return Setting(
        task=bundle.task,
        classes=len(bundle.classes),
        trainable="all",
        loss_takes_soft_targets=bool(session.facts(loss_component(session, bundle.task)).get("soft_targets")),
        pretrained=pretrained,
        freeze_norm=phase.freeze_norm,
        parameters="none" if head_only else "adapters" if phase.adapters is not None else phase.parameters,
        images=len(targets),
        class_counts=tuple(int(count) for count in counts),
    )


def make_schedule(session: Session, *, steps: int) -> Schedule:
    """The schedule of a phase of so many steps, behind its warm-up."""
    component = session.config.schedule
    return with_warmup(session.build(component), share=component.options["warmup_share"], steps=steps)


def make_optimizer(session: Session, model: Model, *, phase: Phase) -> torch.optim.Optimizer:
    """Parameter groups by stage; a rate that the user gave is taken as it is, by no factor changed."""
    component = session.config.optimizer
    lr = component.options["lr"]
    if lr in ("auto", "measure"):
        lr = float(session.facts(component).get("lr", UNKNOWN_LR)) * phase.lr_factor
    decay = float(component.own.get("weight_decay") or 0.0)
    groups = parameter_groups(model, float(lr), stage_decay=phase.stage_decay, weight_decay=decay)
    built: torch.optim.Optimizer = session.build(component, params=groups, lr=float(lr))
    return built


def momentum_option(session: Session) -> Literal["momentum", "betas"] | None:
    """The option of the chosen optimizer that a schedule's momentum stands for, where it has one."""
    stand_in = [nn.Parameter(torch.zeros(2, 2))]
    built: torch.optim.Optimizer = session.build(session.config.optimizer, params=stand_in, lr=UNKNOWN_LR)
    group = built.param_groups[0]
    return "momentum" if "momentum" in group else "betas" if "betas" in group else None


def make_regularizers(
    session: Session, model: Model, *, phase: Phase, setting: Setting, lasting: dict[str, Regularizer]
) -> dict[str, Regularizer]:
    """Those of the recipe that the user did not list himself, then the user's; each is checked, then applied.

    Args:
        session: With the configuration.
        model: What is trained in this phase.
        phase: With the recipe.
        setting: Of this phase.
        lasting: Those of earlier phases that have changed the network, which is done once a run; new ones are added. An
            average begins anew with each phase: other weights are trained.

    Returns:
        Short name (as it stands in the configuration) to regularizer; one that keeps an average comes last.

    Raises:
        UserError: One can have no effect, or two want what only one can have.
    """
    own = {c.key: lasting.get(c.key) or session.build(c) for c in session.config.regularizers}
    raise_all(exclude_each_other(own))
    for regularizer in own.values():
        if hasattr(regularizer, "check"):
            regularizer.check(setting)
    recipe = _of_recipe(session, phase, setting=setting, own=own)
    found: dict[str, Regularizer] = {**{key: lasting.get(key, new) for key, new in recipe.items()}, **own}
    last_averages = sorted(found.items(), key=lambda item: hasattr(item[1], "swapped_in"))
    built = dict(last_averages)  # an average follows the weights as the others left them
    for key, regularizer in built.items():
        if hasattr(regularizer, "change_model") and key not in lasting:
            regularizer.change_model(model)
            if not hasattr(regularizer, "swapped_in"):
                lasting[key] = regularizer
    return {key.rpartition(".")[2]: regularizer for key, regularizer in built.items()}


_FOR_ONE = {"swapped_in": "keep the weights that are validated", "look_ahead": "choose where the gradient is taken"}
"""Methods that one regularizer of a run may have, and what they do."""


def exclude_each_other(own: Mapping[str, Regularizer]) -> list[UserError]:
    """An error for each set of regularizers, by their keys, that want what only one of them can have."""
    errors = []
    for method, what in _FOR_ONE.items():
        having = [key.rpartition(".")[2] for key, regularizer in own.items() if hasattr(regularizer, method)]
        if len(having) > 1:
            said = f"{' and '.join(having)} each want to {what}; one alone can"
            errors.append(UserError(said, where="regularizers", do="keep one of them"))
    return errors


def _of_recipe(
    session: Session, phase: Phase, *, setting: Setting, own: Mapping[str, Regularizer]
) -> dict[str, Regularizer]:
    """The recipe's own regularizers, less what the user's replace and what his loss cannot take."""
    chosen = {component.name for component in session.config.regularizers}
    taken = {method for method in _FOR_ONE for regularizer in own.values() if hasattr(regularizer, method)}
    built: dict[str, Regularizer] = {}
    for name, options in phase.regularizers.items():
        regularizer = session.registry.get("regularizer", name).build(**options)
        if name in chosen or any(hasattr(regularizer, method) for method in taken):
            continue
        try:
            if hasattr(regularizer, "check"):
                regularizer.check(setting)
        except UserError as error:
            session.console.say(f"        the recipe's {name} is left out: {error.what}")
            continue
        built[f"recipe.{name.replace('/', '-')}"] = regularizer
    return built
