"""Regularizers that act around the optimizer's step: gradient clipping."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from zoo_plugins.option_checks import check_range

from zoo.contracts.training import Moment


class GradientClipping:
    """Scales all gradients by min(1, max_norm / |g|), |g| the Euclidean norm of all of them together.

    Source: arXiv:1211.5063 (Pascanu et al. 2012, algorithm 1).

    Args:
        max_norm: Largest norm, above 0.
    """

    def __init__(self, *, max_norm: float = 1.0) -> None:
        check_range(max_norm, where="regularizers.gradient_clipping.max_norm", low=0, high=float("inf"), above=True)
        self.max_norm = max_norm

    def change_gradients(self, parameters: Sequence[nn.Parameter], moment: Moment) -> None:
        """Scales the gradients in place."""
        nn.utils.clip_grad_norm_(parameters, self.max_norm)
