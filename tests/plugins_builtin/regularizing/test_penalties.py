"""L1, L2 and elastic net against written-out sums and Keras' own regularizers."""

from __future__ import annotations

import copy
import os
from typing import Any

import numpy as np
import pytest
import torch
from support.regularizing import residual_model, setting
from torch import nn
from zoo_plugins.regularizing.network import Dropout
from zoo_plugins.regularizing.penalties import L1, L2, ElasticNet

from zoo.contracts.model import Model, ModelSpec
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess

BOTH = [(L1, 1), (L2, 2)]


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras")


def summed(tensors: list[torch.Tensor], power: int) -> float:
    return sum(float(np.sum(np.abs(w.detach().numpy().astype(np.float64)) ** power)) for w in tensors)


def kernels_of(model: Model) -> list[torch.Tensor]:
    net = model.module
    return [net.conv.weight, net.block.conv.weight, net.fc.weight]


@pytest.mark.parametrize(("kind", "power"), BOTH)
def test_penalty_on_kernels_sums_all_matrices(model, kind, power):
    expected = 0.01 * summed(kernels_of(model), power)
    assert kind(factor=0.01).penalty(model).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("kind", "power"), BOTH)
def test_penalty_on_biases_leaves_normalisation_out(model, kind, power):
    net = model.module
    with torch.no_grad():
        net.norm.bias.fill_(100.0)
        net.norm.weight.fill_(100.0)
    parts = [net.conv.bias, net.block.conv.bias, net.fc.bias, net.query_bias]
    expected = 0.1 * summed(parts, power)
    assert kind(factor=0.1, on="bias").penalty(model).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", [L1, L2])
def test_penalty_on_activity_is_0_where_a_process_has_no_image_of_a_batch(model, kind):
    penalty = kind(factor=0.1, on="activity")
    penalty.change_model(model)
    model.head.train()
    model.head(torch.zeros(0, model.spec.feature_dim))
    assert penalty.penalty(model).item() == 0.0


@pytest.mark.parametrize(("kind", "power"), BOTH)
def test_penalty_on_activity_is_divided_by_the_batch(model, images, kind, power):
    seen: list[torch.Tensor] = []
    model.head.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    penalty = kind(factor=0.1, on="activity")
    penalty.change_model(model)
    model.module.train()
    model.module(images)
    expected = 0.1 * summed(seen, power) / 6
    assert penalty.penalty(model).item() == pytest.approx(expected, rel=1e-5)


def linear_model(weight: list[list[float]], bias: list[float]) -> Model:
    head = nn.Linear(len(weight[0]), len(weight))
    head.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return Model(nn.Sequential(head), ModelSpec("t", "zoo", "t", "0", 2, (), Preprocess(8, (0.5,), (0.5,))))


