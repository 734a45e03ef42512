"""A short training run by zoo's own loop, in which one component takes its place among plain ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo.contracts.data import Task
from zoo.contracts.model import Model
from zoo.contracts.training import Phase, Regularizer, Setting, StepView
from zoo.errors import UserError
from zoo.models.build import parameter_groups, replace_head
from zoo.models.freezing import set_train
from zoo.testing.network import CLASSES, KitFeed, KitLoss, residual_model
from zoo.testing.results import BrokenError
from zoo.testing.subject import NotBuiltError, Subject
from zoo.training.checkpoints import Checkpoints
from zoo.training.devices import make_accelerator
from zoo.training.job import Job
from zoo.training.loop import Loop

EPOCHS, BREAK_AT = 2, 4
"""Epochs of three steps each; the step after which an interrupted run ends: within the second epoch."""

SGD_LR = 0.05
"""Rate of the plain optimizer."""

USUAL_LR = 1e-3
"""Rate of an optimizer that states none."""


class _StoppedError(Exception):
    """Ends a run between two steps, as a crash would."""


@dataclass(frozen=True)
class Conditions:
    """Under which circumstances the run goes.

    Attributes:
        without: Plain parts alone: the component is left out (a regularizer).
        stormy: Large weights, and so large gradients: what bounds these has something to bound.
        bf16: The network computes in bfloat16.
        seed: Of all draws.
    """

    without: bool = False
    stormy: bool = False
    bf16: bool = False
    seed: int = 11


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        weights: Parameters and buffers at its end.
        parameters: Names of those that are parameters.
        validated: The same at each validation: an average, where one is kept.
        rates: Learning rate at each step.
    """

    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    parameters: list[str] = field(default_factory=list)
    validated: list[dict[str, torch.Tensor]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)


