"""The built-in regularizers against written-out formulas, and the settings in which they could do nothing."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn
from zoo_plugins import regularizer_classes as reg

from zoo.contracts.data import Task
from zoo.contracts.model import Model, ModelSpec
from zoo.contracts.training import Batch, Setting
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess


class Net(nn.Module):
    """A small network with a normalisation layer, a bias that stands alone, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.query_bias = nn.Parameter(torch.randn(4))
        self.fc = nn.Linear(4, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.norm(self.conv(images))).mean(dim=(2, 3)) + self.query_bias
        return self.fc(features)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    spec = ModelSpec("test/net", "zoo", "net", "fc", 4, (), Preprocess(8, (0.5,) * 3, (0.5,) * 3))
    return Model(Net(), spec)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def setting(**changes: Any) -> Setting:
    usual: dict[str, Any] = {
        "task": Task.SINGLE_LABEL,
        "classes": 5,
        "trainable": "all",
        "loss_takes_soft_targets": True,
    }
    return Setting(**{**usual, **changes})


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


ALL = (reg.Dropout, reg.L1, reg.L2, reg.LabelSmoothing, reg.Mixup, reg.GradientClipping)


@pytest.mark.parametrize("kind", ALL)
def test_regularizer_has_only_methods_that_the_loop_knows(kind):
    known = {"check", "change_model", "change_batch", "penalty", "change_gradients", "after_step"}
    methods = {name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))}
    assert methods
    assert methods <= known


@pytest.mark.parametrize("kind", ALL)
def test_regularizer_can_be_pickled(kind):
    assert vars(pickle.loads(pickle.dumps(kind()))).keys() == vars(kind()).keys()


# Dropout


def test_dropout_matches_its_formula_on_the_features_that_enter_the_head(model, images):
    features: list[torch.Tensor] = []
    reg.Dropout(p=0.5).change_model(model)
    model.head.register_forward_hook(lambda _m, inputs, _o: features.append(inputs[0]))
    model.module.train()
    model.module(images)
    model.module.eval()
    torch.manual_seed(3)
    model.head.train()
    model.module(images)
    dropped = features[-1]
    model.head.eval()
    model.module(images)
    whole = features[-1]
    kept = dropped != 0
    assert 0 < kept.float().mean() < 1
    torch.testing.assert_close(dropped[kept], 2 * whole[kept])


def test_dropout_rate_is_p():
    dropped = reg._DropInput(0.3)(nn.Identity(), (torch.ones(200, 500),))[0]
    assert (dropped == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)


def test_dropout_keeps_names_and_is_off_in_evaluation(model, images):
    model.module.eval()
    names, before = list(model.module.state_dict()), model.module(images)
    reg.Dropout(p=0.5).change_model(model)
    assert list(model.module.state_dict()) == names
    torch.testing.assert_close(model.module(images), before)


def test_dropout_repeats_with_torchs_seed_and_survives_copies(model, images):
    reg.Dropout(p=0.5).change_model(model)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(model.module)))
    outputs = []
    for module in (model.module, twin):
        module.train()
        torch.manual_seed(9)
        outputs.append(module(images))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=0)


# L1 and L2


@pytest.mark.parametrize(("kind", "power"), [(reg.L1, 1), (reg.L2, 2)])
def test_penalty_on_kernels_sums_all_matrices(model, kind, power):
    weights = [model.module.conv.weight, model.module.fc.weight]
    expected = 0.01 * sum(float(np.sum(np.abs(w.detach().numpy().astype(np.float64)) ** power)) for w in weights)
    assert kind(factor=0.01).penalty(model).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("kind", "power"), [(reg.L1, 1), (reg.L2, 2)])
def test_penalty_on_biases_leaves_normalisation_out(model, kind, power):
    with torch.no_grad():
        model.module.norm.bias.fill_(100.0)
        model.module.norm.weight.fill_(100.0)
    parts = [model.module.conv.bias, model.module.fc.bias, model.module.query_bias]
    expected = 0.1 * sum(float(np.sum(np.abs(b.detach().numpy().astype(np.float64)) ** power)) for b in parts)
    assert kind(factor=0.1, on="bias").penalty(model).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("kind", "power"), [(reg.L1, 1), (reg.L2, 2)])
