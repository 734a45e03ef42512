"""What an image counts in a loss where some classes are rarer than others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from zoo_plugins.option_checks import check_choice, check_range, no_effect

from zoo.contracts.balance import Balance
from zoo.contracts.data import Task
from zoo.contracts.training import Setting
from zoo.errors import UserError, ZooError

ClassWeight = Literal["none", "inverse", "effective"]

EFFECTIVE_BETA = 0.999
"""Of the values that Cui et al. tried (0.9, 0.99, 0.999, 0.9999) the one that suits classes of tens to thousands."""

MOST_RATIO = 50.0
"""A label's presence counts at most so many times what its absence does: below one image in fifty, the few images that
have it would outweigh all others in every batch that holds one."""


class WeightedLoss(nn.Module):
    """A loss that counts images by how common their class is among the training images.

    Attributes:
        balance: The weights, once `check` has seen the counts; None where none were asked for.
    """

    _weights: Tensor | None
    _absent: Tensor | None

    def __init__(self, class_weight: ClassWeight, beta: float | None) -> None:
        super().__init__()
        check_choice(class_weight, where="loss.class_weight", choices=("none", "inverse", "effective"))
        if beta is not None:
            _check_beta(beta, class_weight)
        self.class_weight, self.beta = class_weight, EFFECTIVE_BETA if beta is None else beta
        self.balance: Balance | None = None
        self.register_buffer("_weights", None, persistent=False)
        self.register_buffer("_absent", None, persistent=False)

    def check(self, setting: Setting) -> None:
        """Takes the weights from the counts of the training images.

        Raises:
            UserError: Weights were asked for, and all classes are equally common.
        """
        if self.class_weight == "none":
            return
        counts = counts_of(setting)
        if setting.task == Task.MULTI_LABEL:
            present, absent = label_weights(counts, setting.images, kind=self.class_weight, beta=self.beta)
            if np.allclose(present, 1, rtol=0, atol=1e-9) and np.allclose(absent, 1, rtol=0, atol=1e-9):
                raise self._idle("every label is on half of the training images")
            self._keep(present, absent)
            return
        if len(set(setting.class_counts)) == 1:
            raise self._idle(f"every class has {setting.class_counts[0]} training images")
        self._keep(class_weights(counts, kind=self.class_weight, beta=self.beta))

    def weigh(self, losses: Tensor, targets: Tensor) -> Tensor:
        """float32[B] losses, each times what its image counts: the weight of its class, mixed by its shares."""
        weights = self._ready(self._weights)
        if weights is None:
            return losses
        if not targets.is_floating_point():
            return losses * weights[targets]
        return losses * (targets.float() * weights).sum(dim=1)

    def weigh_labels(self, losses: Tensor, targets: Tensor) -> Tensor:
        """float32[B, K] losses of labels that stand alone, each times what its presence or absence counts."""
        present, absent = self._ready(self._weights), self._ready(self._absent)
        if present is None or absent is None:
            return losses
        return losses * (targets * present + (1 - targets) * absent)

    def _ready(self, weights: Tensor | None) -> Tensor | None:
        """The weights, or None where none were asked for."""
        if self.class_weight != "none" and weights is None:
            raise ZooError("a loss with class weights was used before it saw the counts of the training images")
        return weights

    def _keep(self, present: NDArray[np.float64], absent: NDArray[np.float64] | None = None) -> None:
        self._weights = torch.from_numpy(present).float()
        self._absent = None if absent is None else torch.from_numpy(absent).float()
        self.balance = Balance(
            weights=tuple(present.tolist()), absent=None if absent is None else tuple(absent.tolist())
        )

    def _idle(self, why: str) -> UserError:
        return no_effect(
            f"class_weight={self.class_weight}: {why}, so it",
            where="loss.class_weight",
            do="leave loss.class_weight out",
        )


def counts_of(setting: Setting) -> NDArray[np.float64]:
    """Training images of each class, float64[K].

    Raises:
        ZooError: The setting holds no counts.
    """
    if len(setting.class_counts) != setting.classes:
        raise ZooError(f"{len(setting.class_counts)} counts for {setting.classes} classes")
    return np.asarray(setting.class_counts, np.float64)


def class_weights(counts: NDArray[np.float64], *, kind: ClassWeight, beta: float) -> NDArray[np.float64]:
    """What an image of each class counts: w_k = v_k N / sum_j n_j v_j, so that the mean over the training images is 1.

    `inverse`: v_k = 1 / n_k, hence w_k = N / (K n_k). `effective`: v_k = 1 / E(n_k) with E from `effective_number`.

    Source: King and Zeng, "Logistic regression in rare events data" (2001), for `inverse`, as scikit-learn's
    `class_weight="balanced"`; arXiv:1901.05555 (Cui et al. 2019, equation 4) for `effective`. Deviation: they let the
    weights of the K classes sum to K; with one class of 1,000 and one of 10 images the loss, and with it the rate at
    which anything is learned, would then be 25 times smaller than without weights. A class without a training image
    is weighed as if it had one, for the validation images that it may have.

    Args:
        counts: float64[K].
        kind: `inverse` or `effective`.
        beta: Of `effective`, in (0, 1).
    """
    some = np.maximum(counts, 1)
    values = 1 / (some if kind == "inverse" else effective_number(some, beta))
    weights: NDArray[np.float64] = values * counts.sum() / (counts * values).sum()
    return weights


def label_weights(
    counts: NDArray[np.float64], images: int, *, kind: ClassWeight, beta: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What presence and absence of each label count in its own question, float64[K] each.

    With n_k images that have the label and m_k = N - n_k that have not: p_k = m_k / n_k (`inverse`), or
    E(m_k) / E(n_k) (`effective`), held within [1/50, 50]. Presence counts p_k c_k, absence c_k, with
    c_k = N / (p_k n_k + m_k), so that the mean over the images is 1 for every label. In p_k no count is below 1.

    Source: p_k is `pos_weight` of torch's BCEWithLogitsLoss, which has no c_k: there a rare label counts more than a
    common one.
    """
    others = images - counts
    some, rest = np.maximum(counts, 1), np.maximum(others, 1)
    if kind == "inverse":
        ratio = rest / some
    else:
        ratio = effective_number(rest, beta) / effective_number(some, beta)
    ratio = np.clip(ratio, 1 / MOST_RATIO, MOST_RATIO)
    absent = images / (ratio * counts + others)
    return ratio * absent, absent


def effective_number(counts: NDArray[np.float64] | Sequence[float], beta: float) -> NDArray[np.float64]:
    """E(n) = (1 - beta^n) / (1 - beta): n for beta towards 1, and 1 for beta towards 0.

    Source: arXiv:1901.05555 (Cui et al. 2019, proposition 1).
    """
    number: NDArray[np.float64] = -np.expm1(np.asarray(counts, np.float64) * np.log(beta)) / (1 - beta)
    return number


def _check_beta(beta: float, class_weight: ClassWeight) -> None:
    if class_weight != "effective":
        raise no_effect(
            f"beta={beta} with class_weight={class_weight}",
            where="loss.beta",
            do=["loss.class_weight=effective", "leave loss.beta out"],
        )
    if beta == 0:
        raise no_effect(
            "class_weight=effective with beta=0",
            where="loss.beta",
            do="raise loss.beta, or leave loss.class_weight out",
        )
    check_range(beta, where="loss.beta", low=0, high=1, above=True, below=True)
