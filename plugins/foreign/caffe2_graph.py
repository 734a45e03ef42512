"""Layers of a Caffe2 net: by its operators, or by the names of its tensors where these are all there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from zoo_plugins.foreign.caffe2_schema import Arguments
from zoo_plugins.foreign.foreign_graphs import Trail, pass_on, start_trail
from zoo_plugins.foreign.protobuf_wire import Message

from zoo.contracts.importing import ForeignLayer, ForeignPool
from zoo.errors import UserError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Stored:
    """What an init_net fills.

    Attributes:
        given: Tensors with stored values by name.
        filled: Small ones of one value all over: biases, norms, and the net's input, whose values mean nothing.
        shapes: Shapes of all that are of one value.
    """

    given: dict[str, Floats]
    filled: dict[str, Floats]
    shapes: dict[str, list[int]]

    def __contains__(self, name: str) -> bool:
        return name in self.given or name in self.filled

    def __getitem__(self, name: str) -> Floats:
        return self.given[name] if name in self.given else self.filled[name]


_ROLES = {
    "Conv": ("weight", "bias"),
    "FC": ("weight", "bias"),
    "SpatialBN": ("weight", "bias", "running_mean", "running_var"),
}
"""Operators whose values are read, with what their inputs after the first are."""

_TRANSPARENT = ("Copy", "CopyGPUToCPU", "CopyCPUToGPU", "EnsureCPUOutput", "StopGradient", "Dropout")
"""Operators that hand on what they read when a net is used."""

_POOLS: Mapping[str, Literal["max", "avg"]] = {"MaxPool": "max", "AveragePool": "avg"}
_KNOWN = (*_TRANSPARENT, *_POOLS, "Flatten", "FlattenToVec", "Softmax")
"""Operators without values that are handed over, or that change nothing in the outputs compared."""

_AS_CAFFE = 3
"""`legacy_pad` of poolings that were translated from Caffe: sizes are rounded up."""

_LEGACY_PADS = {1: "valid", 2: "same"}


def graph_layers(net: Message, stored: Stored, *, notes: list[str]) -> list[ForeignLayer]:
    """The layers of a predict_net in the order of execution.

    Args:
        net: The NetDef.
        stored: Tensors of the init_net by name.
        notes: Takes a sentence on tensors that the net does not use, and on operators without values.

    Raises:
        UserError: Stored values are read by another operator than Conv, FC and SpatialBN, or one of these lacks them.
    """
    trails: dict[str, Trail] = {}
    layers: list[ForeignLayer] = []
    used: set[str] = set()
    passed: dict[str, None] = {}
    for number, operator in enumerate(net.all("op")):
        kind, inputs, outputs = operator.last("type", ""), operator.all("input"), operator.all("output")
        if not outputs:
            continue
        if kind in _ROLES:
            layer = _layer(operator, stored, trails)
            layers.append(layer)
            used |= set(inputs[1:])
            trails[outputs[0]] = Trail((layer.name,), direct=True)
            continue
        _check_no_values(operator, stored, trails)
        reached = pass_on([trails.get(item, start_trail()) for item in inputs])
        if kind in _TRANSPARENT and inputs:
            reached = trails.get(inputs[0], start_trail())
        elif kind in _POOLS and not Arguments(operator).whole("global_pooling", 0):
            reached = replace(reached, pools=(*reached.pools, (f"operator {number}", _pool(operator, kind))))
        elif kind not in _KNOWN:
            passed[kind] = None
        trails |= dict.fromkeys(outputs, reached)
    if passed:
        notes.append(f"operators without values were taken to be the network's own: {', '.join(passed)}")
    spare = [name for name in stored.given if name not in used]
    if spare:
        notes.append(f"left out, since the predict_net does not use them: {', '.join(spare[:8])}")
    return layers


def _pool(operator: Message, kind: str) -> ForeignPool:
    """A pooling over windows; sizes are rounded down but where it says that it is as in Caffe."""
    given = Arguments(operator)
    kernel = _sides(given, "kernel", default=1)
    legacy = given.whole("legacy_pad", 0)
    return ForeignPool(_POOLS[kind], kernel, _sides(given, "stride", default=1), _padding(given), legacy == _AS_CAFFE)


def _check_no_values(operator: Message, stored: Stored, trails: Mapping[str, Trail]) -> None:
    """Raises UserError where an operator that is not read takes stored numbers; the net's input is none."""
    for place, name in enumerate(operator.all("input")):
        if name not in trails and (name in stored.given or (place and name in stored.shapes)):
            raise UserError(
                f"{name} is read by the operator {operator.last('type', '')!r}, which cannot be brought over",
                where=operator.where,
                allowed=", ".join(_ROLES),
            )


