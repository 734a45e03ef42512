"""Hook module of the built-in losses. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register

MODULES = "zoo_plugins.loss_modules"


@hookimpl
def register_losses(register: Register) -> None:
    """Offers the losses for one label an image and for several."""
    register(
        "cross_entropy",
        f"{MODULES}:CrossEntropy",
        summary="Minus the log of the probability given to the right class; for one label an image",
        source="Bridle 1990, Training stochastic model recognition algorithms as networks",
        tasks=("single_label",),
        soft_targets=True,
        fits_heads=("single_label",),
    )
    register(
        "logit_adjusted",
        "zoo_plugins.loss_priors:LogitAdjusted",
        summary="Cross entropy on logits plus the log of how common each class is; for unbalanced data",
        source="arXiv:2007.07314 (Menon et al. 2020)",
        tasks=("single_label",),
        soft_targets=True,
        fits_heads=("single_label",),
    )
    register(
        "binary_cross_entropy",
        f"{MODULES}:BinaryCrossEntropy",
        summary="One yes-or-no question a class; for any number of labels an image, or one",
        source="arXiv:2110.00476 (Wightman et al. 2021, section 4.1) for its use with one label an image",
        tasks=("single_label", "multi_label"),
        soft_targets=True,
        fits_heads=("multi_label",),
    )
    register(
        "perceptron",
        "zoo_plugins.perceptron_loss:Perceptron",
        summary="How far the truth is from winning; its gradient is Rosenblatt's error correction",
        source="doi:10.1037/h0042519 (Rosenblatt 1958); Duda and Hart 1973, section 5.12.2, for several classes",
        tasks=("single_label", "multi_label"),
        soft_targets=False,
    )
    register(
        "focal",
        f"{MODULES}:Focal",
        summary="Cross entropy that counts images less the surer they are; for unbalanced or hard data",
        source="arXiv:1708.02002 (Lin et al. 2017)",
        tasks=("single_label", "multi_label"),
        soft_targets=False,
    )