def test_penalty_matches_hand_computed_numbers():
    model = linear_model([[3.0, -4.0]], [-2.0])
    assert L1(factor=0.5).penalty(model).item() == 3.5
    assert L2(factor=0.5).penalty(model).item() == 12.5
    assert L1(factor=0.5, on="bias").penalty(model).item() == 1.0
    assert L2(factor=0.5, on="bias").penalty(model).item() == 2.0
    assert ElasticNet(l1=1.0, l2=0.1).penalty(model).item() == pytest.approx(9.5)
    assert ElasticNet(l1=1.0, l2=0.1, on="bias").penalty(model).item() == pytest.approx(2.4)
    for penalty, expected in (  # features (1, -2), (3, 4): |h| 10, h^2 30; two images
        (L1(factor=1.0, on="activity"), 5.0),
        (L2(factor=1.0, on="activity"), 15.0),
        (ElasticNet(l1=1.0, l2=2.0, on="activity"), 35.0),
    ):
        penalty.change_model(model)
        model.module(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
        assert penalty.penalty(model).item() == pytest.approx(expected)
        penalty.restore_model(model)


@pytest.mark.parametrize("name", ["L1", "L2", "L1L2"])
@pytest.mark.parametrize("on", ["kernel", "bias", "activity"])
def test_penalty_equals_that_of_keras(keras, name, on):
    """A Dense layer with a regularizer on one of the three; its input is an activity of the layer before it."""
    weight, bias, features = torch.randn(3, 4), torch.randn(3), torch.randn(5, 4)
    model = linear_model(weight.tolist(), bias.tolist())
    theirs = {"L1": {"l1": 0.3}, "L2": {"l2": 0.7}, "L1L2": {"l1": 0.3, "l2": 0.7}}[name]
    ours = {
        "L1": lambda: L1(factor=0.3, on=on),
        "L2": lambda: L2(factor=0.7, on=on),
        "L1L2": lambda: ElasticNet(l1=0.3, l2=0.7, on=on),
    }[name]()
    regularizer = getattr(keras.regularizers, name)(**theirs)
    layer = keras.layers.Dense(3, **({f"{on}_regularizer": regularizer} if on != "activity" else {}))
    identity = keras.layers.Activation("linear", activity_regularizer=regularizer if on == "activity" else None)
    net = keras.Sequential([keras.Input((4,)), identity, layer])
    layer.set_weights([weight.numpy().T, bias.numpy()])
    net(features.numpy())
    expected = float(sum(loss.detach() if hasattr(loss, "detach") else loss for loss in net.losses))
    ours.change_model(model)
    model.module.train()(features)
    assert ours.penalty(model).item() == pytest.approx(expected, rel=1e-5)


def test_elastic_net_is_the_sum_of_l1_and_l2(model):
    both = ElasticNet(l1=0.02, l2=0.3).penalty(model)
    apart = L1(factor=0.02).penalty(model) + L2(factor=0.3).penalty(model)
    torch.testing.assert_close(both, apart)


def test_penalties_on_kernel_bias_and_activity_add_up(model, images):
    """As `'regularizers=[l2,l2@2,l2@3]'` sets them: each is counted once."""
    three = [L2(factor=0.1, on=on) for on in ("kernel", "bias", "activity")]
    for penalty in three:
        penalty.change_model(model)
    model.module.train()
    model.module(images)
    together = sum(penalty.penalty(model) for penalty in three)
    net = model.module
    with torch.no_grad():
        features = net.features(images)
    biases = [net.conv.bias, net.block.conv.bias, net.fc.bias, net.query_bias]
    expected = 0.1 * (summed(kernels_of(model), 2) + summed(biases, 2) + summed([features], 2) / 6)
    assert together.item() == pytest.approx(expected, rel=1e-5)


def test_l2_gradient_equals_a_weight_decay_of_twice_the_factor(model):
    L2(factor=0.05).penalty(model).backward()
    torch.testing.assert_close(model.module.fc.weight.grad, 0.1 * model.module.fc.weight.detach())
    assert model.module.fc.bias.grad is None


def test_l1_gradient_is_the_sign(model):
    L1(factor=0.05).penalty(model).backward()
    torch.testing.assert_close(model.module.conv.weight.grad, 0.05 * model.module.conv.weight.detach().sign())


def test_penalty_counts_trainable_parameters_only(model):
    model.module.conv.requires_grad_(False)
    model.module.block.requires_grad_(False)
    expected = 0.01 * model.module.fc.weight.detach().square().sum().item()
    assert L2(factor=0.01).penalty(model).item() == pytest.approx(expected)


def test_activity_penalty_reaches_the_backbone_and_comes_before_dropout(model, images):
    Dropout(p=0.9).change_model(model)
    penalty = L2(factor=1.0, on="activity")
    penalty.change_model(model)
    model.module.train()
    model.module(images)
    value = penalty.penalty(model)
    value.backward()
    assert model.module.conv.weight.grad.abs().sum() > 0
    with torch.no_grad():
        features = model.module.features(images)
    assert value.item() == pytest.approx((features.square().sum() / 6).item(), rel=1e-5)


def test_activity_penalty_keeps_no_graph_and_survives_copies(model, images):
    penalty = L1(on="activity")
    penalty.change_model(model)
    model.module.train()
    model.module(images)
    twin = copy.deepcopy(model.module)  # a stored tensor inside a graph could not be copied
    assert twin.fc.weight.equal(model.module.fc.weight)
    penalty.penalty(model)
    with pytest.raises(RuntimeError, match="no forward pass"):
        penalty.penalty(model)


def test_activity_penalty_ignores_evaluation_and_what_comes_after_it(model, images):
    penalty = L1(on="activity")
    penalty.change_model(model)
    model.module.eval()
    model.module(images)
    model.module.train()
    with torch.no_grad():
        model.module(images)
    with pytest.raises(RuntimeError, match="no forward pass"):
        penalty.penalty(model)
    penalty.restore_model(model)
    model.module(images)
    with pytest.raises(RuntimeError, match="no forward pass"):
        penalty.penalty(model)


@pytest.mark.parametrize("kind", [L1, L2, ElasticNet])
def test_penalty_is_float32_for_low_precision(model, kind):
    model.module.to(torch.bfloat16)
    assert kind().penalty(model).dtype == torch.float32


@pytest.mark.parametrize("kind", [L1, L2, ElasticNet])
def test_penalty_without_anything_to_measure_is_refused(model, kind):
    model.module.requires_grad_(False)
    with pytest.raises(UserError, match="none of whose bias parameters is trained"):
        kind(on="bias").penalty(model)


@pytest.mark.parametrize("kind", [L1, L2, ElasticNet])
def test_activity_penalty_on_a_frozen_backbone_is_refused(kind):
    with pytest.raises(UserError, match="frozen backbone"):
        kind(on="activity").check(setting(trainable="head"))
    with pytest.raises(UserError, match="frozen backbone"):
        kind(on="activity").check(setting(parameters="none"))
    kind(on="activity").check(setting())
    kind(on="kernel").check(setting(trainable="head"))


def test_penalty_shrinks_what_it_measures():
    """Twenty steps down the penalty alone: the kernels shrink."""
    for penalty in (L1(factor=0.1), L2(factor=0.1)):
        model = residual_model()
        before = summed(kernels_of(model), 1)
        optimizer = torch.optim.SGD(model.module.parameters(), lr=0.2)
        for _ in range(20):
            optimizer.zero_grad()
            penalty.penalty(model).backward()
            optimizer.step()
        assert summed(kernels_of(model), 1) < before / 2
