"""Warm-up: the learning rate rises evenly at the start, whatever schedule follows."""

from __future__ import annotations

from typing import Any, Literal

from zoo.contracts.training import Schedule
from zoo.errors import UserError

DEFAULT_SHARE = 0.05

_PASSED_ON = ("observe", "state_dict", "load_state_dict", "momentum")


class WarmUp:
    """Another schedule whose first part rises evenly: factor(t) = min(1, t / share) * schedule(t).

    The schedule keeps its own clock, so that a milestone at half the phase stays there. Whatever else it has
    (momentum, observed losses, state) goes through unchanged.

    Source: Goyal et al. 2017, arXiv:1706.02677, section 2.2.

    Args:
        schedule: The schedule that is warmed up.
        share: Share of the phase that the rise takes, in (0, 1).
    """

    def __init__(self, schedule: Schedule, *, share: float) -> None:
        self.schedule, self._share = schedule, share

    def __call__(self, progress: float) -> float:
        """The factor at `progress` in [0, 1]."""
        return min(1.0, progress / self._share) * self.schedule(progress)

    def __getattr__(self, name: str) -> Any:
        # Only what a schedule may have beside its call, so that a loop that asks whether there is an `observe` is
        # told the wrapped schedule's answer.
        if name in _PASSED_ON:
            return getattr(self.schedule, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def with_warmup(schedule: Schedule, *, share: float | Literal["auto"], steps: int) -> Schedule:
    """The schedule behind a warm-up; `auto` gives it one where it has none of its own.

    Where the first step would be the whole warm-up there is none: at rate 0 that step would be lost, and it may be the
    only one.

    Args:
        schedule: The schedule itself.
        share: Share of the phase that the rise takes, or `auto`.
        steps: Steps of the phase.

    Raises:
        UserError: The share is out of range, or asked for where the schedule warms up by itself.
    """
    has_own = bool(getattr(schedule, "warms_up", False))
    if share == "auto":
        share = 0.0 if has_own else DEFAULT_SHARE
    elif has_own and share > 0:
        raise UserError(
            f"schedule.warmup_share={share} has no effect: this schedule rises by itself",
            where="schedule.warmup_share",
            do="leave it out, and set the schedule's own options",
        )
    if not 0 <= share < 1:
        raise UserError(f"schedule.warmup_share={share}", where="schedule.warmup_share", allowed="0 to below 1")
    return schedule if share * steps <= 1 else WarmUp(schedule, share=share)
