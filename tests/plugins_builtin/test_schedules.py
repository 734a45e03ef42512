"""The built-in schedules against torch's own schedulers and hand-computed numbers."""

from __future__ import annotations

import math
import pickle
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler
from zoo_plugins.schedule_curves import (
    Constant,
    Cosine,
    Exponential,
    Linear,
    OneCycle,
    Piecewise,
    Plateau,
    Power,
    Step,
)

from zoo.errors import UserError

STEPS = 50
ALL = (Constant, Linear, Step, Piecewise, Exponential, Power, Cosine, OneCycle, Plateau)


def torch_rates(make, *, steps: int = STEPS, lr: float = 1.0) -> list[tuple[float, float]]:
    """Learning rate and momentum at each step of one of torch's schedulers."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
    scheduler = make(optimizer)
    seen = []
    for _ in range(steps):
        group = optimizer.param_groups[0]
        seen.append((group["lr"], group["momentum"]))
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.parametrize("kind", ALL)
def test_schedule_stays_in_range_and_is_pure(kind):
    schedule = kind()
    points = [i / 1000 for i in range(1001)]
    factors = [schedule(t) for t in points]
    assert all(0 <= factor <= 1 for factor in factors)
    assert max(factors) == pytest.approx(1.0, abs=1e-4)
    shuffled = random.Random(0).sample(points, len(points))
    assert {t: schedule(t) for t in shuffled} == dict(zip(points, factors, strict=True))
    assert pickle.loads(pickle.dumps(schedule))(0.37) == schedule(0.37)


@pytest.mark.parametrize("kind", ALL)
def test_schedule_takes_progress_beyond_the_end_as_the_end(kind):
    schedule = kind()
    assert schedule(1.02) == schedule(1.0)
    assert schedule(-1e-9) == schedule(0.0)


def test_constant_is_one():
    assert {Constant()(t / 7) for t in range(8)} == {1.0}


@pytest.mark.parametrize("end", [0.0, 0.25])
def test_linear_matches_torch(end):
    rates = torch_rates(lambda o: lr_scheduler.LinearLR(o, 1.0, end, total_iters=STEPS))
    assert [Linear(end_factor=end)(i / STEPS) for i in range(STEPS)] == pytest.approx([r for r, _ in rates], abs=1e-9)


@pytest.mark.parametrize("end", [0.0, 0.1])
def test_cosine_matches_torch(end):
    rates = torch_rates(lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS, eta_min=end))
    assert [Cosine(min_factor=end)(i / STEPS) for i in range(STEPS)] == pytest.approx([r for r, _ in rates], abs=1e-9)
    assert Cosine(min_factor=end)(1.0) == pytest.approx(end)


def test_step_matches_torch():
    rates = torch_rates(lambda o: lr_scheduler.MultiStepLR(o, [10, 25, 40], gamma=0.3))
    ours = Step(milestones=(0.2, 0.5, 0.8), gamma=0.3)
    assert [ours(i / STEPS) for i in range(STEPS)] == pytest.approx([r for r, _ in rates], rel=1e-9)


def test_step_falls_at_the_milestone_itself():
    assert [Step()(t) for t in (0.0, 0.4999, 0.5, 0.75, 1.0)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])


def test_exponential_matches_torch():
    rates = torch_rates(lambda o: lr_scheduler.ExponentialLR(o, 0.02 ** (1 / STEPS)))
    ours = Exponential(end_factor=0.02)
    assert [ours(step / STEPS) for step in range(STEPS)] == pytest.approx([lr for lr, _ in rates])


def test_power_is_one_over_one_plus_time_and_matches_keras():
    keras = pytest.importorskip("keras")
    theirs = keras.optimizers.schedules.InverseTimeDecay(1.0, decay_steps=5, decay_rate=1.0)
    ours = Power(share=0.1)  # 5 of 50 steps
    assert [ours(step / STEPS) for step in range(STEPS)] == pytest.approx([float(theirs(n)) for n in range(STEPS)])
    assert Power(share=0.25, power=0.5)(0.75) == pytest.approx(1 / math.sqrt(1 + 3))


def test_piecewise_is_a_staircase_and_matches_keras():
    keras = pytest.importorskip("keras")
    theirs = keras.optimizers.schedules.PiecewiseConstantDecay([9, 29], [1.0, 0.5, 2.0])  # keras: 9 is before it
    ours = Piecewise(boundaries=(0.2, 0.6), factors=(1.0, 0.5, 2.0))
    assert [ours(step / STEPS) for step in range(STEPS)] == pytest.approx([float(theirs(n)) for n in range(STEPS)])


@pytest.mark.parametrize(("share", "div", "final_div"), [(0.3, 25.0, 1e4), (0.5, 10.0, 100.0)])
def test_one_cycle_matches_torch(share, div, final_div):
    """Torch counts steps and not progress; its two corners lie at share * total - 1 and total - 1."""
    total = 200
    rates = torch_rates(
        lambda o: lr_scheduler.OneCycleLR(
            o, max_lr=1.0, total_steps=total, pct_start=share, div_factor=div, final_div_factor=final_div
        ),
        steps=total - 1,
    )
    ours = OneCycle(rise_share=share, div=div, final_div=final_div)
    peak, end = share * total - 1, total - 1
    for i, (rate, momentum) in enumerate(rates):
        t = share * i / peak if i < peak else share + (1 - share) * (i - peak) / (end - peak)
        assert ours(t) == pytest.approx(rate, abs=1e-9)
        assert ours.momentum(t) == pytest.approx(momentum, abs=1e-9)


def test_one_cycle_corners():
    ours = OneCycle(rise_share=0.25, div=20, final_div=50, momenta=(0.8, 0.9))
    assert [ours(t) for t in (0, 0.25, 1)] == pytest.approx([1 / 20, 1, 1 / 1000])
    assert [ours.momentum(t) for t in (0, 0.25, 1)] == pytest.approx([0.9, 0.8, 0.9])
    assert OneCycle(momenta=None).momentum(0.5) is None


def losses(seed: int) -> list[float]:
    """A falling, then noisy series with a NaN in it."""
    draw = random.Random(seed)
    series = [1.0 / (1 + 0.3 * i) + 0.1 * draw.random() for i in range(40)]
    series[12] = math.nan
    return series


@pytest.mark.parametrize("patience", [0, 1, 4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_plateau_matches_torch(patience, seed):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience, threshold=0.01, min_lr=0.05, eps=0.0
    )
    ours = Plateau(factor=0.5, patience=patience, threshold=0.01, min_factor=0.05)
    factors = []
    for loss in losses(seed):
        theirs.step(loss)
        ours.observe(loss)
        assert ours(0.5) == pytest.approx(optimizer.param_groups[0]["lr"])
        factors.append(ours(0.5))
    assert factors[-1] < 1


@given(cut=st.integers(0, 40), seed=st.integers(0, 5))
def test_plateau_goes_on_from_its_state(cut, seed):
    whole, first, second = (Plateau(patience=2, factor=0.4) for _ in range(3))
    series = losses(seed)
    for loss in series:
        whole.observe(loss)
    for loss in series[:cut]:
        first.observe(loss)
    state = first.state_dict()
    assert all(value is None or math.isfinite(value) for value in state.values())  # JSON has no infinity
    second.load_state_dict(state)
    for loss in series[cut:]:
        second.observe(loss)
    assert second.state_dict() == whole.state_dict()
    assert second(0.1) == whole(0.1)


def test_plateau_never_falls_below_its_floor():
    ours = Plateau(patience=0, factor=0.1, min_factor=0.02)
    for _ in range(10):
        ours.observe(1.0)
    assert ours(0.9) == 0.02


def test_only_one_cycle_says_that_it_warms_up_by_itself():
    assert [kind for kind in ALL if getattr(kind(), "warms_up", False)] == [OneCycle]


def test_only_plateau_watches_validation_and_only_one_cycle_sets_momentum():
    """The loop asks what a schedule has; a method that did nothing would cost a checkpoint entry or a momentum."""
    assert [kind for kind in ALL if hasattr(kind(), "observe")] == [Plateau]
    assert [kind for kind in ALL if hasattr(kind(), "state_dict")] == [Plateau]
    assert [kind for kind in ALL if hasattr(kind(), "momentum")] == [OneCycle]


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: Linear(end_factor=1), "schedule.end_factor"),
        (lambda: Cosine(min_factor=1), "schedule.min_factor"),
        (lambda: Cosine(min_factor=-0.1), "schedule.min_factor"),
        (lambda: Step(milestones=()), "schedule.milestones"),
        (lambda: Step(milestones=(0.5, 1.5)), "schedule.milestones"),
        (lambda: Step(milestones=(0.7, 0.3)), "schedule.milestones"),
        (lambda: Step(milestones=(0.5, 0.5)), "schedule.milestones"),
        (lambda: Step(gamma=1), "schedule.gamma"),
        (lambda: Piecewise(boundaries=(0.5,), factors=(1.0,)), "schedule.factors"),
        (lambda: Piecewise(boundaries=(0.5,), factors=(1.0, -1.0)), "schedule.factors"),
        (lambda: Piecewise(boundaries=(0.5,), factors=(0.5, 0.5)), "schedule.factors"),
        (lambda: Piecewise(boundaries=(0.5, 0.2), factors=(1.0, 0.5, 0.1)), "schedule.boundaries"),
        (lambda: Exponential(end_factor=0), "schedule.end_factor"),
        (lambda: Power(power=0), "schedule.power"),
        (lambda: Power(share=0), "schedule.share"),
        (lambda: OneCycle(rise_share=0), "schedule.rise_share"),
        (lambda: OneCycle(div=1), "schedule.div"),
        (lambda: OneCycle(final_div=0.5), "schedule.final_div"),
        (lambda: OneCycle(momenta=(0.9, 0.9)), "schedule.momenta"),
        (lambda: OneCycle(momenta=(0.9, 1.0)), "schedule.momenta"),
        (lambda: OneCycle(momenta=(0.9,)), "schedule.momenta"),
        (lambda: Plateau(patience=-1), "schedule.patience"),
        (lambda: Plateau(factor=1), "schedule.factor"),
        (lambda: Plateau(min_factor=1), "schedule.min_factor"),
    ],
)
def test_schedule_refuses_options_without_sense_or_effect(make, where):
    with pytest.raises(UserError) as caught:
        make()
    assert caught.value.where == where
    assert caught.value.allowed or caught.value.do
