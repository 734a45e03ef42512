"""Hook module of torch's own optimizers. Imports nothing heavy.

The fact `lr` is the rate that suits fine-tuning a whole pretrained network at batch 32. The numbers were tried as
`timm_optimizer_provider.FAMILIES` says: with a fresh head, SGD from 0.01 on and Adagrad from 0.002 on broke an
EfficientNet for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register

BUILDERS = "zoo_plugins.torch_optimizers"


@hookimpl
def register_optimizers(register: Register) -> None:
    """Offers SGD, Adam, AdamW, NAdam, RMSprop and Adagrad."""
    register(
        "sgd",
        f"{BUILDERS}:sgd",
        summary="Stochastic gradient descent with momentum, Nesterov's by default",
        source="Sutskever et al. 2013, On the importance of initialization and momentum in deep learning",
        lr=3e-3,
    )
    register(
        "adam",
        f"{BUILDERS}:adam",
        summary="Step sizes from running moments of the gradient",
        source="arXiv:1412.6980 (Kingma and Ba 2014)",
        lr=5e-4,
    )
    register(
        "adamw",
        f"{BUILDERS}:adamw",
        summary="Adam with weight decay apart from the gradient",
        source="arXiv:1711.05101 (Loshchilov and Hutter 2017)",
        lr=5e-4,
    )
    register(
        "nadam",
        f"{BUILDERS}:nadam",
        summary="Adam with Nesterov's momentum",
        source="Dozat 2016, Incorporating Nesterov momentum into Adam",
        lr=5e-4,
    )
    register(
        "rmsprop",
        f"{BUILDERS}:rmsprop",
        summary="Step sizes from a running mean of squared gradients",
        source="Tieleman and Hinton 2012, Lecture 6.5 of Neural networks for machine learning",
        lr=1e-4,
    )
    register(
        "adagrad",
        f"{BUILDERS}:adagrad",
        summary="Step sizes from the sum of all squared gradients so far",
        source="Duchi et al. 2011, Adaptive subgradient methods",
        lr=5e-4,
    )
