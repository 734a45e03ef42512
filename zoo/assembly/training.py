"""Carries out a strategy's plan: fits heads on features, runs the loop, scores a network over a split."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from torch import nn

from zoo.assembly.data import eval_feed, train_feed
from zoo.assembly.featuring import bank_of
from zoo.assembly.objective import make_loss, make_optimizer, make_regularizers, make_schedule, setting_of
from zoo.assembly.outputs import log_loss, outputs_over
from zoo.assembly.precision import PrecisionChoice
from zoo.assembly.rates import settle_rate
from zoo.assembly.session import Session
from zoo.contracts.callbacks import PhaseEnded, PhaseStarted, ValidationEnded
from zoo.contracts.data import DataBundle
from zoo.contracts.evaluation import Outputs
from zoo.contracts.model import LoadReport, Model
from zoo.contracts.training import Phase, Plan, Regularizer, Setting
from zoo.errors import Interrupted
from zoo.evaluation.average_precision import average_precisions
from zoo.evaluation.metrics import accuracy_of, balanced_accuracy_of
from zoo.features.heads import fit_head
from zoo.features.probe import Labelled
from zoo.models.adapters import with_adapters
from zoo.models.freezing import frozen_parts, set_train, share_trained
from zoo.training.checkpoints import Checkpoints
from zoo.training.job import Counters, Job, Limits, Validation, planned_steps
from zoo.training.loop import Loop
from zoo.training.passes import seed_of

DEFAULT_BATCH = 32

_SAVING_S = 2.0
"""Seconds that model, report and record take to write."""


class Trainer:
    """Runs the phases of one plan on one network."""

    def __init__(self, session: Session, model: Model, *, bundle: DataBundle, report: LoadReport) -> None:
        self.session, self.model, self.bundle, self.report = session, model, bundle, report
        self.device = session.accelerator.device
        model.module.to(self.device)
        size = session.config.train.batch_size
        self.batch_size = DEFAULT_BATCH if size == "auto" else int(size)
        self.pretrained = report.source != "none"
        self.checkpoints = Checkpoints(session.folder.checkpoints)
        self.precision = PrecisionChoice(session, model)
        self.regularizers: dict[str, Regularizer] = {}
        self.carried: Counters | None = None
        self.head_only = False

    def run(self, plan: Plan) -> None:
        """Carries out all phases, from the one that the last checkpoint is in."""
        self.head_only = _head_only(plan, stages=len(self.model.spec.stages))
        state = self.checkpoints.state("last") if self.session.resumed else None
        first = 0 if state is None else int(state["counters"]["phase"])
        for phase in plan.phases:
            self._loss(phase)  # one that can have no effect is refused before anything is computed
        for index, phase in enumerate(plan.phases):
            if index < first:
                continue
            if phase.kind == "fit_head":
                self.session.told.tell(PhaseStarted(phase, index, step=0, steps=0))
                steps = self._fit_head(phase)
            else:
                steps = self._train(plan, index, resume=state is not None and index == first)
            self.session.told.tell(PhaseEnded(phase, index, steps=steps))
        for regularizer in reversed(self.regularizers.values()):
            if hasattr(regularizer, "restore_model"):
                regularizer.restore_model(self.model)

    def features(self) -> np.ndarray[Any, Any]:
        """Features of all images by the frozen backbone, from the cache where they were computed before."""
        bank = bank_of(self.session, self.model, bundle=self.bundle, report=self.report, precision=self.precision)
        if bank.cached:
            self.session.console.say("features  read from the cache")
        return bank.features

    def _fit_head(self, phase: Phase) -> int:
        """Fits the head on features; no steps are counted."""
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
                balance=getattr(self._loss(phase), "balance", None),
            )
            self.model.head.to(self.device)
        row = {"phase": phase.name, "step": 0, "epoch": 0, "val_loss": fit.val_loss, "val_accuracy": fit.val_accuracy}
        if session.main:
            session.log(row)
        for stop in session.told.tell(ValidationEnded(row, best=True)):
            session.console.say(f"        asked to stop ({stop.reason}): there is nothing to stop, the head is fitted")
        session.console.say(
            f"probe   {fit.note}; validation accuracy {fit.val_accuracy:.3f} "
            f"({session.console.seconds['features']:.1f} s features, {session.console.seconds['head']:.1f} s head)"
        )
        return 0

    def _train(self, plan: Plan, index: int, *, resume: bool) -> int:
        """Runs the loop over one phase; returns the steps that it made."""
        session, config, phase = self.session, self.session.config, plan.phases[index]
        with (
            with_adapters(self.model, phase.adapters, seed=seed_of(config.train.seed, index)) as model,
            frozen_parts(model, stages=phase.frozen, parameters=phase.parameters),
            session.console.stage("training"),
            session.console.watching(phase.name) as watcher,
        ):
            self._say_what_is_trained(phase, model)
            job = self._job(plan, index, model=model, watcher=watcher)
            loop = Loop(job)
            if resume:
                loop.restore()
            elif self.carried is not None:
                loop.carry_on(self.carried)
            settle_rate(session, loop, phase=phase, index=index)
            session.update()
            now = loop.counters
            session.told.tell(PhaseStarted(phase, index, step=now.step, steps=now.planned_steps))
            counters = loop.run()
            stop = index + 1 < len(plan.phases) and loop.asked_to_stop()
        self.carried = None if job.settles else counters
        if job.settles and counters.best_step == 0:
            session.console.say(
                f"        nothing in this phase validated better than what was before ({counters.best_accuracy:.3f}), "
                f"which is kept"
            )
        if config.train.max_time is not None:
            session.measured["planned_steps"] = counters.planned_steps
        if counters.stopped:
            session.console.say(f"        stopped after step {counters.step}: {counters.stopped}")
            session.measured["stopped"] = {**session.measured.get("stopped", {}), phase.name: counters.stopped}
            session.update()
        if stop:
            raise Interrupted(f"stopped after phase {phase.name!r}; the state is saved")
        return counters.step

    def _say_what_is_trained(self, phase: Phase, model: Model) -> None:
        say, stages = self.session.console.say, model.spec.stages
        if phase.frozen:
            frozen = [stages[number].name for number in phase.frozen]
            say(f"frozen  {len(frozen)} of {len(stages)} stages: {', '.join(frozen)}")
        if phase.parameters != "all" or phase.adapters is not None:
            trained, total = share_trained(model)
            what = {"norm": "scales and shifts of norms", "bias": "biases", "all": "adapters"}[phase.parameters]
            say(f"trained {what}: {trained:,} of {total:,} values ({trained / total:.2%}), and the head")

    def _job(self, plan: Plan, index: int, *, model: Model, watcher: Any) -> Job:
        session, config, phase = self.session, self.session.config, plan.phases[index]
        loss = self._loss(phase)
        regularizers = make_regularizers(
            session, model, phase=phase, setting=self._setting(phase), lasting=self.regularizers
        )
        bf16 = self.precision.bf16(train=True)
        feed = train_feed(
            session,
            self.bundle,
            preprocess=model.spec.preprocess,
            batch_size=self.batch_size,
            phase=phase,
            trained_before=sum(earlier.kind == "train" for earlier in plan.phases[:index]),
        )
        return Job(
            model=model,
            phase=phase,
            feed=feed,
            optimizer=make_optimizer(session, model, phase=phase),
            schedule=make_schedule(session, steps=planned_steps(phase, feed)),
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
                validate_every=config.train.validate_every,
                save_every_s=config.train.save_every_s,
                save_every_steps=config.train.save_every_steps,
                deadline=self._training_deadline(plan, index),
            ),
            index=index,
            start_is_candidate=index > 0 and _settles(plan, index - 1),
            settles=_settles(plan, index),
            pretrained=self.pretrained,
            told=session.told,
        )

    def _training_deadline(self, plan: Plan, index: int) -> float | None:
        """When a phase should be over: the time that is left is shared among the phases to come by their epochs.

        That is the time to the run's deadline less what the last validation, the scores and saving will take.
        """
        deadline = self.session.deadline
        if deadline is None:
            return None
        splits = self.bundle.splits
        images = 2 * len(splits["val"]) + len(splits.get("test", ()))
        now, end = time.monotonic(), deadline - _SAVING_S - images * self.precision.eval_s_per_image()
        to_come = sum(phase.epochs for phase in plan.phases[index:])
        return end if end < now else now + (end - now) * plan.phases[index].epochs / to_come

    def _loss(self, phase: Phase) -> nn.Module:
        """The loss, which has seen what the training images are."""
        return make_loss(self.session, self.bundle, setting=self._setting(phase)).to(self.device)

    def _setting(self, phase: Phase) -> Setting:
        """What the phase's regularizers and its loss may look at."""
        return setting_of(self.session, self.bundle, phase=phase, pretrained=self.pretrained, head_only=self.head_only)

    def validate(self, loss: nn.Module) -> Validation:
        """Mean loss and accuracy on the validation images, and what chooses between epochs.

        Where the loss or the sampling makes up for rare classes, the balanced accuracy chooses: the plain one would
        take the epoch that knows the common classes best. With several labels an image it is the mean average
        precision: thresholds are chosen later.
        """
        balancing = self.session.config.train.sampling == "balanced" or getattr(loss, "balance", None) is not None
        outputs = self.outputs("val", loss, bf16=self.precision.bf16(train=False))
        accuracy = accuracy_of(outputs)
        if outputs.targets.ndim == 2:
            ranked = average_precisions(outputs.logits, outputs.targets > 0.5)
            if not np.isnan(ranked).all():
                return Validation(outputs.loss, accuracy, "mean_average_precision", float(np.nanmean(ranked)))
        elif balancing:
            return Validation(outputs.loss, accuracy, "balanced_accuracy", balanced_accuracy_of(outputs))
        return Validation(outputs.loss, accuracy)

    def outputs(self, split: str, loss: nn.Module | None = None, *, bf16: bool = False) -> Outputs:
        """The network's answers over one split; in float32, as `evaluate` and `predict` compute.

        Their loss is that of `loss`; None: minus the log of the probability of the truth.
        """
        session, bundle = self.session, self.bundle
        indices = bundle.splits[split]
        return outputs_over(
            self.model,
            eval_feed(session, bundle, indices=indices, preprocess=self.model.spec.preprocess, batch_size=64),
            targets=bundle.targets,
            mean_loss=log_loss if loss is None else lambda logits, targets: loss(logits, targets).mean(),
            accelerator=session.accelerator,
            bf16=bf16,
        )


def _head_only(plan: Plan, *, stages: int) -> bool:
    """Whether all phases leave the whole backbone frozen."""
    return all(phase.kind == "fit_head" or len(phase.frozen) == stages > 0 for phase in plan.phases)


def _settles(plan: Plan, index: int) -> bool:
    """Whether a phase ends with its best weights: not where one that trains hands the same network to another one."""
    then = plan.phases[index + 1 : index + 2]
    if plan.phases[index].kind != "train":
        return True
    return not then or then[0].kind != "train" or any(phase.adapters for phase in (plan.phases[index], *then))
