"""Carries out a strategy's plan: fits heads on features, runs the loop, checks that everything asked for acts."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from zoo.assembly.data import cache_root, eval_feed, train_feed
from zoo.assembly.session import Session
from zoo.config.run_config import Component, FinetuneConfig
from zoo.contracts.data import DataBundle, DataFacts, Task
from zoo.contracts.evaluation import Outputs
from zoo.contracts.model import LoadReport, Model
from zoo.contracts.training import Phase, Plan, Regularizer, Schedule, Setting
from zoo.errors import UserError, raise_all
from zoo.features.bank import bank_key, load_or_compute
from zoo.features.heads import fit_head
from zoo.features.probe import Labelled
from zoo.files import write_json
from zoo.models.build import features_of, parameter_groups, set_train
from zoo.training.checkpoints import Checkpoints
from zoo.training.devices import Speeds, measure_speeds
from zoo.training.inference import frozen_forward, run_over
from zoo.training.loop import Job, Limits, Loop

_MEASURED_BATCH = 8
DEFAULT_BATCH = 32

TRAINING_GROUPS = ("optimizer", "schedule", "loss")
TRAINING_KEYS = ("epochs", "patience", "save_every_s", "save_every_steps")


def make_plan(session: Session, facts: DataFacts, *, pretrained: bool) -> Plan:
    """What will be trained, and why. `train.epochs` replaces the strategy's own number.

    Raises:
        UserErrors: Something that the user asked for can have no effect in this plan.
    """
    config = session.config
    strategy = session.build(config.strategy)
    must_train = bool(asked_for_training(config))
    plan: Plan = strategy.plan(facts, pretrained=pretrained)
    if must_train and config.strategy.name == "zoo/auto" and not _trains(plan):
        plan = strategy.plan(dataclasses.replace(facts, median_class=10**9), pretrained=pretrained)
        plan = dataclasses.replace(plan, reason=f"{', '.join(asked_for_training(config))} acts only in training")
    if config.train.epochs != "auto":
        epochs = float(config.train.epochs)
        phases = [dataclasses.replace(p, epochs=epochs) if p.kind == "train" else p for p in plan.phases]
        plan = dataclasses.replace(plan, phases=tuple(phases))
    raise_all(without_effect(config, plan))
    return plan


def asked_for_training(config: FinetuneConfig) -> list[str]:
    """What the user set that acts only where gradient descent runs."""
    keys = [key for key in config.origins if config.asked(key)]
    found = [key for key in keys if key.partition(".")[0] in (*TRAINING_GROUPS, "augmentations", "regularizers")]
    found += [f"train.{key}" for key in TRAINING_KEYS if config.asked(f"train.{key}")]
    return found


def without_effect(config: FinetuneConfig, plan: Plan) -> list[UserError]:
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
        for key in asked_for_training(config)
    ]


def _trains(plan: Plan) -> bool:
    return any(phase.kind == "train" for phase in plan.phases)


class Trainer:
    """Runs the phases of one plan on one network."""

    def __init__(self, session: Session, model: Model, *, bundle: DataBundle, report: LoadReport) -> None:
        self.session, self.model, self.bundle, self.report = session, model, bundle, report
        self.device = session.accelerator.device
        model.module.to(self.device)
        size = session.config.train.batch_size
        self.batch_size = DEFAULT_BATCH if size == "auto" else int(size)
        self.checkpoints = Checkpoints(session.folder.checkpoints)
        self.done: list[dict[str, Any]] = []

    def run(self, plan: Plan) -> tuple[dict[str, Any], ...]:
        """Carries out all phases, from the one that the last checkpoint is in."""
        state = self.checkpoints.state("last") if self.session.resumed else None
        first = 0 if state is None else int(state["counters"]["phase"])
        for index, phase in enumerate(plan.phases):
            if index < first:
                continue
            if phase.kind == "fit_head":
                self._fit_head(phase)
            else:
                self._train(phase, index, resume=state is not None and index == first)
        return tuple(self.done)

    def bf16(self, *, train: bool) -> bool:
        """Whether to compute in bfloat16: as told, or measured once on this network and kept in the record."""
        precision = self.session.config.train.precision
        if precision != "auto":
            return precision == "bf16"
        key = "train_precision" if train else "eval_precision"
        if key not in self.session.measured:
            speeds = self._remembered(key) or self._measure(train=train)
            self._remember(key, speeds)
            self.session.measured[key] = speeds.best
            self.session.measured[f"{key}_s"] = {"fp32": round(speeds.fp32_s, 4), "bf16": round(speeds.bf16_s, 4)}
        return bool(self.session.measured[key] == "bf16")

    def _speeds_file(self, key: str) -> Path:
        """Where the speeds of this network on this machine are kept: a second run must choose as the first did."""
        facts = {
            "model": self.session.config.model.name,
            "options": {name: str(value) for name, value in self.session.config.model.options.items()},
            "preprocess": self.model.spec.preprocess.to_dict(),
            "machine": [platform.node(), platform.machine(), str(self.device), torch.get_num_threads()],
            "torch": torch.__version__,
        }
        return cache_root(self.session.config) / "speeds" / f"{bank_key(facts)}-{key}.json"

    def _remembered(self, key: str) -> Speeds | None:
        try:
            return Speeds(**json.loads(self._speeds_file(key).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _remember(self, key: str, speeds: Speeds) -> None:
        """Where nothing can be written, the next run measures again."""
        if self.session.main:
            with contextlib.suppress(UserError):
                write_json(self._speeds_file(key), dataclasses.asdict(speeds))

    def _measure(self, *, train: bool) -> Speeds:
        if self.device.type == "cuda":
            fits = torch.cuda.is_bf16_supported()
            return Speeds(1.0, 0.5 if fits else 2.0)
        preprocess = self.model.spec.preprocess
        images = torch.zeros(_MEASURED_BATCH, preprocess.channels, preprocess.size, preprocess.size, device=self.device)
        images = images.contiguous(memory_format=torch.channels_last)
        if train:
            set_train(self.model.module, freeze_norm=True)
        else:
            self.model.module.eval()
        return measure_speeds(self.model.module, images, train=train, repeats=2)

    def features(self) -> np.ndarray[Any, Any]:
        """Features of all images by the frozen backbone, from the cache where they were computed before."""
        session, bundle = self.session, self.bundle
        bf16 = self.bf16(train=False)
        key = bank_key(
            {
                "data": bundle.fingerprint,
                "weights": self.report.sha256,
                "model": session.config.model.name,
                "options": {k: str(v) for k, v in session.config.model.options.items()},
                "preprocess": self.model.spec.preprocess.to_dict(),
                "bf16": bf16,
                "torch": torch.__version__,
                "version": 1,
            }
        )
        known = bool(self.report.sha256) and session.config.data.options["cache"] != "none"
        everything = np.arange(len(bundle.keys), dtype=np.int64)
        feed = eval_feed(session, bundle, indices=everything, preprocess=self.model.spec.preprocess, batch_size=64)
        self.model.module.eval()

        def compute() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
            with session.console.counting("features", len(everything)) as watch:
                return run_over(
                    feed,
                    lambda images: features_of(self.model, images),
                    accelerator=session.accelerator,
                    normalise=self.model.spec.preprocess.normalise,
                    bf16=bf16,
                    watch=watch,
                )

        bank = load_or_compute(
            key,
            folder=cache_root(session.config) / "features" if known else None,
            count=len(everything),
            compute=compute,
            write=session.main,
        )
        if bank.cached:
            session.console.say("features  read from the cache")
        return bank.features

    def _fit_head(self, phase: Phase) -> None:
        session, bundle = self.session, self.bundle
        with session.console.stage("features"):
            features = self.features()
        with session.console.stage("head"):
            train, val = (
                Labelled(features[i], bundle.targets[i]) for i in (bundle.splits["train"], bundle.splits["val"])
            )
            self.model.head.cpu()
            fit = fit_head(
                self.model.head,
                train,
                val=val,
                classes=len(bundle.classes),
                task=bundle.task,
                seed=session.config.train.seed,
            )
            self.model.head.to(self.device)
        row = {"phase": phase.name, "step": 0, "epoch": 0, "val_loss": fit.val_loss, "val_accuracy": fit.val_accuracy}
        if session.main:
            session.log(row)
        session.console.say(
            f"probe   {fit.note}; validation accuracy {fit.val_accuracy:.3f} "
            f"({session.console.seconds['features']:.1f} s features, {session.console.seconds['head']:.1f} s head)"
        )
        self.done.append(row | {"note": fit.note})

    def _train(self, phase: Phase, index: int, *, resume: bool) -> None:
        session, config = self.session, self.session.config
        with session.console.stage("training"), session.console.watching(phase.name) as watcher:
            job = self._job(phase, index, watcher)
            loop = Loop(job)
            if resume:
                loop.restore()
            session.update()
            counters = loop.run()
        self.done.append({"phase": phase.name, **dataclasses.asdict(counters)})
        if config.train.max_time is not None:
            session.measured["planned_steps"] = counters.planned_steps

    def _job(self, phase: Phase, index: int, watcher: Any) -> Job:
        session, config, model = self.session, self.session.config, self.model
        loss = make_loss(session, self.bundle.task).to(self.device)
        regularizers = self._regularizers(phase)
        bf16 = self.bf16(train=True)
        feed = train_feed(
            session,
            self.bundle,
            preprocess=model.spec.preprocess,
            batch_size=self.batch_size,
            phase=phase,
        )
        return Job(
            model=model,
            phase=phase,
            feed=feed,
            optimizer=self._optimizer(phase),
            schedule=make_schedule(session),
            loss=loss,
            regularizers=regularizers,
            normalise=model.spec.preprocess.normalise,
            validate=lambda: self.validate(loss),
            accelerator=session.accelerator,
            checkpoints=self.checkpoints,
            watcher=watcher,
            log=session.log,
            set_train=lambda: set_train(model.module, freeze_norm=phase.freeze_norm),
            seed=config.train.seed,
            classes=len(self.bundle.classes),
            bf16=bf16,
            limits=Limits(
                patience=config.train.patience,
                save_every_s=config.train.save_every_s,
                save_every_steps=config.train.save_every_steps,
                deadline=session.deadline,
            ),
            index=index,
        )

    def _optimizer(self, phase: Phase) -> torch.optim.Optimizer:
        """Parameter groups by stage; a rate that the user gave is taken as it is, by no factor changed."""
        component = self.session.config.optimizer
        lr = component.options["lr"]
        if lr == "auto":
            lr = float(self.session.facts(component).get("lr", 1e-3)) * phase.lr_factor
        decay = float(component.own.get("weight_decay") or 0.0)
        groups = parameter_groups(self.model, float(lr), stage_decay=phase.stage_decay, weight_decay=decay)
        built: torch.optim.Optimizer = self.session.build(component, params=groups, lr=float(lr))
        return built

    def _regularizers(self, phase: Phase) -> list[Regularizer]:
        """Those of the recipe that the user did not list himself, then the user's; each is checked, then applied."""
        session, config = self.session, self.session.config
        component = loss_component(session, self.bundle.task)
        setting = Setting(
            task=self.bundle.task,
            classes=len(self.bundle.classes),
            trainable="all",
            loss_takes_soft_targets=bool(session.facts(component).get("soft_targets")),
        )
        loss = session.build(component)
        if hasattr(loss, "check"):
            loss.check(setting)
        built = self._of_recipe(phase, setting) + [session.build(chosen) for chosen in config.regularizers]
        for regularizer in built:
            if hasattr(regularizer, "check"):
                regularizer.check(setting)
            if hasattr(regularizer, "change_model"):
                regularizer.change_model(self.model)
        return built

    def _of_recipe(self, phase: Phase, setting: Setting) -> list[Regularizer]:
        """The recipe's own regularizers, less what the user lists himself and what his loss cannot take."""
        session = self.session
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

    def validate(self, loss: nn.Module) -> tuple[float, float]:
        """Mean loss and accuracy on the validation images."""
        outputs = self.outputs("val", loss, bf16=self.bf16(train=False))
        if outputs.targets.ndim == 1:
            right = outputs.logits.argmax(1) == outputs.targets
        else:
            right = ((outputs.logits > 0) == (outputs.targets > 0.5)).all(1)
        return outputs.loss, float(right.mean())

    def outputs(self, split: str, loss: nn.Module, *, bf16: bool = False) -> Outputs:
        """The network's answers over one split; in float32, as `evaluate` and `predict` compute."""
        session, bundle = self.session, self.bundle
        indices = bundle.splits[split]
        feed = eval_feed(session, bundle, indices=indices, preprocess=self.model.spec.preprocess, batch_size=64)
        logits, positions = run_over(
            feed,
            frozen_forward(self.model.module),
            accelerator=session.accelerator,
            normalise=self.model.spec.preprocess.normalise,
            bf16=bf16,
        )
        targets = bundle.targets[positions]
        with torch.no_grad():
            value = loss(torch.from_numpy(logits).to(self.device), torch.from_numpy(targets).to(self.device)).mean()
        return Outputs(logits, targets, positions, float(value))


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


def make_schedule(session: Session) -> Schedule:
    """The schedule, behind its warm-up."""
    from zoo.training.warmup import with_warmup

    component = session.config.schedule
    return with_warmup(session.build(component), share=component.options["warmup_share"])
