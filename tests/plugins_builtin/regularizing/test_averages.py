"""EMA and SWA against written-out recurrences and torch's own averages, and what they are worth in 300 steps."""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch
from support.regularizing import PREPROCESS, Feed, generator, job_of, moment, residual_model
from torch import nn
from torch.optim.swa_utils import AveragedModel
from zoo_plugins.regularizing.averages import EMA, SWA

from zoo.contracts.model import Model
from zoo.errors import UserError
from zoo.training.loop import Loop

AVERAGES = [EMA, SWA]


def wander(model: Model, average: EMA | SWA, *, steps: int = 12) -> list[dict[str, torch.Tensor]]:
    """Moves all weights and statistics at random, `average` after each step; the weights after each step."""
    average.change_model(model)
    seen = []
    for step in range(steps):
        draws = generator(step)
        with torch.no_grad():
            for tensor in model.module.state_dict().values():
                if tensor.is_floating_point():
                    tensor.add_(torch.randn(tensor.shape, generator=draws) * 0.1)
                else:
                    tensor.add_(1)
        average.after_step(model, moment(step, steps=steps))
        seen.append({name: tensor.clone() for name, tensor in model.module.state_dict().items()})
    return seen


def averaged(model: Model, average: EMA | SWA) -> dict[str, torch.Tensor]:
    with average.swapped_in(model):
        return {name: tensor.clone() for name, tensor in model.module.state_dict().items()}


@pytest.mark.parametrize("decay", [0.9, 0.2])
def test_ema_follows_its_recurrence(model, decay):
    start = {name: tensor.double() for name, tensor in model.module.state_dict().items()}
    ema = EMA(decay=decay)
    seen = wander(model, ema)
    expected = start
    for t, weights in enumerate(seen, start=1):
        d = min(decay, (1 + t) / (10 + t))
        expected = {name: d * old + (1 - d) * weights[name].double() for name, old in expected.items()}
    for name, tensor in averaged(model, ema).items():
        wanted = expected[name] if tensor.is_floating_point() else seen[-1][name]
        torch.testing.assert_close(tensor.double(), wanted.double(), rtol=1e-5, atol=1e-6)


