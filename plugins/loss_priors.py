"""A loss that knows how common each class is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from zoo_plugins.loss_weights import counts_of
from zoo_plugins.option_checks import check_range, no_effect

from zoo.contracts.balance import Balance
from zoo.contracts.training import Setting
from zoo.errors import ZooError


class LogitAdjusted(nn.Module):
    """L = -sum_k t_k log softmax(z + tau log q)_k, with q_k = n_k / N the share of class k in the training images.

    The prior is added while training only: the network learns what speaks for a class beyond its being common, and it
    answers with the plain logits z, which with tau = 1 are those of a world in which all classes are equally common.
    So is its confidence. The loss on validation images is this same adjusted one; the scores are of the plain answers.
    With tau = 1 it is the balanced softmax of Ren et al., arXiv:2007.10740.

    Source: arXiv:2007.07314 (Menon et al. 2020, equation 10). A class without a training image counts as one image.

    Args:
        tau: How strongly the prior is taken out, above 0; 0 would be plain cross entropy.
    """

    _offsets: Tensor | None

    def __init__(self, *, tau: float = 1.0) -> None:
        super().__init__()
        if tau == 0:
            raise no_effect(
                "logit_adjusted with tau=0", where="loss.tau", do=["raise loss.tau", "use loss=cross_entropy"]
            )
        check_range(tau, where="loss.tau", low=0, high=float("inf"), above=True)
        self.tau = tau
        self.balance: Balance | None = None
        self.register_buffer("_offsets", None, persistent=False)

    def check(self, setting: Setting) -> None:
        """Takes the prior from the counts of the training images.

        Raises:
            UserError: All classes are equally common.
        """
        counts = counts_of(setting)
        if len(set(setting.class_counts)) == 1:
            raise no_effect(
                f"logit_adjusted: every class has {setting.class_counts[0]} training images, so it",
                where="loss",
                do="use loss=cross_entropy",
            )
        offsets = self.tau * np.log(np.maximum(counts, 1) / counts.sum())
        self._offsets = torch.from_numpy(offsets).float()
        self.balance = Balance(offsets=tuple(offsets.tolist()))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each image.

        Args:
            logits: float[B, K], as the network gives them.
            targets: int64[B] or float[B, K].

        Returns:
            float32[B].
        """
        if self._offsets is None:
            raise ZooError("logit_adjusted was used before it saw the counts of the training images")
        shares = targets.float() if targets.is_floating_point() else targets
        return functional.cross_entropy(logits.float() + self._offsets, shares, reduction="none")
