"""Sharpness-aware minimization: the gradient is taken where the loss is worst nearby."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from zoo_plugins.option_checks import check_range, no_effect


class SAM:
    """Takes each step's gradient at w + e(w), the worst point within `rho` to first order, and applies it at w.

    e(w) = rho * g / |g|, g the gradient of loss and penalties at w, all parameters together. With `adaptive` (ASAM):
    e(w) = rho * w^2 * g / | |w| * g |, which does not depend on the scale of the weights. Each step costs two passes.

    Source: arXiv:2010.01412 (Foret et al. 2021, algorithm 1); adaptive: arXiv:2102.11600 (Kwon et al. 2021), without
    its eta. With several processes the gradient is that of the whole batch (the paper's of each device's part).

    Args:
        rho: Radius, above 0; about ten times as large with `adaptive`.
        adaptive: Measure the radius relative to the weights.
    """

    def __init__(self, *, rho: float = 0.05, adaptive: bool = False) -> None:
        where = "regularizers.sam.rho"
        if rho == 0:
            raise no_effect("sam with rho=0", where=where, do="raise rho, or leave sam out")
        check_range(rho, where=where, low=0, high=float("inf"), above=True)
        self.rho, self.adaptive = rho, adaptive
        self._own: list[Tensor | None] = []

    @torch.no_grad()
    def look_ahead(self, parameters: Sequence[nn.Parameter]) -> None:
        """Moves the weights by e(w), in place; a gradient of zero moves nothing."""
        moved = [(p, p.grad) for p in parameters if p.grad is not None]
        scaled = [self._scale(p) * gradient for p, gradient in moved]
        norm = torch.stack([values.float().norm() for values in scaled]).norm().clamp_min(1e-12)
        self._own = [None if p.grad is None else p.detach().clone() for p in parameters]
        for (parameter, _), values in zip(moved, scaled, strict=True):
            parameter.add_(self._scale(parameter) * values * (self.rho / norm))

    @torch.no_grad()
    def step_back(self, parameters: Sequence[nn.Parameter]) -> None:
        """The weights as they were, to the bit; the gradients of the second pass stay."""
        for parameter, own in zip(parameters, self._own, strict=True):
            if own is not None:
                parameter.copy_(own)
        self._own = []

    def _scale(self, parameter: nn.Parameter) -> Tensor | float:
        return parameter.abs() if self.adaptive else 1.0
