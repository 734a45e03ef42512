"""Tells a tracker of a run: the callback through which settings, curves and scores reach it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zoo.contracts.callbacks import (
    PhaseEnded,
    PhaseStarted,
    RunBroken,
    RunEnded,
    RunStarted,
    StepEnded,
    ValidationEnded,
)
from zoo.contracts.tracking import TrackedRun, Tracker


class Curves:
    """A callback that hands a tracker the curves of a run, over one count of steps for all its phases.

    `train/loss` and `train/accuracy` are means over the images since they were last logged in the same epoch;
    `train/lr` and `train/images_per_s` are those of the step.
    """

    def __init__(self, tracker: Tracker, *, key: str, every_steps: int) -> None:
        """Takes the tracker, its key in the configuration, and the steps from one log of training to the next."""
        self._tracker, self._key, self._every = tracker, key, every_steps
        self._before = 0  # steps of the phases that are over
        self._step = -1  # the last one that a tracker could have been told of
        self._epoch = 0  # the one that the sums are of, from 1
        self._sums = (0.0, 0.0, 0)  # its loss, right answers and images when they were last logged

    def state_dict(self) -> dict[str, Any]:
        """Where the curves stand."""
        return {"before": self._before, "step": self._step, "epoch": self._epoch, "sums": list(self._sums)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from there."""
        loss, right, seen = state["sums"]
        self._before, self._step, self._epoch = (int(state[name]) for name in ("before", "step", "epoch"))
        self._sums = (loss, right, int(seen))

    def on_run_start(self, event: RunStarted) -> None:
        """Opens the tracker."""
        self._tracker.start(
            TrackedRun(
                name=event.run_dir.name,
                run_dir=event.run_dir,
                config=event.config,
                resumed=event.resumed,
                folder=event.run_dir / "trackers" / self._key,
                step=self._step,
            )
        )

    def on_phase_start(self, event: PhaseStarted) -> None:
        """Notes that there is something to log at the phase's first step."""
        self._step = max(self._step, self._before + event.step)

    def on_step_end(self, event: StepEnded) -> None:
        """Logs training every few steps, and at the last step of a phase."""
        view = event.view
        self._step = self._before + view.step
        if math.ceil(view.epoch) != self._epoch:
            self._epoch, self._sums = math.ceil(view.epoch), (0.0, 0.0, 0)
        if self._step % self._every and view.step < view.steps:
            return
        loss, right, seen = self._sums
        values = {"train/lr": event.lr, "train/images_per_s": view.images_per_s}
        if event.seen > seen:
            now = (view.loss * event.seen, view.accuracy * event.seen, event.seen)
            images = event.seen - seen
            values |= {"train/loss": (now[0] - loss) / images, "train/accuracy": (now[1] - right) / images}
            self._sums = now
        self._tracker.log(dict(sorted(values.items())), self._step)

    def on_validation_end(self, event: ValidationEnded) -> None:
        """Logs what validation said."""
        values = {
            f"val/{name.removeprefix('val_')}": float(value)
            for name, value in event.row.items()
            if name.startswith("val_")
        }
        self._tracker.log(values, self._before + int(event.row["step"]))

    def on_phase_end(self, event: PhaseEnded) -> None:
        """Counts the phase's steps as done."""
        self._before += event.steps
        self._epoch = 0

    def on_run_end(self, event: RunEnded) -> None:
        """Hands over the scores on test images, and closes the tracker."""
        scores = {
            f"test/{name}": float(value)
            for name, value in event.scores.get("test", {}).items()
            if isinstance(value, int | float)
        }
        self._tracker.finish(scores)

    def on_break(self, event: RunBroken) -> None:
        """Closes the tracker."""
        self._tracker.finish({}, event.error)
