"""One forward and backward pass over a batch, and the draws that belong to its step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from zoo.contracts.training import Batch, Moment, RawBatch
from zoo.training.inference import to_device
from zoo.training.job import Job


@dataclass(frozen=True)
class PassValues:
    """What a pass came to, on the device.

    Attributes:
        loss: float32[], what was minimised, penalties included.
        summed: float32[], sum of the losses of this process's images.
        right: int64[], right answers among them; in a multi-label task, images with every label right.
    """

    loss: torch.Tensor
    summed: torch.Tensor
    right: torch.Tensor


class Passes:
    """Forward and backward passes of one job; every draw is a function of (seed, phase, step).

    Args:
        job: What is trained and how.
        network: The network as accelerate prepared it.
    """

    def __init__(self, job: Job, network: nn.Module) -> None:
        self.job, self.network = job, network

    def moment(self, step: int, *, steps: int) -> Moment:
        """A step, with its draws from their beginning."""
        generator = torch.Generator().manual_seed(seed_of(self.job.seed, self.job.index, step, -1))
        return Moment(step, steps, generator)

    def batch(self, raw: RawBatch, *, step: int, steps: int) -> Batch:
        """The images on the device, normalised and changed as the regularizers want."""
        job = self.job
        images, targets = to_device(raw, job.accelerator.device, normalise=job.normalise)
        batch = Batch(images, targets)
        generator = self.moment(step, steps=steps).generator  # one for all: each draws anew, not what another drew
        for _, regularizer in job.having("change_batch"):
            batch = regularizer.change_batch(batch, generator, job.classes)
        return batch

    def forward_backward(self, raw: RawBatch, batch: Batch, *, step: int) -> PassValues:
        """Adds the gradients of one pass; a second one over the same step has the same draws."""
        job, accelerator = self.job, self.job.accelerator
        torch.manual_seed(seed_of(job.seed, job.index, step, accelerator.process_index))
        with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=job.bf16):
            logits = self.network(batch.images)
        per_image = job.loss(logits.float(), batch.targets)
        loss = per_image.sum() * (accelerator.num_processes / raw.total)
        for _, regularizer in job.having("penalty"):
            loss = loss + regularizer.penalty(job.model)
        accelerator.backward(loss)
        return PassValues(loss.detach(), per_image.detach().float().sum(), _right_answers(logits.detach(), raw.targets))


def seed_of(*parts: int) -> int:
    """One 63-bit seed from several numbers, unrelated for neighbouring ones."""
    return int(np.random.SeedSequence([part + 1 for part in parts]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _right_answers(logits: torch.Tensor, targets: np.ndarray[Any, Any]) -> torch.Tensor:
    truth = torch.from_numpy(targets).to(logits.device)
    if truth.ndim == 1:
        return (logits.argmax(1) == truth).sum()
    return ((logits > 0) == (truth > 0.5)).all(1).sum()
