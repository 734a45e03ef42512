"""Heads: features to logits, with parameters that are there from the start."""

from __future__ import annotations

import torch
from torch import nn

from zoo.testing.draws import global_seed
from zoo.testing.results import BrokenError
from zoo.testing.subject import Subject
from zoo.testing.training import Conditions, one_thread, train

FEATURES, CLASSES = 16, 5


def _head(subject: Subject, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    built: nn.Module = subject.build(features=FEATURES, classes=CLASSES)
    return built


def _features(count: int = 6) -> torch.Tensor:
    return torch.randn(count, FEATURES, generator=torch.Generator().manual_seed(1))


def builds(subject: Subject) -> None:
    """A module with parameters, on the CPU."""
    head = _head(subject)
    if not isinstance(head, nn.Module):
        raise BrokenError(f"it builds a {type(head).__name__}", fix="Return a torch.nn.Module.")
    if not any(True for _ in head.parameters()):
        raise BrokenError("it has no parameters: nothing could be learned")


def use(subject: Subject) -> None:
    """A short training run."""
    train(subject)


def shapes(subject: Subject) -> None:
    """Logits float32[B, classes] that are no probabilities; the same parameters after a pass as before."""
    head = _head(subject)
    before = [name for name, _ in head.named_parameters()]
    for module in (head.train(), head.eval()):
        logits = module(_features())
        got = f"{logits.dtype}{list(logits.shape)}" if isinstance(logits, torch.Tensor) else type(logits).__name__
        if got != f"torch.float32{[6, CLASSES]}":
            raise BrokenError(f"its logits are {got} for 6 images and {CLASSES} classes")
        if not bool(torch.isfinite(logits).all()):
            raise BrokenError("its logits are not finite")
    if [name for name, _ in head.named_parameters()] != before:
        raise BrokenError("its forward pass makes parameters, which no optimizer knows", fix="Make them in __init__.")
    far = head(100 * _features())
    if bool((far >= 0).all()) and bool((far <= 1).all()):
        raise BrokenError(
            "its logits all lie in [0, 1], like probabilities", fix="Leave the softmax or sigmoid out: the loss has it."
        )
    if list(head(_features(1)).shape) != [1, CLASSES]:
        raise BrokenError("for one image its logits are " + str(list(head(_features(1)).shape)))


def inputs(subject: Subject) -> None:
    """The features stay as they were."""
    head, features = _head(subject), _features()
    before = features.clone()
    for module in (head.train(), head.eval()):
        with torch.no_grad():
            module(features)
        if not torch.equal(features, before):
            raise BrokenError("its forward pass changes the features")


def repeatable(subject: Subject) -> None:
    """One seed of torch makes the same values, and the same logits."""
    with global_seed(1):
        first = _head(subject).eval()
    with global_seed(2):
        second = _head(subject).eval()
    values = second.state_dict()
    for name, value in first.state_dict().items():
        if not torch.equal(value, values[name]):
            raise BrokenError(f"torch.manual_seed(3) before it is built gives two values of {name}")
    with torch.no_grad():
        if not torch.equal(first(_features()), second(_features())) or not torch.equal(
            first(_features()), first(_features())
        ):
            raise BrokenError("in eval mode the same features get other logits the second time")


def gradients(subject: Subject) -> None:
    """Every parameter and every feature gets a finite gradient, at zero features too."""
    with one_thread():
        for scale in (1.0, 0.0, 1e4):
            head = _head(subject).train()
            features = (scale * _features()).requires_grad_()
            nn.functional.cross_entropy(head(features), torch.arange(6) % CLASSES).backward()  # type: ignore[no-untyped-call]
            for name, of in [*head.named_parameters(), ("the features", features)]:
                if of.grad is None:
                    raise BrokenError(f"{name}: no gradient", fix="Use it in forward, or leave it out.")
                if not bool(torch.isfinite(of.grad).all()):
                    raise BrokenError(f"{name}: the gradient is not finite for features of size {scale:g}")
    for name, value in train(subject, Conditions()).weights.items():
        if not bool(torch.isfinite(value).all()):
            raise BrokenError(f"{name} is not finite after six steps")


def acts(subject: Subject) -> None:
    """Once it has learned a little, other features get other logits."""
    head, features, targets = _head(subject), _features(), torch.arange(6) % CLASSES
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(features), targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        logits = head.eval()(features)
    if bool((logits == logits[0]).all()):
        raise BrokenError("after three steps of training six different images still get the same logits")