def test_penalty_on_activity_is_divided_by_the_batch(model, images, kind, power):
    seen: list[torch.Tensor] = []
    model.head.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    penalty = kind(factor=0.1, on="activity")
    penalty.change_model(model)
    model.module.train()
    model.module(images)
    expected = 0.1 * (seen[0].detach().double().abs() ** power).sum().item() / 6
    assert penalty.penalty(model).item() == pytest.approx(expected, rel=1e-5)


def test_penalty_matches_hand_computed_numbers():
    head = nn.Linear(2, 1)
    head.load_state_dict({"weight": torch.tensor([[3.0, -4.0]]), "bias": torch.tensor([-2.0])})
    spec = ModelSpec("t", "zoo", "t", "0", 2, (), Preprocess(8, (0.5,), (0.5,)))
    model = Model(nn.Sequential(head), spec)
    assert reg.L1(factor=0.5).penalty(model).item() == 3.5
    assert reg.L2(factor=0.5).penalty(model).item() == 12.5
    assert reg.L1(factor=0.5, on="bias").penalty(model).item() == 1.0
    assert reg.L2(factor=0.5, on="bias").penalty(model).item() == 2.0
    for kind, expected in ((reg.L1, 5.0), (reg.L2, 15.0)):  # features (1, -2), (3, 4): |h| 10, h^2 30; two images
        penalty = kind(factor=1.0, on="activity")
        penalty.change_model(model)
        model.module(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
        assert penalty.penalty(model).item() == expected


def test_l2_gradient_equals_a_weight_decay_of_twice_the_factor(model):
    reg.L2(factor=0.05).penalty(model).backward()
    torch.testing.assert_close(model.module.fc.weight.grad, 0.1 * model.module.fc.weight.detach())
    assert model.module.fc.bias.grad is None


def test_l1_gradient_is_the_sign(model):
    reg.L1(factor=0.05).penalty(model).backward()
    torch.testing.assert_close(model.module.conv.weight.grad, 0.05 * model.module.conv.weight.detach().sign())


def test_penalty_counts_trainable_parameters_only(model):
    model.module.conv.requires_grad_(False)
    expected = 0.01 * model.module.fc.weight.detach().square().sum().item()
    assert reg.L2(factor=0.01).penalty(model).item() == pytest.approx(expected)


def test_activity_penalty_reaches_the_backbone_and_comes_before_dropout(model, images):
    reg.Dropout(p=0.9).change_model(model)
    penalty = reg.L2(factor=1.0, on="activity")
    penalty.change_model(model)
    model.module.train()
    model.module(images)
    value = penalty.penalty(model)
    value.backward()
    assert model.module.conv.weight.grad.abs().sum() > 0
    net = model.module
    with torch.no_grad():
        features = torch.relu(net.norm(net.conv(images))).mean(dim=(2, 3)) + net.query_bias
    expected = features.square().sum() / 6
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_activity_penalty_keeps_no_graph_and_survives_copies(model, images):
    penalty = reg.L1(on="activity")
    penalty.change_model(model)
    model.module.train()
    model.module(images)
    twin = copy.deepcopy(model.module)  # a stored tensor inside a graph could not be copied
    assert twin.fc.weight.equal(model.module.fc.weight)
    penalty.penalty(model)
    with pytest.raises(RuntimeError, match="no forward pass"):
        penalty.penalty(model)


def test_activity_penalty_ignores_evaluation(model, images):
    penalty = reg.L1(on="activity")
    penalty.change_model(model)
    model.module.eval()
    model.module(images)
    model.module.train()
    with torch.no_grad():
        model.module(images)
    with pytest.raises(RuntimeError, match="no forward pass"):
        penalty.penalty(model)


@pytest.mark.parametrize("kind", [reg.L1, reg.L2])
def test_penalty_is_float32_for_low_precision(model, kind):
    model.module.to(torch.bfloat16)
    assert kind().penalty(model).dtype == torch.float32


@pytest.mark.parametrize("kind", [reg.L1, reg.L2])
def test_penalty_without_anything_to_measure_is_refused(model, kind):
    model.module.requires_grad_(False)
    with pytest.raises(UserError, match="none of whose bias parameters is trained"):
        kind(on="bias").penalty(model)


@pytest.mark.parametrize("kind", [reg.L1, reg.L2])
def test_activity_penalty_on_a_frozen_backbone_is_refused(kind):
    with pytest.raises(UserError, match="frozen backbone"):
        kind(on="activity").check(setting(trainable="head"))
    kind(on="activity").check(setting())
    kind(on="kernel").check(setting(trainable="head"))


# Label smoothing


def test_label_smoothing_matches_torchs_own():
    """Cross entropy with smoothed targets equals torch's cross entropy with its label_smoothing."""
    logits, targets = torch.randn(7, 5, generator=generator()), torch.arange(7) % 5
    batch = reg.LabelSmoothing(share=0.13).change_batch(Batch(torch.zeros(7, 1), targets), generator(), 5)
    assert batch.targets.dtype == torch.float32
    torch.testing.assert_close(batch.targets.sum(dim=1), torch.ones(7))
    torch.testing.assert_close(
        nn.functional.cross_entropy(logits, batch.targets, reduction="none"),
        nn.functional.cross_entropy(logits, targets, reduction="none", label_smoothing=0.13),
    )


def test_label_smoothing_of_separate_labels_moves_towards_one_half():
    smoothing = reg.LabelSmoothing(share=0.2)
    smoothing.check(setting(task=Task.MULTI_LABEL, loss_takes_soft_targets=False))
    targets = torch.tensor([[1.0, 0.0, 1.0]])
    result = smoothing.change_batch(Batch(torch.zeros(1, 1), targets), generator(), 3)
    torch.testing.assert_close(result.targets, torch.tensor([[0.9, 0.1, 0.9]]))
    assert targets.tolist() == [[1.0, 0.0, 1.0]]


def test_label_smoothing_commutes_with_mixup():
    batch = Batch(torch.randn(8, 3, 4, 4, generator=generator()), torch.arange(8) % 4)
    smooth, mix = reg.LabelSmoothing(share=0.1), reg.Mixup(alpha=1.0)
    one = smooth.change_batch(mix.change_batch(batch, generator(5), 4), generator(), 4)
    other = mix.change_batch(smooth.change_batch(batch, generator(), 4), generator(5), 4)
    torch.testing.assert_close(one.targets, other.targets)


# Mixup


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 12), seed=st.integers(0, 2**40), alpha=st.floats(0.05, 5.0))
def test_mixup_blends_images_and_targets_by_the_same_share(size, seed, alpha):
    """Each one-hot image becomes l e_i + (1 - l) e_q(i), so the share can be read off both."""
    images, targets = torch.eye(size), torch.arange(size)
    mixed = reg.Mixup(alpha=alpha).change_batch(Batch(images, targets), generator(seed), size)
    torch.testing.assert_close(mixed.images, mixed.targets)
    torch.testing.assert_close(mixed.targets.sum(dim=1), torch.ones(size))
    torch.testing.assert_close(mixed.targets.sum(dim=0), torch.ones(size))  # a permutation: each image twice
    assert images.equal(torch.eye(size))


