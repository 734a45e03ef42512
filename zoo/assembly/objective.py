"""What is minimised and how: loss, schedule, optimizer and regularizers, as configuration and recipe name them."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from zoo.assembly.session import Session
from zoo.config.run_config import Component
from zoo.contracts.data import DataBundle, Task
from zoo.contracts.model import Model
from zoo.contracts.training import Phase, Regularizer, Schedule, Setting
from zoo.errors import UserError
from zoo.models.build import parameter_groups
from zoo.training.warmup import with_warmup


def loss_component(session: Session, task: Task) -> Component:
    """The loss that was chosen; `auto` takes cross entropy for one label an image, binary cross entropy for several.

    Raises:
        UserError: The chosen loss does not serve this task.
    """
    chosen = session.config.loss
    if chosen is None:
        name = "zoo/cross_entropy" if task is Task.SINGLE_LABEL else "zoo/binary_cross_entropy"
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


def make_loss(session: Session, task: Task) -> nn.Module:
    """The loss itself."""
    built: nn.Module = session.build(loss_component(session, task))
    return built


def setting_of(session: Session, bundle: DataBundle) -> Setting:
    """What regularizers and losses may look at to find that they would do nothing.

    Raises:
        UserError: The loss itself finds so.
    """
    component = loss_component(session, bundle.task)
    setting = Setting(
        task=bundle.task,
        classes=len(bundle.classes),
        trainable="all",
        loss_takes_soft_targets=bool(session.facts(component).get("soft_targets")),
    )
    loss = session.build(component)
    if hasattr(loss, "check"):
        loss.check(setting)
    return setting


def make_schedule(session: Session) -> Schedule:
    """The schedule, behind its warm-up."""
    component = session.config.schedule
    return with_warmup(session.build(component), share=component.options["warmup_share"])


def make_optimizer(session: Session, model: Model, *, phase: Phase) -> torch.optim.Optimizer:
    """Parameter groups by stage; a rate that the user gave is taken as it is, by no factor changed."""
    component = session.config.optimizer
    lr = component.options["lr"]
    if lr == "auto":
        lr = float(session.facts(component).get("lr", 1e-3)) * phase.lr_factor
    decay = float(component.own.get("weight_decay") or 0.0)
    groups = parameter_groups(model, float(lr), stage_decay=phase.stage_decay, weight_decay=decay)
    built: torch.optim.Optimizer = session.build(component, params=groups, lr=float(lr))
    return built


def make_regularizers(session: Session, model: Model, *, phase: Phase, setting: Setting) -> list[Regularizer]:
    """Those of the recipe that the user did not list himself, then the user's; each is checked, then applied."""
    built = _of_recipe(session, phase, setting=setting)
    built += [session.build(chosen) for chosen in session.config.regularizers]
    for regularizer in built:
        if hasattr(regularizer, "check"):
            regularizer.check(setting)
        if hasattr(regularizer, "change_model"):
            regularizer.change_model(model)
    return built


def _of_recipe(session: Session, phase: Phase, *, setting: Setting) -> list[Regularizer]:
    """The recipe's own regularizers, less what the user lists himself and what his loss cannot take."""
    chosen = {component.name for component in session.config.regularizers}
    built: list[Regularizer] = []
    for name, options in phase.regularizers.items():
        regularizer = session.registry.get("regularizer", name).build(**options)
        try:
            if hasattr(regularizer, "check"):
                regularizer.check(setting)
        except UserError as error:
            session.console.say(f"        the recipe's {name} is left out: {error.what}")
            continue
        if name not in chosen:
            built.append(regularizer)
    return built
