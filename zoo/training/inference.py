"""Forward passes without gradients: validation, test, and the features of a frozen backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import nn

from zoo.contracts.training import Feed, RawBatch

Normalise = Callable[[torch.Tensor], torch.Tensor]
"""uint8[B, S, S, C] to float32[B, C, S, S]: a `Preprocess.normalise`."""


def to_device(batch: RawBatch, device: torch.device, *, normalise: Normalise) -> tuple[torch.Tensor, torch.Tensor]:
    """The images of a batch, normalised in channels-last memory, and its targets, on the device."""
    images = normalise(torch.from_numpy(np.ascontiguousarray(batch.images)).to(device, non_blocking=True))
    return images, torch.from_numpy(batch.targets).to(device, non_blocking=True)


def run_over(
    feed: Feed,
    forward: Callable[[torch.Tensor], torch.Tensor],
    *,
    accelerator: Accelerator,
    normalise: Normalise,
    bf16: bool = False,
    watch: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Answers of a function over a whole split, every image once, gathered from all processes.

    Args:
        feed: Batches in order, unaugmented.
        forward: float32[B, C, S, S] to [B, D]; put its network into eval mode first.
        accelerator: Knows the device and the other processes.
        normalise: How the network wants its input.
        bf16: Compute in bfloat16.
        watch: Told how many images are done.

    Returns:
        float32[N, D] and the positions int64[N] they belong to, sorted by position.
    """
    answers: list[NDArray[np.float32]] = []
    indices: list[NDArray[np.int64]] = []
    done = 0
    device = accelerator.device
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for batch in feed.epoch(0):
            if len(batch.indices):
                images, _ = to_device(batch, device, normalise=normalise)
                answers.append(forward(images).float().cpu().numpy())
                indices.append(batch.indices)
            done += batch.total
            if watch is not None:
                watch(done)
    return _gathered(answers, indices, accelerator)


def _gathered(
    answers: Iterable[NDArray[np.float32]], indices: Iterable[NDArray[np.int64]], accelerator: Accelerator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    pairs = list(zip(answers, indices, strict=True))
    if accelerator.num_processes > 1:
        pairs = gather_object(pairs)
    values = np.concatenate([pair[0] for pair in pairs])
    positions = np.concatenate([pair[1] for pair in pairs])
    order = np.argsort(positions, kind="stable")
    return values[order], positions[order]


def frozen_forward(module: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network in eval mode as a function; a library's extra outputs (auxiliary heads) are no answers."""
    module.eval()

    def forward(images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = module(images)
        return out

    return forward
