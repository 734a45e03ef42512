"""Keras' layers in PyTorch's layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from zoo_plugins.foreign.foreign_graphs import Trail, pass_on, start_trail
from zoo_plugins.foreign.keras_files import Stored
from zoo_plugins.foreign.keras_graphs import Call

from zoo.contracts.importing import ForeignLayer, ForeignPool
from zoo.errors import UserError

PLAIN = frozenset(
    {
        *("InputLayer", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Identity", "Dropout", "SpatialDropout2D"),
        *("GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization", "MaxPooling2D", "Flatten"),
        *("AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "Reshape", "Add", "Concatenate"),
        *("Average", "Maximum", "Multiply", "ZeroPadding2D", "Cropping2D", "UpSampling2D", "Merge", "RandomFlip"),
        *("RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness"),
    }
)
"""Layers without values. The random ones do nothing when a network is used."""

ROLES: Mapping[str, tuple[str, ...]] = {
    "Conv2D": ("kernel", "bias"),
    "Convolution2D": ("kernel", "bias"),
    "DepthwiseConv2D": ("kernel", "bias"),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
"""Layers with values, and their roles in the order in which Keras 3 numbers them."""

POOLS: Mapping[str, Literal["max", "avg"]] = {"MaxPooling2D": "max", "AveragePooling2D": "avg"}

Array = NDArray[np.float32]


class LayerReader:
    """Turns calls into foreign layers, and follows what reads what."""

    def __init__(self, stored: Mapping[str, Stored], *, channels_last: bool) -> None:
        self.stored = stored
        self.channels_last = channels_last
        self.layers: list[ForeignLayer] = []
        self.trails: dict[str, Trail] = {}

    def read(self, calls: Sequence[Call]) -> tuple[ForeignLayer, ...]:
        """All layers with values.

        Raises:
            UserError: A layer is not known here, its values are missing, or values belong to no layer.
        """
        for call in calls:
            self._call(call)
        unused = sorted(set(self.stored) - {call.path for call in calls})
        if unused:
            raise UserError(
                f"{len(unused)} layers of the file are not in its network: {', '.join(unused[:4])}", where="source"
            )
        return tuple(self.layers)

    def _call(self, call: Call) -> None:
        before = [self.trails[path] for path in call.inputs]
        trail = pass_on(before) if before else start_trail(channels_last=self.channels_last)
        if call.class_name in ROLES:
            self.trails[call.path] = self._valued(call, before[0] if before else trail)
        elif call.class_name in PLAIN and call.path not in self.stored:
            self.trails[call.path] = self._plain(call, before, trail)
        else:
            raise UserError(
                f"the layer {call.path!r} is a {call.class_name}, which is not known here",
                where="source",
                allowed=", ".join([*ROLES, "and layers without values"]),
            )

    def _plain(self, call: Call, before: Sequence[Trail], trail: Trail) -> Trail:
        if call.class_name in ("Identity", "Dropout", "InputLayer") and before:
            return before[0]
        if call.class_name == "ZeroPadding2D":
            (top, bottom), (left, right) = _two_sided(call.config["padding"])
            pads = before[0].pads if before else trail.pads
            return replace(trail, pads=(pads[0] + top, pads[1] + left, pads[2] + bottom, pads[3] + right))
        if call.class_name in POOLS:
            return replace(trail, pools=(*trail.pools, (call.path, _pool(call, before[0] if before else trail))))
        return trail

    def _valued(self, call: Call, trail: Trail) -> Trail:
        """Adds the layer, or the two of a separable convolution."""
        values = values_of(call, self.stored.get(call.path))
        if call.class_name == "BatchNormalization":
            self._add(
                call.path, "norm", _norm(call, values), {"epsilon": _epsilon(call), "direct": trail.direct}, trail
            )
        elif call.class_name == "Dense":
            facts = {"flatten_order": "hwc"} if trail.channels_last else {}
            self._add(call.path, "dense", _with_bias(values["kernel"].T, values), facts, trail)
        elif call.class_name == "SeparableConv2D":
            first, second = f"{call.path}:depthwise", f"{call.path}:pointwise"
            depthwise = _depthwise(values["depthwise_kernel"])
            self._add(first, "conv", {"weight": depthwise}, _geometry(call, trail) | _groups(values, call), trail)
            pointwise = _with_bias(_kernel(values["pointwise_kernel"]), values)
            facts = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
            self._add(second, "conv", pointwise, facts, Trail((first,)))
            return self._result(call, second, trail)
        else:
            kernel, facts = values["kernel"], _geometry(call, trail)
            if call.class_name == "DepthwiseConv2D":
                self._add(
                    call.path, "conv", _with_bias(_depthwise(kernel), values), facts | _groups(values, call), trail
                )
            else:
                facts |= {"groups": int(call.config.get("groups", 1))}
                self._add(call.path, "conv", _with_bias(_kernel(kernel), values), facts, trail)
        return self._result(call, call.path, trail)

    def _result(self, call: Call, name: str, trail: Trail) -> Trail:
        linear = call.config.get("activation") in (None, "linear")
        return Trail((name,), direct=linear, channels_last=trail.channels_last)

    def _add(self, name: str, kind: Any, tensors: Mapping[str, Array], facts: Mapping[str, Any], trail: Trail) -> None:
        plain = {role: np.ascontiguousarray(values) for role, values in tensors.items()}
        self.layers.append(ForeignLayer(name, kind, plain, {**facts, "pools": trail.pool_fact}, trail.after))


def values_of(call: Call, stored: Stored | None) -> dict[str, Array]:
    """A layer's arrays by role.

    Raises:
        UserError: There are none, or not those that such a layer has.
    """
    roles = ROLES[call.class_name]
    if stored is None:
        raise UserError(f"the file has no values for the layer {call.path!r}", where="source")
    names = stored.roles
    if not names:
        left_out = {"bias": not call.config.get("use_bias", len(stored.arrays) == len(roles))}
        left_out |= {"gamma": not call.config.get("scale", True), "beta": not call.config.get("center", True)}
        names = tuple(role for role in roles if not left_out.get(role))
    elif call.class_name == "DepthwiseConv2D":
        names = tuple("kernel" if role == "depthwise_kernel" else role for role in names)
    values = dict(zip(names, stored.arrays, strict=False))
    needed = [role for role in roles if role not in ("bias", "gamma", "beta")]
    if len(values) != len(stored.arrays) or not set(values) <= set(roles) or any(role not in values for role in needed):
        raise UserError(
            f"the layer {call.path!r} ({call.class_name}) holds {len(stored.arrays)} arrays: {', '.join(names)}",
            where="source",
            allowed=", ".join(roles),
        )
    _check_shapes(call, values)
    return values


def _check_shapes(call: Call, values: Mapping[str, Array]) -> None:
    """Raises UserError where an array has another number of axes than its role."""
    axes = dict.fromkeys(values, 1)
    axes |= {role: 2 if call.class_name == "Dense" else 4 for role in values if role.endswith("kernel")}
    odd = [role for role, array in values.items() if array.ndim != axes[role]]
    if odd:
        shapes = ", ".join(f"{role} {list(values[role].shape)}" for role in odd)
        raise UserError(f"the layer {call.path!r} ({call.class_name}) has {shapes}", where="source")


def _kernel(values: Array) -> Array:
    """[kH, kW, I, O] as [O, I, kH, kW]."""
    return values.transpose(3, 2, 0, 1)


def _depthwise(values: Array) -> Array:
    """[kH, kW, C, M] as [C * M, 1, kH, kW]: the outputs of one channel stand together in both."""
    height, width, channels, times = values.shape
    return values.transpose(2, 3, 0, 1).reshape(channels * times, 1, height, width)


def _groups(values: Mapping[str, Array], call: Call) -> dict[str, int]:
    kernel = values["depthwise_kernel" if call.class_name == "SeparableConv2D" else "kernel"]
    return {"groups": int(kernel.shape[2])}


def _with_bias(weight: Array, values: Mapping[str, Array]) -> dict[str, Array]:
    return {"weight": weight} | ({"bias": values["bias"]} if "bias" in values else {})


def _norm(call: Call, values: Mapping[str, Array]) -> dict[str, Array]:
    """A norm's four arrays; a scale or shift that it leaves out is one or zero."""
    axis = call.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, Sequence) and not isinstance(axis, str) and axis else axis
    if axis not in (-1, 3, 1):
        raise UserError(f"the norm {call.path!r} goes along axis {axis}, not along the channels", where="source")
    mean = values["moving_mean"]
    return {
        "weight": values.get("gamma", np.ones_like(mean)),
        "bias": values.get("beta", np.zeros_like(mean)),
        "running_mean": mean,
        "running_var": values["moving_variance"],
    }


