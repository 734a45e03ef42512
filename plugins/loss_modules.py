"""The built-in losses. Each maps logits float[B, K] and targets to float32[B], one loss an image.

Targets are class numbers int64[B] or shares float[B, K]: soft targets that sum to 1 in a single-label task, any
number of ones in a multi-label task. All is computed in float32, whatever the precision of the network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from zoo_plugins.option_checks import check_range, no_effect

from zoo.contracts.data import Task
from zoo.contracts.training import Setting

LIN_ALPHA = 0.25
"""The best alpha beside gamma = 2 in Lin et al. 2017, table 1b."""


class CrossEntropy(nn.Module):
    """L = -sum_k t_k log softmax(z)_k, with t the one-hot or soft target.

    Source: Bridle 1990.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each image.

        Args:
            logits: float[B, K].
            targets: int64[B] or float[B, K].

        Returns:
            float32[B].
        """
        shares = targets.float() if targets.is_floating_point() else targets
        return functional.cross_entropy(logits.float(), shares, reduction="none")


class BinaryCrossEntropy(nn.Module):
    """L = -mean_k [t_k log s(z_k) + (1 - t_k) log(1 - s(z_k))], s the sigmoid; class numbers become one-hot.

    Source: arXiv:2110.00476 (Wightman et al. 2021) for one label an image. The mean over the K classes is torch's
    and timm's: its gradient is K times smaller than the sum's.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each image; see `CrossEntropy.forward`."""
        shares = _one_hot(targets, logits.shape[1])
        return functional.binary_cross_entropy_with_logits(logits.float(), shares, reduction="none").mean(dim=1)


class Focal(nn.Module):
    """Cross entropy times (1 - p)^gamma, p the probability given to the truth, so that sure images count less.

    Class numbers int64[B] (one label an image): L = -(1 - p_y)^gamma log p_y with p = softmax(z).
    Shares float[B, K] (multi-label): L = -mean_k a_k (1 - q_k)^gamma log q_k, with q_k = s(z_k) and a_k = alpha where
    the label is set, q_k = 1 - s(z_k) and a_k = 1 - alpha where it is not. A share t between 0 and 1 is read as
    torchvision's sigmoid_focal_loss does: the binary cross entropy with t, times (1 - [t s + (1 - t)(1 - s)])^gamma,
    times alpha t + (1 - alpha)(1 - t).

    Source: arXiv:1708.02002 (Lin et al. 2017, equation 5). There the sum is divided by the number of objects; here
    the K labels are averaged, as in binary cross entropy. Because shares always mean labels that stand alone, soft
    targets of a single-label task (mixup, label smoothing) cannot be used with it.

    Args:
        gamma: How strongly sure answers are played down, above 0; 0 would be plain cross entropy.
        alpha: Weight in (0, 1) of the labels that are set, in a multi-label task only. None: 0.25, the paper's.
    """

    def __init__(self, *, gamma: float = 2.0, alpha: float | None = None) -> None:
        super().__init__()
        if gamma == 0:
            raise no_effect(
                "the focusing of focal with gamma=0",
                where="loss.gamma",
                do=["raise loss.gamma", "use loss=cross_entropy or loss=binary_cross_entropy"],
            )
        check_range(gamma, where="loss.gamma", low=0, high=float("inf"), above=True)
        if alpha is not None:
            check_range(alpha, where="loss.alpha", low=0, high=1, above=True, below=True)
        self.gamma, self.alpha = gamma, alpha

    def check(self, setting: Setting) -> None:
        """Refuses an `alpha` where it would only scale the whole loss.

        Raises:
            UserError: `alpha` was given, and each image has one label.
        """
        if setting.task == Task.SINGLE_LABEL:
            self._refuse_alpha()

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each image; see `CrossEntropy.forward`."""
        if targets.is_floating_point():
            return self._many_labels(logits.float(), targets.float())
        return self._one_label(logits.float(), targets)

    def _refuse_alpha(self) -> None:
        if self.alpha is not None:
            raise no_effect(
                f"alpha={self.alpha} of focal with one label an image",
                where="loss.alpha",
                do=["leave loss.alpha out", "use loss=binary_cross_entropy"],
            )

    def _one_label(self, logits: Tensor, targets: Tensor) -> Tensor:
        self._refuse_alpha()
        log_right = -functional.cross_entropy(logits, targets, reduction="none")
        # log(1 - p) from the other classes' logits: 1 - p itself is 0 for sure images, and the gradient of
        # 0^gamma is infinite for gamma < 1.
        others = logits.scatter(1, targets[:, None], float("-inf"))
        log_wrong = torch.logsumexp(others, dim=1) - torch.logsumexp(logits, dim=1)
        return -torch.exp(self.gamma * log_wrong) * log_right

    def _many_labels(self, logits: Tensor, shares: Tensor) -> Tensor:
        entropy = functional.binary_cross_entropy_with_logits(logits, shares, reduction="none")
        log_wrong = torch.logaddexp(
            functional.logsigmoid(logits) + torch.log1p(-shares), functional.logsigmoid(-logits) + torch.log(shares)
        )
        alpha = LIN_ALPHA if self.alpha is None else self.alpha
        weight = alpha * shares + (1 - alpha) * (1 - shares)
        return (weight * torch.exp(self.gamma * log_wrong) * entropy).mean(dim=1)


def _one_hot(targets: Tensor, classes: int) -> Tensor:
    """Class numbers int64[B] as float32[B, classes]; shares pass through in float32."""
    if targets.is_floating_point():
        return targets.float()
    return functional.one_hot(targets, classes).float()
