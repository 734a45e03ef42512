"""Regularizers: any of the methods of their contract, each within its bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from zoo.contracts.data import Task
from zoo.contracts.model import Model
from zoo.contracts.training import Batch, Moment
from zoo.testing.draws import own_generators
from zoo.testing.network import CHANNELS, CLASSES, SIDE, KitFeed, KitLoss, residual_model
from zoo.testing.results import BrokenError, NotApplicableError
from zoo.testing.subject import Subject
from zoo.testing.trained import difference
from zoo.testing.training import Conditions, one_thread, regularizer_for, train

METHODS = (
    "change_model", "restore_model", "change_batch", "penalty", "look_ahead", "step_back", "change_gradients",
    "after_step", "swapped_in",
)  # fmt: skip
"""Of the contract, beside `check` and its state."""

_TOGETHER = (("look_ahead", "step_back"), ("state_dict", "load_state_dict"))
SEEDS = range(16)


def builds(subject: Subject) -> None:
    """At least one method of the contract, those that belong together both."""
    regularizer = regularizer_for(subject, residual_model())
    if not any(hasattr(regularizer, method) for method in METHODS):
        raise BrokenError(f"it has no method that the loop calls: {', '.join(METHODS)}")
    for pair in _TOGETHER:
        having = [name for name in pair if hasattr(regularizer, name)]
        if len(having) == 1:
            raise BrokenError(f"it has {having[0]} alone", fix=f"{pair[0]} and {pair[1]} go together.")


def use(subject: Subject) -> None:
    """A short training run, and what follows it."""
    train(subject)
    model = residual_model()
    regularizer = regularizer_for(subject, model)
    if hasattr(regularizer, "restore_model"):
        regularizer.restore_model(model)


def _batch(count: int = 8) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(torch.randn(count, CHANNELS, SIDE, SIDE, generator=generator), torch.arange(count) % CLASSES)


def shapes(subject: Subject) -> None:
    """Parameter names stay, the network comes back, batches keep their shape, penalties are scalars."""
    model = residual_model()
    names, before = [name for name, _ in model.module.named_parameters()], _structure(model.module)
    regularizer = regularizer_for(subject, model)
    if [name for name, _ in model.module.named_parameters()] != names:
        raise BrokenError("change_model renames or removes parameters, so no checkpoint fits")
    if hasattr(regularizer, "change_batch"):
        _check_batch(regularizer)
    _check_step(regularizer, model)
    if hasattr(regularizer, "change_model"):
        if hasattr(regularizer, "restore_model"):
            regularizer.restore_model(model)
        if _structure(model.module) != before:
            raise BrokenError(
                "after restore_model the network is not what it was before change_model",
                fix="Remove hooks and put modules back in restore_model: the network is saved afterwards.",
            )


def _structure(module: nn.Module) -> list[tuple[str, str, int]]:
    """Names, classes and numbers of hooks of all modules."""
    return [
        (name, type(child).__name__, len(child._forward_hooks) + len(child._forward_pre_hooks))
        for name, child in module.named_modules()
    ]


def _check_batch(regularizer: Any) -> None:
    for seed in SEEDS:
        given = _batch()
        made = regularizer.change_batch(given, torch.Generator().manual_seed(seed), CLASSES)
        if not isinstance(made, Batch):
            raise BrokenError(f"change_batch gave a {type(made).__name__}", fix="Return contracts.training.Batch.")
        if made.images.shape != given.images.shape or made.images.dtype != torch.float32:
            raise BrokenError(f"change_batch made {made.images.dtype}{list(made.images.shape)} of the images")
        soft = made.targets.is_floating_point()
        wanted = [len(given.targets), CLASSES] if soft else [len(given.targets)]
        if list(made.targets.shape) != wanted:
            raise BrokenError(f"change_batch made {made.targets.dtype}{list(made.targets.shape)} of the targets")
        if soft and not bool(((made.targets >= -1e-5) & (made.targets <= 1 + 1e-5)).all()):
            raise BrokenError("change_batch made targets outside [0, 1]")
        if not bool(torch.isfinite(made.images).all()):
            raise BrokenError("change_batch made images that are not finite")


def _check_step(regularizer: Any, model: Model) -> None:
    """One forward and backward pass by hand, with its penalty, and the pass after a look ahead."""
    module, parameters = model.module.train(), list(model.module.parameters())
    batch = _batch()
    loss = KitLoss(Task.SINGLE_LABEL)(module(batch.images), batch.targets).mean()
    if hasattr(regularizer, "penalty"):
        penalty = regularizer.penalty(model)
        if not isinstance(penalty, torch.Tensor) or penalty.ndim or penalty.dtype != torch.float32:
            made = f"{penalty.dtype}{list(penalty.shape)}" if isinstance(penalty, torch.Tensor) else repr(penalty)
            raise BrokenError(f"penalty gave {made}", fix="Return a float32 scalar: sum or mean over everything.")
        if not penalty.requires_grad:
            raise BrokenError("its penalty has no gradient", fix="Compute it from parameters or features with torch.")
        loss = loss + penalty
    loss.backward()
    if hasattr(regularizer, "look_ahead"):
        before = [parameter.detach().clone() for parameter in parameters]
        gradients = [None if p.grad is None else p.grad.clone() for p in parameters]
        regularizer.look_ahead(parameters)
        module.zero_grad(set_to_none=True)
        KitLoss(Task.SINGLE_LABEL)(module(batch.images), batch.targets).mean().backward()
        regularizer.step_back(parameters)
        if any(not torch.equal(p, old) for p, old in zip(parameters, before, strict=True)):
            raise BrokenError(
                "step_back does not bring the weights back to the bit", fix="Keep copies, do not subtract."
            )
        if any(g is not None and p.grad is None for p, g in zip(parameters, gradients, strict=True)):
            raise BrokenError("step_back drops the gradients of the second pass")
    if hasattr(regularizer, "swapped_in"):
        before = [parameter.detach().clone() for parameter in parameters]
        with regularizer.swapped_in(model):
            pass
        if any(not torch.equal(p, old) for p, old in zip(parameters, before, strict=True)):
            raise BrokenError("after swapped_in the network does not have its own weights again")


def inputs(subject: Subject) -> None:
    """The batch that change_batch is handed stays as it was."""
    regularizer = regularizer_for(subject, residual_model())
    if not hasattr(regularizer, "change_batch"):
        raise NotApplicableError("it changes no batch")
    for seed in SEEDS:
        given = _batch()
        regularizer.change_batch(given, torch.Generator().manual_seed(seed), CLASSES)
        kept = _batch()
        if not torch.equal(given.images, kept.images) or not torch.equal(given.targets, kept.targets):
            raise BrokenError("change_batch changes the batch that it is handed, in place", fix="Clone, then change.")


def _draws(subject: Subject) -> Iterator[tuple[str, Any]]:
    """Name of each method that is handed a generator, and a function of one that says what it did."""
    regularizer = regularizer_for(subject, residual_model())
    if hasattr(regularizer, "change_batch"):
        given = _batch()

        def batch(generator: torch.Generator) -> list[torch.Tensor]:
            copy = Batch(given.images.clone(), given.targets.clone())
            made = regularizer.change_batch(copy, generator, CLASSES)
            return [made.images, made.targets.float()]

        yield "change_batch", batch
    if hasattr(regularizer, "change_gradients"):

        def gradients(generator: torch.Generator) -> list[torch.Tensor]:
            parameter = nn.Parameter(torch.ones(4, 3))
            parameter.grad = torch.full((4, 3), 0.5)
            regularizer.change_gradients([parameter], Moment(3, 10, generator))
            return [torch.zeros(4, 3) if parameter.grad is None else parameter.grad.clone()]

        yield "change_gradients", gradients


def distinct(subject: Subject) -> None:
    """Where it draws, other generators give other results; and it draws from no other."""
    looked, drew_at_all = False, False
    for name, call in _draws(subject):
        looked, drew, results = True, False, []
        generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
        with own_generators() as made:
            for generator in generators:
                before = generator.get_state()
                results.append(call(generator))
                drew = drew or not torch.equal(before, generator.get_state())
        differ = any(not torch.equal(a, b) for result in results[1:] for a, b in zip(results[0], result, strict=True))
        if drew and not differ:
            raise BrokenError(f"{name} draws from the generator, and {len(SEEDS)} generators gave the same result")
        if not drew and (made or differ):
            raise BrokenError(
                f"{name} never draws from the generator that it is passed, but from another one: every step gets the "
                "same draws, or ones that no seed repeats"
            )
        drew_at_all = drew_at_all or drew
    if not looked or not drew_at_all:
        raise NotApplicableError("it is handed no generator" if not looked else "it draws nothing")


def gradients(subject: Subject) -> None:
    """The gradient of its penalty is finite at weights of 0, and weights are after six steps, small ones and large."""
    model = residual_model()
    regularizer = regularizer_for(subject, model)
    if hasattr(regularizer, "penalty"):
        _check_at_zero(regularizer, model)
    for conditions in (Conditions(), Conditions(stormy=True)):
        for name, value in train(subject, conditions, folder=subject.run_dir / str(conditions.stormy)).weights.items():
            if not bool(torch.isfinite(value).all()):
                raise BrokenError(f"{name} is not finite after six steps")


def _check_at_zero(regularizer: Any, model: Model) -> None:
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.zero_()
    with one_thread():
        model.module.train()(_images())
        regularizer.penalty(model).backward()
    for name, parameter in model.module.named_parameters():
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            raise BrokenError(f"at weights of 0 the gradient of its penalty at {name} is not finite")


def _images() -> torch.Tensor:
    feed = KitFeed()
    return torch.from_numpy(feed.images[:8]).permute(0, 3, 1, 2).float() / 255


def acts(subject: Subject) -> None:
    """A run with it differs from one without, with small weights or with large ones."""
    for stormy in (False, True):
        folder = subject.run_dir / str(stormy)
        plain = train(subject, Conditions(without=True, stormy=stormy), folder=folder / "without")
        changed = train(subject, Conditions(stormy=stormy), folder=folder / "with")
        if difference(plain, changed):
            return
    raise BrokenError("runs with it end with the same weights as runs without it, and validate the same")
