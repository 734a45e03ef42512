"""How far a network's confidence can be believed, and the one number that mends most of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.contracts.data import Task
from zoo.contracts.evaluation import Outputs
from zoo.errors import ZooError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOWEST, HIGHEST = 0.02, 50.0
"""Range of temperatures that are looked at."""

_HALVINGS = 40


@dataclass(frozen=True)
class Reliability:
    """Confidence against how often it was right, in bins of equal width over [0, 1]; a bin (low, high] may be empty.

    In a single-label task each image counts once, with the probability of its best class; in a multi-label task each
    label of each image counts, with the label's probability and whether the image has it.

    Attributes:
        edges: float64[bins + 1], from 0 to 1.
        count: int64[bins].
        confidence: float64[bins] mean probability; NaN in an empty bin.
        accuracy: float64[bins] share of right ones; NaN in an empty bin.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error in [0, 1]: sum over bins of count / N |accuracy - confidence|.

        Source: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning" (2015).
        """
        full = self.count > 0
        gaps = np.abs(self.accuracy[full] - self.confidence[full])
        return float((self.count[full] * gaps).sum() / self.count.sum())


@dataclass(frozen=True)
class Calibration:
    """A fitted temperature, and what it changed on the images it was fitted on.

    Attributes:
        temperature: What logits are divided by; above 1 the network was too sure of itself.
        nll: Mean negative log likelihood, before and after.
        ece: Expected calibration error over 15 bins, before and after.
    """

    temperature: float
    nll: tuple[float, float]
    ece: tuple[float, float]


def calibrate(outputs: Outputs, *, task: Task) -> Calibration:
    """Fits the temperature on a validation split and says what it changes.

    Raises:
        ZooError: No images, or logits that are not finite.
    """
    temperature = fit_temperature(outputs, task=task)
    return Calibration(
        temperature=temperature,
        nll=(
            negative_log_likelihood(outputs, task=task, temperature=1.0),
            negative_log_likelihood(outputs, task=task, temperature=temperature),
        ),
        ece=(reliability(outputs, task=task).ece, reliability(outputs, task=task, temperature=temperature).ece),
    )


def fit_temperature(outputs: Outputs, *, task: Task) -> float:
    """The temperature T = 1 / b in [0.02, 50] with the least sum over images of -log softmax(b z)_y, + (b - 1)^2 / 2.

    In a multi-label task the sum runs over images and labels. It is convex in b, so the sign of its derivative,
    sum(E_p[z] - z_y) + b - 1, is followed by bisection.

    Source: Guo, Pleiss, Sun, Weinberger, "On calibration of modern neural networks" (2017), arXiv:1706.04599.
    Deviation: the last term, a normal prior on b with mean and deviation 1. It is worth half a nat in all, so some
    hundred images outweigh it; without it a split that is wholly right gives T = 0, every answer with confidence 1.

    Raises:
        ZooError: No images, or logits that are not finite.
    """
    logits = _finite(outputs)
    wanted = float((_one_hot(outputs) * logits).sum())
    low, high = math.log(1 / HIGHEST), math.log(1 / LOWEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        scale = math.exp(middle)
        expected = float((_probabilities(logits * scale, task) * logits).sum())
        if expected - wanted + scale - 1 > 0:
            high = middle
        else:
            low = middle
    return math.exp(-(low + high) / 2)


def reliability(outputs: Outputs, *, task: Task, temperature: float = 1.0, bins: int = 15) -> Reliability:
    """Confidence against accuracy of the given logits divided by `temperature`.

    Raises:
        ZooError: No images, or logits that are not finite.
    """
    logits = _finite(outputs)
    probabilities = _probabilities(logits / temperature, task)
    if task is Task.MULTI_LABEL:
        sure, right = probabilities.ravel(), outputs.targets.ravel() > 0.5
    else:
        sure, right = probabilities.max(axis=1), logits.argmax(axis=1) == outputs.targets
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins).astype(np.int64)
    full = np.maximum(count, 1)
    confidence = np.where(count > 0, np.bincount(place, sure, bins) / full, np.nan)
    accuracy = np.where(count > 0, np.bincount(place, right.astype(np.float64), bins) / full, np.nan)
    return Reliability(edges, count, confidence, accuracy)


def probabilities_of(outputs: Outputs, *, task: Task, temperature: float = 1.0) -> NDArray[np.float64]:
    """float64[N, classes] of the given logits divided by `temperature`: softmax over classes, or each label's sigmoid.

    Raises:
        ZooError: No images, or logits that are not finite.
    """
    return _probabilities(_finite(outputs) / temperature, task)


def negative_log_likelihood(outputs: Outputs, *, task: Task, temperature: float = 1.0) -> float:
    """Mean over images of -log softmax(z / T)_y; in a multi-label task the mean over images and labels.

    Raises:
        ZooError: No images, or logits that are not finite.
    """
    scaled = _finite(outputs) / temperature
    if task is Task.MULTI_LABEL:
        return float((np.logaddexp(0, scaled) - scaled * outputs.targets).mean())
    top = scaled.max(axis=1, keepdims=True)
    total = np.log(np.exp(scaled - top).sum(axis=1)) + top[:, 0]
    own = np.take_along_axis(scaled, outputs.targets[:, None].astype(np.int64), axis=1)[:, 0]
    return float((total - own).mean())


def _finite(outputs: Outputs) -> NDArray[np.float64]:
    logits = outputs.logits.astype(np.float64)
    if len(logits) == 0:
        raise ZooError("there are no images to calibrate on")
    if not np.isfinite(logits).all():
        raise ZooError("logits that are NaN or infinite cannot be calibrated")
    return logits


def _one_hot(outputs: Outputs) -> NDArray[np.float64]:
    """The targets as float64[N, classes] of 0 and 1."""
    if outputs.targets.ndim == 2:
        return outputs.targets.astype(np.float64)
    answer = np.zeros(outputs.logits.shape)
    answer[np.arange(len(answer)), outputs.targets.astype(np.int64)] = 1
    return answer


def _probabilities(scaled: NDArray[np.float64], task: Task) -> NDArray[np.float64]:
    """Softmax over classes, or the sigmoid of each label, without overflow."""
    if task is Task.MULTI_LABEL:
        answer: NDArray[np.float64] = np.exp(-np.logaddexp(0, -scaled))
        return answer
    shifted = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    softmax: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return softmax