def test_mixup_shares_follow_the_beta_distribution():
    mix, shares = reg.Mixup(alpha=0.4), []
    batch = Batch(torch.eye(2), torch.arange(2))
    for seed in range(1500):
        mixed = mix.change_batch(batch, generator(seed), 2).targets
        if mixed[0, 1] > 0:  # the permutation swapped the two
            shares.append(mixed[0, 0].item())
    assert len(shares) > 650
    assert stats.kstest(shares, stats.beta(0.4, 0.4).cdf).pvalue > 1e-3


def test_mixup_is_a_function_of_the_generator():
    batch = Batch(torch.randn(5, 3, 4, 4, generator=generator()), torch.arange(5))
    first, again, other = (reg.Mixup().change_batch(batch, generator(seed), 5) for seed in (1, 1, 2))
    assert first.images.equal(again.images)
    assert first.targets.equal(again.targets)
    assert not first.images.equal(other.images)


def test_mixup_keeps_the_memory_format():
    """A silent change from channels-last would cost the convolutions their fast path."""
    images = torch.randn(4, 3, 8, 8).to(memory_format=torch.channels_last)
    mixed = reg.Mixup().change_batch(Batch(images, torch.arange(4)), generator(), 4)
    assert mixed.images.is_contiguous(memory_format=torch.channels_last)
    assert mixed.images.dtype == torch.float32


