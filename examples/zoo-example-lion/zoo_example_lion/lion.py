"""Lion: evolved sign momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

Decay = Annotated[float, Ge(0), Lt(1)]


class Lion(Optimizer):
    """Steps of one size for all weights: the sign of a mixture of momentum and gradient.

    With the gradient g and the momentum m, which starts at 0, a step is

        c = beta1 * m + (1 - beta1) * g
        w = w - lr * (sign(c) + weight_decay * w)
        m = beta2 * m + (1 - beta2) * g

    A step has the size `lr` whatever the gradient's, so rates are 3 to 10 times smaller than AdamW's, and the weight
    decay, which `lr` multiplies, is larger by the same factor (section 5 of the paper).

    Source: arXiv:2302.06675 (Chen et al. 2023, Symbolic Discovery of Optimization Algorithms), algorithm 2.

    Args:
        params: Parameters or parameter groups, each of which may have its own `lr`, `betas` and `weight_decay`.
        lr: Learning rate, above 0.
        betas: Shares of the momentum that are kept: in the direction of the step, and from step to step; in [0, 1).
        weight_decay: Share of each weight that is taken away a step, times `lr`; 0 or more.
    """

    def __init__(
        self,
        params: ParamsT,
        *,
        lr: Annotated[float, Gt(0)],
        betas: tuple[Decay, Decay] = (0.9, 0.99),
        weight_decay: Annotated[float, Ge(0)] = 0.05,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Moves all weights that have a gradient; returns what the closure returns, or None."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            (beta1, beta2), lr, weight_decay = group["betas"], group["lr"], group["weight_decay"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:  # what stands in `state` is saved in checkpoints and comes back when a run is resumed
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"]
                direction = momentum.lerp(weight.grad, 1 - beta1).sign_()
                weight.mul_(1 - lr * weight_decay).sub_(direction, alpha=lr)
                momentum.lerp_(weight.grad, 1 - beta2)
        return loss
