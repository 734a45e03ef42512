"""A small residual network and its images, on which what takes part in training is tried."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from zoo.contracts.data import Task
from zoo.contracts.model import Model, ModelSpec, Stage
from zoo.contracts.training import RawBatch
from zoo.imaging.preprocess import Preprocess

CLASSES, WIDTH, SIDE, CHANNELS = 3, 8, 8, 3


class _Block(nn.Module):
    """A residual block as timm writes it, with a place for dropping its branch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.drop_path = nn.Identity()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        kept: torch.Tensor = maps + self.drop_path(torch.relu(self.norm(self.conv(maps))))
        return kept


class _ResidualNet(nn.Module):
    """A stem, one block and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, WIDTH, 3)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.block = _Block()
        self.fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float[B, 3, S, S] to logits float[B, 3]."""
        logits: torch.Tensor = self.fc(self.block(torch.relu(self.norm(self.conv(images)))).mean(dim=(2, 3)))
        return logits


def residual_model(*, seed: int = 3, scale: float = 1.0) -> Model:
    """The network with what zoo knows of it.

    Args:
        seed: Of its first values.
        scale: What its weights are multiplied by: large ones make large gradients.
    """
    torch.manual_seed(seed)
    module = _ResidualNet()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(scale)
    stages = (
        Stage("stem", ("conv.weight", "conv.bias", "norm.weight", "norm.bias")),
        Stage("block", ("block.conv.weight", "block.conv.bias", "block.norm.weight", "block.norm.bias")),
    )
    preprocess = Preprocess(SIDE, (0.5,) * CHANNELS, (0.5,) * CHANNELS)
    return Model(module, ModelSpec("kit/residual", "kit", "residual", "fc", WIDTH, stages, preprocess))


class KitFeed:
    """Noisy images whose brightness tells the class, in an order that the epoch alone decides."""

    def __init__(
        self,
        *,
        task: Task = Task.SINGLE_LABEL,
        side: int = SIDE,
        channels: int = CHANNELS,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Takes the task, the shape of an image, and which of how many processes this is."""
        rng = np.random.Generator(np.random.PCG64(0))
        count, self._batch = 24, 8
        numbers = np.arange(count) % CLASSES
        noise = rng.integers(0, 120, (count, side, side, channels))
        self.images = (noise + 60 * numbers[:, None, None, None]).astype(np.uint8)
        several = (
            np.eye(CLASSES, dtype=np.float32)[numbers] + np.eye(CLASSES, dtype=np.float32)[rng.permutation(numbers)]
        )
        self.targets = numbers.astype(np.int64) if task is Task.SINGLE_LABEL else np.minimum(several, 1)
        self._rank, self._world = rank, world

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return math.ceil(len(self.targets) / self._batch)

    def epoch(self, epoch: int, *, start_step: int = 0) -> Iterator[RawBatch]:
        """This process's share of each batch."""
        order = np.random.Generator(np.random.PCG64([7, epoch])).permutation(len(self.targets))
        for step in range(start_step, self.steps_per_epoch):
            whole = order[step * self._batch : (step + 1) * self._batch]
            first, last = (len(whole) * part // self._world for part in (self._rank, self._rank + 1))
            chosen = whole[first:last]
            yield RawBatch(self.images[chosen], self.targets[chosen], chosen, len(whole))


class KitLoss(nn.Module):
    """Cross entropy of shares or class numbers, or of yes-or-no questions where an image has several labels."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._several = task is Task.MULTI_LABEL

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """float32[B]."""
        if self._several:
            return nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
        return nn.functional.cross_entropy(logits, targets, reduction="none")
