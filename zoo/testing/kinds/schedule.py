"""Schedules: a factor of 0 or more that depends on progress alone."""

from __future__ import annotations

import math
from typing import Any

from zoo.testing.draws import global_seed
from zoo.testing.results import BrokenError
from zoo.testing.subject import Subject

POINTS = tuple(i / 200 for i in range(201))
"""Progress, from 0 to 1, both included."""


def builds(subject: Subject) -> None:
    """It can be called, and has all of the state that it is asked for, or none."""
    schedule = subject.build()
    if not callable(schedule):
        raise BrokenError(f"{type(schedule).__name__} cannot be called", fix="Define __call__(self, progress).")
    parts = [name for name in ("observe", "state_dict", "load_state_dict") if hasattr(schedule, name)]
    if parts and len(parts) < 3:
        raise BrokenError(
            f"it has {' and '.join(parts)} alone", fix="observe, state_dict and load_state_dict go together."
        )


def use(subject: Subject) -> None:
    """From 0 to 1, with validations in between."""
    schedule = subject.build()
    for progress in POINTS:
        schedule(progress)
    if hasattr(schedule, "observe"):
        schedule.observe(1.0)
        schedule.load_state_dict(schedule.state_dict())


def shapes(subject: Subject) -> None:
    """Finite numbers of 0 or more."""
    schedule = subject.build()
    for progress in POINTS:
        _check_factor(schedule(progress), progress)
        momentum = schedule.momentum(progress) if hasattr(schedule, "momentum") else None
        if momentum is not None and not 0 <= momentum < 1:
            raise BrokenError(f"the momentum at progress {progress:g} is {momentum!r}, not in [0, 1)")
    if hasattr(schedule, "observe"):
        for loss in (1.0, 0.5, 0.5, 0.5, 0.7, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, math.inf):
            schedule.observe(loss)
            _check_factor(schedule(0.9), 0.9)


def _check_factor(factor: Any, progress: float) -> None:
    try:
        value = float(factor)
    except (TypeError, ValueError) as error:
        raise BrokenError(f"at progress {progress:g} it gives {factor!r}, which is no number") from error
    if not math.isfinite(value) or value < 0:
        raise BrokenError(f"at progress {progress:g} it gives {factor!r}: a finite factor of 0 or more is wanted")


def repeatable(subject: Subject) -> None:
    """In another order, asked twice, and from another object: the same factors."""
    first, second = subject.build(), subject.build()
    with global_seed(1):
        forwards = [first(progress) for progress in POINTS]
    with global_seed(2):
        backwards = [second(progress) for progress in reversed(POINTS) for _ in range(2)][::-2]
    for progress, one, other in zip(POINTS, forwards, backwards, strict=True):
        if one != other:
            raise BrokenError(
                f"at progress {progress:g} it gives {one!r} or {other!r}, as it was asked before or not: a resumed run "
                "does not replay steps",
                fix="Compute the factor from progress alone; count no calls, and draw nothing.",
            )


def acts(subject: Subject) -> None:
    """Somewhere the rate is above 0."""
    schedule = subject.build()
    if not any(schedule(progress) > 0 for progress in POINTS):
        raise BrokenError("the factor is 0 throughout: nothing would be trained")