def test_ema_equals_torchs_own_once_ramped(model):
    """torch's AveragedModel has no ramp: from step 90 on both have decay 0.9."""
    theirs = AveragedModel(model.module, multi_avg_fn=None, avg_fn=lambda a, w, n: 0.9 * a + 0.1 * w, use_buffers=True)
    theirs.update_parameters(model.module)  # the first call copies
    ema = EMA(decay=0.9)
    ema.change_model(model)
    ema._updates = 1000
    for step in range(5):
        torch.manual_seed(step)
        with torch.no_grad():
            for parameter in model.module.parameters():
                parameter.add_(torch.randn_like(parameter))
        ema.after_step(model, moment(step))
        theirs.update_parameters(model.module)
    ours, wanted = averaged(model, ema), theirs.module.state_dict()
    for name, parameter in model.module.named_parameters():
        assert parameter.is_floating_point()
        torch.testing.assert_close(ours[name], wanted[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("start", "first"), [(0.75, 9), (0.5, 6), (0.0, 0), (0.9, 10)])
def test_swa_is_the_mean_of_the_last_steps(model, start, first):
    """Of 12 steps those that end after the share `start` of the phase; torch's average of the same weights is equal."""
    swa = SWA(start=start)
    seen = wander(model, swa)
    theirs = AveragedModel(copy.deepcopy(model.module), use_buffers=True)
    for weights in seen[first:]:
        twin = copy.deepcopy(model.module)
        twin.load_state_dict(weights)
        theirs.update_parameters(twin)
    found = averaged(model, swa)
    for name, tensor in theirs.module.state_dict().items():
        if tensor.is_floating_point():
            mean = torch.stack([weights[name].double() for weights in seen[first:]]).mean(0)
            torch.testing.assert_close(found[name].double(), mean, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(found[name], tensor, rtol=1e-5, atol=1e-6)


def test_swa_leaves_the_networks_own_weights_until_it_begins(model):
    swa = SWA(start=0.75)
    swa.change_model(model)
    with torch.no_grad():
        model.module.fc.weight.fill_(7.0)
    swa.after_step(model, moment(3, steps=12))
    with swa.swapped_in(model):
        assert model.module.fc.weight.eq(7.0).all()


@pytest.mark.parametrize("kind", AVERAGES)
def test_the_networks_own_weights_come_back_after_an_error_too(model, kind):
    average = kind()
    seen = wander(model, average)
    with contextlib.suppress(ValueError), average.swapped_in(model):
        assert not torch.equal(model.module.fc.weight, seen[-1]["fc.weight"])
        raise ValueError("in the middle of a validation")
    assert all(torch.equal(tensor, seen[-1][name]) for name, tensor in model.module.state_dict().items())


@pytest.mark.parametrize("kind", AVERAGES)
def test_the_optimizers_references_stay(model, kind):
    average = kind()
    wander(model, average)
    before = [id(p) for p in model.module.parameters()]
    with average.swapped_in(model):
        assert [id(p) for p in model.module.parameters()] == before


@pytest.mark.parametrize("kind", AVERAGES)
def test_a_saved_average_goes_on_to_the_same_bits(kind):
    whole, broken = residual_model(), residual_model()
    first, second = kind(), kind()
    wander(whole, first)
    wander(broken, second)
    resumed = kind()
    resumed.change_model(broken)
    resumed.load_state_dict({name: tensor.clone() for name, tensor in second.state_dict().items()})
    for model, average in ((whole, first), (broken, resumed)):
        with torch.no_grad():
            model.module.fc.weight.add_(1.0)
        average.after_step(model, moment(11, steps=12))
    left, right = averaged(whole, first), averaged(broken, resumed)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_frozen_parameters_are_not_kept(model):
    model.module.conv.requires_grad_(False)
    ema = EMA()
    ema.change_model(model)
    assert "kept.conv.weight" not in ema.state_dict()
    assert "kept.norm.running_mean" in ema.state_dict()


@pytest.mark.parametrize(("kind", "options"), [(EMA, {"decay": 1.0}), (EMA, {"decay": 0}), (SWA, {"start": 1.0})])
def test_averages_refuse_what_makes_no_sense(kind, options):
    with pytest.raises(UserError):
        kind(**options)


def held_out_loss(model: Model, feed: Feed) -> float:
    model.module.eval()
    with torch.no_grad():
        logits = model.module(PREPROCESS.normalise(torch.from_numpy(feed.images)))
    return float(nn.functional.cross_entropy(logits, torch.from_numpy(feed.targets)))


def test_averages_help_in_a_run_of_300_steps(tmp_path):
    """Batches of 4 at a constant rate leave noise in the weights: both averages are better on new images, each seed."""
    gains: dict[str, list[float]] = {"ema": [], "swa": []}
    for seed in range(3):
        model, feed, unseen = residual_model(seed=seed), Feed(count=120, batch=4, seed=seed), Feed(count=200, seed=9)
        averages = {"ema": EMA(), "swa": SWA()}  # both only look on, so one run serves them
        for average in averages.values():
            average.change_model(model)
        job = job_of(model, averages, tmp_path / str(seed), feed=feed, epochs=10, lr=0.05)
        object.__setattr__(job, "validate", lambda: (1.0, 0.0))
        loop = Loop(job)
        while not loop._over():
            loop._run_epoch()
        assert loop.counters.step == 300
        last = held_out_loss(model, unseen)
        for name, average in averages.items():
            with average.swapped_in(model):
                gains[name].append(last - held_out_loss(model, unseen))
    assert all(gain > 0 for gain in gains["ema"] + gains["swa"]), gains
