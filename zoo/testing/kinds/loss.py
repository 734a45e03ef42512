"""Losses: one finite number an image, smaller where the answer is right."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from zoo.contracts.data import Task
from zoo.testing.network import CLASSES
from zoo.testing.results import BrokenError
from zoo.testing.subject import Subject
from zoo.testing.training import loss_of, train

IMAGES = 12


def _logits(scale: float = 2.0) -> torch.Tensor:
    return scale * torch.randn(IMAGES, CLASSES, generator=torch.Generator().manual_seed(2))


def _cases(subject: Subject) -> Iterator[tuple[str, nn.Module, torch.Tensor]]:
    """Name, loss and targets of each kind that it says it takes."""
    facts = subject.entry.facts
    tasks = facts.get("tasks") or ("single_label",)
    numbers = torch.arange(IMAGES) % CLASSES
    if "single_label" in tasks:
        yield "class numbers", loss_of(subject, Task.SINGLE_LABEL), numbers
        if facts.get("soft_targets"):
            shares = 0.8 * nn.functional.one_hot(numbers, CLASSES).float() + 0.2 / CLASSES
            yield "shares of classes", loss_of(subject, Task.SINGLE_LABEL), shares
    if "multi_label" in tasks:
        several = torch.stack([(numbers + k) % CLASSES for k in (0, 1)], 1)
        labels = torch.zeros(IMAGES, CLASSES).scatter_(1, several, 1.0)
        yield "several labels", loss_of(subject, Task.MULTI_LABEL), labels


def builds(subject: Subject) -> None:
    """A module without parameters, with sane facts."""
    tasks = subject.entry.facts.get("tasks", ())
    known = {task.value for task in Task}
    if not tasks or not set(tasks) <= known:
        raise BrokenError(f"the fact tasks is {tasks!r}", fix=f"Pass tasks=(...) of {', '.join(sorted(known))}.")
    for _, loss, _ in _cases(subject):
        if not isinstance(loss, nn.Module):
            raise BrokenError(f"it builds a {type(loss).__name__}", fix="Return a torch.nn.Module.")
        learned = [name for name, parameter in loss.named_parameters() if parameter.requires_grad]
        if learned:
            raise BrokenError(f"it has parameters ({learned[0]}), which no optimizer learns", fix="Use a buffer.")


def use(subject: Subject) -> None:
    """A short training run."""
    train(subject)


def shapes(subject: Subject) -> None:
    """float32[B], finite, each image on its own."""
    for name, loss, targets in _cases(subject):
        for scale in (2.0, 0.0, 100.0):
            logits = _logits(scale)
            losses = loss(logits, targets)
            got = f"{losses.dtype}{list(losses.shape)}" if isinstance(losses, torch.Tensor) else type(losses).__name__
            if got != f"torch.float32{[IMAGES]}":
                raise BrokenError(
                    f"with {name} it gives {got} for {IMAGES} images",
                    fix='One loss an image, not averaged: reduction="none".',
                )
            if not bool(torch.isfinite(losses).all()):
                raise BrokenError(f"with {name} and logits of size {scale:g} it is not finite")
            alone = torch.cat([loss(logits[i : i + 1], targets[i : i + 1]) for i in range(IMAGES)])
            if not torch.allclose(alone, losses, atol=1e-4, rtol=1e-4):
                raise BrokenError(
                    f"with {name} the loss of an image depends on the others of its batch",
                    fix="The last batch is smaller, and each process has its share: count each image on its own.",
                )


def inputs(subject: Subject) -> None:
    """Logits and targets stay as they were."""
    for name, loss, targets in _cases(subject):
        logits, given = _logits(), targets.clone()
        before = logits.clone()
        loss(logits, given)
        if not torch.equal(logits, before):
            raise BrokenError(f"with {name} it changes the logits, of which accuracies are counted")
        if not torch.equal(given, targets):
            raise BrokenError(f"with {name} it changes the targets")


def gradients(subject: Subject) -> None:
    """Finite for usual, equal and extreme logits."""
    for name, loss, targets in _cases(subject):
        for scale in (2.0, 0.0, 50.0, 1000.0):
            logits = _logits(scale).requires_grad_()
            loss(logits, targets).sum().backward()
            if logits.grad is None:
                raise BrokenError(f"with {name} the logits get no gradient", fix="Compute with tensors throughout.")
            if not bool(torch.isfinite(logits.grad).all()):
                raise BrokenError(f"with {name} and logits of size {scale:g} the gradient is not finite")


def acts(subject: Subject) -> None:
    """Right answers cost less than wrong ones, and its gradient moves something."""
    for name, loss, targets in _cases(subject):
        shares = targets if targets.is_floating_point() else nn.functional.one_hot(targets, CLASSES).float()
        right = 8 * (shares - 0.5)
        good, bad = loss(right, targets).mean(), loss(-right, targets).mean()
        if not float(good) < float(bad):
            raise BrokenError(f"with {name} right answers cost {float(good):.4g}, and wrong ones {float(bad):.4g}")
        logits = (-right).requires_grad_()
        loss(logits, targets).sum().backward()
        if logits.grad is None or not bool((logits.grad != 0).any()):
            raise BrokenError(f"with {name} its gradient is 0 where all answers are wrong")
