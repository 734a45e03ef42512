"""A range test of the learning rate: short training at rates that rise, and what the losses say."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from zoo.contracts.training import RawBatch
from zoo.training.job import Job
from zoo.training.passes import Passes

LOWEST, HIGHEST = 1e-6, 10.0
STEPS = 60
SMOOTHING = 0.8
MARGIN = 2.0
FLAT = 1e-3
BROKEN = 3.0
"""The test ends where the smoothed loss is this many times the best so far, above it."""


@dataclass(frozen=True)
class RangeCurve:
    """What a range test saw.

    Attributes:
        rates: Learning rates, rising.
        losses: The smoothed loss before the step at each rate.
        chosen: The rate that follows, or None where the losses say nothing.
        rule: Why it is that one, in a few words.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    chosen: float | None
    rule: str


def range_test(job: Job, passes: Passes, *, steps: int = STEPS) -> RangeCurve:
    """Trains for `steps` steps with a rate that rises evenly in its logarithm, then puts everything back.

    Weights, statistics and the optimizer's state are afterwards what they were. The rate is the largest of the
    parameter groups'; the others keep their ratio to it. On several processes the losses are those of all.

    Source: Smith 2015, arXiv:1506.01186, section 3.3; the smoothing with its correction and the stop are fastai's.

    Args:
        job: Its optimizer must not have made a step yet.
        passes: Of this job.
        steps: Number of rates.
    """
    module, groups = job.model.module, job.optimizer.param_groups
    before = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    lrs = [float(group["lr"]) for group in groups]
    rates, losses = [], []
    average, best = 0.0, math.inf
    job.set_train()
    for step, raw in enumerate(itertools.islice(_endless(job), steps)):
        rate = LOWEST * (HIGHEST / LOWEST) ** (step / (steps - 1))
        for group, lr in zip(groups, lrs, strict=True):
            group["lr"] = rate * lr / max(lrs)
        loss = _step(job, passes, raw, step=step, steps=steps)
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smoothed = average / (1 - SMOOTHING ** (step + 1))
        if not math.isfinite(loss) or (smoothed > BROKEN * best and step > 5):
            break
        best = min(best, smoothed)
        rates.append(rate)
        losses.append(smoothed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            tensor.copy_(before[name])
    job.optimizer.state.clear()
    for group, lr in zip(groups, lrs, strict=True):
        group["lr"] = lr
    chosen, rule = choose_rate(rates, losses)
    return RangeCurve(tuple(rates), tuple(losses), chosen, rule)


def _step(job: Job, passes: Passes, raw: RawBatch, *, step: int, steps: int) -> float:
    """One step of the optimizer; the mean of its loss over the processes."""
    batch = passes.batch(raw, step=step, steps=steps)
    values = passes.forward_backward(raw, batch, step=step)
    job.optimizer.step()
    job.optimizer.zero_grad(set_to_none=True)
    return float(job.accelerator.reduce(values.loss.float(), reduction="mean"))


def _endless(job: Job) -> Iterator[RawBatch]:
    for epoch in itertools.count():
        yield from job.feed.epoch(epoch)


def choose_rate(rates: Sequence[float], losses: Sequence[float]) -> tuple[float | None, str]:
    """The rate that a curve of losses over rising rates suggests, and by which rule.

    Half of the largest rate at which the loss was at its lowest, within a thousandth: behind it, training begins to
    break. fastai's "minimum" takes a tenth; for networks from random values that was too slow where it was tried
    (docs/decisions.md).
    """
    if len(rates) < 10:
        return None, "the loss broke within ten steps"
    lowest = min(losses)
    edge = max(rate for rate, loss in zip(rates, losses, strict=True) if loss <= lowest * (1 + FLAT))
    return edge / MARGIN, f"half of {edge:.2g}, behind which the loss begins to rise"
