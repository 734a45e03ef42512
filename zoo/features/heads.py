"""Fits a head on cached features: a linear one to its optimum, any other by gradient descent."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from zoo.contracts.balance import Balance
from zoo.contracts.data import Task
from zoo.features.probe import Labelled, accuracy_of, fit_probe, mean_loss

LEAST_STEPS = 1500
"""Steps of gradient descent that a head gets, however few the images; on features they cost milliseconds."""


@dataclass(frozen=True)
class HeadFit:
    """How well a head that was fitted on features does on validation.

    Attributes:
        note: How it was fitted, for the console and the record.
    """

    val_loss: float
    val_accuracy: float
    note: str


def fit_head(
    head: nn.Module,
    train: Labelled,
    *,
    val: Labelled,
    classes: int,
    task: Task,
    seed: int,
    balance: Balance | None = None,
) -> HeadFit:
    """Fits a head in place.

    Args:
        head: float[B, D] to float[B, classes]; a plain `nn.Linear` gets the optimum of logistic regression.
        train: Features and targets it is fitted on.
        val: What chooses the strength of L2, or the epoch.
        classes: Number of outputs.
        task: One label an image or several.
        seed: Order of the batches of gradient descent; the optimum does not depend on it.
        balance: What images count, and what is added to the logits while fitting; on validation likewise.
    """
    if type(head) is nn.Linear and head.bias is not None:
        probe = fit_probe(train, val, classes=classes, task=task, balance=balance)
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(probe.weight))
            head.bias.copy_(torch.from_numpy(probe.bias))
        return HeadFit(probe.val_loss, probe.val_accuracy, f"logistic regression, L2 {probe.l2:g}")
    return _descend(head, train, val=val, task=task, seed=seed, balance=balance)


def _descend(
    head: nn.Module,
    train: Labelled,
    *,
    val: Labelled,
    task: Task,
    seed: int,
    balance: Balance | None,
    batch_size: int = 128,
) -> HeadFit:
    """AdamW at 1e-3 with a cosine, 60 epochs or `LEAST_STEPS`; keeps the epoch with the least validation loss."""
    epochs = max(60, -(-LEAST_STEPS // -(-len(train.targets) // batch_size)))
    x, y = torch.from_numpy(train.features), torch.from_numpy(train.targets)
    x_val, y_val = torch.from_numpy(val.features), torch.from_numpy(val.targets)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3, weight_decay=1e-2)
    decline = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    generator = torch.Generator().manual_seed(seed)
    best_loss, best_epoch, best = float("inf"), 0, copy.deepcopy(head.state_dict())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for epoch in range(epochs):
            head.train()
            for chosen in torch.randperm(len(x), generator=generator).split(batch_size):  # type: ignore[no-untyped-call]
                if len(chosen) == 1 and len(x) > 1:
                    continue  # a batch norm in a head cannot normalise one row
                optimizer.zero_grad()
                mean_loss(head(x[chosen]), y[chosen], balance=balance).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            decline.step()
            head.eval()
            with torch.no_grad():
                loss = float(mean_loss(head(x_val), y_val, balance=balance))
            if loss < best_loss:
                best_loss, best_epoch, best = loss, epoch + 1, copy.deepcopy(head.state_dict())
    head.load_state_dict(best)
    head.eval()
    with torch.no_grad():
        accuracy = accuracy_of(head(x_val).numpy(), val.targets, task=task)
    return HeadFit(best_loss, accuracy, f"AdamW on features, best after {best_epoch} of {epochs} epochs")
