"""The built-in heads: their formulas, their small start, and refused options."""

from __future__ import annotations

import pickle
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional
from zoo_plugins.head_modules import Cosine, linear, mlp

from zoo.errors import UserError

ALL = (
    linear,
    mlp,
    partial(mlp, dropout=0.0, activation="relu", hidden=16),
    Cosine,
    partial(Cosine, learn_scale=True),
)


def features(count: int = 7, width: int = 1280) -> torch.Tensor:
    """Like pooled features: not negative, with a spread of about 1."""
    return torch.randn(count, width, generator=torch.Generator().manual_seed(0)).abs()


@pytest.mark.parametrize("make", ALL)
def test_head_maps_features_to_one_logit_a_class(make):
    head = make(features=1280, classes=10)
    logits = head(features())
    assert logits.shape == (7, 10)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("make", ALL)
def test_head_starts_small_and_still_learns(make):
    """Small: cross entropy close to log 10. Learns: a gradient reaches every parameter and the features."""
    torch.manual_seed(0)
    head = make(features=1280, classes=10).eval()
    inputs = features().requires_grad_()
    logits = head(inputs)
    assert 0 < logits.std() < 0.6
    functional.cross_entropy(logits, torch.arange(7)).backward()
    assert inputs.grad.abs().sum() > 0
    for name, parameter in head.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("make", ALL)
def test_head_is_drawn_from_torchs_seed_and_round_trips(make):
    torch.manual_seed(4)
    first = make(features=32, classes=3).eval()
    torch.manual_seed(4)
    again = make(features=32, classes=3).eval()
    other = make(features=32, classes=3).eval()
    inputs = features(5, 32)
    assert first(inputs).equal(again(inputs))
    assert not first(inputs).equal(other(inputs))
    other.load_state_dict(first.state_dict())
    assert other(inputs).equal(first(inputs))
    assert pickle.loads(pickle.dumps(first))(inputs).equal(first(inputs))


@pytest.mark.parametrize("make", ALL)
def test_head_fits_a_small_problem(make):
    torch.manual_seed(1)
    head = make(features=20, classes=4)
    inputs, targets = torch.randn(40, 20), torch.arange(40) % 4
    inputs[torch.arange(40), targets] += 3
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        functional.cross_entropy(head(inputs), targets).backward()
        optimizer.step()
    assert (head.eval()(inputs).argmax(dim=1) == targets).float().mean() > 0.9


def test_linear_is_a_plain_linear_layer():
    """A subclass or a wrapper would change the names under which other libraries look for it."""
    torch.manual_seed(0)
    head = linear(features=1280, classes=100)
    assert type(head) is nn.Linear
    assert list(head.state_dict()) == ["weight", "bias"]
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert head.weight.mean().item() == pytest.approx(0, abs=1e-4)
    assert (head.bias == 0).all()


@pytest.mark.parametrize(
    ("name", "function"),
    [("relu", functional.relu), ("gelu", functional.gelu), ("silu", functional.silu), ("tanh", torch.tanh)],
)
def test_mlp_matches_its_formula(name, function):
    head = mlp(features=12, classes=3, hidden=8, activation=name).eval()
    state = list(head.state_dict().values())
    inputs = features(4, 12)
    expected = function(inputs @ state[0].T + state[1]) @ state[2].T + state[3]
    torch.testing.assert_close(head(inputs), expected)
    assert state[0].shape == (8, 12)


def test_mlp_drops_hidden_units_in_training_only():
    head = mlp(features=12, classes=3, dropout=0.5)
    inputs = features(4, 12)
    assert not head(inputs).equal(head(inputs))
    head.eval()
    assert head(inputs).equal(head(inputs))
    without = mlp(features=12, classes=3, dropout=0.0)
    assert not any(isinstance(layer, nn.Dropout) for layer in without)


@pytest.mark.parametrize("learn", [False, True])
def test_cosine_matches_torchs_cosine_similarity(learn):
    head = Cosine(features=12, classes=3, scale=5.0, learn_scale=learn)
    inputs = features(4, 12)
    expected = 5 * functional.cosine_similarity(inputs[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(inputs), expected)
    torch.testing.assert_close(head(17 * inputs), expected)


def test_cosine_bounds_and_zero_features():
    head = Cosine(features=4, classes=3, scale=5.0)
    assert head(head.weight).diagonal().tolist() == pytest.approx([5.0] * 3)
    assert (head(torch.zeros(2, 4)) == 0).all()


def test_cosine_scale_is_saved_and_learned_only_when_asked():
    fixed, learned = Cosine(features=4, classes=3), Cosine(features=4, classes=3, learn_scale=True)
    assert set(fixed.state_dict()) == set(learned.state_dict()) == {"weight", "log_scale"}
    assert [name for name, _ in fixed.named_parameters()] == ["weight"]
    assert [name for name, _ in learned.named_parameters()] == ["weight", "log_scale"]
    optimizer = torch.optim.SGD(learned.parameters(), lr=1.0)
    functional.cross_entropy(learned(torch.randn(8, 4)), torch.arange(8) % 3).backward()
    optimizer.step()
    assert learned.log_scale.exp() > 0
    assert learned.log_scale.item() != pytest.approx(fixed.log_scale.item())


@pytest.mark.parametrize(
    ("make", "options", "where"),
    [
        (mlp, {"hidden": 0}, "head.hidden"),
        (mlp, {"dropout": 1.0}, "head.dropout"),
        (mlp, {"activation": "sine"}, "head.activation"),
        (Cosine, {"scale": 0}, "head.scale"),
    ],
)
def test_head_refuses_options_without_sense(make, options, where):
    with pytest.raises(UserError) as caught:
        make(features=4, classes=2, **options)
    assert caught.value.where == where
    assert caught.value.allowed
