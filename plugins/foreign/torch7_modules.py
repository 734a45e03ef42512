"""Torch7's modules as layers: a walk through the containers that keeps who reads what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from zoo_plugins.foreign.foreign_graphs import Trail, pass_on, start_trail
from zoo_plugins.foreign.torch7_file import TorchObject

from zoo.contracts.importing import ForeignLayer, ForeignPool
from zoo.errors import UserError

_LIBRARIES = ("nn", "cudnn", "cunn", "inn")
_VALUES = ("weight", "bias", "running_mean", "running_var", "running_std")
_CONVOLUTIONS = ("SpatialConvolution", "SpatialConvolutionMM", "SpatialDilatedConvolution")
_NORMS = ("SpatialBatchNormalization", "BatchNormalization")
_MERGING = ("CAddTable", "CSubTable", "CMulTable", "CDivTable", "CMaxTable", "CMinTable", "JoinTable")
_POOLS: Mapping[str, Literal["max", "avg"]] = {"SpatialMaxPooling": "max", "SpatialAveragePooling": "avg"}
_TRANSPARENT = ("Identity", "Copy", "Contiguous", "Dropout", "SpatialDropout")
"""Modules that hand on what they read when a net is used."""


_Result: TypeAlias = Trail | list[Trail]
"""One tensor, or a table of tensors."""


def read_modules(network: TorchObject, *, where: str, notes: list[str]) -> list[ForeignLayer]:
    """All layers with values in the order of execution, named by their places (`5.1.2`: the second of the first of 5).

    Args:
        network: The outermost module.
        where: The file, for messages.
        notes: Takes a sentence for each decision.

    Raises:
        UserError: A module holds values and is of no known kind, or a container is of none.
    """
    walk = _Walk(where, notes)
    walk.module(network, "", start_trail())
    if walk.passed:
        notes.append(f"modules without values were taken to be the network's own: {', '.join(walk.passed)}")
    return walk.layers


class _Walk:
    """One pass through the modules."""

    def __init__(self, where: str, notes: list[str]) -> None:
        self.where, self.notes = where, notes
        self.layers: list[ForeignLayer] = []
        self.open: list[TorchObject] = []
        self.passed: list[str] = []
        self.containers: dict[str, Callable[[list[TorchObject], str, _Result], _Result]] = {
            "Sequential": self._chain,
            "Concat": self._concat,
            "DepthConcat": self._concat,
            "ConcatTable": self._branches,
            "ParallelTable": self._parallel,
            "DataParallelTable": self._first,
            "DataParallel": self._first,
        }

    def refused(self, module: TorchObject, path: str, why: str, *, allowed: str | None = None) -> UserError:
        return UserError(
            f"module {path or 'at the top'} ({module.class_name}) {why}", where=self.where, allowed=allowed
        )

    def module(self, module: Any, path: str, state: _Result) -> _Result:
        """Reads a module that stands at a place; returns what is known of its result."""
        if not isinstance(module, TorchObject):
            raise UserError(f"at place {path or 'the top'} stands no module", where=self.where)
        library, _, kind = module.class_name.rpartition(".")
        if any(module is other for other in self.open):
            raise self.refused(module, path, "contains itself")
        parts = _modules(module)
        if parts is not None:
            if library not in _LIBRARIES or kind not in self.containers:
                raise self.refused(
                    module, path, "is no container that can be read", allowed=", ".join(sorted(self.containers))
                )
            self.open.append(module)
            result = self.containers[kind](parts, path, state)
            self.open.pop()
            return result
        values = {name: _array(module, name) for name in _VALUES if _array(module, name) is not None}
        if library in _LIBRARIES and kind in (*_CONVOLUTIONS, *_NORMS, "Linear"):
            return self._layer(module, kind, path, _one(state))
        if values:
            raise self.refused(
                module,
                path,
                f"holds {', '.join(values)}, which cannot be brought over",
                allowed=", ".join((*_CONVOLUTIONS, *_NORMS, "Linear")),
            )
        return self._valueless(module, kind, path, state)

    def _valueless(self, module: TorchObject, kind: str, path: str, state: _Result) -> _Result:
        """A module without values: what goes in comes out, as far as dataflow is concerned."""
        if kind == "SpatialZeroPadding":
            return self._padded(module, path, _one(state))
        if kind in _TRANSPARENT:
            return state
        if (kind.endswith("Table") and kind not in _MERGING) or kind.endswith("Padding"):
            raise self.refused(module, path, "cannot be followed", allowed=", ".join((*_MERGING, "SpatialZeroPadding")))
        if module.class_name not in self.passed:
            self.passed.append(module.class_name)
        trail = pass_on([_one(state)])
        if kind in _POOLS:
            return replace(trail, pools=(*trail.pools, (path, _pool(module, _POOLS[kind], _one(state)))))
        return trail

    def _chain(self, parts: list[TorchObject], path: str, state: _Result) -> _Result:
        for number, part in enumerate(parts, start=1):
            state = self.module(part, _place(path, number), state)
        return state

    def _branches(self, parts: list[TorchObject], path: str, state: _Result) -> _Result:
        return [_one(self.module(part, _place(path, number), state)) for number, part in enumerate(parts, start=1)]

    def _concat(self, parts: list[TorchObject], path: str, state: _Result) -> _Result:
        return pass_on([_one(self._branches(parts, path, state))])

    def _parallel(self, parts: list[TorchObject], path: str, state: _Result) -> _Result:
        states = state if isinstance(state, list) else [state]
        if len(states) != len(parts):
            raise UserError(
                f"the ParallelTable at {path or 'the top'} has {len(parts)} parts for {len(states)} inputs",
                where=self.where,
            )
        return [
            _one(self.module(part, _place(path, number), one))
            for number, (part, one) in enumerate(zip(parts, states, strict=True), start=1)
        ]

    def _first(self, parts: list[TorchObject], path: str, state: _Result) -> _Result:
        """Copies of one network for several devices."""
        self.notes.append(f"of the {len(parts)} copies of the network for several devices the first is read")
        return self.module(parts[0], path, state)

    def _padded(self, module: TorchObject, path: str, state: Trail) -> Trail:
        pads = [_whole(module, name, default=0) for name in ("pad_t", "pad_l", "pad_b", "pad_r")]
        if min(pads) < 0:
            raise self.refused(module, path, "cuts maps off, which cannot be brought over")
        top, left, bottom, right = (old + new for old, new in zip(state.pads, pads, strict=True))
        return replace(state, pads=(top, left, bottom, right), direct=False)

    def _layer(self, module: TorchObject, kind: str, path: str, state: Trail) -> Trail:
        name = path or "1"
        try:
            if kind in _CONVOLUTIONS:
                layer = _convolution(module, name, state)
            elif kind in _NORMS:
                layer = _norm(module, name, state)
            else:
                layer = ForeignLayer(name, "dense", _with_bias(_needed(module, "weight"), module))
            _check_shapes(layer)
        except (ValueError, KeyError) as error:
            raise self.refused(module, path, f"cannot be read: {error}") from error
        facts = {**layer.facts, "pools": state.pool_fact}
        self.layers.append(replace(layer, facts=facts, after=state.after))
        return Trail((name,), direct=True)


def _modules(module: TorchObject) -> list[Any] | None:
    """The parts of a container in their order; None for a module that is none."""
    parts = module.fields.get("modules")
    if not isinstance(parts, dict) or not parts:
        return None
    return [parts[key] for key in sorted(key for key in parts if isinstance(key, float))]


def _place(path: str, number: int) -> str:
    return f"{path}.{number}" if path else str(number)


def _one(state: _Result) -> Trail:
    """One state; of a table all that went into it."""
    if isinstance(state, Trail):
        return state
    return state[0] if len(state) == 1 else pass_on(state)


def _array(module: TorchObject, name: str) -> NDArray[np.float32] | None:
    """A tensor as an array of its own; None where there is none or it is empty."""
    values = module.fields.get(name)
    if not isinstance(values, np.ndarray) or not values.size:
        return None
    return np.array(values, dtype=np.float32)


def _needed(module: TorchObject, name: str) -> NDArray[np.float32]:
    values = _array(module, name)
    if values is None:
        raise ValueError(f"it has no {name}")
    return values


def _with_bias(weight: NDArray[np.float32], module: TorchObject) -> dict[str, NDArray[np.float32]]:
    bias = _array(module, "bias")
    return {"weight": weight} if bias is None else {"weight": weight, "bias": bias}


def _whole(module: TorchObject, name: str, *, default: int) -> int:
    value = module.fields.get(name)
    if value is None:
        return default
    if not isinstance(value, float) or not value.is_integer():
        raise ValueError(f"{name} is {value!r}")
    return int(value)


def _convolution(module: TorchObject, name: str, state: Trail) -> ForeignLayer:
    """SpatialConvolutionMM keeps its kernels in rows; older files say `padding` for both sides."""
    weight = _needed(module, "weight")
    groups = _whole(module, "groups", default=1)
    if weight.ndim == 2:
        inputs = _whole(module, "nInputPlane", default=0) // max(groups, 1)
        kernel = [_whole(module, side, default=0) for side in ("kH", "kW")]
        weight = weight.reshape(weight.shape[0], inputs, *kernel)
    both = _whole(module, "padding", default=0)
    pad_w = _whole(module, "padW", default=both)
    pad_h = _whole(module, "padH", default=pad_w)
    top, left, bottom, right = state.pads
    facts = {
        "stride": (_whole(module, "dH", default=1), _whole(module, "dW", default=1)),
        "padding": (top + pad_h, left + pad_w, bottom + pad_h, right + pad_w),
        "dilation": (_whole(module, "dilationH", default=1), _whole(module, "dilationW", default=1)),
        "groups": groups,
    }
    return ForeignLayer(name, "conv", _with_bias(weight, module), facts)


def _pool(module: TorchObject, kind: Literal["max", "avg"], trail: Trail) -> ForeignPool:
    """A pooling over windows; its stride is its window where the file does not say."""
    try:
        kernel = _whole(module, "kH", default=1), _whole(module, "kW", default=1)
        stride = _whole(module, "dH", default=kernel[0]), _whole(module, "dW", default=kernel[1])
        pad_h, pad_w = _whole(module, "padH", default=0), _whole(module, "padW", default=0)
    except ValueError as error:
        raise UserError(f"a {module.class_name} cannot be read: {error}", where="source") from error
    top, left, bottom, right = trail.pads
    padding = (top + pad_h, left + pad_w, bottom + pad_h, right + pad_w)
    return ForeignPool(kind, kernel, stride, padding, ceil=module.fields.get("ceil_mode") is True)


def _norm(module: TorchObject, name: str, state: Trail) -> ForeignLayer:
    """Before version 2, `running_std` held 1 / sqrt(variance + eps).

    Source: torch/nn, BatchNormalization.lua, `BN:read`.
    """
    epsilon = module.fields.get("eps")
    if not isinstance(epsilon, float):
        raise ValueError("it states no eps")
    mean = _needed(module, "running_mean")
    inverse = _array(module, "running_std") if module.version < 2 else None
    if inverse is not None:
        variance = (inverse.astype(np.float64) ** -2 - epsilon).astype(np.float32)
    else:
        variance = _needed(module, "running_var")
    weight, bias = _array(module, "weight"), _array(module, "bias")
    tensors = {
        "weight": np.ones_like(mean) if weight is None else weight,
        "bias": np.zeros_like(mean) if bias is None else bias,
        "running_mean": mean,
        "running_var": variance,
    }
    return ForeignLayer(name, "norm", tensors, {"epsilon": epsilon, "direct": state.direct})


def _check_shapes(layer: ForeignLayer) -> None:
    """Raises ValueError where values do not belong together."""
    weight = layer.tensors["weight"]
    dimensions = {"conv": 4, "dense": 2, "norm": 1}[layer.kind]
    others: Sequence[NDArray[np.float32]] = [values for role, values in layer.tensors.items() if role != "weight"]
    groups = int(layer.facts.get("groups", 1))
    if weight.ndim != dimensions or any(values.shape != weight.shape[:1] for values in others):
        raise ValueError(f"its values have the shapes {[list(values.shape) for values in layer.tensors.values()]}")
    if groups < 1 or weight.shape[0] % groups:
        raise ValueError(f"{weight.shape[0]} outputs do not fall into {groups} groups")
