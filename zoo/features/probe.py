"""A linear probe: multinomial (or per-label) logistic regression on features, fitted to convergence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.contracts.balance import Balance
from zoo.contracts.data import Task

L2_GRID = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4)
"""Strengths tried, strongest first; each fit starts from the one before."""


@dataclass(frozen=True)
class Probe:
    """A fitted probe: logits = features @ weight.T + bias.

    Attributes:
        weight: float32[classes, D], for features as they come (centring and scaling are folded in).
        bias: float32[classes].
        l2: Strength that validation chose.
        val_loss: Its mean loss on validation.
        val_accuracy: Its accuracy there; over all labels in a multi-label task.
        tried: Each strength with its validation loss.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    l2: float
    val_loss: float
    val_accuracy: float
    tried: tuple[tuple[float, float], ...]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32[N, classes] of float32[N, D]."""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True)
class Labelled:
    """Features float32[N, D] with targets int64[N] or float32[N, classes]."""

    features: NDArray[np.float32]
    targets: NDArray[np.int64] | NDArray[np.float32]


def fit_probe(
    train: Labelled,
    val: Labelled,
    *,
    classes: int,
    task: Task,
    grid: tuple[float, ...] = L2_GRID,
    balance: Balance | None = None,
) -> Probe:
    """Fits a probe for each strength of L2 and keeps the one with the least validation loss.

    Minimises `mean_i loss(x_i W' + b, y_i) + l2 / 2 * sum W^2` by L-BFGS over centred features, divided by one number
    (their standard deviation over all dimensions), with the bias free. Dividing each dimension by its own deviation
    blows up the ones that hardly vary: in cross-validation on 3,409 photos of clothes it cost 0.02 of loss and half a
    point of accuracy. The same features give the same bits.

    Args:
        train: What it is fitted on.
        val: What chooses the strength.
        classes: Number of outputs.
        task: One label an image (softmax) or several (one sigmoid a label).
        grid: Strengths, strongest first.
        balance: What images count, and what is added to the logits while fitting; on validation likewise.
    """
    mean = train.features.mean(0)
    scale = np.float32(max(float((train.features - mean).std()), 1e-12))
    x = torch.from_numpy((train.features - mean) / scale)
    x_val = torch.from_numpy((val.features - mean) / scale)
    y, y_val = torch.from_numpy(train.targets), torch.from_numpy(val.targets)
    weight = torch.zeros(classes, x.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    best: tuple[float, float, torch.Tensor, torch.Tensor] | None = None
    tried: list[tuple[float, float]] = []
    for l2 in grid:
        _minimise(x, y, weight=weight, bias=bias, l2=l2, balance=balance)
        with torch.no_grad():
            loss = float(mean_loss(x_val @ weight.T + bias, y_val, balance=balance))
        tried.append((l2, loss))
        if best is None or loss < best[0]:
            best = (loss, l2, weight.detach().clone(), bias.detach().clone())
        else:
            break  # past its least value the loss rises with ever weaker strengths
    if best is None:
        raise ValueError("the grid of strengths is empty")
    loss, l2, best_weight, best_bias = best
    folded = (best_weight.numpy() / scale).astype(np.float32)
    shifted = (best_bias.numpy() - folded @ mean).astype(np.float32)
    accuracy = accuracy_of(val.features @ folded.T + shifted, val.targets, task=task)
    return Probe(folded, shifted, l2, loss, accuracy, tuple(tried))


def _minimise(
    x: torch.Tensor,
    y: torch.Tensor,
    *,
    weight: torch.Tensor,
    bias: torch.Tensor,
    l2: float,
    balance: Balance | None,
) -> None:
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=60,
        history_size=10,
        tolerance_grad=1e-5,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )

    def closure() -> float:
        optimizer.zero_grad()
        value = mean_loss(torch.addmm(bias, x, weight.T), y, balance=balance) + 0.5 * l2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]


def mean_loss(logits: torch.Tensor, targets: torch.Tensor, *, balance: Balance | None = None) -> torch.Tensor:
    """Cross entropy for int64[N] targets; for float32[N, classes] binary cross entropy, summed over the labels.

    With a balance, cross entropy of logits plus its offsets, each image times the weight of its class; each label's
    term times what its presence or absence counts. The mean is over images: the weights of the training images
    have the mean 1.
    """
    given = Balance() if balance is None else balance
    weights, absent, offsets = (
        None if numbers is None else torch.tensor(numbers, dtype=logits.dtype, device=logits.device)
        for numbers in (given.weights, given.absent, given.offsets)
    )
    logits = logits if offsets is None else logits + offsets
    if targets.dtype == torch.int64:
        if weights is None:
            return torch.nn.functional.cross_entropy(logits, targets)
        return (torch.nn.functional.cross_entropy(logits, targets, reduction="none") * weights[targets]).mean()
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if weights is not None and absent is not None:
        losses = losses * (targets * weights + (1 - targets) * absent)
    return losses.sum(1).mean()


def accuracy_of(logits: NDArray[np.float32], targets: NDArray[np.int64] | NDArray[np.float32], *, task: Task) -> float:
    """Share of right answers, or of right labels in a multi-label task."""
    if task is Task.SINGLE_LABEL:
        return float((logits.argmax(1) == targets).mean())
    return float(((logits > 0) == (targets > 0.5)).mean())