@pytest.mark.parametrize("kind", [reg.Mixup, reg.LabelSmoothing])
def test_soft_targets_need_a_loss_that_takes_them(kind):
    with pytest.raises(UserError, match="takes class numbers only"):
        kind().check(setting(loss_takes_soft_targets=False))
    kind().check(setting())
    kind().check(setting(task=Task.MULTI_LABEL, loss_takes_soft_targets=False))


def test_mixup_is_refused_while_only_the_head_is_fitted():
    with pytest.raises(UserError, match="has no effect") as caught:
        reg.Mixup().check(setting(trainable="head"))
    assert "strategy=full" in str(caught.value)
    reg.LabelSmoothing().check(setting(trainable="head"))


# Gradient clipping


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1e6])
def test_gradient_clipping_matches_the_formula(model, images, max_norm):
    model.module(images).square().sum().backward()
    parameters = [p for p in model.module.parameters() if p.grad is not None]
    before = [p.grad.clone() for p in parameters]
    norm = float(np.sqrt(sum((g.double() ** 2).sum().item() for g in before)))
    reg.GradientClipping(max_norm=max_norm).change_gradients(iter(parameters))
    for parameter, gradient in zip(parameters, before, strict=True):
        torch.testing.assert_close(parameter.grad, gradient * min(1.0, max_norm / norm), rtol=1e-4, atol=1e-7)


def test_gradient_clipping_takes_parameters_without_gradients():
    parameter = nn.Parameter(torch.ones(2))
    reg.GradientClipping().change_gradients([parameter])
    assert parameter.grad is None


@pytest.mark.parametrize(
    ("kind", "options", "where"),
    [
        (reg.Dropout, {"p": 0}, "regularizers.dropout.p"),
        (reg.Dropout, {"p": 1}, "regularizers.dropout.p"),
        (reg.Dropout, {"p": -0.5}, "regularizers.dropout.p"),
        (reg.L1, {"factor": 0}, "regularizers.l1.factor"),
        (reg.L2, {"factor": -1}, "regularizers.l2.factor"),
        (reg.L2, {"factor": float("inf")}, "regularizers.l2.factor"),
        (reg.L2, {"on": "weights"}, "regularizers.l2.on"),
        (reg.LabelSmoothing, {"share": 0}, "regularizers.label_smoothing.share"),
        (reg.LabelSmoothing, {"share": 1}, "regularizers.label_smoothing.share"),
        (reg.Mixup, {"alpha": 0}, "regularizers.mixup.alpha"),
        (reg.Mixup, {"alpha": -1}, "regularizers.mixup.alpha"),
        (reg.GradientClipping, {"max_norm": 0}, "regularizers.gradient_clipping.max_norm"),
        (reg.GradientClipping, {"max_norm": float("inf")}, "regularizers.gradient_clipping.max_norm"),
    ],
)
def test_regularizer_refuses_options_without_sense_or_effect(kind, options, where):
    with pytest.raises(UserError) as caught:
        kind(**options)
    assert caught.value.where == where
    assert caught.value.allowed or caught.value.do
