"""Values of Caffe's layers as PyTorch lays them out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from zoo_plugins.foreign.caffe_net import INPUT, CaffeLayer, Flow, layer_trails
from zoo_plugins.foreign.caffe_schema import SCHEMA
from zoo_plugins.foreign.foreign_graphs import Trail
from zoo_plugins.foreign.protobuf_wire import Message

from zoo.contracts.importing import ForeignLayer, ForeignPool
from zoo.errors import UserError

Floats = NDArray[np.float32]

READ = ("Convolution", "InnerProduct", "BatchNorm", "Scale")
"""Types of layers whose values are read; any other that holds values is refused."""

_KNOWN = ("Split", "Dropout", "Pooling", "Flatten", "Softmax", "SoftmaxWithLoss", "SoftmaxLoss", "Accuracy", "Silence")
"""Types of layers without values that are handed over, or that change nothing in the outputs compared."""

_MAX, _AVERAGE = (SCHEMA.enums["PoolMethod"][name] for name in ("MAX", "AVE"))
_LEGACY_DIMS = ("num", "channels", "height", "width")


def foreign_layers(
    layers: Sequence[CaffeLayer], flow: Flow | None, *, where: str, notes: list[str]
) -> list[ForeignLayer]:
    """All layers with values, a batch normalisation and the scale behind it as one.

    Args:
        layers: In order, with their blobs.
        flow: Who reads what; None where the file does not say.
        where: The file, for messages.
        notes: Takes a sentence for each decision.

    Raises:
        UserError: A layer holds values and is of no known kind, or its values do not have the shape that it needs.
    """
    valued = _checked(layers, where)
    scales = _scales(valued, layers, flow, where=where)
    scale_of = {norm: scale for scale, norm in scales.items()}
    names = {number: layers[scales.get(number, number)].name for number in valued}
    trails = None if flow is None else layer_trails(layers, flow, names=names, pools=_pools(layers))
    found = []
    for number in valued:
        if number in scales:
            continue
        layer = layers[number]
        if layer.type == "Convolution":
            read = _convolution(layer)
        elif layer.type == "InnerProduct":
            read = _dense(layer)
        else:
            read = _norm(layer, layers[scale_of[number]] if number in scale_of else None)
        found.append(read if trails is None else _connected(read, trails[number]))
    passed = [layer.type for layer in layers if layer.bottoms and not layer.blobs and layer.type not in _KNOWN]
    if passed:
        kinds = ", ".join(dict.fromkeys(passed))
        notes.append(f"layers without values were taken to be the network's own: {kinds}")
    if scales:
        notes.append(f"{len(scales)} pairs of BatchNorm and Scale became one normalisation each")
    if any(layer.param("batch_norm_param").last("use_global_stats", True) is False for layer in layers):
        notes.append("use_global_stats: false, as in training; the stored statistics are what is used after it")
    return found


def _connected(layer: ForeignLayer, trail: Trail) -> ForeignLayer:
    """The layer with what it reads."""
    direct = {"direct": trail.direct} if layer.kind == "norm" else {}
    return replace(layer, after=trail.after, facts={**layer.facts, **direct, "pools": trail.pool_fact})


def _pools(layers: Sequence[CaffeLayer]) -> dict[int, ForeignPool]:
    """Poolings over windows by number; Caffe rounds the size of their result up.

    Source: Caffe's `src/caffe/layers/pooling_layer.cpp`.
    """
    found: dict[int, ForeignPool] = {}
    for number, layer in enumerate(layers):
        param = layer.param("pooling_param")
        if layer.type == "Pooling" and not param.last("global_pooling", False):
            stated = param.last("pool", 0)
            kind: Literal["max", "avg"] = "avg" if stated == _AVERAGE else "max"
            if stated not in (_AVERAGE, _MAX):
                raise UserError(f"pooling {layer.name!r} draws at random", where=param.where, allowed="MAX, AVE")
            kernel = sides(param, "kernel_size" if "kernel_size" in param else "kernel", default=1)
            stride, pad = sides(param, "stride", default=1), sides(param, "pad", default=0)
            found[number] = ForeignPool(kind, kernel, stride, pad, ceil=True)
    return found


def _checked(layers: Sequence[CaffeLayer], where: str) -> list[int]:
    """Numbers of the layers with values."""
    valued = [number for number, layer in enumerate(layers) if layer.blobs]
    strange = [layers[number] for number in valued if layers[number].type not in READ]
    if strange:
        listed = ", ".join(f"{layer.name} ({layer.type})" for layer in strange[:5])
        raise UserError(
            f"these layers hold values that cannot be brought over: {listed}", where=where, allowed=", ".join(READ)
        )
    wanting = [layer.name for layer in layers if layer.type in READ[:3] and not layer.blobs]
    if wanting or not valued:
        raise UserError(
            f"no values for the layers {', '.join(wanting[:5])}" if wanting else "this net holds no values",
            where=where,
            do="source= takes the .caffemodel, definition= the .prototxt",
        )
    names = [layers[number].name for number in valued]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"several layers with values have the name {twice[0]!r}", where=where)
    return valued


def _scales(valued: Sequence[int], layers: Sequence[CaffeLayer], flow: Flow | None, *, where: str) -> dict[int, int]:
    """Number of each Scale to that of the BatchNorm that it completes."""
    found = {}
    for number in valued:
        layer = layers[number]
        if layer.type != "Scale":
            continue
        read = None if flow is None else flow.reads[number]
        if flow is None or read is None or len(read) != 1 or read[0] == INPUT:
            norm = None
        else:
            norm = read[0] if layers[read[0]].type == "BatchNorm" and flow.readers[read[0]] == (number,) else None
        param = layer.param("scale_param")
        if norm is None or param.last("axis", 1) != 1 or param.last("num_axes", 1) != 1:
            raise UserError(
                f"the Scale layer {layer.name!r} does not stand alone behind a BatchNorm",
                where=where,
                allowed="a Scale over channels that alone reads a BatchNorm's result",
                do="where the file names no blobs, give the net's own description: definition=FILE.prototxt"
                if flow is None
                else (),
            )
        found[number] = norm
    return found


def _convolution(layer: CaffeLayer) -> ForeignLayer:
    param = layer.param("convolution_param")
    weight, *bias = _arrays(layer, most=2)
    groups = int(param.last("group", 1))
    if weight.ndim != 4 or param.last("axis", 1) != 1 or groups < 1 or weight.shape[0] % groups:
        raise _misshapen(layer, f"weight {list(weight.shape)} in {groups} groups", "[outputs, inputs / groups, h, w]")
    facts = {
        "stride": sides(param, "stride", default=1),
        "padding": sides(param, "pad", default=0),
        "dilation": sides(param, "dilation", default=1),
        "groups": groups,
    }
    return ForeignLayer(layer.name, "conv", _with_bias(layer, weight, bias), facts)


def _dense(layer: CaffeLayer) -> ForeignLayer:
    param = layer.param("inner_product_param")
    weight, *bias = _arrays(layer, most=2)
    if weight.ndim == 4 and weight.shape[:2] == (1, 1):
        weight = weight.reshape(weight.shape[2:])
    if weight.ndim != 2 or param.last("axis", 1) != 1:
        raise _misshapen(layer, f"weight {list(weight.shape)}", "[outputs, inputs], or [1, 1, outputs, inputs]")
    if param.last("transpose", False):
        weight = np.ascontiguousarray(weight.T)
    return ForeignLayer(layer.name, "dense", _with_bias(layer, weight, bias))


def _with_bias(layer: CaffeLayer, weight: Floats, bias: Sequence[Floats]) -> dict[str, Floats]:
    if not bias:
        return {"weight": weight}
    if bias[0].size != weight.shape[0]:
        raise _misshapen(layer, f"bias {list(bias[0].shape)}", f"{weight.shape[0]} values, as it has outputs")
    return {"weight": weight, "bias": bias[0].reshape(-1)}


def _norm(layer: CaffeLayer, scale: CaffeLayer | None) -> ForeignLayer:
    """Caffe keeps sums of means and variances and the number by which to divide them; 0 stands for no update yet.

    Source: Caffe's `src/caffe/layers/batch_norm_layer.cpp` and `scale_layer.cpp`.
    """
    blobs = _arrays(layer, most=3)
    if len(blobs) != 3 or blobs[0].size != blobs[1].size or blobs[2].size != 1:
        raise _misshapen(layer, f"{[list(blob.shape) for blob in blobs]}", "mean [C], variance [C] and factor [1]")
    total = float(blobs[2].reshape(-1)[0])
    factor = 0.0 if total == 0 else 1.0 / total
    mean, variance = ((blob.reshape(-1).astype(np.float64) * factor).astype(np.float32) for blob in blobs[:2])
    weight, shift = np.ones_like(mean), np.zeros_like(mean)
    if scale is not None:
        stored = _arrays(scale, most=2)
        if any(blob.size != mean.size for blob in stored):
            raise _misshapen(scale, f"{[list(blob.shape) for blob in stored]}", f"{mean.size} values each")
        weight = stored[0].reshape(-1)
        shift = stored[1].reshape(-1) if len(stored) == 2 else shift
    tensors = {"weight": weight, "bias": shift, "running_mean": mean, "running_var": variance}
    epsilon = layer.param("batch_norm_param").number("eps", 1e-5)
    return ForeignLayer(layer.name, "norm", tensors, {"epsilon": epsilon})


def _arrays(layer: CaffeLayer, *, most: int) -> list[Floats]:
    if not 1 <= len(layer.blobs) <= most:
        raise _misshapen(layer, f"{len(layer.blobs)} arrays", f"1 to {most}")
    return [blob_array(blob, what=f"layer {layer.name!r}") for blob in layer.blobs]


def blob_array(blob: Message, *, what: str) -> Floats:
    """A BlobProto as an array of its own.

    Args:
        blob: The message, with `shape` or the four older sizes.
        what: Whose it is, for messages.

    Raises:
        UserError: The number of values is not the product of its sizes.
    """
    data = blob.array("data") if "data" in blob else blob.array("double_data")
    shape = blob.last("shape")
    dims = shape.all("dim") if shape is not None else [blob.last(name, 0) for name in _LEGACY_DIMS]
    if any(size < 0 for size in dims) or math.prod(dims) != data.size:
        raise UserError(
            f"{what} says it has {' x '.join(map(str, dims))} values and has {data.size}",
            where=blob.where,
            do="the file is torn, or keeps its values in a form of its own (half precision of NVIDIA's Caffe)",
        )
    return np.array(data, dtype=np.float32).reshape(dims)


def sides(param: Message, name: str, *, default: int) -> tuple[int, int]:
    """Height and width of a convolution's or pooling's stride, padding or dilation."""
    if f"{name}_h" in param or f"{name}_w" in param:
        return int(param.last(f"{name}_h", default)), int(param.last(f"{name}_w", default))
    numbers = param.all(name) or [default]
    return int(numbers[0]), int(numbers[-1])


def _misshapen(layer: CaffeLayer, got: str, allowed: str) -> UserError:
    return UserError(
        f"{layer.type} {layer.name!r} holds {got}, which cannot be brought over",
        where=layer.message.where,
        allowed=allowed,
    )
