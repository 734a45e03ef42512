"""A tiny network and a feed whose batches are functions of (epoch, step), as the loop's contract wants."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn
from zoo_plugins.regularizing.averages import EMA

from zoo.contracts.model import Model, ModelSpec, Stage
from zoo.contracts.training import Phase, RawBatch
from zoo.imaging.preprocess import Preprocess
from zoo.training.checkpoints import Checkpoints
from zoo.training.job import Job, Limits

CLASSES, SIDE, COUNT, BATCH = 3, 8, 22, 4
PREPROCESS = Preprocess(size=SIDE, mean=(0.5,), std=(0.5,))


class TinyFeed:
    """Images whose brightness tells the class, shuffled by epoch."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.targets = np.arange(COUNT, dtype=np.int64) % CLASSES
        noise = rng.integers(0, 60, (COUNT, SIDE, SIDE, 1))
        self.images = (noise + 80 * self.targets[:, None, None, None]).astype(np.uint8)
        self.asked: list[tuple[int, int]] = []

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(COUNT / BATCH)

    def epoch(self, epoch: int, *, start_step: int = 0) -> Iterator[RawBatch]:
        order = np.random.default_rng([7, epoch]).permutation(COUNT)
        for step in range(start_step, self.steps_per_epoch):
            self.asked.append((epoch, step))
            chosen = order[step * BATCH : (step + 1) * BATCH]
            yield RawBatch(self.images[chosen], self.targets[chosen], chosen, len(chosen))


class Silent:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.rows: list[dict[str, object]] = []

    def stepped(self, view) -> None:
        self.steps.append(view.step)

    def validated(self, row) -> None:
        self.rows.append(dict(row))


def tiny_model(*, dropout: float = 0.0) -> Model:
    torch.manual_seed(3)
    module = nn.Sequential()
    module.add_module("conv", nn.Conv2d(1, 4, 3))
    module.add_module("norm", nn.BatchNorm2d(4))
    module.add_module("relu", nn.ReLU())
    module.add_module("pool", nn.AdaptiveAvgPool2d(1))
    module.add_module("flat", nn.Flatten())
    module.add_module("drop", nn.Dropout(dropout))
    module.add_module("head", nn.Linear(4, CLASSES))
    stages = (Stage("conv", ("conv.weight", "conv.bias", "norm.weight", "norm.bias")),)
    spec = ModelSpec("test/tiny", "zoo", "tiny", "head", 4, stages, PREPROCESS)
    return Model(module, spec)


class PerImage(nn.Module):
    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(logits, targets, reduction="none")


@pytest.fixture
def make_job(tmp_path: Path):
    """Builds a fresh job in one folder; keyword arguments replace its parts."""

    def make(*, epochs: float = 3, ema: bool = True, dropout: float = 0.0, **parts) -> Job:
        torch.set_num_threads(1)
        model = parts.pop("model", None) or tiny_model(dropout=dropout)
        feed = parts.pop("feed", None) or TinyFeed()
        parts.setdefault("schedule", lambda progress: 1.0 - 0.9 * progress)
        if "validate" not in parts:

            def validate() -> tuple[float, float]:
                model.module.eval()
                with torch.no_grad():
                    logits = model.module(PREPROCESS.normalise(torch.from_numpy(feed.images)))
                targets = torch.from_numpy(feed.targets)
                return float(nn.functional.cross_entropy(logits, targets)), float(
                    (logits.argmax(1) == targets).float().mean()
                )

            parts["validate"] = validate
        rows: list[dict[str, object]] = []
        regularizers = parts.pop("regularizers", {}) | ({"ema": EMA(decay=0.9)} if ema else {})
        for regularizer in regularizers.values():
            if hasattr(regularizer, "change_model"):
                regularizer.change_model(model)
        return Job(
            model=model,
            phase=parts.pop("phase", Phase(name="tune", kind="train", epochs=epochs)),
            feed=feed,
            optimizer=parts.pop("optimizer", None) or torch.optim.AdamW(model.module.parameters(), lr=1e-2),
            loss=parts.pop("loss", PerImage()),
            regularizers=regularizers,
            normalise=PREPROCESS.normalise,
            accelerator=Accelerator(cpu=True),
            checkpoints=Checkpoints(tmp_path / parts.pop("folder", "checkpoints")),
            watcher=parts.pop("watcher", Silent()),
            log=rows.append,
            set_train=model.module.train,
            seed=11,
            classes=CLASSES,
            limits=parts.pop("limits", Limits()),
            **parts,
        )

    return make
