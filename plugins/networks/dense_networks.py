"""Networks of dense layers on flattened images: the perceptron and the multilayer perceptron."""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Lt
from torch import nn

from zoo.contracts.model import Model, ModelSpec
from zoo.errors import UserError, name_list
from zoo.imaging.preprocess import Preprocess
from zoo.models.build import check_stages, stages_from

NATIVE_PX = 28
"""Side of MNIST's digits, on which both are mostly taught; every pixel has weights of its own, so size is dear."""

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def build_perceptron(*, classes: int, channels: int, image_size: int | None) -> Model:
    """Builds a perceptron with random values: one linear layer on the pixels, one output a class.

    Source: Rosenblatt, "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain",
    Psychological Review 65(6), 1958, doi:10.1037/h0042519. Deviations: the units answer with logits and learn by the
    chosen loss and optimizer in place of threshold and error correction; there is no fixed random layer before them.

    Args:
        classes: Outputs.
        channels: Input channels.
        image_size: Side of the input in pixels; None is 28.
    """
    preprocess = _preprocess(image_size or NATIVE_PX, channels)
    return _model(DenseNetwork(classes, preprocess=preprocess), "perceptron", preprocess)


def build_mlp(
    *,
    classes: int,
    channels: int,
    image_size: int | None,
    hidden: tuple[int, ...] = (512, 256),
    activation: Literal["elu", "relu", "gelu", "tanh", "sigmoid"] = "elu",
    batch_norm: bool = False,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> Model:
    """Builds a multilayer perceptron with random values: dense layers on the pixels, one output a class.

    A hidden layer is a product with a matrix, batch normalisation, the activation, and dropout, in this order.

    Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 323, 1986,
    doi:10.1038/323533a0; the starting values of He et al., "Delving Deep into Rectifiers", arXiv:1502.01852 (normal
    with variance 2 / fan-in; made for rectifiers, and used for all activations here); ELU of Clevert et al.,
    arXiv:1511.07289; Ioffe and Szegedy, "Batch Normalization", arXiv:1502.03167; Srivastava et al., "Dropout: A Simple
    Way to Prevent Neural Networks from Overfitting", JMLR 15, 2014.

    Args:
        classes: Outputs.
        channels: Input channels.
        image_size: Side of the input in pixels; None is 28.
        hidden: Units of each hidden layer, from the input; at least one layer.
        activation: Behind each hidden layer; `elu` with alpha = 1.
        batch_norm: Normalise each hidden layer over the batch; its own shift then stands for the layer's bias.
        dropout: Share of each hidden layer's units that is left out in a training step, in [0, 1).

    Raises:
        UserError: There is no hidden layer, one has no unit, the activation is unknown, or the dropout is no share.
    """
    _check(hidden, activation=activation, dropout=dropout)
    preprocess = _preprocess(image_size or NATIVE_PX, channels)
    module = DenseNetwork(
        classes,
        preprocess=preprocess,
        hidden=hidden,
        activation=ACTIVATIONS[activation],
        batch_norm=batch_norm,
        dropout=dropout,
    )
    args = {"hidden": list(hidden), "activation": activation, "batch_norm": batch_norm, "dropout": dropout}
    return _model(module, "mlp", preprocess, **args)


def _check(hidden: tuple[int, ...], *, activation: str, dropout: float) -> None:
    if not hidden:
        raise UserError(
            "an mlp without a hidden layer",
            where="model.hidden=[]",
            allowed="one number of units a hidden layer, as in [512,256]",
            do="without any it is model=perceptron",
        )
    if min(hidden) < 1:
        raise UserError(
            f"a hidden layer of {min(hidden)} units", where="model.hidden", allowed="1 and more units in each"
        )
    if activation not in ACTIVATIONS:
        raise UserError(
            f"unknown activation {activation!r}", where="model.activation", allowed=name_list(activation, ACTIVATIONS)
        )
    if not 0 <= dropout < 1:
        raise UserError(f"dropout {dropout} is no share", where="model.dropout", allowed="0 <= dropout < 1")


def _preprocess(size: int, channels: int) -> Preprocess:
    """Values in [-1, 1], the whole short side."""
    half = (0.5,) * channels
    return Preprocess(size, half, half, resize="crop", crop_share=1.0, interpolation="bilinear")


def _model(module: DenseNetwork, arch: str, preprocess: Preprocess, **args: object) -> Model:
    """A network with its description; each hidden layer is a stage."""
    names = [name for name, _ in module.named_parameters() if not name.startswith("output.")]
    spec = ModelSpec(
        name=f"zoo/{arch}",
        library="zoo",
        arch=arch,
        classifier="output",
        feature_dim=module.output.in_features,
        stages=stages_from((name.split(".")[1], name) for name in names),
        preprocess=preprocess,
        args=args,
    )
    return check_stages(Model(module, spec))


class DenseNetwork(nn.Module):
    """Flattens an image row by row, channel after channel: float[B, C, S, S] to logits float[B, classes]."""

    def __init__(
        self,
        classes: int,
        *,
        preprocess: Preprocess,
        hidden: tuple[int, ...] = (),
        activation: type[nn.Module] = nn.ELU,
        batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        width = preprocess.channels * preprocess.size**2
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number, units in enumerate(hidden, start=1):
            layers[f"hidden{number}"] = _layer(
                width, units, activation=activation, batch_norm=batch_norm, dropout=dropout
            )
            width = units
        self.layers = nn.Sequential(layers)
        self.output = nn.Linear(width, classes)
        _fill_as_he(self.output)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits float[B, classes]."""
        logits: torch.Tensor = self.output(self.layers(images.flatten(1)))
        return logits


def _layer(width: int, units: int, *, activation: type[nn.Module], batch_norm: bool, dropout: float) -> nn.Sequential:
    """One hidden layer: float[B, width] to float[B, units]."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(dense=nn.Linear(width, units, bias=not batch_norm))
    _fill_as_he(parts["dense"])
    if batch_norm:
        parts["norm"] = nn.BatchNorm1d(units)
    parts["activation"] = activation()
    if dropout:
        parts["dropout"] = nn.Dropout(dropout)
    return nn.Sequential(parts)


def _fill_as_he(layer: nn.Module) -> None:
    """Normal weights of variance 2 / fan-in, biases of zero (He et al., section 2.2, forward case)."""
    nn.init.kaiming_normal_(layer.get_parameter("weight"), nonlinearity="relu")
    if getattr(layer, "bias", None) is not None:
        nn.init.zeros_(layer.get_parameter("bias"))
