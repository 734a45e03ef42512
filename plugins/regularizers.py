"""Hook module of the built-in regularizers. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register

HOME = "zoo_plugins.regularizing"


@hookimpl
def register_regularizers(register: Register) -> None:
    """Offers dropout, L1, L2, label smoothing, mixup, gradient clipping and a moving average."""
    register(
        "dropout",
        f"{HOME}.network:Dropout",
        summary="Sets random features to zero before the head",
        source="arXiv:1207.0580 (Hinton et al. 2012)",
    )
    register(
        "l1",
        f"{HOME}.penalties:L1",
        summary="Adds the absolute values of kernels, biases or features to the loss",
        source="Tibshirani 1996, Regression shrinkage and selection via the lasso",
    )
    register(
        "l2",
        f"{HOME}.penalties:L2",
        summary="Adds the squares of kernels, biases or features to the loss",
        source="Krogh and Hertz 1991, A simple weight decay can improve generalization",
    )
    register(
        "label_smoothing",
        f"{HOME}.batches:LabelSmoothing",
        summary="Spreads a share of each label over all classes",
        source="arXiv:1512.00567 (Szegedy et al. 2015)",
    )
    register(
        "mixup",
        f"{HOME}.batches:Mixup",
        summary="Blends pairs of images and their labels",
        source="arXiv:1710.09412 (Zhang et al. 2017)",
    )
    register(
        "gradient_clipping",
        f"{HOME}.steps:GradientClipping",
        summary="Shortens the gradient to a largest norm",
        source="arXiv:1211.5063 (Pascanu et al. 2012)",
    )
    register(
        "ema",
        f"{HOME}.averages:EMA",
        summary="Keeps and validates an exponential moving average of the weights",
        source="Polyak and Juditsky 1992, Acceleration of stochastic approximation by averaging",
    )
