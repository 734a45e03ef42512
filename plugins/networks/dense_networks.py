"""Networks of dense layers on flattened images: the perceptron and the multilayer perceptron."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Lt
from torch import nn

from zoo.contracts.model import Model, ModelSpec
from zoo.contracts.network_options import Activation, Norm
from zoo.errors import UserError, name_list
from zoo.imaging.preprocess import Preprocess
from zoo.models.activations import make_activation
from zoo.models.build import check_stages, stages_from
from zoo.models.normalisation import GroupNorm, group_count

NATIVE_PX = 28
"""Side of MNIST's digits, on which both are mostly taught; every pixel has weights of its own, so size is dear."""

NORMS = ("none", "batch", "layer", "group")


def build_perceptron(*, classes: int, channels: int, image_size: int | None) -> Model:
    """Builds a perceptron with random values: one linear layer on the pixels, one output a class.

    Source: Rosenblatt, "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain",
    Psychological Review 65(6), 1958, doi:10.1037/h0042519. Deviations: the units answer with logits and learn by the
    chosen loss and optimizer in place of threshold and error correction (`loss=perceptron optimizer=sgd` is the error
    correction); there is no fixed random layer before them.

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
    activation: Activation = "elu",
    norm: Norm = "none",
    norm_place: Literal["before", "after"] = "before",
    input_norm: bool = False,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    input_dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    bias: Literal["auto", "always"] = "auto",
) -> Model:
    """Builds a multilayer perceptron with random values: dense layers on the pixels, one output a class.

    A hidden layer is a product with a matrix, the norm, the activation, and dropout, in this order; with
    `norm_place=after` the norm stands between activation and dropout.

    Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 323, 1986,
    doi:10.1038/323533a0; the starting values of He et al., "Delving Deep into Rectifiers", arXiv:1502.01852 (normal
    with variance 2 / fan-in; made for rectifiers, and used for all activations here, unless `model.init` says
    otherwise); ELU of Clevert et al., arXiv:1511.07289; Ioffe and Szegedy, "Batch Normalization", arXiv:1502.03167;
    Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15, 2014.

    Args:
        classes: Outputs.
        channels: Input channels.
        image_size: Side of the input in pixels; None is 28.
        hidden: Units of each hidden layer, from the input; at least one layer.
        activation: Behind each hidden layer; `elu` with alpha = 1.
        norm: Normalises each hidden layer: `batch` a unit over the batch, `layer` all units of an image, `group` groups
            of these.
        norm_place: Whether it stands `before` the activation (its paper) or `after` it (as many textbooks have it).
        input_norm: The same norm for the values of the pixels, before the first hidden layer.
        dropout: Share of each hidden layer's units that is left out in a training step, in [0, 1).
        input_dropout: Share of the pixels that is left out in a training step, in [0, 1).
        bias: `auto` leaves the bias of a hidden layer out where a norm follows at once, whose shift stands for it;
            `always` keeps it, as Keras' layers do.

    Raises:
        UserError: There is no hidden layer, one has no unit, a name is unknown, a dropout is no share, or an option can
            have no effect without a norm.
    """
    layer = Layer(activation, norm, norm_place=norm_place, dropout=dropout, bias=bias)
    _check(hidden, layer=layer, input_norm=input_norm, input_dropout=input_dropout)
    preprocess = _preprocess(image_size or NATIVE_PX, channels)
    entrance: dict[str, Any] = {"input_norm": input_norm, "input_dropout": input_dropout}
    module = DenseNetwork(classes, preprocess=preprocess, hidden=hidden, layer=layer, **entrance)
    return _model(module, "mlp", preprocess, hidden=list(hidden), **dataclasses.asdict(layer), **entrance)


def _check(hidden: tuple[int, ...], *, layer: Layer, input_norm: bool, input_dropout: float) -> None:
    """Raises UserError for what makes no network, or has no effect."""
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
    make_activation(layer.activation)
    names = (("norm", NORMS), ("norm_place", ("before", "after")), ("bias", ("auto", "always")))
    for key, known in names:
        value = getattr(layer, key)
        if value not in known:
            raise UserError(f"unknown {key} {value!r}", where=f"model.{key}", allowed=name_list(value, known))
    for key, share in (("dropout", layer.dropout), ("input_dropout", input_dropout)):
        if not 0 <= share < 1:
            raise UserError(f"{key} {share} is no share", where=f"model.{key}", allowed=f"0 <= {key} < 1")
    after, always = layer.norm_place == "after", layer.bias == "always"
    for word, asked in (("norm_place=after", after), ("input_norm=true", input_norm), ("bias=always", always)):
        if layer.norm == "none" and asked:
            raise UserError(
                f"model.{word} has no effect without a norm",
                where=f"model.{word}",
                do=["model.norm=batch (or layer, group)", "or leave it out"],
            )


def _preprocess(size: int, channels: int) -> Preprocess:
    """Values in [-1, 1], the whole short side."""
    half = (0.5,) * channels
    return Preprocess(size, half, half, resize="crop", crop_share=1.0, interpolation="bilinear")


def _model(module: DenseNetwork, arch: str, preprocess: Preprocess, **args: object) -> Model:
    """A network with its description; each hidden layer is a stage, the norm of the input belongs to the first."""
    names = [name for name, _ in module.named_parameters() if not name.startswith("output.")]
    spec = ModelSpec(
        name=f"zoo/{arch}",
        library="zoo",
        arch=arch,
        classifier="output",
        feature_dim=module.output.in_features,
        stages=stages_from((name.split(".")[1] if name.startswith("layers.") else "hidden1", name) for name in names),
        preprocess=preprocess,
        args=args,
    )
    return check_stages(Model(module, spec))


@dataclasses.dataclass(frozen=True)
class Layer:
    """What a hidden layer is made of: options of `build_mlp`."""

    activation: str = "elu"
    norm: str = "none"
    norm_place: str = "before"
    dropout: float = 0.0
    bias: str = "auto"

    def build(self, width: int, units: int) -> nn.Sequential:
        """The layer: float[B, width] to float[B, units]."""
        shifted = self.bias == "auto" and self.norm != "none" and self.norm_place == "before"
        parts: OrderedDict[str, nn.Module] = OrderedDict(dense=nn.Linear(width, units, bias=not shifted))
        _fill_as_he(parts["dense"])
        parts["norm"] = self.normaliser(units)
        parts["activation"] = make_activation(self.activation)
        if self.norm_place == "after":
            parts.move_to_end("norm")
        parts["dropout"] = nn.Dropout(self.dropout)
        left_out = {"norm": self.norm == "none", "dropout": self.dropout == 0}
        return nn.Sequential(OrderedDict((name, part) for name, part in parts.items() if not left_out.get(name)))

    def normaliser(self, units: int) -> nn.Module:
        """The norm of a vector: float[B, units] to the same."""
        if self.norm == "batch":
            return nn.BatchNorm1d(units)
        if self.norm == "layer":
            return nn.LayerNorm(units)
        return GroupNorm(group_count(units), units) if self.norm == "group" else nn.Identity()


class DenseNetwork(nn.Module):
    """Flattens an image row by row, channel after channel: float[B, C, S, S] to logits float[B, classes]."""

    def __init__(
        self,
        classes: int,
        *,
        preprocess: Preprocess,
        hidden: tuple[int, ...] = (),
        layer: Layer = Layer(),
        input_norm: bool = False,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        width = preprocess.channels * preprocess.size**2
        entrance: OrderedDict[str, nn.Module] = OrderedDict()
        if input_norm:
            entrance["norm"] = layer.normaliser(width)
        if input_dropout:
            entrance["dropout"] = nn.Dropout(input_dropout)
        self.entrance = nn.Sequential(entrance)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number, units in enumerate(hidden, start=1):
            layers[f"hidden{number}"] = layer.build(width, units)
            width = units
        self.layers = nn.Sequential(layers)
        self.output = nn.Linear(width, classes)
        _fill_as_he(self.output)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits float[B, classes]."""
        logits: torch.Tensor = self.output(self.layers(self.entrance(images.flatten(1))))
        return logits


def _fill_as_he(layer: nn.Module) -> None:
    """Normal weights of variance 2 / fan-in, biases of zero (He et al., section 2.2, forward case)."""
    nn.init.kaiming_normal_(layer.get_parameter("weight"), nonlinearity="relu")
    if getattr(layer, "bias", None) is not None:
        nn.init.zeros_(layer.get_parameter("bias"))