class _Watcher:
    """Notes rates, and ends the run where that was asked for."""

    def __init__(self, outcome: Outcome, optimizer: torch.optim.Optimizer, *, break_at: int | None) -> None:
        self._outcome, self._optimizer, self._break_at = outcome, optimizer, break_at

    def stepped(self, step: StepView) -> None:
        """After each step."""
        self._outcome.rates.append(float(self._optimizer.param_groups[0]["lr"]))
        if step.step == self._break_at:
            raise _StoppedError

    def validated(self, row: Mapping[str, Any]) -> None:
        """Nothing to draw."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Small tensors compute on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    subject: Subject,
    conditions: Conditions | None = None,
    *,
    folder: Path | None = None,
    break_at: int | None = None,
    resume: bool = False,
) -> Outcome:
    """Trains for six steps, with two validations.

    Args:
        subject: The component; its kind decides which part it is.
        conditions: Circumstances; None for the usual ones.
        folder: Where checkpoints lie; None takes the run's folder.
        break_at: Step after which the run ends, with its state saved.
        resume: Goes on from the checkpoint in the folder.

    Raises:
        BrokenError: The loss is not finite.
        NotBuiltError: The component cannot be built, or refuses all settings.
    """
    outcome = Outcome()
    with one_thread():
        job = _job(subject, conditions or Conditions(), outcome, folder=folder or subject.run_dir, break_at=break_at)
        loop = Loop(job)
        if resume:
            loop.restore()
        (folder or subject.run_dir).mkdir(parents=True, exist_ok=True)
        try:
            loop.run()
        except _StoppedError:
            pass
        except UserError as error:
            if not error.what.startswith("the loss is"):
                raise
            raise BrokenError(f"in a short training run {error.what}") from error
    outcome.weights = _copied(job.model.module)
    outcome.parameters = [name for name, _ in job.model.module.named_parameters()]
    return outcome


def _copied(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def _job(subject: Subject, conditions: Conditions, outcome: Outcome, *, folder: Path, break_at: int | None) -> Job:
    kind, task = subject.entry.kind, task_of(subject)
    accelerator = make_accelerator("cpu")
    model = model_with(subject, scale=10.0 if conditions.stormy else 1.0)
    loss = loss_of(subject, task) if kind == "loss" else KitLoss(task)
    regularizers: dict[str, Regularizer] = {}
    if kind == "regularizer" and not conditions.without:
        regularizers = {"kit": regularizer_for(subject, model)}
    optimizer = optimizer_for(subject, model, lr=SGD_LR)
    wanted = model.spec.preprocess
    feed = KitFeed(
        task=task,
        side=wanted.size,
        channels=wanted.channels,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
    )
    return Job(
        model=model,
        phase=Phase(name="kit", kind="train", epochs=EPOCHS),
        feed=feed,
        optimizer=optimizer,
        schedule=subject.build() if kind == "schedule" else _constant,
        loss=loss,
        regularizers=regularizers,
        normalise=wanted.normalise,
        validate=partial(_validated, model, feed, outcome=outcome),
        accelerator=accelerator,
        checkpoints=Checkpoints(folder / "checkpoints"),
        watcher=_Watcher(outcome, optimizer, break_at=break_at),
        log=_ignored,
        set_train=partial(set_train, model.module, freeze_norm=False),
        seed=conditions.seed,
        classes=CLASSES,
        bf16=conditions.bf16,
        settles=False,
    )


def _constant(progress: float) -> float:
    return 1.0


def _ignored(row: Mapping[str, Any]) -> None:
    """A row of metrics.jsonl, which nobody reads here."""


@torch.no_grad()
def _validated(model: Model, feed: KitFeed, *, outcome: Outcome) -> tuple[float, float]:
    """Mean loss and accuracy over all images; keeps the weights that are validated."""
    outcome.validated.append(_copied(model.module))
    model.module.eval()
    logits = model.module(model.spec.preprocess.normalise(torch.from_numpy(feed.images))).float()
    targets = torch.from_numpy(feed.targets)
    numbers = targets if targets.ndim == 1 else targets.argmax(1)
    return float(nn.functional.cross_entropy(logits, numbers)), float((logits.argmax(1) == numbers).float().mean())


def task_of(subject: Subject) -> Task:
    """The task that is trained for: several labels an image where a loss serves nothing else."""
    tasks = subject.entry.facts.get("tasks") or ("single_label",)
    if subject.entry.kind == "loss" and "single_label" not in tasks:
        return Task.MULTI_LABEL
    return Task.SINGLE_LABEL


def model_with(subject: Subject, *, scale: float = 1.0) -> Model:
    """The component as the network, the small network with it as its head, or the small network."""
    if subject.entry.kind == "model":
        return build_model(subject, classes=CLASSES)
    model = residual_model(scale=scale)
    if subject.entry.kind == "head":
        torch.manual_seed(5)
        replace_head(model, subject.build(features=model.spec.feature_dim, classes=CLASSES))
    return model


def build_model(subject: Subject, *, classes: int, channels: int = 3, seed: int = 3) -> Model:
    """The component as a network for small images, where it takes them; else of its own size.

    Raises:
        NotBuiltError: It takes no size.
    """
    usual = int(subject.entry.facts.get("input_px", 224))
    said: Exception | None = None
    for size in dict.fromkeys((32, 64) if usual < 64 else (64, 128)):
        torch.manual_seed(seed)
        try:
            model: Model = subject.build(classes=classes, channels=channels, image_size=size)
            _forward_once(model)
        except BrokenError:
            raise
        except Exception as error:
            said = error
            continue
        return model
    torch.manual_seed(seed)
    model = subject.build(classes=classes, channels=channels, image_size=None)
    try:
        _forward_once(model)
    except BrokenError:
        raise
    except Exception as error:
        raise NotBuiltError(f"no image goes through it: {subject.crash(error)} (smaller ones: {said})") from error
    return model


@torch.no_grad()
def _forward_once(model: Model) -> None:
    if not isinstance(model, Model):
        raise BrokenError(f"it builds a {type(model).__name__}", fix="Return zoo.contracts.model.Model.")
    wanted = model.spec.preprocess
    model.module.eval()(torch.zeros(1, wanted.channels, wanted.size, wanted.size))


def loss_of(subject: Subject, task: Task) -> nn.Module:
    """The component as a loss, told of its setting where it asks."""
    loss: nn.Module = subject.build()
    check = getattr(loss, "check", None)
    if check is not None:
        check(setting_of(task))
    return loss


def setting_of(task: Task, **changes: Any) -> Setting:
    """Twenty-four images of three classes, one of them rare."""
    usual: dict[str, Any] = {"images": 24, "class_counts": (12, 8, 4), "loss_takes_soft_targets": True}
    return Setting(task=task, classes=CLASSES, trainable="all", **{**usual, **changes})


def regularizer_for(subject: Subject, model: Model) -> Any:
    """The component as a regularizer, checked in a setting that it takes, with the network changed by it.

    Raises:
        NotBuiltError: It refuses all settings.
    """
    said = ""
    for changes in ({}, {"pretrained": False}, {"freeze_norm": True}, {"parameters": "adapters"}):
        regularizer = subject.build()
        try:
            if hasattr(regularizer, "check"):
                regularizer.check(setting_of(Task.SINGLE_LABEL, **changes))
        except UserError as error:
            said = said or error.what
            continue
        if hasattr(regularizer, "change_model"):
            regularizer.change_model(model)
        return regularizer
    raise NotBuiltError(f"it refuses every setting: {said}")


def optimizer_for(subject: Subject, model: Model, *, lr: float) -> torch.optim.Optimizer:
    """The component as an optimizer at its own rate, or plain SGD with momentum."""
    if subject.entry.kind != "optimizer":
        return torch.optim.SGD(parameter_groups(model, lr), lr=lr, momentum=0.9)
    return build_optimizer(subject, model, lr=float(subject.entry.facts.get("lr", USUAL_LR)))


def build_optimizer(subject: Subject, model: Model, *, lr: float) -> torch.optim.Optimizer:
    """The component over the parameter groups of a network."""
    decay = subject.options().get("weight_decay") or 0.0
    groups = parameter_groups(model, lr, weight_decay=float(decay))
    built: torch.optim.Optimizer = subject.build(params=groups, lr=lr)
    return built
