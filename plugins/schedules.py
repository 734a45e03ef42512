"""Hook module of the built-in learning-rate schedules. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register

CURVES = "zoo_plugins.schedule_curves"


@hookimpl
def register_schedules(register: Register) -> None:
    """Offers the schedules of the textbook, from constant to one-cycle and plateau."""
    register(
        "constant",
        f"{CURVES}:Constant",
        summary="The full rate throughout",
        source="Robbins and Monro 1951, A stochastic approximation method, with a constant step",
    )
    register(
        "linear",
        f"{CURVES}:Linear",
        summary="Falls evenly to the end",
        source="arXiv:1810.04805 (Devlin et al. 2018, appendix A.2)",
    )
    register(
        "step",
        f"{CURVES}:Step",
        summary="Falls by a factor at chosen points",
        source="arXiv:1512.03385 (He et al. 2015, section 3.4)",
    )
    register(
        "piecewise",
        f"{CURVES}:Piecewise",
        summary="A staircase of any heights",
        source="Geron 2022, Hands-on machine learning, chapter 11; Keras' PiecewiseConstantDecay",
    )
    register(
        "exponential",
        f"{CURVES}:Exponential",
        summary="Falls by the same ratio at every step",
        source="Geron 2022, Hands-on machine learning, chapter 11; torch.optim.lr_scheduler.ExponentialLR",
    )
    register(
        "power",
        f"{CURVES}:Power",
        summary="Falls as one over a power of time, ever more slowly",
        source="Robbins and Monro 1951, A stochastic approximation method",
    )
    register(
        "cosine",
        f"{CURVES}:Cosine",
        summary="Falls along half a cosine",
        source="arXiv:1608.03983 (Loshchilov and Hutter 2016), without restarts",
    )
    register(
        "one_cycle",
        f"{CURVES}:OneCycle",
        summary="Rises to the full rate, then falls far below the start, while the momentum does the opposite",
        source="arXiv:1708.07120 (Smith and Topin 2017), in fastai's two-phase form",
    )
    register(
        "plateau",
        f"{CURVES}:Plateau",
        summary="Falls by a factor when the validation loss no longer does",
        source="torch.optim.lr_scheduler.ReduceLROnPlateau",
    )
