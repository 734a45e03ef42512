"""PyTorch's transfer-learning tutorial: the loop, its transforms, the epoch that validates best is kept.

    python benchmarks/accuracy/opponents/tutorial_loop.py DATA SEED --seconds 430 [--recipe sgd-0.001]

Source: https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html. Deviations: batches of 32 instead
of 4, bicubic resizing, the fastest precision and layout, and other recipes than the tutorial's: its learning rate of
0.001 and StepLR(7 epochs) were meant for 25 epochs, and the time allows about three.
"""

from __future__ import annotations

from common import TRIED, Job, answer, fastest, read_job, seconds_an_image, tried

import copy  # isort: skip
import itertools
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from plain_loop import loader, pictures, pretrained


@dataclass(frozen=True)
class Recipe:
    """Optimizer, rate, and whether the rate falls along a cosine or as in the tutorial (tenfold every 7 epochs)."""

    optimizer: str
    lr: float
    cosine: bool = True


RECIPES = {
    "adamw-0.0005": Recipe("adamw", 5e-4),
    "sgd-0.01": Recipe("sgd", 1e-2),
    "sgd-0.001": Recipe("sgd", 1e-3, cosine=False),
}


def split(job: Job, name: str) -> Any:
    """Batches of a split."""
    train = name == "train"
    images = pictures(job.data / name, train=train, px=job.px, mirror=job.mirror, smallest=job.smallest)
    return loader(images, train=train, batch=job.batch if train else 32)


def train(job: Job, network: torch.nn.Module, *, steps: int, val: Any = None) -> tuple[float, list[float]]:
    """Trains; leaves the network as it was after the epoch with the best validation accuracy.

    Returns:
        That accuracy, and the moments at which steps ended.
    """
    batches, recipe = split(job, "train"), RECIPES[job.recipe]
    if recipe.optimizer == "sgd":
        optimizer: Any = torch.optim.SGD(network.parameters(), lr=recipe.lr, momentum=0.9)
    else:
        optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.lr)
    if recipe.cosine:
        schedule: Any = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    else:
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 7 * len(batches), 0.1)
    best, kept, marks = -1.0, network.state_dict(), []
    for epoch in range(math.ceil(steps / len(batches))):
        network.train()
        for images, labels in itertools.islice(batches, steps - epoch * len(batches)):
            with autocast(job):
                loss = torch.nn.functional.cross_entropy(network(laid(job, images)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            marks.append(time.monotonic())
        if val is not None:
            accuracy = torch.tensor(score(job, network, val)).float().mean().item()
            if accuracy > best:
                best, kept = accuracy, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    return best, marks


def score(job: Job, network: torch.nn.Module, batches: Any) -> list[bool]:
    """Whether each image is given its own class, in order."""
    network.eval()
    with torch.no_grad(), autocast(job):
        return [ok for x, y in batches for ok in (network(laid(job, x)).argmax(1) == y).tolist()]


def autocast(job: Job) -> Any:
    """The precision that was chosen."""
    return torch.autocast("cpu", torch.bfloat16, enabled=job.speed is not None and job.speed.precision == "bf16")


def laid(job: Job, images: torch.Tensor) -> torch.Tensor:
    """Images in the layout that was chosen."""
    last = job.speed is not None and job.speed.layout == "channels_last"
    return images.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def main() -> None:
    """Tries, trains, scores."""
    job = read_job(list(RECIPES))
    data, val = split(job, "train"), split(job, "validation")
    network = pretrained(len(data.dataset.classes))
    if job.speed is None:
        with job.trial():
            job.speed = fastest(network, job)
            _, marks = train(job, copy.deepcopy(network), steps=TRIED)
            job.speed = tried(job.speed, train=seconds_an_image(marks, job.batch))
    if job.speed.layout == "channels_last":
        network.to(memory_format=torch.channels_last)
    epochs = job.affordable()
    steps = max(1, round(epochs * len(data)))
    best, _ = train(job, network, steps=steps, val=val)
    test = split(job, "test")
    job_right = score(job, network, test)
    named = [Path(name) for name, _ in test.dataset.samples]
    answer(job, named=named, right=job_right, val=best, epochs=steps / len(data), library=f"torch {torch.__version__}")


if __name__ == "__main__":
    main()
