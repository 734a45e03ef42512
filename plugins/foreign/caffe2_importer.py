"""Reads Caffe2's weights: init_net.pb, with predict_net.pb where it is at hand.

Source: https://caffe2.ai/docs/operators-catalogue.html, and the operators' sources of PyTorch 1.0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from zoo_plugins.foreign.caffe2_graph import Stored, graph_layers, named_layers
from zoo_plugins.foreign.caffe2_schema import SCHEMA, Arguments
from zoo_plugins.foreign.caffe_net import read_file
from zoo_plugins.foreign.channel_order import OrderOption, check_order, choose_order
from zoo_plugins.foreign.protobuf_text import parse_file
from zoo_plugins.foreign.protobuf_wire import Message, broken, decode
from zoo_plugins.option_checks import check_range, no_effect

from zoo.contracts.importing import ForeignModel
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.contracts.importing import Forward

_EPSILON = 1e-5
_LOOK_BYTES = 1 << 16
_LARGEST_FILL = 1 << 20
"""Values of a ConstantFill, which has no values in the file: no more than norms and biases need."""

_OTHER_FILLS = ("GivenTensorIntFill", "GivenTensorInt64Fill", "GivenTensorBoolFill", "GivenTensorStringFill")
"""Shapes and labels, which no layer takes its values from."""

_FILLS = ("GivenTensorFill", "ConstantFill", *_OTHER_FILLS)


class Caffe2Importer:
    """Conv, FC and SpatialBN; any other operator that takes stored values is refused by its name.

    With definition=predict_net.pb the layers are those of that net, with what it states of them. Without it they are
    put together by the names that Caffe2's own model builder gives: `X_w`, `X_b`, and `X_s`, `X_b`, `X_rm`, `X_riv`
    for a norm. `riv` once meant running inverse variance; what SpatialBN reads there, and training writes, is the
    variance itself.

    Args:
        channel_order: Order of the colours that the net reads. `auto` is `bgr` for a net of three channels, as
            Caffe2's own image loader hands them on.
        epsilon: What norms add to the variance where no predict_net says it; SpatialBN's own 1e-5 where it is left out.
    """

    def __init__(self, *, channel_order: OrderOption = "auto", epsilon: float | None = None) -> None:
        check_order(channel_order)
        if epsilon is not None:
            check_range(epsilon, where="importer.epsilon", low=0, high=1)
        self.channel_order: OrderOption = channel_order
        self.epsilon = epsilon

    def reads(self, path: Path) -> bool:
        """Whether the file ends in .pb and fills tensors as an init_net does."""
        if path.suffix.lower() != ".pb" or not path.is_file():
            return False
        with path.open("rb") as file:
            return b"GivenTensorFill" in file.read(_LOOK_BYTES)

    def read(self, path: Path, *, definition: Path | None = None) -> ForeignModel:
        """All layers with their values.

        Args:
            path: init_net.pb.
            definition: predict_net.pb, or the same as text (.pbtxt).

        Raises:
            UserError: The files are torn or of another kind, do not fit each other, or hold what cannot be expressed.
        """
        init, notes = _read_net(path), []
        stored = _stored(init)
        if definition is None:
            epsilon = _EPSILON if self.epsilon is None else self.epsilon
            layers = named_layers(stored, epsilon=epsilon, where=str(path))
            if any(layer.kind == "norm" for layer in layers):
                notes.append(f"no predict_net states the norms' epsilon; taken as {epsilon:g} (importer.epsilon)")
            name, shape = init.last("name", ""), None
        else:
            net = _read_net(definition)
            layers = graph_layers(net, stored, notes=notes)
            name, shape = net.last("name", ""), _input_shape(net, stored.shapes)
        if self.epsilon is not None and (definition is not None or all(layer.kind != "norm" for layer in layers)):
            raise no_effect(
                "epsilon", where="importer.epsilon", do="leave it out: the predict_net states it, or there is no norm"
            )
        if not layers:
            raise UserError(
                "this net holds no values",
                where=str(path),
                do="source= takes init_net.pb, which holds the values; definition= takes predict_net.pb",
            )
        if any(item.endswith("_riv") for item in stored.given):
            notes.append("values named riv are variances, as SpatialBN reads them")
        order = choose_order(self.channel_order, layers, notes=notes)
        return ForeignModel(
            framework="caffe2",
            layers=tuple(layers),
            order="file" if definition is None else "execution",
            architecture=name,
            notes=tuple(notes),
            channel_order=order,
            input_shape=shape,
        )

    def forward(self, path: Path, *, definition: Path | None = None) -> Forward | None:
        """None: Caffe2 is no part of PyTorch any more."""
        return None


def _read_net(path: Path) -> Message:
    if path.suffix.lower() in (".pbtxt", ".prototxt", ".txt"):
        net = parse_file(path, schema=SCHEMA, kind="NetDef")
    else:
        net = decode(read_file(path), schema=SCHEMA, kind="NetDef", where=str(path))
    if not net.all("op"):
        raise broken(str(path), "it holds no operators of Caffe2")
    return net


def _stored(init: Message) -> Stored:
    """What an init_net fills.

    Raises:
        UserError: An operator does something else than fill a tensor, or the number of values is not its shape's.
    """
    stored = Stored({}, {}, {})
    for operator in init.all("op"):
        kind, names, given = operator.last("type", ""), operator.all("output"), Arguments(operator)
        if kind not in _FILLS or len(names) != 1:
            raise UserError(
                f"operator {kind!r} for {', '.join(names) or 'nothing'} does not fill a tensor with stored values",
                where=init.where,
                allowed=", ".join(_FILLS),
                do="an init_net of training draws random values; save the trained one (mobile_exporter.Export)",
            )
        shape = given.wholes("shape")
        if kind == "ConstantFill":
            stored.shapes[names[0]] = shape
            if all(size >= 0 for size in shape) and math.prod(shape) <= _LARGEST_FILL:
                stored.filled[names[0]] = np.full(shape, given.real("value", 0.0), np.float32)
        elif kind == "GivenTensorFill":
            stored.given[names[0]] = _filled(given, shape, name=names[0], where=init.where)
    return stored


def _filled(given: Arguments, shape: list[int], *, name: str, where: str) -> NDArray[np.float32]:
    values = given.found["values"].array("floats") if "values" in given else np.empty(0, np.float32)
    if any(size < 0 for size in shape) or math.prod(shape) != values.size:
        raise UserError(
            f"{name} says it has {' x '.join(map(str, shape))} values and has {values.size}",
            where=where,
            do="the file is torn: fetch it again",
        )
    return np.array(values, dtype=np.float32).reshape(shape)


def _input_shape(net: Message, shapes: Mapping[str, list[int]]) -> tuple[int, int, int] | None:
    """(C, H, W) where the init_net fills the net's first input with something of that shape."""
    for name in net.all("external_input"):
        shape = shapes.get(name, [])[-3:]
        if len(shape) == 3 and all(0 < side < 2**16 for side in shape):
            return int(shape[0]), int(shape[1]), int(shape[2])
    return None
