"""Stochastic normalization against its formula, and what is left of it once training is over."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import timm
import torch
from support.regularizing import job_of, residual_model, setting
from torch import nn
from zoo_plugins.regularizing.stochastic_norm import StochasticNorm, _Mixed

from zoo.contracts.model import Model, ModelSpec
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.models.freezing import set_train
from zoo.training.loop import Loop


def layer_of(width: int = 64) -> nn.BatchNorm2d:
    torch.manual_seed(0)
    layer = nn.BatchNorm2d(width)
    for tensor in (layer.weight, layer.bias, layer.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(layer.running_var, 0.5, 2)
    return layer


def test_each_channel_is_normalised_by_one_of_the_two(images):
    layer = layer_of()
    maps = torch.randn(6, 64, 5, 5) * 3 + 1
    x = maps.double().numpy()
    scale, shift = (p.detach().double().numpy()[None, :, None, None] for p in (layer.weight, layer.bias))
    m, v = (b.double().numpy()[None, :, None, None].copy() for b in (layer.running_mean, layer.running_var))
    moving = (x - m) / np.sqrt(v + layer.eps) * scale + shift
    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    batch = (x - mean) / np.sqrt(var + layer.eps) * scale + shift
    mixed = _Mixed(layer, 0.3).train()
    torch.manual_seed(5)
    y = mixed(maps).detach().double().numpy()
    by_moving = np.abs(y - moving).max((0, 2, 3)) < 1e-4
    by_batch = np.abs(y - batch).max((0, 2, 3)) < 1e-4
    assert (by_moving ^ by_batch).all()
    assert 0.1 < by_moving.mean() < 0.5
    # the statistics follow as BatchNorm's do: momentum 0.1, unbiased variance
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.9 * m[0, :, 0, 0] + 0.1 * mean[0, :, 0, 0], rtol=1e-4)
    unbiased = x.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 * v[0, :, 0, 0] + 0.1 * unbiased, rtol=1e-4)


def test_share_of_channels_is_p():
    mixed = _Mixed(nn.BatchNorm1d(20_000), 0.7).train()
    maps = torch.randn(4, 20_000) + 5
    taken = (mixed(maps).mean(0) > 1).float().mean()  # the batch's statistics centre a channel, the moving ones do not
    assert taken.item() == pytest.approx(0.7, abs=0.02)


def test_evaluation_is_plain_batch_norm_with_the_same_names(model, images):
    model.module.eval()
    names, before = list(model.module.state_dict()), model.module(images)
    StochasticNorm().change_model(model)
    assert list(model.module.state_dict()) == names
    assert [n for n, _ in model.module.named_parameters()] == [n for n in names if n.endswith(("weight", "bias"))]
    torch.testing.assert_close(model.module.eval()(images), before, rtol=0, atol=0)
    model.module.train()
    assert not torch.equal(model.module(images), model.module(images))


def test_it_acts_although_batch_norm_is_held_in_evaluation(model, images):
    """`freeze_norm` holds BatchNorm in eval mode; this is none: channels mix, and the statistics follow."""
    norm = StochasticNorm()
    norm.check(setting(freeze_norm=True))
    norm.change_model(model)
    before = {name: b.clone() for name, b in model.module.named_buffers() if "running" in name}
    set_train(model.module, freeze_norm=True)
    first, second = model.module(images), model.module(images)
    assert not torch.equal(first, second)
    assert not any(torch.equal(b, before[n]) for n, b in model.module.named_buffers() if "running" in n)


def test_layers_with_frozen_parameters_stay_in_eval(model, images):
    StochasticNorm().change_model(model)
    model.module.norm.requires_grad_(False)
    model.module.block.requires_grad_(False)
    set_train(model.module)
    assert torch.equal(model.module(images), model.module(images))


def test_batch_norm_is_back_with_what_it_learned(tmp_path, images):
    model = residual_model()
    norms = [model.module.norm, model.module.block.norm]
    stochastic = StochasticNorm()
    stochastic.check(setting())
    stochastic.change_model(model)
    Loop(job_of(model, {"stochastic_norm": stochastic}, tmp_path / "run")).run()
    answers, state = model.module.eval()(images), copy.deepcopy(model.module.state_dict())
    stochastic.restore_model(model)
    assert [model.module.norm, model.module.block.norm] == norms
    assert norms[0].momentum == 0.1
    torch.testing.assert_close(model.module.eval()(images), answers, rtol=0, atol=0)
    plain = residual_model(seed=99)
    plain.module.load_state_dict(state)
    torch.testing.assert_close(plain.module.eval()(images), answers, rtol=0, atol=0)
    assert not torch.equal(state["norm.running_mean"], torch.zeros(4))


def test_second_pass_of_a_step_leaves_the_statistics_alone(model, images):
    from zoo.training.second_pass import second_pass

    StochasticNorm().change_model(model)
    model.module.train()
    model.module(images)
    before = model.module.norm.running_mean.clone()
    with second_pass(model.module):
        model.module(images)
    assert torch.equal(model.module.norm.running_mean, before)
    model.module(images)
    assert not torch.equal(model.module.norm.running_mean, before)
    assert model.module.norm.momentum == 0.1


def test_layers_fused_with_an_activation_and_copies_keep_working():
    """timm's EfficientNets hold norm and activation in one layer."""
    network = timm.create_model("efficientnet_lite0", num_classes=3)
    spec = ModelSpec(
        "timm/efficientnet_lite0",
        "timm",
        "efficientnet_lite0",
        "classifier",
        1280,
        (),
        Preprocess(32, (0.5,) * 3, (0.5,) * 3),
    )
    images = torch.randn(4, 3, 32, 32)
    before = network.eval()(images)
    names = list(network.state_dict())
    StochasticNorm().change_model(Model(network, spec))
    assert list(network.state_dict()) == names
    torch.testing.assert_close(network.eval()(images), before, rtol=0, atol=0)
    twin = pickle.loads(pickle.dumps(copy.deepcopy(network)))
    for module in (network.train(), twin.train()):
        torch.manual_seed(1)
        module(images).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    theirs = dict(twin.named_parameters())
    assert all(torch.allclose(p.grad, theirs[name].grad) for name, p in network.named_parameters())
    with torch.no_grad():
        twin.bn1.weight.zero_()
    assert twin.bn1._layer.weight is twin.bn1.weight
    assert network.bn1.weight.abs().sum() > 0


def test_one_value_a_channel_takes_the_moving_statistics():
    mixed = _Mixed(layer_of(), 0.5).train()
    maps = torch.randn(1, 64, 1, 1)
    torch.testing.assert_close(mixed(maps), mixed._layer.eval()(maps))


def test_networks_without_batch_norm_and_frozen_ones_are_refused(model):
    spec = ModelSpec("test/plain", "zoo", "plain", "0", 4, (), Preprocess(8, (0.5,), (0.5,)))
    with pytest.raises(UserError, match="no BatchNorm layers"):
        StochasticNorm().change_model(Model(nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)), spec))
    for changes in ({"trainable": "head"}, {"parameters": "adapters"}, {"parameters": "none"}):
        with pytest.raises(UserError, match="frozen backbone"):
            StochasticNorm().check(setting(**changes))
