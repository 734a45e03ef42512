"""What holds of everything that takes part in training, looked at in short runs of zoo's own loop."""

from __future__ import annotations

import torch

from zoo.testing.draws import global_seed
from zoo.testing.results import BrokenError
from zoo.testing.subject import Subject
from zoo.testing.training import BREAK_AT, Conditions, Outcome, train


def difference(one: Outcome, other: Outcome, *, parameters_alone: bool = False) -> str:
    """The first value by which two runs differ to the bit, at their ends or at a validation both had; "" for none."""
    pairs = [("at the end", one.weights, other.weights)]
    for number, (a, b) in enumerate(zip(reversed(one.validated), reversed(other.validated), strict=False)):
        pairs.append((f"at validation {len(one.validated) - number}", a, b))
    for where, first, second in pairs:
        for name in one.parameters if parameters_alone else first:
            if name not in second or not torch.equal(first[name], second[name]):
                return f"{name} {where}"
    return ""


def repeatable(subject: Subject) -> None:
    """Two runs of one seed, under other global seeds, end alike."""
    with global_seed(1):
        first = train(subject, folder=subject.run_dir / "first")
    with global_seed(2):
        second = train(subject, folder=subject.run_dir / "second")
    differing = difference(first, second)
    if differing:
        raise BrokenError(f"two runs of the same seed differ: {differing}")


def state(subject: Subject) -> None:
    """A run that was stopped within an epoch, and resumed by new objects, ends as one that was not."""
    whole = train(subject, folder=subject.run_dir / "whole")
    broken = subject.run_dir / "broken"
    with global_seed(1):
        train(subject, folder=broken, break_at=BREAK_AT)
    with global_seed(2):
        resumed = train(subject, folder=broken, resume=True)
    rates = whole.rates[BREAK_AT:]
    if resumed.rates != rates:
        raise BrokenError(f"resumed after step {BREAK_AT}, the learning rates are {resumed.rates} in place of {rates}")
    differing = difference(whole, resumed)
    if differing:
        raise BrokenError(f"a run that was resumed after step {BREAK_AT} differs from one that was not: {differing}")


def bf16(subject: Subject) -> None:
    """A run in bfloat16 ends with finite weights."""
    try:
        outcome = train(subject, Conditions(bf16=True))
    except Exception as error:
        subject.forgive(error)
        raise BrokenError(f"under bf16 autocast it crashed: {subject.crash(error)}") from error
    for name, value in outcome.weights.items():
        if not bool(torch.isfinite(value).all()):
            raise BrokenError(f"under bf16 autocast {name} is not finite after six steps")


def processes(subject: Subject) -> None:
    """Two processes end with equal parameters."""
    from zoo.testing.processes import train_in_two

    first, second = train_in_two(subject)
    differing = sorted(name for name in first if not torch.equal(first[name], second[name]))
    if differing:
        raise BrokenError(
            f"after six steps in two processes {len(differing)} of {len(first)} parameters differ, {differing[0]} first"
        )
