"""The built-in losses against scipy, torch and torchvision, and their behaviour at extreme logits."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax
from torch.nn import functional
from torchvision.ops import sigmoid_focal_loss
from zoo_plugins.loss_modules import BinaryCrossEntropy, CrossEntropy, Focal

from zoo.contracts.data import Task
from zoo.contracts.training import Setting
from zoo.errors import UserError

ALL = (CrossEntropy, BinaryCrossEntropy, Focal)


def draw(seed: int = 0, *, batch: int = 6, classes: int = 5, spread: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits float32[B, K] and class numbers int64[B]."""
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(batch, classes, generator=generator)
    return logits, torch.randint(classes, (batch,), generator=generator)


def labels(seed: int = 0, *, batch: int = 6, classes: int = 5) -> torch.Tensor:
    """Multi-label targets float32[B, K] of 0 and 1."""
    return (torch.rand(batch, classes, generator=torch.Generator().manual_seed(seed)) < 0.4).float()


def setting(task: Task) -> Setting:
    return Setting(task=task, classes=5, trainable="all", loss_takes_soft_targets=False)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_loss_is_one_float32_number_an_image(kind, dtype):
    logits, targets = draw()
    result = kind()(logits.to(dtype), targets)
    assert result.shape == (6,)
    assert result.dtype == torch.float32
    assert (result > 0).all()
    torch.testing.assert_close(result, kind()(logits.to(dtype).float(), targets))


@pytest.mark.parametrize("kind", ALL)
def test_loss_has_no_state_and_can_be_pickled(kind):
    assert kind().state_dict() == {}
    logits, targets = draw()
    assert pickle.loads(pickle.dumps(kind()))(logits, targets).equal(kind()(logits, targets))


@pytest.mark.parametrize("kind", ALL)
def test_loss_of_an_image_does_not_depend_on_the_others(kind):
    logits, targets = draw()
    torch.testing.assert_close(kind()(logits, targets)[2:4], kind()(logits[2:4], targets[2:4]))


@pytest.mark.parametrize("kind", ALL)
def test_loss_falls_as_the_right_answer_grows(kind):
    logits, targets = draw(spread=0.1)
    better = logits + functional.one_hot(targets, 5)
    assert (kind()(better, targets) < kind()(logits, targets)).all()


@settings(max_examples=60)
@given(
    kind=st.sampled_from(ALL),
    size=st.sampled_from([0.0, 1.0, 30.0, 100.0, 1e4]),
    seed=st.integers(0, 1000),
    many=st.booleans(),
)
def test_loss_and_gradient_are_finite_at_any_logits(kind, size, seed, many):
    if many and kind is CrossEntropy:
        return
    logits, targets = draw(seed)
    logits = (size * logits).requires_grad_()
    loss = kind()(logits, labels(seed) if many else targets)
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("gamma", [0.3, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("many", [False, True])
def test_focal_gradient_is_finite_where_the_answer_is_certain(gamma, many):
    """Written as (1 - p)^gamma, the gradient at p = 1 is infinite times 0 for gamma below 1."""
    logits = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]]) if many else torch.tensor([0, 0])
    loss = Focal(gamma=gamma)(logits, targets)
    loss.sum().backward()
    assert logits.grad.isfinite().all()
    assert loss[0].item() == pytest.approx(0, abs=1e-6)
    assert logits.grad[0].abs().max() < 1e-6
    assert loss[1] > 40


# Cross entropy


def test_cross_entropy_matches_scipy():
    logits, targets = draw()
    expected = -log_softmax(logits.numpy().astype(np.float64), axis=1)[np.arange(6), targets]
    np.testing.assert_allclose(CrossEntropy()(logits, targets).numpy(), expected, rtol=1e-5)


