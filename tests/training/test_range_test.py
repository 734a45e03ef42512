"""The range test: what it suggests on known curves, and that it leaves nothing behind."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from zoo.training.loop import Loop
from zoo.training.range_test import HIGHEST, LOWEST, choose_rate, range_test


def curve(fall_from: float, fall_to: float, *, depth: float = 0.8) -> tuple[list[float], list[float]]:
    """Losses that are flat, fall evenly in log(rate) between two rates, and rise again."""
    rates = list(np.geomspace(LOWEST, HIGHEST, 100))
    losses = []
    for rate in rates:
        share = (math.log(rate) - math.log(fall_from)) / (math.log(fall_to) - math.log(fall_from))
        losses.append(2 * (1 - depth * min(max(share, 0.0), 1.0)) + (3 * (share - 1) ** 2 if share > 1 else 0.0))
    return rates, losses


@pytest.mark.parametrize(("start", "end"), [(1e-4, 1e-1), (1e-5, 1e-2), (1e-2, 1.0)])
def test_chosen_rate_is_half_of_where_the_loss_begins_to_rise(start, end):
    chosen, rule = choose_rate(*curve(start, end))
    assert chosen == pytest.approx(end / 2, rel=0.2)
    assert "begins to rise" in rule


def test_where_the_loss_never_falls_the_edge_of_the_flat_part_counts():
    """As for LeNet-5 with SGD, which waits on a plateau: noise must not choose an early place."""
    rates, losses = curve(1e-4, 1e-2, depth=0.0)
    noisy = [loss * (1 + 4e-4 * math.sin(7 * i)) for i, loss in enumerate(losses)]
    chosen, _ = choose_rate(rates, noisy)
    assert chosen == pytest.approx(1e-2 / 2, rel=0.3)


def test_no_rate_follows_from_a_loss_that_breaks_at_once():
    assert choose_rate([1e-6] * 5, [1.0] * 5)[0] is None


def test_range_test_puts_everything_back(make_job):
    job = make_job(ema=False, dropout=0.3)
    loop = Loop(job)
    before = {name: tensor.clone() for name, tensor in job.model.module.state_dict().items()}
    found = range_test(job, loop.passes, steps=40)
    after = job.model.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not job.optimizer.state
    assert [group["lr"] for group in job.optimizer.param_groups] == loop.base_lrs
    assert all(parameter.grad is None for parameter in job.parameters)
    assert list(found.rates) == sorted(found.rates)
    assert len(found.rates) == len(found.losses) >= 10


def test_range_test_keeps_the_ratio_of_the_groups(make_job):
    job = make_job(ema=False)
    parameters = list(job.model.module.parameters())
    groups = [{"params": parameters[:2], "lr": 0.5}, {"params": parameters[2:], "lr": 1.0}]
    object.__setattr__(job, "optimizer", torch.optim.SGD(groups))
    seen = []
    step = job.optimizer.step
    job.optimizer.step = lambda: (seen.append([group["lr"] for group in job.optimizer.param_groups]), step())
    range_test(job, Loop(job).passes, steps=20)
    assert all(earlier == pytest.approx(full / 2) for earlier, full in seen)
    assert seen[0][1] == pytest.approx(LOWEST)


def test_range_test_is_a_function_of_the_seed(make_job):
    curves = []
    for folder in ("a", "b"):
        job = make_job(ema=False, dropout=0.3, folder=folder)
        torch.rand(7)
        curves.append(range_test(job, Loop(job).passes, steps=30))
    assert curves[0] == curves[1]


def test_scaled_rates_are_what_the_loop_trains_with(make_job):
    job = make_job(ema=False, epochs=1 / 6, schedule=lambda progress: 1.0)
    loop = Loop(job)
    loop.scale_rates(0.25)
    loop.run()
    assert job.optimizer.param_groups[0]["lr"] == pytest.approx(0.25e-2)
