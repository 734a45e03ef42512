"""Regularizers that act around the optimizer's step: gradient clipping, gradient noise, max-norm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from zoo_plugins.option_checks import check_range, no_effect
from zoo_plugins.regularizing.parts import unit_kernels

from zoo.contracts.model import Model
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


class GradientNoise:
    """Adds normal noise to every gradient, less with every step: N(0, eta / (1 + t)^gamma) at step t = 0, 1, ...

    The draws depend on the seed and the step alone, and are the same in all processes, which keeps their weights equal.

    Source: arXiv:1511.06807 (Neelakantan et al. 2015, section 3). The paper chooses eta among 0.01, 0.3 and 1 for
    networks that start from random values; the default is far smaller, because the noise reaches every weight alike and
    a fine-tuned network's gradients are small (benchmarks/results/regularizers.json shows what it does).

    Args:
        eta: Variance at the first step, above 0.
        gamma: How fast it falls, 0 or more; 0 keeps it constant.
    """

    def __init__(self, *, eta: float = 1e-6, gamma: float = 0.55) -> None:
        where = "regularizers.gradient_noise"
        if eta == 0:
            raise no_effect("gradient noise with eta=0", where=f"{where}.eta", do="raise eta, or leave it out")
        check_range(eta, where=f"{where}.eta", low=0, high=float("inf"), above=True)
        check_range(gamma, where=f"{where}.gamma", low=0, high=float("inf"))
        self.eta, self.gamma = eta, gamma

    @torch.no_grad()
    def change_gradients(self, parameters: Sequence[nn.Parameter], moment: Moment) -> None:
        """Adds the noise in place."""
        deviation = (self.eta / (1 + moment.step) ** self.gamma) ** 0.5
        for parameter in parameters:
            if parameter.grad is not None:
                noise = torch.randn(parameter.shape, generator=moment.generator)
                parameter.grad.add_(noise.to(parameter.grad), alpha=deviation)


class MaxNorm:
    """Shortens the incoming weights of each output unit to a largest Euclidean norm, after every step.

    w' = w * min(1, max_norm / |w|) for each row w of a linear layer and each kernel w of a convolution; biases, norms,
    tables and transposed convolutions are left alone. Weights that start longer are shortened at the first step.

    Source: Srebro, Rennie and Jaakkola 2005, Maximum-margin matrix factorization; for networks Srivastava et al. 2014,
    Dropout (section 5.1). The same as `keras.constraints.MaxNorm` with every axis but that of the outputs.

    Args:
        max_norm: Largest norm, above 0; the usual values are 3 to 4.
    """

    def __init__(self, *, max_norm: float = 3.0) -> None:
        check_range(max_norm, where="regularizers.max_norm.max_norm", low=0, high=float("inf"), above=True)
        self.max_norm = max_norm

    def change_model(self, model: Model) -> None:
        """Nothing changes yet.

        Raises:
            UserError: No linear layer or convolution is trained.
        """
        if next(unit_kernels(model.module), None) is None:
            raise no_effect(
                f"max_norm on {model.spec.name}, no linear layer or convolution of which is trained,",
                where="regularizers.max_norm",
                do="leave max_norm out",
            )

    @torch.no_grad()
    def after_step(self, model: Model, moment: Moment) -> None:
        """Shortens the weights in place."""
        for weight in unit_kernels(model.module):
            weight.renorm_(p=2, dim=0, maxnorm=self.max_norm)
