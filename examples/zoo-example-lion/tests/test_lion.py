"""Lion against its paper's formula, and against the Lion of timm."""

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from zoo_example_lion.lion import Lion

STEPS = 12
RATE, BETAS, DECAY = 1e-2, (0.9, 0.99), 0.1


def weights(dtype: torch.dtype = torch.float32) -> list[torch.nn.Parameter]:
    """Two tensors, always the same."""
    generator = torch.Generator().manual_seed(1)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype)) for shape in ((7, 5), (5,))]


def groups(parameters: list[torch.nn.Parameter]) -> list[dict[str, object]]:
    """Two groups, as zoo makes them: another rate for each, and no weight decay for the second."""
    return [
        {"params": parameters[:1], "lr": RATE, "weight_decay": DECAY},
        {"params": parameters[1:], "lr": RATE / 3, "weight_decay": 0.0},
    ]


def gradients(step: int) -> list[torch.Tensor]:
    """The gradients of a step, always the same."""
    generator = torch.Generator().manual_seed(100 + step)
    return [torch.randn(shape, generator=generator) for shape in ((7, 5), (5,))]


def train(optimizer: torch.optim.Optimizer, steps: range = range(STEPS)) -> list[torch.Tensor]:
    """Takes the steps; the weights after the last one."""
    parameters = [weight for group in optimizer.param_groups for weight in group["params"]]
    for step in steps:
        for weight, gradient in zip(parameters, gradients(step), strict=True):
            weight.grad = gradient.to(weight.dtype)
        optimizer.step()
    return [weight.detach().clone() for weight in parameters]


def test_steps_are_those_of_the_paper() -> None:
    found = train(Lion(groups(weights()), lr=RATE, betas=BETAS))
    for number, (rate, decay) in enumerate(((RATE, DECAY), (RATE / 3, 0.0))):
        weight = weights()[number].detach().numpy().astype(np.float64)
        momentum = np.zeros_like(weight)
        for step in range(STEPS):
            gradient = gradients(step)[number].numpy().astype(np.float64)
            direction = np.sign(BETAS[0] * momentum + (1 - BETAS[0]) * gradient)
            weight = weight - rate * (direction + decay * weight)
            momentum = BETAS[1] * momentum + (1 - BETAS[1]) * gradient
        np.testing.assert_allclose(found[number].numpy(), weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_steps_are_those_of_timm(dtype: torch.dtype, tolerance: float) -> None:
    reference = pytest.importorskip("timm.optim.lion").Lion
    ours = train(Lion(groups(weights(dtype)), lr=RATE, betas=BETAS))
    theirs = train(reference(groups(weights(dtype)), lr=RATE, betas=BETAS, foreach=False))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == dtype
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)


def test_every_weight_moves_by_the_rate() -> None:
    after = train(Lion(weights(), lr=RATE, weight_decay=0.0), range(1))
    for weight, start in zip(after, weights(), strict=True):
        torch.testing.assert_close((weight - start.detach()).abs(), torch.full_like(weight, RATE))


def test_weights_without_a_gradient_stay() -> None:
    parameters = weights()
    optimizer = Lion(parameters, lr=RATE)
    parameters[0].grad = torch.ones_like(parameters[0])
    optimizer.step()
    assert torch.equal(parameters[1], weights()[1])
    assert not torch.equal(parameters[0], weights()[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saved_state_goes_on_to_the_bit(dtype: torch.dtype) -> None:
    parameters = weights(dtype)
    optimizer = Lion(groups(parameters), lr=RATE)
    train(optimizer, range(5))
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)

    copied = copy.deepcopy(parameters)
    resumed = Lion(groups(copied), lr=RATE)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for mine, other in zip(train(resumed, range(5, STEPS)), train(optimizer, range(5, STEPS)), strict=True):
        assert torch.equal(mine, other)


def test_state_matters() -> None:
    parameters = weights()
    optimizer = Lion(groups(parameters), lr=RATE)
    train(optimizer, range(5))
    fresh = Lion(groups(copy.deepcopy(parameters)), lr=RATE)
    pairs = zip(train(fresh, range(5, STEPS)), train(optimizer, range(5, STEPS)), strict=True)
    assert not all(torch.equal(mine, other) for mine, other in pairs)


def test_it_minimises() -> None:
    goal = torch.tensor([1.0, -2.0, 0.5])
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = Lion([weight], lr=0.02, weight_decay=0.0)

    def loss() -> float:
        optimizer.zero_grad()
        value = (weight - goal).square().sum()
        value.backward()
        return value.item()

    first = optimizer.step(loss)
    for _ in range(200):
        last = optimizer.step(loss)
    assert first == pytest.approx(5.25)
    assert last < 0.01
