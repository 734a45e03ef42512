"""A small residual network, its settings and its training, for tests of regularizers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from zoo.contracts.data import Task
from zoo.contracts.model import Model, ModelSpec, Stage
from zoo.contracts.training import Moment, Phase, RawBatch, Setting
from zoo.imaging.preprocess import Preprocess
from zoo.models.freezing import set_train
from zoo.training.checkpoints import Checkpoints
from zoo.training.job import Job, Limits

CLASSES = 3
PREPROCESS = Preprocess(8, (0.5,), (0.5,))


class Block(nn.Module):
    """A residual block as timm writes it, with a place for dropping its branch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.drop_path = nn.Identity()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + self.drop_path(torch.relu(self.norm(self.conv(maps))))


class ResidualNet(nn.Module):
    """A stem, one block, a bias that stands alone, and a head."""

    def __init__(self, channels: int = 1, width: int = 4, classes: int = CLASSES) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.block = Block(width)
        self.query_bias = nn.Parameter(torch.randn(width))
        self.fc = nn.Linear(width, classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return self.block(torch.relu(self.norm(self.conv(images)))).mean(dim=(2, 3)) + self.query_bias

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.features(images))


def residual_model(*, seed: int = 3, width: int = 4) -> Model:
    """The network with what zoo knows of it."""
    torch.manual_seed(seed)
    module = ResidualNet(width=width)
    stages = (
        Stage("stem", ("conv.weight", "conv.bias", "norm.weight", "norm.bias")),
        Stage("block", ("query_bias", "block.conv.weight", "block.conv.bias", "block.norm.weight", "block.norm.bias")),
    )
    return Model(module, ModelSpec("test/residual", "zoo", "residual", "fc", width, stages, PREPROCESS))


def images_of(count: int = 6, *, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, 1, 8, 8, generator=generator(seed))


def setting(**changes: Any) -> Setting:
    usual: dict[str, Any] = {
        "task": Task.SINGLE_LABEL,
        "classes": CLASSES,
        "trainable": "all",
        "loss_takes_soft_targets": True,
    }
    return Setting(**{**usual, **changes})


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moment(step: int = 0, *, steps: int = 10, seed: int = 0) -> Moment:
    return Moment(step, steps, generator(seed))


class Feed:
    """Noisy images whose mean tells the class, in an order that the epoch alone decides."""

    def __init__(self, *, count: int = 24, batch: int = 8, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.batch = batch
        self.targets = rng.integers(0, CLASSES, count)
        noise = rng.integers(0, 120, (count, 8, 8, 1))
        self.images = (noise + 60 * self.targets[:, None, None, None]).astype(np.uint8)

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.targets) / self.batch)

    def epoch(self, epoch: int, *, start_step: int = 0) -> Iterator[RawBatch]:
        order = np.random.default_rng([7, epoch]).permutation(len(self.targets))
        for step in range(start_step, self.steps_per_epoch):
            chosen = order[step * self.batch : (step + 1) * self.batch]
            yield RawBatch(self.images[chosen], self.targets[chosen], chosen, len(chosen))


class SoftCrossEntropy(nn.Module):
    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(logits, targets, reduction="none")


class Silent:
    def stepped(self, view: object) -> None: ...

    def validated(self, row: Mapping[str, Any]) -> None: ...


def scored(model: Model, feed: Feed) -> tuple[float, float]:
    """Mean loss and accuracy over all images of a feed."""
    model.module.eval()
    with torch.no_grad():
        logits = model.module(PREPROCESS.normalise(torch.from_numpy(feed.images)))
    targets = torch.from_numpy(feed.targets)
    return float(nn.functional.cross_entropy(logits, targets)), float((logits.argmax(1) == targets).float().mean())


def job_of(model: Model, regularizers: Mapping[str, Any], folder: Path, **parts: Any) -> Job:
    """Training by plain SGD; the regularizers have changed the model already."""
    feed = parts.pop("feed", None) or Feed()
    epochs, lr, freeze_norm = parts.pop("epochs", 2), parts.pop("lr", 0.1), parts.pop("freeze_norm", False)
    parts.setdefault("validate", partial(scored, model, feed))
    return Job(
        model=model,
        phase=Phase(name="tune", kind="train", epochs=epochs),
        feed=feed,
        optimizer=torch.optim.SGD(model.module.parameters(), lr=lr, momentum=0.9),
        schedule=parts.pop("schedule", lambda progress: 1.0),
        loss=SoftCrossEntropy(),
        regularizers=regularizers,
        normalise=PREPROCESS.normalise,
        accelerator=Accelerator(cpu=True),
        checkpoints=Checkpoints(folder),
        watcher=parts.pop("watcher", Silent()),
        log=lambda row: None,
        set_train=partial(set_train, model.module, freeze_norm=freeze_norm),
        seed=parts.pop("seed", 11),
        classes=CLASSES,
        limits=parts.pop("limits", Limits()),
        **parts,
    )
