"""Hook module of the built-in losses. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register

MODULES = "zoo_plugins.loss_modules"


@hookimpl
def register_losses(register: Register) -> None:
    """Offers cross entropy, binary cross entropy and focal loss."""
    register(
        "cross_entropy",
        f"{MODULES}:CrossEntropy",
        summary="Minus the log of the probability given to the right class; for one label an image",
        source="Bridle 1990, Training stochastic model recognition algorithms as networks",
        tasks=("single_label",),
        soft_targets=True,
    )
    register(
        "binary_cross_entropy",
        f"{MODULES}:BinaryCrossEntropy",
        summary="One yes-or-no question a class; for any number of labels an image, or one",
        source="arXiv:2110.00476 (Wightman et al. 2021, section 4.1) for its use with one label an image",
        tasks=("single_label", "multi_label"),
        soft_targets=True,
    )
    register(
        "focal",
        f"{MODULES}:Focal",
        summary="Cross entropy that counts images less the surer they are; for unbalanced or hard data",
        source="arXiv:1708.02002 (Lin et al. 2017)",
        tasks=("single_label", "multi_label"),
        soft_targets=False,
    )
