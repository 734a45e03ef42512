"""Networks: logits of the right shape, stages that hold every parameter once, values that follow the seed."""

from __future__ import annotations

import torch
from torch import nn

from zoo.contracts.model import Model
from zoo.errors import UserError
from zoo.models.build import check_stages, features_of
from zoo.testing.draws import global_seed
from zoo.testing.results import BrokenError
from zoo.testing.subject import NotBuiltError, Subject
from zoo.testing.training import Conditions, build_model, one_thread, train

CLASSES = 5


def _images(model: Model, count: int = 3) -> torch.Tensor:
    wanted = model.spec.preprocess
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, wanted.channels, wanted.size, wanted.size, generator=generator)


def builds(subject: Subject) -> None:
    """A Model on the CPU whose spec tells the truth about head, stages and input."""
    model = build_model(subject, classes=CLASSES)
    spec = model.spec
    if spec.name != subject.entry.full_name:
        raise BrokenError(f"spec.name is {spec.name!r}", fix=f"Its full name is {subject.entry.full_name!r}.")
    try:
        head = model.head
        check_stages(model)
    except (AttributeError, ValueError) as error:
        raise BrokenError(f"its spec does not fit the network: {error}") from error
    if not isinstance(head, nn.Module) or not any(True for _ in head.parameters()):
        raise BrokenError(f"the module {spec.classifier!r}, its classifier, has no parameters")
    if spec.preprocess.channels != 3:
        raise BrokenError(f"built for 3 channels, its preprocess has {spec.preprocess.channels}")
    elsewhere = {str(p.device) for p in model.module.parameters()} - {"cpu"}
    if elsewhere:
        raise BrokenError(f"it has parameters on {', '.join(sorted(elsewhere))}", fix="Build on the CPU.")


def use(subject: Subject) -> None:
    """A short training run."""
    train(subject)


def shapes(subject: Subject) -> None:
    """float32[B, classes] in both modes, for colour and gray images; what enters the head is a vector an image."""
    with one_thread():
        for channels in (3, 1):
            model = _for_channels(subject, channels)
            if model is None:
                continue
            images = _images(model)
            for module in (model.module.train(), model.module.eval()):
                logits = module(images)
                got = (
                    f"{logits.dtype}{list(logits.shape)}" if isinstance(logits, torch.Tensor) else type(logits).__name__
                )
                if got != f"torch.float32{[3, CLASSES]}":
                    raise BrokenError(f"its logits are {got} for 3 images of {channels} channels and {CLASSES} classes")
                if not bool(torch.isfinite(logits).all()):
                    raise BrokenError("its logits are not finite")
            with torch.no_grad():
                _check_features(model, images)


def _for_channels(subject: Subject, channels: int) -> Model | None:
    """The network, or None where it is not made for one channel and says so."""
    try:
        return build_model(subject, classes=CLASSES, channels=channels)
    except NotBuiltError as error:
        if channels != 3 and isinstance(error.__cause__, UserError):
            return None
        raise


def _check_features(model: Model, images: torch.Tensor) -> None:
    try:
        features = features_of(model, images)
    except ValueError as error:
        raise BrokenError(str(error)) from error
    if list(features.shape) != [3, model.spec.feature_dim]:
        raise BrokenError(
            f"what enters its head is {list(features.shape)}; spec.feature_dim is {model.spec.feature_dim}"
        )
    alone = torch.cat([model.module(image[None]) for image in images])
    if not torch.allclose(alone, model.module(images), atol=1e-3, rtol=1e-2):
        raise BrokenError("in eval mode the logits of an image depend on the other images of its batch")


def inputs(subject: Subject) -> None:
    """The images stay as they were."""
    model = build_model(subject, classes=CLASSES)
    images = _images(model)
    before = images.clone()
    for module in (model.module.train(), model.module.eval()):
        with torch.no_grad():
            module(images)
        if not torch.equal(images, before):
            raise BrokenError("the forward pass changes the images")


def repeatable(subject: Subject) -> None:
    """One seed of torch makes the same values; and two runs from it end alike."""
    with global_seed(1):
        first = build_model(subject, classes=CLASSES).module.state_dict()
    with global_seed(2):
        second = build_model(subject, classes=CLASSES).module.state_dict()
    for name, value in first.items():
        if not torch.equal(value, second[name]):
            raise BrokenError(f"torch.manual_seed(3) before it is built gives two values of {name}")


def distinct(subject: Subject) -> None:
    """Other seeds make other values."""
    first = build_model(subject, classes=CLASSES, seed=1).module.state_dict()
    second = build_model(subject, classes=CLASSES, seed=2).module.state_dict()
    if all(torch.equal(value, second[name]) for name, value in first.items()):
        raise BrokenError(
            "two seeds give the same values",
            fix="Take torch's own initialisation, which draws from the global generator.",
        )


def gradients(subject: Subject) -> None:
    """Every parameter gets a finite gradient."""
    with one_thread():
        model = build_model(subject, classes=CLASSES)
        model.module.train()
        nn.functional.cross_entropy(model.module(_images(model, 4)), torch.arange(4)).backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.module.named_parameters():
        if parameter.grad is None:
            raise BrokenError(f"{name} gets no gradient", fix="Use it in forward, or leave it out of the network.")
        if not bool(torch.isfinite(parameter.grad).all()):
            raise BrokenError(f"the gradient of {name} is not finite")
    outcome = train(subject, Conditions())
    for name, value in outcome.weights.items():
        if not bool(torch.isfinite(value).all()):
            raise BrokenError(f"{name} is not finite after six steps")


def acts(subject: Subject) -> None:
    """Other images get other logits."""
    with one_thread(), torch.no_grad():
        model = build_model(subject, classes=CLASSES)
        images = _images(model)
        logits = model.module.train()(images)
    if bool((logits == logits[0]).all()):
        raise BrokenError("three different images get the same logits")