def test_cross_entropy_of_soft_targets_matches_scipy():
    logits, _ = draw()
    shares = torch.softmax(draw(1)[0], dim=1)
    expected = -(shares.numpy() * log_softmax(logits.numpy().astype(np.float64), axis=1)).sum(axis=1)
    np.testing.assert_allclose(CrossEntropy()(logits, shares).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", [CrossEntropy, BinaryCrossEntropy])
def test_one_hot_targets_give_what_class_numbers_give(kind):
    logits, targets = draw()
    hot = functional.one_hot(targets, 5)
    torch.testing.assert_close(kind()(logits, hot.float()), kind()(logits, targets))
    torch.testing.assert_close(kind()(logits, hot.to(torch.bfloat16)), kind()(logits, targets))


def test_cross_entropy_of_even_logits_is_log_k():
    assert CrossEntropy()(torch.zeros(1, 8), torch.tensor([3])).item() == pytest.approx(np.log(8))


# Binary cross entropy


def test_binary_cross_entropy_matches_its_formula():
    logits, shares = draw(spread=1.0)[0], torch.rand(6, 5, generator=torch.Generator().manual_seed(3))
    s, t = expit(logits.numpy().astype(np.float64)), shares.numpy().astype(np.float64)
    expected = -(t * np.log(s) + (1 - t) * np.log(1 - s)).mean(axis=1)
    np.testing.assert_allclose(BinaryCrossEntropy()(logits, shares).numpy(), expected, rtol=1e-5)


def test_binary_cross_entropy_of_no_label_at_all_is_defined():
    result = BinaryCrossEntropy()(torch.zeros(2, 4), torch.zeros(2, 4))
    torch.testing.assert_close(result, torch.full((2,), float(np.log(2))))


# Focal


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_with_one_label_matches_its_formula(gamma):
    logits, targets = draw(spread=1.5)
    p = softmax(logits.numpy().astype(np.float64), axis=1)[np.arange(6), targets]
    np.testing.assert_allclose(Focal(gamma=gamma)(logits, targets).numpy(), -((1 - p) ** gamma) * np.log(p), rtol=2e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("alpha", [None, 0.25, 0.7])
def test_focal_with_many_labels_matches_torchvision(gamma, alpha):
    logits = draw(spread=1.5)[0]
    for targets in (labels(), torch.rand(6, 5, generator=torch.Generator().manual_seed(3))):
        expected = sigmoid_focal_loss(logits.double(), targets.double(), alpha=alpha or 0.25, gamma=gamma).mean(dim=1)
        result = Focal(gamma=gamma, alpha=alpha)(logits, targets)
        torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("many", [False, True])
def test_focal_gradient_is_that_of_its_formula(many):
    """Against numerical differences, in double precision through float32: a loose tolerance."""
    logits, targets = draw(spread=1.0)
    given_targets = labels() if many else targets
    logits = logits.requires_grad_()
    Focal()(logits, given_targets).sum().backward()
    step = 1e-2
    for row, column in ((0, 0), (2, 3), (5, 4)):
        shifted = []
        for sign in (1, -1):
            moved = logits.detach().clone()
            moved[row, column] += sign * step
            shifted.append(Focal()(moved, given_targets).sum().item())
        assert logits.grad[row, column].item() == pytest.approx((shifted[0] - shifted[1]) / (2 * step), abs=2e-4)


def test_focal_approaches_cross_entropy_as_gamma_falls():
    logits, targets = draw()
    torch.testing.assert_close(Focal(gamma=1e-6)(logits, targets), CrossEntropy()(logits, targets), rtol=1e-4, atol=0)


def test_focal_hand_computed():
    """p = 1/2: (1/2)^2 log 2; and with labels apart alpha 1/4 where set, 3/4 where not, averaged over both."""
    assert Focal()(torch.zeros(1, 2), torch.tensor([1])).item() == pytest.approx(0.25 * np.log(2))
    many = Focal()(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    assert many.item() == pytest.approx(0.25 * np.log(2) * (0.25 + 0.75) / 2)


def test_focal_alpha_is_refused_with_one_label_an_image():
    with pytest.raises(UserError, match=r"alpha=0\.25 .* has no effect") as caught:
        Focal(alpha=0.25).check(setting(Task.SINGLE_LABEL))
    assert caught.value.where == "loss.alpha"
    with pytest.raises(UserError, match="has no effect"):
        Focal(alpha=0.25)(torch.zeros(1, 2), torch.tensor([0]))
    Focal(alpha=0.25).check(setting(Task.MULTI_LABEL))
    Focal().check(setting(Task.SINGLE_LABEL))


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"gamma": 0}, "loss.gamma"),
        ({"gamma": -1}, "loss.gamma"),
        ({"alpha": 0}, "loss.alpha"),
        ({"alpha": 1}, "loss.alpha"),
        ({"alpha": 2}, "loss.alpha"),
    ],
)
def test_focal_refuses_options_without_sense_or_effect(options, where):
    with pytest.raises(UserError) as caught:
        Focal(**options)
    assert caught.value.where == where
