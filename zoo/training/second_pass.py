"""A second pass over a batch within one step, as sharpness-aware methods make it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def second_pass(module: nn.Module) -> Iterator[None]:
    """Inside, training passes leave running statistics alone: the batch was counted in its first pass.

    Args:
        module: Its layers with `running_mean` and a `momentum` (all forms of BatchNorm) are changed for the time.
    """
    layers = [child for child in module.modules() if getattr(child, "running_mean", None) is not None]
    before = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.momentum = 0.0  # type: ignore[assignment]
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum
