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


def log_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Minus the log of the probability of the truth, the mean over images (and labels): what final scores state.

    It does not depend on what was trained, so runs with different losses can be compared, and `evaluate` needs no loss.

    Args:
        logits: float32[N, K].
        targets: int64[N], or float32[N, K] of 0 and 1.
    """
    if targets.is_floating_point():
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    return torch.nn.functional.cross_entropy(logits, targets)


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
