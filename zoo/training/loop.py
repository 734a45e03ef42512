"""The training loop: one phase of gradient descent, from any step, to the same bits.

Sample order, augmentation and every random draw are functions of (seed, epoch, step), never of what ran before, so
a checkpoint needs no generator state: it holds weights, optimizer, schedule, regularizers and a few counters.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from zoo.contracts.callbacks import BatchReady, CheckpointSaved, StepEnded, ValidationEnded
from zoo.contracts.training import RawBatch, StepView
from zoo.errors import Interrupted, UserError, ZooError
from zoo.training.devices import all_agree
from zoo.training.job import Counters, InLoop, Job, Validation, planned_steps
from zoo.training.passes import Passes
from zoo.training.second_pass import second_pass
from zoo.training.tally import Step, Tally


class Loop:
    """Trains one phase. Build it, then call `run`."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.steps_per_epoch = job.feed.steps_per_epoch
        self.counters = Counters(phase=job.index, planned_steps=planned_steps(job.phase, job.feed))
        self.module = job.model.module
        self.prepared, self.optimizer = job.accelerator.prepare(self.module, job.optimizer)
        self.base_lrs = [float(group["lr"]) for group in job.optimizer.param_groups]
        self.passes = Passes(job, self.prepared)
        self.tally = Tally(job.accelerator.device)
        self._stop_asked = False
        self._between_steps = True
        self._telling = False
        self._validated_at = 0
        self._started = time.monotonic()
        self._last_save = self._started
        self._step_times: list[float] = []

    def restore(self) -> None:
        """Takes everything from the checkpoint `last`, in place: layout and the optimizer's references stay."""
        job = self.job
        state = job.checkpoints.state("last")
        if state is None:
            raise UserError("there is no checkpoint to continue from", where=str(job.checkpoints.folder))
        self.counters = Counters(**state["counters"])
        self._validated_at = -1 if self.counters.unvalidated else self.counters.step
        _load_in_place(self.module, job.checkpoints.tensors("last", "model."))
        for owner, regularizer in job.having("load_state_dict"):
            regularizer.load_state_dict(job.checkpoints.tensors("last", f"regularizers.{owner}."))
        job.optimizer.load_state_dict(job.checkpoints.optimizer("last"))
        if "schedule" in state:
            job.schedule.load_state_dict(state["schedule"])  # type: ignore[attr-defined]

    def carry_on(self, before: Counters) -> None:
        """Goes on from a phase that did not settle: what it validated best is to be surpassed."""
        self.counters = replace(
            self.counters, best_accuracy=before.best_accuracy, best_loss=before.best_loss, best_step=0
        )

    def scale_rates(self, factor: float) -> None:
        """Multiplies the full rates of all groups."""
        self.base_lrs = [rate * factor for rate in self.base_lrs]

    def run(self) -> Counters:
        """Trains to the end of the phase and leaves the best validated weights in the network, where it settles.

        Raises:
            Interrupted: Ctrl-C; the state is saved.
            UserError: The loss is not finite (the step is named and its batch kept), or a checkpoint cannot be
                written.
        """
        with self._listening(), self._saving_when_it_breaks():
            self._leave_earlier_phase()
            candidate = self.job.start_is_candidate and self.counters.step == 0
            if candidate and self._keep_if_better(*self.job.validate()):
                self._tell_of_checkpoint("best")
            if self.counters.unvalidated:
                self._end_epoch()
            while not self._over():
                self._run_epoch()
        self.job.accelerator.wait_for_everyone()  # the first process has written what all now read
        if self.job.settles and self.counters.best_step >= 0:
            _load_in_place(self.module, self.job.checkpoints.tensors("best", "model."))
        self.counters.finished = True
        return self.counters

    def _leave_earlier_phase(self) -> None:
        """Saves this phase's start before it overwrites `best`, which the earlier phase's checkpoint still needs."""
        state = self.job.checkpoints.state("last")
        if state is not None and int(state["counters"]["phase"]) != self.counters.phase:
            self._save("last")

    def _over(self) -> bool:
        c, limits = self.counters, self.job.limits
        out_of_patience = limits.patience is not None and c.since_best >= limits.patience
        return c.step >= c.planned_steps or out_of_patience or bool(c.stopped)

    def _run_epoch(self) -> None:
        """One pass, or what is left of it."""
        job, c = self.job, self.counters
        epoch, start = divmod(c.step, self.steps_per_epoch)
        if start == 0:
            c.epoch_loss, c.epoch_right, c.epoch_seen = 0.0, 0.0, 0
        job.set_train()
        for raw in job.feed.epoch(epoch, start_step=start):
            begun = time.monotonic()
            self._train_step(raw)
            c.step += 1
            self._between_steps = True
            self._tell(raw.total, time.monotonic() - begun)
            self._fit_to_deadline()
            if c.step >= c.planned_steps or c.step % self.steps_per_epoch == 0:
                break  # a checkpoint here, before the validation, would make a resumed run leave it out
            self._stop_if_asked()
            self._save_if_due()
        self._end_epoch()

    def _end_epoch(self) -> None:
        """Validates where that is due."""
        c, epochs = self.counters, math.ceil(self.counters.step / self.steps_per_epoch)
        self._count()
        if c.step >= c.planned_steps or epochs % self.job.limits.validate_every == 0:
            self._validate()
        else:
            self._epoch_is_over()
            self._save_if_due()
        self._stop_if_asked()

    def _epoch_is_over(self) -> None:
        """From here on a checkpoint leaves no validation out."""
        self.counters.unvalidated = False
        self._validated_at = self.counters.step

    def _train_step(self, raw: RawBatch) -> None:
        """Forward, penalties, backward, a second pass where a regularizer wants one, step."""
        job, c = self.job, self.counters
        self._set_rates()
        batch = self.passes.batch(raw, step=c.step, steps=c.planned_steps)
        if job.told.hears(BatchReady):
            wanted = job.model.spec.preprocess
            self._told(BatchReady(batch, c.step, job.phase.name, mean=wanted.mean, std=wanted.std))
        self._between_steps = False
        values = self.passes.forward_backward(raw, batch, step=c.step)
        if self.tally.add(c.step, raw, values=(values.loss, values.summed, values.right)) or c.epoch_seen == 0:
            self._count()
        for _, regularizer in job.having("look_ahead"):
            regularizer.look_ahead(job.parameters)
            job.optimizer.zero_grad(set_to_none=True)
            with second_pass(self.module):
                self.passes.forward_backward(raw, batch, step=c.step)
            regularizer.step_back(job.parameters)
        self._apply_step()

    def _count(self) -> None:
        """Looks at the steps that wait to be counted, and stops at the first whose loss is not finite."""
        c, processes = self.counters, self.job.accelerator.num_processes
        for step in self.tally.look():
            if not math.isfinite(step.loss):
                self._refuse(step)
            c.epoch_loss += step.summed * processes
            c.epoch_right += step.right * processes
            c.epoch_seen += step.raw.total

    def _apply_step(self) -> None:
        job, c = self.job, self.counters
        for _, regularizer in job.having("change_gradients"):
            regularizer.change_gradients(job.parameters, self.passes.moment(c.step, steps=c.planned_steps))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        for _, regularizer in job.having("after_step"):
            regularizer.after_step(job.model, self.passes.moment(c.step, steps=c.planned_steps))

    def _set_rates(self) -> None:
        """Learning rates (and a schedule's momentum) of this step."""
        c, schedule = self.counters, self.job.schedule
        progress = min(1.0, c.step / c.planned_steps)
        factor = schedule(progress)
        momentum = schedule.momentum(progress) if hasattr(schedule, "momentum") else None
        for group, base in zip(self.job.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * factor
            if momentum is not None and "momentum" in group:
                group["momentum"] = momentum
            elif momentum is not None and "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])

    def _validate(self) -> None:
        """Scores the network (its average, where one is kept), keeps the best, writes a row and a checkpoint."""
        job, c = self.job, self.counters
        averages = [regularizer for _, regularizer in job.having("swapped_in")]
        with averages[0].swapped_in(job.model) if averages else nullcontext():
            found = Validation(*job.validate())
            better = self._keep_if_better(*found)
        c.since_best = 0 if better else c.since_best + 1
        if hasattr(job.schedule, "observe"):
            job.schedule.observe(found.loss)
        row = {
            "phase": job.phase.name,
            "step": c.step,
            "epoch": c.step / self.steps_per_epoch,
            "train_loss": c.epoch_loss / max(1, c.epoch_seen),
            "train_accuracy": c.epoch_right / max(1, c.epoch_seen),
            "val_loss": found.loss,
            "val_accuracy": found.accuracy,
            **({f"val_{found.measure}": found.value} if found.measure else {}),
            "lr": max(group["lr"] for group in job.optimizer.param_groups),
            "seconds": round(self._seconds(), 3),
        }
        if job.accelerator.is_main_process:
            job.log(row)
            job.watcher.validated(row)
        self._epoch_is_over()
        reasons = [stop.reason for stop in self._told(ValidationEnded(row, better))]
        (c.stopped,) = all_agree(["; ".join(reasons)], job.accelerator)
        if better:
            self._tell_of_checkpoint("best")
        self._save("last")

    def _keep_if_better(self, loss: float, accuracy: float, measure: str = "", value: float = math.nan) -> bool:
        """By accuracy, or the measure that stands in for it; then by loss: several epochs often agree on every image of
        a small validation set."""
        c = self.counters
        chosen_by = value if measure else accuracy
        if (chosen_by, -loss) <= (c.best_accuracy, -c.best_loss):
            return False
        c.best_accuracy, c.best_loss, c.best_step = chosen_by, loss, c.step
        self._save("best", weights_only=True)
        return True

    def _stop_if_asked(self) -> None:
        """Ends the run, with its state saved, where the user asked for it and there is something left to do."""
        c = self.counters
        if c.step < c.planned_steps and self.asked_to_stop():
            self._save("last")
            raise Interrupted(f"stopped after step {c.step} of {c.planned_steps}; the state is saved")

    def _save_if_due(self) -> None:
        """A checkpoint within an epoch."""
        c, limits = self.counters, self.job.limits
        if limits.save_every_steps is not None:
            due = c.step % limits.save_every_steps == 0
        else:
            due = time.monotonic() - self._last_save >= limits.save_every_s
        if due:
            self._save("last")

    def _save(self, name: str, *, weights_only: bool = False, tell: bool = True) -> None:
        job = self.job
        self._count()  # what is saved has been looked at
        self._last_save = time.monotonic()
        if not job.accelerator.is_main_process:
            return
        tensors = {f"model.{key}": value for key, value in self.module.state_dict().items()}
        counters = asdict(self.counters) | {"seconds": self._seconds()}
        state: dict[str, Any] = {"phase_name": job.phase.name, "counters": counters}
        if weights_only:
            job.checkpoints.save(name, tensors=tensors, optimizer={}, state=state)
            return
        for owner, regularizer in job.having("state_dict"):
            tensors |= {f"regularizers.{owner}.{key}": value for key, value in regularizer.state_dict().items()}
        if hasattr(job.schedule, "state_dict"):
            state["schedule"] = job.schedule.state_dict()
        state["callbacks"] = job.told.state_dict()
        job.checkpoints.save(name, tensors=tensors, optimizer=job.optimizer.state_dict(), state=state)
        if tell:
            self._tell_of_checkpoint(name)

    def _seconds(self) -> float:
        return self.counters.seconds + time.monotonic() - self._started

    def _tell(self, images: int, step_s: float) -> None:
        """Tells the watcher how far it is; the rate is that of the last steps."""
        c, job = self.counters, self.job
        self._step_times = [*self._step_times[-19:], step_s]
        if not job.accelerator.is_main_process:
            return
        mean_s = sum(self._step_times) / len(self._step_times)
        seen = max(1, c.epoch_seen)
        view = StepView(
            phase=job.phase.name,
            step=c.step,
            steps=c.planned_steps,
            epoch=c.step / self.steps_per_epoch,
            epochs=c.planned_steps / self.steps_per_epoch,
            loss=c.epoch_loss / seen,
            accuracy=c.epoch_right / seen,
            images_per_s=images / mean_s if mean_s else 0.0,
            left_s=mean_s * (c.planned_steps - c.step),
        )
        job.watcher.stepped(view)
        if job.told.hears(StepEnded):
            self._told(StepEnded(view, lr=max(group["lr"] for group in job.optimizer.param_groups), seen=c.epoch_seen))

    def _tell_of_checkpoint(self, name: str) -> None:
        self._told(CheckpointSaved(name, self.counters.step, self.job.checkpoints.folder / name))

    def _told(self, event: InLoop) -> list[Any]:
        """What callbacks answer; while they are asked, the weights are whole whatever happens to them."""
        self._telling = True
        answers = self.job.told.tell(event)
        self._telling = False
        return answers

    def _fit_to_deadline(self) -> None:
        """Shortens the plan, and with it the schedule, to what the time left allows.

        Measured after ten steps and every twenty-fifth from then on; a share of the time is left for validation.
        All processes take the plan of the slowest.
        """
        c, deadline = self.counters, self.job.limits.deadline
        if deadline is None:
            return
        alone = self.job.accelerator.num_processes == 1  # several must come here at the same steps
        if not (c.step == 10 or c.step % 25 == 0 or (alone and time.monotonic() > deadline)):
            return
        step_s = float(np.mean(self._step_times)) if self._step_times else 1.0
        fits = c.step + max(0, int((deadline - time.monotonic()) / (1.05 * step_s)))
        if not alone:
            told = self.job.accelerator.gather(torch.tensor([fits], device=self.job.accelerator.device))
            fits = int(told.min())
        c.planned_steps = max(c.step, min(c.planned_steps, fits))

    def asked_to_stop(self) -> bool:
        """Whether any process was interrupted; all must agree, or they would wait for each other for ever."""
        if self.job.accelerator.num_processes == 1:
            return self._stop_asked
        flag = torch.tensor([int(self._stop_asked)], device=self.job.accelerator.device)
        return bool(self.job.accelerator.gather(flag).max())

    @contextmanager
    def _saving_when_it_breaks(self) -> Iterator[None]:
        """Saves the state where something crashes between two steps; within one, the last checkpoint stays.

        Half a step is no state to go on from: statistics or weights have moved, and the step would be made again. Of
        several processes the others may be anywhere, but not where a callback crashes: all have made the same steps.
        """
        try:
            yield
        except Exception as error:
            c = self.counters
            ends = c.step >= c.planned_steps or c.step % self.steps_per_epoch == 0
            c.unvalidated = ends and self._validated_at != c.step
            alone = self.job.accelerator.num_processes == 1 and not isinstance(error, ZooError)
            if self._telling or (self._between_steps and alone):
                self._save("last", tell=False)
            raise

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """The first Ctrl-C ends training after the current step; the second one at once."""

        def ask(number: int, frame: object) -> None:
            if self._stop_asked:
                raise KeyboardInterrupt
            self._stop_asked = True

        try:
            before = signal.signal(signal.SIGINT, ask)
        except ValueError:  # not in the main thread, where Python takes no signals
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _refuse(self, step: Step) -> None:
        """Stops at a loss that is not finite and keeps the batch, so that the step can be replayed."""
        c, job = self.counters, self.job
        c.step = step.number  # batch and rates are functions of it: made again, they are what they were
        self._set_rates()
        batch = self.passes.batch(step.raw, step=c.step, steps=c.planned_steps)
        kept: Path = job.checkpoints.folder.parent / "bad_batch.npz"
        np.savez(kept, images=batch.images.cpu().numpy(), targets=batch.targets.cpu().numpy(), indices=step.raw.indices)
        raise UserError(
            f"the loss is {step.loss} at step {c.step} of phase {job.phase.name!r}",
            where=f"learning rate {max(g['lr'] for g in job.optimizer.param_groups):.3g}; the batch is kept in {kept}",
            do=["lower optimizer.lr", "add regularizers=[gradient_clipping]", "train.precision=fp32, if it was bf16"],
        )


@torch.no_grad()
def _load_in_place(module: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in module.state_dict().items():
        tensor.copy_(tensors[name])
