"""Runs a network over one split, for validation, final scores and `evaluate` alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from zoo.contracts.evaluation import Outputs
from zoo.contracts.model import Model
from zoo.contracts.training import Feed
from zoo.training.inference import frozen_forward, run_over

if TYPE_CHECKING:
    import numpy as np
    from accelerate import Accelerator
    from numpy.typing import NDArray


def outputs_over(
    model: Model,
    feed: Feed,
    *,
    targets: NDArray[np.int64] | NDArray[np.float32],
    mean_loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    accelerator: Accelerator,
    bf16: bool = False,
) -> Outputs:
    """The network's answers to every image of a feed, and their loss.

    Args:
        model: Put into eval mode; it is on the accelerator's device.
        feed: Batches in order, unaugmented, in the network's own preprocessing.
        targets: int64[N] or float32[N, classes] of the whole bundle, of which the feed may show a part.
        mean_loss: Logits float32[n, classes] and targets to one number.
        accelerator: Knows the device and the other processes.
        bf16: Compute the forward pass in bfloat16.
    """
    logits, positions = run_over(
        feed,
        frozen_forward(model.module),
        accelerator=accelerator,
        normalise=model.spec.preprocess.normalise,
        bf16=bf16,
    )
    truth, device = targets[positions], accelerator.device
    with torch.no_grad():
        loss = mean_loss(torch.from_numpy(logits).to(device), torch.from_numpy(truth).to(device))
    return Outputs(logits, truth, positions, float(loss))
