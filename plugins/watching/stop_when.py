"""Ends a phase of training by what validation says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge

from zoo.contracts.callbacks import PhaseStarted, RunStarted, Stop, ValidationEnded
from zoo.errors import UserError, name_list

MEASURES = ("accuracy", "loss", "balanced_accuracy", "mean_average_precision", "train_accuracy", "train_loss")
"""What may be watched; the third and the fourth where they choose between epochs."""


class StopWhen:
    """Stops when a measure reaches `target`, or has not become better by `min_delta` for `patience` validations.

    A loss is better the lower it is, every other measure the higher. Each phase of training counts anew. The weights
    that are kept are the best validated ones, as ever; `train.patience` looks at their loss in the same way and knows
    neither other measures nor a target.

    Source: Prechelt 1998, "Early Stopping - But When?", his third criterion: it stops when the error rose in s strips
        in a row. Deviation: a strip is one validation, and it counts what does not beat the best one so far.

    Args:
        measure: What is watched: `accuracy` or `loss` of the validation images, `train_accuracy` or `train_loss` of
            the epoch's training images, or what chooses between epochs in their place: `balanced_accuracy` where the
            loss makes up for rare classes, `mean_average_precision` with several labels an image.
        target: Stop as soon as the measure is here or beyond; null: no target.
        patience: Stop after so many validations in a row that were not better; null: only the target stops.
        min_delta: By how much a validation must beat the best one to count as better.
    """

    def __init__(
        self,
        *,
        measure: str = "accuracy",
        target: float | None = None,
        patience: Annotated[int, Ge(1)] | None = None,
        min_delta: Annotated[float, Ge(0)] = 0.0,
    ) -> None:
        if measure not in MEASURES:
            raise UserError(
                f"{measure!r} is no measure", where="callbacks.stop_when.measure", allowed=name_list(measure, MEASURES)
            )
        if min_delta and patience is None:
            raise UserError(
                "min_delta has no effect: it says what patience takes for better",
                where="callbacks.stop_when.min_delta",
                do=["callbacks.stop_when.patience=3", "or leave it out"],
            )
        self.measure, self.target, self.patience, self.min_delta = measure, target, patience, min_delta
        self._key = measure if measure.startswith("train_") else f"val_{measure}"
        self._sign = -1.0 if measure.endswith("loss") else 1.0
        self._best: float | None = None
        self._worse = 0

    def check(self, event: RunStarted) -> None:
        """Refuses one that would never stop: without a target and patience, or with a target that no share reaches.

        Raises:
            UserError: With what to do.
        """
        if self.target is None and self.patience is None:
            raise UserError(
                "stop_when has no effect: it has neither a target nor patience",
                where="callbacks.stop_when",
                do=["callbacks.stop_when.target=0.95", "or callbacks.stop_when.patience=3"],
            )
        if self.target is not None and self._sign > 0 and not 0 < self.target <= 1:
            raise UserError(
                f"target={self.target} has no effect: {self.measure} is a share",
                where="callbacks.stop_when.target",
                allowed="above 0, at most 1",
            )

    def state_dict(self) -> dict[str, Any]:
        """The best value, and the validations since."""
        return {"best": self._best, "worse": self._worse}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on counting."""
        self._best, self._worse = state["best"], int(state["worse"])

    def on_phase_start(self, event: PhaseStarted) -> None:
        """Counts anew, unless the phase is one that goes on."""
        if event.step == 0:
            self._best, self._worse = None, 0

    def on_validation_end(self, event: ValidationEnded) -> Stop | None:
        """Looks at the measure.

        Raises:
            UserError: This run does not have it.
        """
        if event.row.get("step") == 0:  # a head that was fitted on features: there is nothing to stop
            return None
        value = self._value(event.row)
        if self.target is not None and self._sign * value >= self._sign * self.target:
            return Stop(f"{self.measure} {value:.4g} has reached the target of {self.target:g}")
        if self._best is None or self._sign * value > self._sign * self._best + self.min_delta:
            self._best, self._worse = value, 0
            return None
        self._worse += 1
        if self.patience is None or self._worse < self.patience:
            return None
        by = f" by more than {self.min_delta:g}" if self.min_delta else ""
        rounds = "one validation" if self._worse == 1 else f"{self._worse} validations"
        return Stop(f"{self.measure} has not been better than {self._best:.4g}{by} for {rounds}")

    def _value(self, row: Mapping[str, Any]) -> float:
        if self._key in row:
            return float(row[self._key])
        found = [name.removeprefix("val_") for name in row if name.startswith(("val_", "train_"))]
        raise UserError(
            f"this run does not measure {self.measure}",
            where="callbacks.stop_when.measure",
            allowed=name_list(self.measure, found),
        )
