"""The built-in losses. Each maps logits float[B, K] and targets to float32[B], one loss an image.

Targets are class numbers int64[B] or shares float[B, K]: soft targets that sum to 1 in a single-label task, any
number of ones in a multi-label task. All is computed in float32, whatever the precision of the network.

With class weights an image with soft targets counts sum_k t_k w_k, and its target stays what it is. torch's `weight`
multiplies inside the sum over the classes instead: label smoothing would then ask for the rare classes in every image.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from zoo_plugins.loss_weights import ClassWeight, WeightedLoss
from zoo_plugins.option_checks import check_range, no_effect

from zoo.contracts.data import Task
from zoo.contracts.training import Setting
from zoo.errors import UserError

LIN_ALPHA = 0.25
"""The best alpha beside gamma = 2 in Lin et al. 2017, table 1b."""


class CrossEntropy(WeightedLoss):
    """L = -w sum_k t_k log softmax(z)_k, with t the one-hot or soft target and w what the image counts, 1 by default.

    Source: Bridle 1990; for the weights see `class_weight`.

    Args:
        class_weight: Count images of rare classes more: `inverse` to the number of training images, or to their
            `effective` number (Cui et al. 2019, arXiv:1901.05555), which grows slower; the mean weight is 1.
        beta: Of `effective`, in (0, 1): towards 1 the weights become those of `inverse`, towards 0 even. None: 0.999.
    """

    def __init__(self, *, class_weight: ClassWeight = "none", beta: float | None = None) -> None:
        super().__init__(class_weight, beta)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each image.

        Args:
            logits: float[B, K].
            targets: int64[B] or float[B, K].

        Returns:
            float32[B].
        """
        shares = targets.float() if targets.is_floating_point() else targets
        return self.weigh(functional.cross_entropy(logits.float(), shares, reduction="none"), targets)


class BinaryCrossEntropy(WeightedLoss):
    """L = -mean_k [t_k log s(z_k) + (1 - t_k) log(1 - s(z_k))], s the sigmoid; class numbers become one-hot.

    With class weights and one label an image, L is multiplied by what the image counts. With any number of labels,
    each label is a question of its own, whose two answers are evened out: its term is multiplied by
    t_k a_k + (1 - t_k) b_k, where a_k / b_k is the number of training images without the label over that with it
    (within [1/50, 50]), and the mean over the training images is 1.

    Source: arXiv:2110.00476 (Wightman et al. 2021) for one label an image. The mean over the K classes is torch's
    and timm's: its gradient is K times smaller than the sum's. For the weights see `class_weight`.

    Args:
        class_weight: Count what is rare more: `inverse` to the number of training images, or to their `effective`
            number (Cui et al. 2019, arXiv:1901.05555), which grows slower; the mean weight is 1.
        beta: Of `effective`, in (0, 1): towards 1 the weights become those of `inverse`, towards 0 even. None: 0.999.
    """

    def __init__(self, *, class_weight: ClassWeight = "none", beta: float | None = None) -> None:
        super().__init__(class_weight, beta)
        self._many = False

    def check(self, setting: Setting) -> None:
        """Takes the weights from the counts of the training images.

        Raises:
            UserError: Weights were asked for, and all classes are equally common.
        """
        super().check(setting)
        self._many = setting.task == Task.MULTI_LABEL

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each image; see `CrossEntropy.forward`."""
        shares = _one_hot(targets, logits.shape[1])
        losses = functional.binary_cross_entropy_with_logits(logits.float(), shares, reduction="none")
        if self._many:
            return self.weigh_labels(losses, shares).mean(dim=1)
        return self.weigh(losses.mean(dim=1), targets)


class Focal(WeightedLoss):
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
        class_weight: With one label an image, count images of rare classes more: `inverse` to the number of training
            images, or to their `effective` number (Cui et al. 2019, arXiv:1901.05555); the mean weight is 1.
        beta: Of `effective`, in (0, 1): towards 1 the weights become those of `inverse`, towards 0 even. None: 0.999.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: float | None = None,
        class_weight: ClassWeight = "none",
        beta: float | None = None,
    ) -> None:
        super().__init__(class_weight, beta)
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
        """Refuses an `alpha` where it would only scale the whole loss; takes the weights from the training images.

        Raises:
            UserError: `alpha` was given, and each image has one label; class weights were asked for, and all classes
                are equally common, or an image has any number of labels.
        """
        if setting.task == Task.SINGLE_LABEL:
            self._refuse_alpha()
        elif self.class_weight != "none":
            raise UserError(
                f"class_weight={self.class_weight} is not defined for focal with any number of labels an image: there "
                f"alpha weighs the labels that are set",
                where="loss.class_weight",
                do=["loss.alpha=0.75 in its place", "loss=binary_cross_entropy, which weighs each label"],
            )
        super().check(setting)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each image; see `CrossEntropy.forward`."""
        if targets.is_floating_point():
            return self._many_labels(logits.float(), targets.float())
        return self.weigh(self._one_label(logits.float(), targets), targets)

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
