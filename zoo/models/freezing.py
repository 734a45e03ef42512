"""What of a network is trained: frozen parts have no gradients, and stay in eval mode with their dropout and norms."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Literal

from torch import nn

from zoo.contracts.model import Model
from zoo.models.build import norms_of
from zoo.models.facts import is_bias, norm_parameters


def set_train(module: nn.Module, *, freeze_norm: bool = False) -> None:
    """Switches to training mode what is trained, and nothing else.

    Call it before every epoch: `module.train()` alone would let BatchNorm move its statistics again. What has only
    frozen parameters (`frozen_parts`) stays in eval mode whole, its dropout too, and so do layers without parameters
    that stand between two frozen ones.

    Args:
        module: The network.
        freeze_norm: BatchNorm stays in eval mode. Its scales and shifts are still learned, where they are trained: the
            statistics alone are frozen.
    """
    module.train()
    for child in module.modules():
        parameters = list(child.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            child.eval()
    for child in _between_frozen(module):
        child.eval()
    if freeze_norm:
        for _, norm in norms_of(module):
            norm.eval()


def _between_frozen(module: nn.Module) -> Iterator[nn.Module]:
    """Layers without parameters (dropout, norms without scales) whose neighbours, in the order in which the network was
    put together, are both frozen; the input counts as frozen."""
    waiting: list[nn.Module] = []
    trained_before = False
    for child in module.modules():
        own = list(child.parameters(recurse=False))
        if own:
            trained = any(parameter.requires_grad for parameter in own)
            if not trained and not trained_before:
                yield from waiting
            waiting, trained_before = [], trained
        elif next(child.children(), None) is None:
            waiting.append(child)


@contextlib.contextmanager
def frozen_parts(
    model: Model, *, stages: Collection[int] = (), parameters: Literal["all", "norm", "bias"] = "all"
) -> Iterator[None]:
    """Inside, parts of the network have no gradients; behind it, what was frozen here has them again.

    Args:
        model: The network; its parameters are marked in place. The head is never frozen.
        stages: Numbers of frozen stages, from 0 at the input.
        parameters: What is trained in the other stages.

    Raises:
        ValueError: The network has no stage of such a number.
    """
    wrong = [number for number in stages if not 0 <= number < len(model.spec.stages)]
    if wrong:
        raise ValueError(f"{model.spec.name} has {len(model.spec.stages)} stages; {wrong} cannot be frozen")
    trained = _trained(model, stages=stages, parameters=parameters)
    frozen = [p for name, p in model.module.named_parameters() if name not in trained and p.requires_grad]
    try:
        for parameter in frozen:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def _trained(model: Model, *, stages: Collection[int], parameters: str) -> set[str]:
    """Names of the parameters that are trained: the head's, and in the stages that are not frozen the chosen ones."""
    open_stages = [stage for number, stage in enumerate(model.spec.stages) if number not in stages]
    names = {name for stage in open_stages for name in stage.parameters}
    if parameters == "norm":
        names &= set(norm_parameters(model.module))
    elif parameters == "bias":
        names = {name for name in names if is_bias(name)}
    return names | {name for name, _ in model.head.named_parameters(prefix=model.spec.classifier)}


def share_trained(model: Model) -> tuple[int, int]:
    """Values outside the head that are trained, and all that are outside the head."""
    head = {id(parameter) for parameter in model.head.parameters()}
    body = [parameter for parameter in model.module.parameters() if id(parameter) not in head]
    return sum(p.numel() for p in body if p.requires_grad), sum(p.numel() for p in body)
