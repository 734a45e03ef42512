"""Gradient clipping and noise by their formulas; max-norm against Keras' constraint."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from scipy import stats
from support.regularizing import job_of, moment, residual_model
from torch import nn
from zoo_plugins.regularizing.steps import GradientClipping, GradientNoise, MaxNorm

from zoo.contracts.model import Model, ModelSpec
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.training.loop import Loop


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1e6])
def test_gradient_clipping_matches_the_formula(model, images, max_norm):
    model.module(images).square().sum().backward()
    parameters = [p for p in model.module.parameters() if p.grad is not None]
    before = [p.grad.clone() for p in parameters]
    norm = float(np.sqrt(sum((g.double() ** 2).sum().item() for g in before)))
    GradientClipping(max_norm=max_norm).change_gradients(parameters, moment())
    for parameter, gradient in zip(parameters, before, strict=True):
        torch.testing.assert_close(parameter.grad, gradient * min(1.0, max_norm / norm), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("kind", [GradientClipping, GradientNoise])
def test_parameters_without_gradients_are_left_alone(kind):
    parameter = nn.Parameter(torch.ones(2))
    kind().change_gradients([parameter], moment())
    assert parameter.grad is None


@pytest.mark.parametrize(("step", "eta", "gamma"), [(0, 0.3, 0.55), (99, 0.3, 0.55), (999, 1.0, 0.0)])
def test_gradient_noise_has_the_papers_variance(step, eta, gamma):
    parameter = nn.Parameter(torch.zeros(100, 200))
    parameter.grad = torch.full((100, 200), 5.0)
    GradientNoise(eta=eta, gamma=gamma).change_gradients([parameter], moment(step))
    noise = (parameter.grad - 5.0).flatten().double().numpy()
    deviation = np.sqrt(eta / (1 + step) ** gamma)
    assert stats.kstest(noise / deviation, "norm").pvalue > 1e-3


def test_gradient_noise_is_the_same_in_all_processes_and_new_at_every_step():
    def noise(seed: int) -> torch.Tensor:
        parameters = [nn.Parameter(torch.zeros(7)), nn.Parameter(torch.zeros(7))]
        for parameter in parameters:
            parameter.grad = torch.zeros(7)
        torch.rand(seed)  # the global generator of each process is elsewhere
        GradientNoise().change_gradients(parameters, moment(seed=seed))
        return torch.cat([parameter.grad for parameter in parameters])

    assert torch.equal(noise(4), noise(4))
    assert not torch.equal(noise(4), noise(5))
    assert not torch.equal(noise(4)[:7], noise(4)[7:])


def test_max_norm_equals_keras_on_every_axis_but_that_of_the_outputs(model):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    with torch.no_grad():
        for weight in (model.module.conv.weight, model.module.block.conv.weight, model.module.fc.weight):
            weight.mul_(torch.linspace(0.1, 10, len(weight)).view(-1, *[1] * (weight.ndim - 1)))
    net = model.module
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    MaxNorm(max_norm=1.5).after_step(model, moment())
    for layer in ("conv", "block.conv"):
        theirs = keras.constraints.MaxNorm(1.5, axis=[0, 1, 2])(before[f"{layer}.weight"].permute(2, 3, 1, 0))
        ours = net.get_submodule(layer).weight.detach()
        torch.testing.assert_close(ours, torch.as_tensor(theirs).permute(3, 2, 0, 1), rtol=1e-5, atol=1e-6)
        assert not torch.equal(ours, before[f"{layer}.weight"])
    theirs = keras.constraints.MaxNorm(1.5, axis=0)(before["fc.weight"].T)
    torch.testing.assert_close(net.fc.weight.detach(), torch.as_tensor(theirs).T, rtol=1e-5, atol=1e-6)
    untouched = {name for name, p in net.named_parameters() if torch.equal(p, before[name])}
    assert untouched == {name for name in before if not name.endswith(("conv.weight", "fc.weight"))}


def test_max_norm_holds_after_every_step_of_a_run(tmp_path):
    model = residual_model()
    max_norm = MaxNorm(max_norm=0.7)
    max_norm.change_model(model)

    class Watch:
        norms: list[float] = []

        def stepped(self, view):
            weights = (model.module.conv.weight, model.module.block.conv.weight, model.module.fc.weight)
            self.norms.append(max(float(w.detach().flatten(1).norm(dim=1).max()) for w in weights))

        def validated(self, row): ...

    Loop(job_of(model, {"max_norm": max_norm}, tmp_path / "run", watcher=Watch(), lr=0.5)).run()
    assert len(Watch.norms) == 6
    assert max(Watch.norms) == pytest.approx(0.7, abs=1e-4)


def test_max_norm_leaves_frozen_layers_alone_and_is_refused_without_any(model):
    model.module.conv.requires_grad_(False)
    before = model.module.conv.weight.clone()
    MaxNorm(max_norm=1e-3).after_step(model, moment())
    assert torch.equal(model.module.conv.weight, before)
    assert model.module.fc.weight.norm() < 0.01
    spec = ModelSpec("test/norm", "zoo", "norm", "0", 4, (), Preprocess(8, (0.5,), (0.5,)))
    with pytest.raises(UserError, match="no linear layer or convolution"):
        MaxNorm().change_model(Model(nn.Sequential(nn.LayerNorm(4)), spec))
