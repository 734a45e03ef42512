"""Sees the features that enter the head in a training pass, for penalties on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from zoo.contracts.model import Model


class HeadInput:
    """Keeps what entered the head in the last training pass, ahead of any dropout there, until it is taken."""

    def __init__(self) -> None:
        self._seen: Tensor | None = None
        self._handle: RemovableHandle | None = None

    def attach(self, model: Model) -> None:
        """Begins to look."""
        self._handle = model.head.register_forward_pre_hook(self, prepend=True)

    def detach(self) -> None:
        """Looks no longer."""
        if self._handle is not None:
            self._handle.remove()
        self._seen = self._handle = None

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """The hook itself: keeps the first input in training passes."""
        if module.training and torch.is_grad_enabled():
            self._seen = inputs[0]

    def take(self) -> Tensor:
        """The features float[B, F], once: keeping them would keep the whole graph of the step.

        Raises:
            RuntimeError: No training pass went through the head since the last time.
        """
        seen, self._seen = self._seen, None
        if seen is None:
            raise RuntimeError("a penalty on features was asked for with no forward pass in training mode before it")
        return seen.flatten(1)

    def __getstate__(self) -> Mapping[str, Any]:
        return {"_seen": None, "_handle": None}  # a tensor inside a graph can neither be copied nor pickled