def _epsilon(call: Call) -> float:
    return float(call.config.get("epsilon", 1e-3))


def _geometry(call: Call, trail: Trail) -> dict[str, Any]:
    """Stride, dilation and padding, with the zeros of a padding layer before it."""
    config = call.config
    padding = str(config.get("padding", config.get("border_mode", "valid"))).lower()
    if padding not in ("same", "valid"):
        raise UserError(f"the layer {call.path!r} has padding {padding!r}", where="source", allowed="same, valid")
    stated: Any = padding
    if any(trail.pads):
        if padding == "same":
            raise UserError(f"the layer {call.path!r} pads what was padded already", where="source")
        stated = trail.pads
    return {
        "stride": _pair(config.get("strides", config.get("subsample", 1))),
        "dilation": _pair(config.get("dilation_rate", 1)),
        "padding": stated,
    }


def _pool(call: Call, trail: Trail) -> ForeignPool:
    """A pooling over windows, with the zeros of a padding layer before it."""
    kernel = _pair(call.config.get("pool_size", 2))
    stride = call.config.get("strides")
    padding = str(call.config.get("padding", call.config.get("border_mode", "valid"))).lower()
    if any(trail.pads) and padding == "same":
        raise UserError(f"the layer {call.path!r} pads what was padded already", where="source")
    stated = trail.pads if any(trail.pads) else padding
    return ForeignPool(POOLS[call.class_name], kernel, kernel if stride is None else _pair(stride), stated)


def _pair(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _two_sided(padding: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """Keras' 1, (1, 2) or ((1, 1), (2, 2)) as ((top, bottom), (left, right))."""
    if isinstance(padding, int):
        return (padding, padding), (padding, padding)
    height, width = padding
    if isinstance(height, int):
        return (height, height), (width, width)
    return (int(height[0]), int(height[1])), (int(width[0]), int(width[1]))
