"""Optimizers: they move weights downhill, and stay finite whatever the gradients."""

from __future__ import annotations

import torch
from torch import nn

from zoo.testing.network import residual_model
from zoo.testing.results import BrokenError
from zoo.testing.subject import Subject
from zoo.testing.training import USUAL_LR, Conditions, build_optimizer, one_thread, train

STEPS = 60
RATES = (1.0, 10.0, 0.1, 100.0)
"""Multiples of its own rate that are tried on a small problem before it is said not to act."""


def _lr(subject: Subject) -> float:
    return float(subject.entry.facts.get("lr", USUAL_LR))


def _over(subject: Subject, parameters: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    decay = float(subject.options().get("weight_decay") or 0.0)
    groups = [
        {"name": str(number), "params": [parameter], "lr": lr, "weight_decay": decay if parameter.ndim > 1 else 0.0}
        for number, parameter in enumerate(parameters)
    ]
    built: torch.optim.Optimizer = subject.build(params=groups, lr=lr)
    return built


def builds(subject: Subject) -> None:
    """An optimizer over the groups that it is passed."""
    model = residual_model()
    optimizer = build_optimizer(subject, model, lr=_lr(subject))
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise BrokenError(f"it builds a {type(optimizer).__name__}", fix="Return a torch.optim.Optimizer.")
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if held != {id(parameter) for parameter in model.module.parameters()}:
        raise BrokenError("its groups do not hold the parameters that it was passed")
    if any("lr" not in group for group in optimizer.param_groups):
        raise BrokenError("its groups have no lr, which the schedule sets before each step")


def use(subject: Subject) -> None:
    """A short training run."""
    train(subject)


def shapes(subject: Subject) -> None:
    """Shapes and types stay; a parameter without a gradient is left as it is; a rate of 0 moves nothing."""
    shapes_of = ((3, 4), (5,), (2, 3, 3, 3), (1,), (4, 6))
    generator = torch.Generator().manual_seed(0)
    parameters = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes_of]
    optimizer = _over(subject, parameters, _lr(subject))
    before = [parameter.detach().clone() for parameter in parameters]
    for step in range(4):
        for parameter in parameters[:-1]:
            parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    for parameter, old in zip(parameters, before, strict=True):
        if parameter.shape != old.shape or parameter.dtype != torch.float32:
            raise BrokenError(f"float32{list(old.shape)} became {parameter.dtype}{list(parameter.shape)}")
    if not torch.equal(parameters[-1], before[-1]):
        raise BrokenError(
            "it moved a parameter that had no gradient, as frozen ones have none",
            fix="Skip parameters whose grad is None.",
        )


def gradients(subject: Subject) -> None:
    """Weights stay finite with gradients of 0, of any size, and of changing size."""
    scales = {"of 0": (0.0,) * 5, "of 1e-12": (1e-12,) * 5, "of 1e4": (1e4,) * 5, "that rise": (0.0, 1e-8, 1.0, 1e4)}
    for name, sizes in scales.items():
        parameters = [nn.Parameter(torch.ones(3, 4)), nn.Parameter(torch.zeros(5))]
        optimizer = _over(subject, parameters, _lr(subject))
        for step, size in enumerate(sizes):
            for parameter in parameters:
                parameter.grad = size * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step))
            optimizer.step()
            if not all(bool(torch.isfinite(parameter).all()) for parameter in parameters):
                raise BrokenError(f"after {step + 1} steps with gradients {name} the weights are not finite")
    for name, value in train(subject, Conditions()).weights.items():
        if not bool(torch.isfinite(value).all()):
            raise BrokenError(f"{name} is not finite after six steps of training")


def acts(subject: Subject) -> None:
    """On a convex problem the loss falls."""
    seen = []
    with one_thread():
        for factor in RATES:
            first, last, moved = _descend(subject, factor * _lr(subject))
            if moved and last < first:
                return
            seen.append(f"lr={factor * _lr(subject):g}: from {first:.5g} to {last:.5g}")
    raise BrokenError(f"in {STEPS} steps on a quadratic it does not lower the loss ({'; '.join(seen)})")


def _descend(subject: Subject, lr: float) -> tuple[float, float, bool]:
    """Loss at the start and at the end of a least-squares fit, and whether the weights moved."""
    generator = torch.Generator().manual_seed(4)
    inputs, truth = torch.randn(32, 6, generator=generator), torch.randn(6, 3, generator=generator)
    weights = nn.Parameter(torch.zeros(6, 3))
    optimizer = _over(subject, [weights], lr)
    losses = []
    for _ in range(STEPS + 1):
        loss = (inputs @ weights - inputs @ truth).square().mean()
        losses.append(float(loss.detach()))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return losses[0], losses[-1], bool((weights != 0).any())
