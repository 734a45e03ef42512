"""Builders of torch's own optimizers: plain named options, torch's classes and formulas.

All take parameter groups, each of which may have an `lr` of its own; `lr` is the rate of the groups without one.
Bad values are refused in torch's words. Torch chooses its own fast path (`foreach`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer
from zoo_plugins.option_checks import check_range, no_effect

from zoo.errors import UserError

Params = Iterable[torch.Tensor] | Iterable[dict[str, Any]]


def sgd(
    params: Params, *, lr: float, momentum: float = 0.9, nesterov: bool = True, weight_decay: float = 0.0
) -> Optimizer:
    """Stochastic gradient descent: v = m * v + g; w = w - lr * (g + m * v) with Nesterov's momentum, else lr * v.

    Source: Sutskever et al. 2013, in torch's form (the rate multiplies v, not g alone).

    Args:
        params: Parameter groups.
        lr: Learning rate, above 0.
        momentum: Share m of the last step that is kept, in [0, 1).
        nesterov: Look ahead along the momentum.
        weight_decay: Added to the gradient as weight_decay * w.

    Raises:
        UserError: A value out of range, or Nesterov's momentum with momentum 0.
    """
    check_range(momentum, where="optimizer.momentum", low=0, high=1, below=True)
    if nesterov and momentum == 0:
        raise no_effect(
            "nesterov=True with momentum=0",
            where="optimizer.nesterov",
            do=["set optimizer.nesterov=false", "raise optimizer.momentum"],
        )
    return construct(torch.optim.SGD, params, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)


def adam(
    params: Params,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> Optimizer:
    """Adam: w = w - lr * m / (sqrt(v) + eps), m and v the bias-corrected means of g and g^2.

    Source: arXiv:1412.6980 (Kingma and Ba 2014, algorithm 1).

    Args:
        params: Parameter groups.
        lr: Learning rate, above 0.
        betas: Decays of the two running means, each in [0, 1).
        eps: Added to the denominator.
        weight_decay: Added to the gradient as weight_decay * w, so that it is rescaled with it (see adamw).
        amsgrad: Divide by the largest v so far (arXiv:1904.09237).
    """
    return construct(
        torch.optim.Adam, params, lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
    )


def adamw(
    params: Params,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    amsgrad: bool = False,
) -> Optimizer:
    """AdamW: first w = w - lr * weight_decay * w, then Adam's step.

    Source: arXiv:1711.05101 (Loshchilov and Hutter 2017, algorithm 2), with the decay multiplied by the rate.

    Args:
        params: Parameter groups.
        lr: Learning rate, above 0.
        betas: Decays of the two running means, each in [0, 1).
        eps: Added to the denominator.
        weight_decay: Share of each weight that is taken away a step, times lr.
        amsgrad: Divide by the largest v so far (arXiv:1904.09237).
    """
    return construct(
        torch.optim.AdamW, params, lr=lr, betas=tuple(betas), eps=eps, weight_decay=weight_decay, amsgrad=amsgrad
    )


def nadam(
    params: Params,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
) -> Optimizer:
    """NAdam: Adam whose first moment looks one step ahead, with a momentum that rises over the steps.

    Source: Dozat 2016, Incorporating Nesterov momentum into Adam.

    Args:
        params: Parameter groups.
        lr: Learning rate, above 0.
        betas: Decays of the two running means, each in [0, 1).
        eps: Added to the denominator.
        weight_decay: Weight decay.
        momentum_decay: How slowly the momentum rises: beta1 * (1 - 0.5 * 0.96^(t * momentum_decay)).
        decoupled_weight_decay: Decay as in AdamW; acts with a weight_decay above 0 only.
    """
    if decoupled_weight_decay and weight_decay == 0:
        raise no_effect(
            "decoupled_weight_decay=True with weight_decay=0",
            where="optimizer.decoupled_weight_decay",
            do=["raise optimizer.weight_decay", "leave optimizer.decoupled_weight_decay out"],
        )
    return construct(
        torch.optim.NAdam,
        params,
        lr=lr,
        betas=tuple(betas),
        eps=eps,
        weight_decay=weight_decay,
        momentum_decay=momentum_decay,
        decoupled_weight_decay=decoupled_weight_decay,
    )


def rmsprop(
    params: Params,
    *,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
    weight_decay: float = 0.0,
) -> Optimizer:
    """RMSprop: v = alpha * v + (1 - alpha) * g^2; w = w - lr * g / (sqrt(v) + eps).

    Source: Tieleman and Hinton 2012, Lecture 6.5.

    Args:
        params: Parameter groups.
        lr: Learning rate, above 0.
        alpha: Decay of the running mean of squares, in [0, 1).
        eps: Added to the denominator.
        momentum: Momentum on the scaled step.
        centered: Divide by the standard deviation (arXiv:1308.0850) and not by the root mean square.
        weight_decay: Added to the gradient as weight_decay * w.
    """
    return construct(
        torch.optim.RMSprop,
        params,
        lr=lr,
        alpha=alpha,
        eps=eps,
        momentum=momentum,
        centered=centered,
        weight_decay=weight_decay,
    )


def adagrad(
    params: Params, *, lr: float, lr_decay: float = 0.0, eps: float = 1e-10, weight_decay: float = 0.0
) -> Optimizer:
    """Adagrad: s = s + g^2; w = w - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps).

    Source: Duchi et al. 2011, Adaptive subgradient methods for online learning and stochastic optimization.

    Args:
        params: Parameter groups.
        lr: Learning rate, above 0.
        lr_decay: Shrinks the rate with the number t of steps.
        eps: Added to the denominator.
        weight_decay: Added to the gradient as weight_decay * w.
    """
    return construct(torch.optim.Adagrad, params, lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay)


def construct(optimizer: Callable[..., Optimizer], params: Params, *, lr: float, **options: Any) -> Optimizer:
    """Builds an optimizer; what it says of a bad value becomes an error of the user's.

    Raises:
        UserError: A value is out of the range that the optimizer allows.
    """
    check_range(lr, where="optimizer.lr", low=0, high=float("inf"), above=True)
    groups = list(params)
    try:
        return optimizer(groups, lr=lr, **options)
    except ValueError as error:
        if not groups:
            raise
        given = ", ".join(f"{name}={value}" for name, value in {"lr": lr, **options}.items())
        raise UserError(str(error), where=f"optimizer ({given})", do="correct the option that is named") from error
