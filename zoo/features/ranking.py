"""How well features suit labels, without training a network: LogME, H-score, nearest neighbours.

All three are computed on frozen features of a few hundred or thousand images in about a second. They are hints beside
the cross-validated probe, which measures what a user wants to know.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from zoo.contracts.data import Task
from zoo.features.probe import Labelled

NEIGHBOURS = 5
MOST_QUERIES = 2000
"""Images whose neighbours are looked for; all others are still among those that may be found."""

_FIXED_POINT_STEPS = 100
_TIE_BREAK = 1e-6
_TINY = 1e-12


def log_evidence(data: Labelled, *, classes: int) -> float:
    """LogME: mean over the classes of the greatest log evidence per image of a Bayesian linear model.

    For each class, its 0/1 column y of N images is modelled as F w + noise with w ~ N(0, 1/alpha) and noise
    ~ N(0, 1/beta); alpha and beta maximise

        log p(y|F) = N/2 log beta + D/2 log alpha - N/2 log 2 pi
                     - beta/2 |F m - y|^2 - alpha/2 |m|^2 - 1/2 log det(alpha I + beta F'F)

    by the fixed-point iteration in t = alpha / beta on the singular values of F. Higher is better; there is no range.
    Labels of a multi-label task are the columns themselves.

    Source: You et al., "LogME" (arXiv:2102.11005); iteration of arXiv:2110.10545, algorithm 3. Differences: directions
        in which F has no extent are counted exactly (the published code leaves them out of the determinant when
        D > N), classes without an image here are left out, and the iteration ends at a change of 1e-5 in t.
    """
    features = data.features.astype(np.float64)
    columns = _columns(data.targets, classes)
    present = columns.any(axis=0)
    if not present.any():
        return math.nan
    left, sigma = _spectrum(features)
    projected = left.T @ columns[:, present]
    energy = np.square(columns[:, present]).sum(axis=0)
    found = [
        _greatest_evidence(np.square(projected[:, k]), sigma, energy=float(energy[k]), count=len(features))
        for k in range(projected.shape[1])
    ]
    return float(np.mean(found))


def _columns(targets: NDArray[np.int64] | NDArray[np.float32], classes: int) -> NDArray[np.float64]:
    """float64[N, classes] of 0 and 1."""
    if targets.ndim == 2:
        return targets.astype(np.float64)
    return np.eye(classes)[targets]


def _spectrum(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Left singular vectors float64[N, R] and squared singular values float64[R], of those that are not zero."""
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    kept = singular > singular.max(initial=0.0) * max(features.shape) * np.finfo(np.float64).eps
    return left[:, kept], np.square(singular[kept])


def _greatest_evidence(squares: NDArray[np.float64], sigma: NDArray[np.float64], *, energy: float, count: int) -> float:
    """Log evidence per image at its maximum over alpha and beta.

    Args:
        squares: Squared components of the targets along the left singular vectors.
        sigma: Squared singular values.
        energy: Sum of the squared targets.
        count: Number of images.
    """
    outside = max(energy - float(squares.sum()), 0.0)
    t = 1.0
    alpha = beta = 1.0
    for _ in range(_FIXED_POINT_STEPS):
        explained = float((sigma / (sigma + t)).sum())
        length = float((sigma * squares / np.square(sigma + t)).sum())
        residual = float((squares / np.square(1 + sigma / t)).sum()) + outside
        alpha = max(explained, _TINY) / max(length, _TINY)
        beta = max(count - explained, _TINY) / max(residual, _TINY)
        before, t = t, alpha / beta
        if abs(t - before) <= 1e-5 * before:
            break
    length = float((sigma * squares / np.square(sigma + t)).sum())
    residual = float((squares / np.square(1 + sigma / t)).sum()) + outside
    # det(alpha I + beta F'F) / alpha^D = prod(1 + sigma / t); directions without extent cancel against D/2 log alpha.
    evidence = (
        0.5 * count * math.log(beta / (2 * math.pi))
        - 0.5 * float(np.log1p(sigma / t).sum())
        - 0.5 * beta * residual
        - 0.5 * alpha * length
    )
    return evidence / count


def h_score(data: Labelled) -> float:
    """H-score with shrinkage: how much of the features' spread lies between the classes, in [0, classes - 1].

    H = (1 - a) tr(S_a^-1 B), with B the covariance of the class means (weighted by the classes' shares), and
    S_a = (1 - a) S + a tr(S)/D I the covariance of the features, shrunk by the strength a of Ledoit and Wolf. NaN in
    a multi-label task, where an image belongs to no one class.

    Source: Bao et al., "An information-theoretic approach to transferability" (ICIP 2019); shrinkage of Ibrahim et
        al. (arXiv:2110.06893), section 4.1.
    """
    if data.targets.ndim == 2:
        return math.nan
    from sklearn.covariance import ledoit_wolf

    features = data.features.astype(np.float64)
    features -= features.mean(axis=0)
    scale = float(features.std())
    if scale <= _TINY:
        return 0.0
    features /= scale
    covariance, shrinkage = ledoit_wolf(features, assume_centered=True)
    numbers, own, counts = np.unique(data.targets, return_inverse=True, return_counts=True)
    means = np.zeros((len(numbers), features.shape[1]))
    np.add.at(means, own, features)
    means /= counts[:, None]
    shares = counts / len(features)
    solved = _solved(covariance, means.T)
    return float((1 - shrinkage) * (shares * (means.T * solved).sum(axis=0)).sum())


def _solved(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """matrix^-1 right; by the pseudo-inverse where the matrix is singular, as it can be without shrinkage."""
    try:
        found = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        found = np.linalg.lstsq(matrix, right, rcond=None)[0]
    return found.astype(np.float64)


def neighbour_score(data: Labelled, *, task: Task, groups: NDArray[np.int64] | None = None) -> float:
    """Leave-one-out score of the five nearest neighbours by cosine: accuracy, or the mean F1 of an image's labels.

    The neighbours vote with equal weight; of classes with equal votes, the one whose voters are more similar wins. In
    a multi-label task a label is given that more than half of them have. Of more than 2,000 images, the first 2,000
    are asked (their order is drawn), and all serve as neighbours.

    Args:
        data: Features and targets.
        task: One label an image or several.
        groups: int64[N]; images of the image's own group (a patient, a video) are no neighbours. None: no groups.
    """
    length = np.linalg.norm(data.features, axis=1, keepdims=True)
    unit = data.features / np.maximum(length, _TINY)
    count = len(unit)
    columns = _columns(data.targets, int(data.targets.max()) + 1 if data.targets.ndim == 1 else data.targets.shape[1])
    own = np.arange(count) if groups is None else groups
    scores: list[NDArray[np.float64]] = []
    for start in range(0, min(count, MOST_QUERIES), 512):
        asked = slice(start, min(start + 512, count, MOST_QUERIES))
        similarity = unit[asked] @ unit.T
        similarity[own[asked, None] == own[None, :]] = -np.inf
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEIGHBOURS]
        near = np.take_along_axis(similarity, nearest, axis=1).astype(np.float64)
        weight = np.where(np.isfinite(near), 1 + _TIE_BREAK * np.nan_to_num(near, neginf=0.0), 0.0)
        votes = (weight[:, :, None] * columns[nearest]).sum(axis=1)
        if task is Task.SINGLE_LABEL:
            scores.append((votes.argmax(axis=1) == data.targets[asked]).astype(np.float64))
        else:
            scores.append(label_f1(votes > weight.sum(axis=1, keepdims=True) / 2, data.targets[asked] > 0.5))
    return float(np.concatenate(scores).mean())


def label_f1(given: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """F1 between the labels given to an image and its own, float64[N]; 1 where it has none and is given none.

    2 |given and true| / (|given| + |true|): unlike the share of right labels, it is not near 1 for an image with one
    of a hundred labels that is given none.
    """
    both = 2.0 * (given & truth).sum(axis=1)
    either = given.sum(axis=1) + truth.sum(axis=1)
    scores: NDArray[np.float64] = np.divide(both, either, out=np.ones(len(both)), where=either > 0)
    return scores
