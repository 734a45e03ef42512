"""Hook module of the built-in regularizers. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register

HOME = "zoo_plugins.regularizing"


@hookimpl
def register_regularizers(register: Register) -> None:
    """Offers what acts on the network, the loss, the batch, the step, or the weights that are kept."""
    _of_network(register)
    _penalties(register)
    _of_batches(register)
    _of_steps(register)
    _averages(register)


def _of_network(register: Register) -> None:
    register(
        "dropout",
        f"{HOME}.network:Dropout",
        summary="Sets random features to zero before the head",
        source="arXiv:1207.0580 (Hinton et al. 2012)",
    )
    register(
        "drop_path",
        f"{HOME}.network:DropPath",
        summary="Leaves out random residual branches, the more often the deeper they lie",
        source="arXiv:1603.09382 (Huang et al. 2016)",
    )
    register(
        "stochastic_norm",
        f"{HOME}.stochastic_norm:StochasticNorm",
        summary="Normalises random channels by the moving statistics in place of those of the batch",
        source="Kou et al. 2020, Stochastic Normalization, NeurIPS",
    )


def _penalties(register: Register) -> None:
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
        "elastic_net",
        f"{HOME}.penalties:ElasticNet",
        summary="Adds absolute values and squares of kernels, biases or features to the loss",
        source="Zou and Hastie 2005, Regularization and variable selection via the elastic net",
    )
    register(
        "l2sp",
        f"{HOME}.transfer_penalties:L2SP",
        summary="Pulls the backbone towards its pretrained values, and the head towards zero",
        source="arXiv:1802.01483 (Li, Grandvalet and Davoine 2018)",
    )
    register(
        "delta",
        f"{HOME}.transfer_penalties:Delta",
        summary="Keeps feature maps near those of the pretrained network on the same images",
        source="arXiv:1901.09229 (Li et al. 2019)",
    )
    register(
        "bss",
        f"{HOME}.transfer_penalties:BSS",
        summary="Suppresses the smallest singular values of a batch's features",
        source="Chen et al. 2019, Batch Spectral Shrinkage for Safe Transfer Learning, NeurIPS",
    )


def _of_batches(register: Register) -> None:
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
        "cutmix",
        f"{HOME}.patches:CutMix",
        summary="Pastes a rectangle of another image, and shares the labels by area",
        source="arXiv:1905.04899 (Yun et al. 2019)",
    )
    register(
        "random_erasing",
        f"{HOME}.patches:RandomErasing",
        summary="Covers a random rectangle of an image with noise or the mean",
        source="arXiv:1708.04896 (Zhong et al. 2017)",
    )


def _of_steps(register: Register) -> None:
    register(
        "gradient_clipping",
        f"{HOME}.steps:GradientClipping",
        summary="Shortens the gradient to a largest norm",
        source="arXiv:1211.5063 (Pascanu et al. 2012)",
    )
    register(
        "gradient_noise",
        f"{HOME}.steps:GradientNoise",
        summary="Adds normal noise to the gradients, less with every step",
        source="arXiv:1511.06807 (Neelakantan et al. 2015)",
    )
    register(
        "max_norm",
        f"{HOME}.steps:MaxNorm",
        summary="Shortens the incoming weights of each output unit to a largest norm",
        source="Srebro et al. 2005; Srivastava et al. 2014, Dropout, section 5.1",
    )
    register(
        "sam",
        f"{HOME}.sharpness:SAM",
        summary="Takes the gradient where the loss is worst nearby; two passes a step",
        source="arXiv:2010.01412 (Foret et al. 2021)",
    )


def _averages(register: Register) -> None:
    register(
        "ema",
        f"{HOME}.averages:EMA",
        summary="Keeps and validates an exponential moving average of the weights",
        source="Polyak and Juditsky 1992, Acceleration of stochastic approximation by averaging",
    )
    register(
        "swa",
        f"{HOME}.averages:SWA",
        summary="Keeps and validates the mean of the weights over the last part of training",
        source="arXiv:1803.05407 (Izmailov et al. 2018)",
    )
