"""SAM and ASAM: one step against the formula written out, and what the loop makes of it."""

from __future__ import annotations

import pytest
import torch
from support.regularizing import PREPROCESS, Feed, job_of, residual_model
from torch import nn
from zoo_plugins.regularizing.sharpness import SAM

from zoo.training.loop import Loop


def gradients(module: nn.Module, images: torch.Tensor, targets: torch.Tensor) -> list[torch.Tensor]:
    loss = nn.functional.cross_entropy(module(images), targets)
    return list(torch.autograd.grad(loss, list(module.parameters())))


@pytest.mark.parametrize("adaptive", [False, True])
def test_one_step_of_sam_matches_the_formula(tmp_path, adaptive):
    """w' = w - lr * grad(w + e), e = rho g / |g|, or rho w^2 g / | |w| g |: by functional calls, without the class."""
    model, twin = residual_model(), residual_model().module.train()
    feed = Feed(count=8)
    raw = next(iter(feed.epoch(0)))
    images, targets = PREPROCESS.normalise(torch.from_numpy(raw.images)), torch.from_numpy(raw.targets)
    own = [p.detach().clone() for p in twin.parameters()]
    first = gradients(twin, images, targets)
    scale = [w.abs() if adaptive else torch.ones_like(w) for w in own]
    norm = torch.sqrt(sum((s * g).double().square().sum() for s, g in zip(scale, first, strict=True)))
    with torch.no_grad():
        for parameter, s, g in zip(twin.parameters(), scale, first, strict=True):
            parameter.add_((0.3 * s.double() ** 2 * g / norm).float())
    second = gradients(twin, images, targets)
    job = job_of(model, {"sam": SAM(rho=0.3, adaptive=adaptive)}, tmp_path / "run", feed=feed, epochs=1, lr=0.2)
    object.__setattr__(job, "validate", lambda: (1.0, 0.0))
    Loop(job).run()
    for parameter, w, g in zip(model.module.parameters(), own, second, strict=True):
        torch.testing.assert_close(parameter.detach(), w - 0.2 * g, rtol=1e-4, atol=1e-6)
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(first, second, strict=True))


def test_sam_comes_back_to_the_bit_and_keeps_the_gradients():
    parameters = [nn.Parameter(torch.randn(5) * 1e3), nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(2))]
    before = [p.detach().clone() for p in parameters]
    for parameter in parameters[:2]:
        parameter.grad = torch.randn_like(parameter) * 1e-3
    sam = SAM(rho=0.37)
    sam.look_ahead(parameters)
    moved = torch.cat([p.detach() - b for p, b in zip(parameters, before, strict=True)])
    assert moved.norm().item() == pytest.approx(0.37, rel=1e-3)
    assert torch.equal(parameters[2], before[2])
    for parameter in parameters[:2]:
        parameter.grad = torch.ones_like(parameter)
    sam.step_back(parameters)
    assert all(torch.equal(p, b) for p, b in zip(parameters, before, strict=True))
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in parameters[:2])


def test_asam_does_not_depend_on_the_scale_of_the_weights():
    """A layer scaled by c has gradients scaled by 1 / c: the point that ASAM looks at is the same function."""
    w, g = torch.randn(6), torch.randn(6)
    moves = []
    for c in (1.0, 10.0):
        parameter = nn.Parameter(c * w)
        parameter.grad = g / c
        SAM(rho=0.5, adaptive=True).look_ahead([parameter])
        moves.append((parameter.detach() - c * w) / c)
    torch.testing.assert_close(moves[0], moves[1], rtol=1e-4, atol=1e-5)


def test_sam_with_a_gradient_of_zero_moves_nothing():
    parameter = nn.Parameter(torch.ones(3))
    parameter.grad = torch.zeros(3)
    SAM().look_ahead([parameter])
    assert torch.equal(parameter, torch.ones(3))


@pytest.mark.parametrize(("rho", "stays"), [(None, True), (0.3, False)])
def test_sam_leaves_a_narrow_minimum(rho, stays):
    """A wide bowl around 0 with a narrow, deeper dip at 2: plain descent from 2.03 stays in the dip."""
    w = nn.Parameter(torch.tensor([2.03], dtype=torch.float64))

    def descend() -> None:
        w.grad = None
        (0.05 * w**2 - 0.5 * torch.exp(-((w - 2) ** 2) / 0.01)).sum().backward()

    for _ in range(1000):
        descend()
        if rho is not None:
            sam = SAM(rho=rho)
            sam.look_ahead([w])
            descend()
            sam.step_back([w])
        with torch.no_grad():
            w.sub_(0.005 * w.grad)
    assert (abs(w.item() - 2) < 0.02) == stays
    assert (w.item() < 1.8) == (not stays)