def _layer(operator: Message, stored: Stored, trails: Mapping[str, Trail]) -> ForeignLayer:
    kind, inputs = operator.last("type"), operator.all("input")
    missing = [name for name in inputs[1:] if name not in stored]
    if missing or len(inputs) < 2:
        raise UserError(
            f"{kind} {operator.all('output')[0]!r} has no stored values for {', '.join(missing) or 'its weight'}",
            where=operator.where,
            do="take the init_net that belongs to this predict_net",
        )
    given = Arguments(operator)
    if given.word("order", "NCHW") != "NCHW":
        raise UserError(f"{kind} {inputs[1]} computes in the order NHWC", where=operator.where, allowed="NCHW")
    tensors = dict(zip(_ROLES[kind], (stored[name] for name in inputs[1:]), strict=False))
    trail = trails.get(inputs[0], start_trail())
    facts: dict[str, Any] = {}
    if kind == "Conv":
        facts = _geometry(given)
    elif kind == "FC":
        if given.whole("axis", 1) != 1 or given.whole("axis_w", 1) != 1:
            raise UserError(f"FC {inputs[1]} states axes of its own", where=operator.where, allowed="axis 1")
    else:
        facts = {"epsilon": given.real("epsilon", 1e-5), "direct": trail.direct}
    facts["pools"] = trail.pool_fact
    return _build_layer(_stem(inputs[1]), kind, tensors, facts=facts, after=trail.after, where=operator.where)


def _build_layer(
    name: str,
    kind: str,
    tensors: Mapping[str, Floats],
    *,
    facts: dict[str, Any],
    after: tuple[str, ...] | None,
    where: str,
) -> ForeignLayer:
    """One layer, its shapes checked.

    Raises:
        UserError: They are not those of a two-dimensional convolution, a dense layer or a norm.
    """
    weight = tensors["weight"]
    if kind == "FC" and weight.ndim > 2:
        weight = weight.reshape(weight.shape[0], -1)
    dimensions = {"Conv": 4, "FC": 2, "SpatialBN": 1}[kind]
    others = {role: values.reshape(-1) for role, values in tensors.items() if role != "weight"}
    groups = int(facts.get("groups", 1))
    fits = all(values.size == weight.shape[0] for values in others.values()) if weight.ndim else False
    complete = kind != "SpatialBN" or len(others) == 3
    if weight.ndim != dimensions or not fits or not complete or groups < 1 or weight.shape[0] % groups:
        shapes = ", ".join(f"{role} {list(values.shape)}" for role, values in tensors.items())
        raise UserError(f"{kind} {name!r} has {shapes}, which cannot be brought over", where=where)
    names: Any = {"Conv": "conv", "FC": "dense", "SpatialBN": "norm"}[kind]
    return ForeignLayer(name, names, {"weight": weight, **others}, facts, after)


def _stem(name: str) -> str:
    """A layer's name by that of its weight: `conv1_w` is of `conv1`."""
    return name[:-2] if name.endswith(("_w", "_s")) else name


def _geometry(given: Arguments) -> dict[str, Any]:
    return {
        "groups": given.whole("group", 1),
        "stride": _sides(given, "stride", default=1),
        "dilation": _sides(given, "dilation", default=1),
        "padding": _padding(given),
    }


def _sides(given: Arguments, name: str, *, default: int) -> tuple[int, int]:
    """Height and width of a kernel, stride or dilation."""
    both = given.whole(name, default)
    sides = given.wholes(f"{name}s") or [given.whole(f"{name}_h", both), given.whole(f"{name}_w", both)]
    return sides[0], sides[-1]


def _padding(given: Arguments) -> Any:
    """(top, left, bottom, right), or the word for what depends on the size of the map."""
    legacy = given.whole("legacy_pad", 0)
    if legacy in _LEGACY_PADS:
        return _LEGACY_PADS[legacy]
    pads = given.wholes("pads")
    every = given.whole("pad", 0)
    return tuple(pads) if len(pads) == 4 else tuple(given.whole(f"pad_{side}", every) for side in "tlbr")


def named_layers(stored: Stored, *, epsilon: float, where: str) -> list[ForeignLayer]:
    """Layers put together by the names of their tensors, in the order of the file.

    Args:
        stored: Tensors by name.
        epsilon: Of the norms.
        where: The file, for messages.

    Raises:
        UserError: A tensor belongs to no layer by its name.
    """
    layers, used = [], set()
    for name in stored.given:
        stem = name[:-2]
        if name.endswith("_w") and stored[name].ndim in (2, 4):
            names = {"weight": name, "bias": f"{stem}_b"}
            kind, facts = ("Conv" if stored[name].ndim == 4 else "FC"), {}
        elif name.endswith("_s") and f"{stem}_riv" in stored:
            names = {"weight": name, "bias": f"{stem}_b", "running_mean": f"{stem}_rm", "running_var": f"{stem}_riv"}
            kind, facts = "SpatialBN", {"epsilon": epsilon}
        else:
            continue
        tensors = {role: stored[item] for role, item in names.items() if item in stored}
        used |= set(names.values())
        layers.append(_build_layer(stem, kind, tensors, facts=dict(facts), after=None, where=where))
    spare = [name for name in stored.given if name not in used]
    if spare:
        raise UserError(
            f"these tensors belong to no layer by their names: {', '.join(spare[:6])}",
            where=where,
            allowed="X_w and X_b for convolutions and dense layers; X_s, X_b, X_rm, X_riv for norms",
            do="give the net: definition=predict_net.pb",
        )
    return layers
