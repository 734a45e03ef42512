"""Foreign values in a network's own tensors: exactly the same function, whatever each framework splits it into.

A layer y = g (W x + b - m) / sqrt(v + e) + s may be a convolution and a norm on one side and a convolution alone on the
other. All is computed in float64 and rounded to float32 once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from zoo.contracts.importing import ForeignLayer, ForeignPool
from zoo.errors import UserError
from zoo.weights.aligning import Pair
from zoo.weights.tracing import TargetLayer, TargetPool, pair, reach_of, resolve_padding

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Folded:
    """Tensors by the network's names, and a sentence for each way in which values were not taken as they were."""

    tensors: dict[str, torch.Tensor]
    notes: tuple[str, ...]


@dataclass
class _Affine:
    """Per output channel: what a norm does to it."""

    scale: Values
    shift: Values
    mean: Values
    variance: Values
    epsilon: float

    @property
    def factor(self) -> Values:
        return self.scale / np.sqrt(self.variance + self.epsilon)


def differences(pairs: Sequence[Pair]) -> list[str]:
    """What the source states of its layers and the network does otherwise, one sentence each; empty if nothing."""
    found: list[str] = []
    for item in pairs:
        if item.core is not None:
            found += _geometry(*item.core)
        for source, target in (item.core or (None, None), item.norm):
            if source is not None and target is not None and "pools" in source.facts:
                found += _pooling(source, target)
        source, target = item.norm
        if source is not None and target is not None and source.facts.get("direct") not in (None, target.direct):
            found.append(f"{source.name} and {target.name}: only one of them reads the convolution's result itself")
    return found


def _geometry(source: ForeignLayer, target: TargetLayer) -> list[str]:
    """Stride, dilation, groups and padding of a convolution, as far as the source states them."""
    if source.kind != "conv" or target.kind != "conv" or target.input_hw is None:
        return []
    stated: dict[str, object] = {}
    own: dict[str, object] = {"stride": target.stride, "dilation": target.dilation, "groups": target.groups}
    facts = source.facts
    stated |= {key: pair(facts[key]) for key in ("stride", "dilation") if key in facts}
    stated |= {"groups": int(facts["groups"])} if "groups" in facts else {}
    if "padding" in facts:
        stated["padding"] = resolve_padding(
            facts["padding"],
            kernel=target.shape[2:],
            stride=pair(facts.get("stride", target.stride)),
            dilation=pair(facts.get("dilation", target.dilation)),
            input_hw=target.input_hw,
        )
        own["padding"] = target.padding
    return [
        f"{source.name} has {key} {_shown(value)}, {target.name} {_shown(own[key])}"
        for key, value in stated.items()
        if value != own[key]
    ]


def _pooling(source: ForeignLayer, target: TargetLayer) -> list[str]:
    """Poolings on the way to a layer: their kinds, windows, strides, and how far they reach beyond the map."""
    theirs: list[ForeignPool] = sorted(source.facts["pools"], key=lambda pool: (pool.kind, pool.kernel, pool.stride))
    ours = sorted(target.pools, key=lambda pool: (pool.kind, pool.kernel, pool.stride))
    if target.kind == "dense" and target.flattened is None and len(theirs) > len(ours):
        # A window as large as the map, before a vector: the network pools over the whole map there.
        theirs = [pool for pool in theirs if pool.kind != "avg"]
    outline = [(pool.kind, pool.kernel, pool.stride) for pool in theirs]
    if outline != [(pool.kind, pool.kernel, pool.stride) for pool in ours]:
        return [f"before {source.name} stand {_pools(theirs)}, before {target.name} {_pools(ours)}"]
    found = []
    for stated, own in zip(theirs, ours, strict=True):
        pads = resolve_padding(
            stated.padding, kernel=own.kernel, stride=own.stride, dilation=(1, 1), input_hw=own.input_hw
        )
        reach = reach_of(pads, kernel=own.kernel, stride=own.stride, input_hw=own.input_hw, ceil=stated.ceil)
        if reach != own.reach:
            found.append(
                f"the {stated.kind} pooling before {source.name} reaches beyond the map by {_shown(reach)}, "
                f"that before {target.name} by {_shown(own.reach)}"
            )
    return found


def _pools(pools: Sequence[ForeignPool] | Sequence[TargetPool]) -> str:
    named = [f"{pool.kind} {_shown(pool.kernel)} / {_shown(pool.stride)}" for pool in pools]
    return "pooling " + ", ".join(named) if named else "no pooling"


def _shown(value: object) -> str:
    """(1, 1, 1, 1) as `1`, (0, 0, 1, 1) as `top 0 left 0 bottom 1 right 1`."""
    if not isinstance(value, tuple):
        return str(value)
    if len(set(value)) == 1:
        return str(value[0])
    if len(value) == 4:
        return " ".join(
            f"{side} {number}" for side, number in zip(("top", "left", "bottom", "right"), value, strict=True)
        )
    return " x ".join(str(number) for number in value)


def fold(pairs: Sequence[Pair], *, reverse_input: bool = False) -> Folded:
    """All tensors of the network's layers.

    Args:
        pairs: Of one alignment.
        reverse_input: The source's first layers read B, G, R: their kernels are turned to R, G, B.

    Raises:
        UserError: The network has no place for a value.
    """
    tensors: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}
    for item in pairs:
        _fold_pair(item, tensors, counts=counts, reverse_input=reverse_input)
    return Folded(tensors, tuple(f"{count} layers: {text}" for text, count in counts.items()))


def _fold_pair(item: Pair, tensors: dict[str, torch.Tensor], *, counts: dict[str, int], reverse_input: bool) -> None:
    """Adds one unit's tensors."""

    def note(text: str) -> None:
        counts[text] = counts.get(text, 0) + 1

    source_norm, target_norm = item.norm
    affine = None if source_norm is None else _affine(source_norm)
    weight: Values | None = None
    bias: Values | None = None
    if item.core is not None:
        source, target = item.core
        weight = _kernel(source, target, reverse_input=reverse_input and not target.after)
        bias = np.asarray(source.tensors["bias"], np.float64) if "bias" in source.tensors else None
        if affine is not None and target_norm is None:
            factor = affine.factor
            weight = weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))
            bias = ((0.0 if bias is None else bias) - affine.mean) * factor + affine.shift
            affine = None
            note("the norm behind it was folded into the convolution")
        if bias is not None and "bias" not in target.tensors and target_norm is not None:
            if affine is None:
                affine = _identity(target_norm, shift=bias)
                note("the source has its norm folded into the convolution: the network's norm became the identity")
            elif bias.any():
                affine.mean = affine.mean - bias
                note("the convolution's bias was folded into the mean of the norm behind it")
            bias = None
        tensors[target.tensors["weight"]] = _to_torch(weight, source, target)
        _add_bias(bias, source, target, tensors=tensors)
    if target_norm is not None:
        if reverse_input and not target_norm.after:
            raise UserError(f"{target_norm.name} reads blue, green, red itself; no fold turns it", where="source")
        if affine is None:
            affine = _identity(target_norm, shift=np.zeros(target_norm.shape[0]))
            note("the source has no norm here: the network's norm became the identity")
        _add_norm(affine, target_norm, tensors=tensors, note=note)


def _kernel(source: ForeignLayer, target: TargetLayer, *, reverse_input: bool) -> Values:
    """The weight in the network's shape."""
    weight: Values = np.asarray(source.tensors["weight"], np.float64)
    if source.kind == "dense" and source.facts.get("flatten_order") == "hwc":
        where = target.flattened or (target.shape[1:] if target.kind == "conv" else None)
        if where is not None:
            channels, height, width = where
            weight = weight.reshape(-1, height, width, channels).transpose(0, 3, 1, 2)
    weight = weight.reshape(target.shape)
    if reverse_input:
        if target.kind == "conv" and weight.shape[1] == 3:
            return weight[:, ::-1]
        channels = target.flattened[0] if target.flattened is not None else 0
        if channels != 3:
            raise UserError(
                f"{source.name} reads {weight.shape[1]} channels; blue, green, red can be turned in three alone",
                where="source",
            )
        return weight.reshape(weight.shape[0], 3, -1)[:, ::-1].reshape(weight.shape)
    return weight


def _affine(norm: ForeignLayer) -> _Affine:
    """A source's norm in float64."""
    roles = {role: np.asarray(values, np.float64) for role, values in norm.tensors.items()}
    if "epsilon" not in norm.facts:
        raise UserError(
            f"the source does not say what {norm.name} adds to its variance",
            where="source",
            do="give it to the reader, where it takes it: importer.epsilon=0.001",
        )
    if (roles["running_var"] < 0).any():
        raise UserError(
            f"{norm.name} has variances below 0", where="source", do="take another file: this one is damaged"
        )
    return _Affine(
        roles["weight"], roles["bias"], roles["running_mean"], roles["running_var"], float(norm.facts["epsilon"])
    )


def _identity(target: TargetLayer, *, shift: Values) -> _Affine:
    """A norm that only adds: variance 1 - e, so that 1 is divided by."""
    ones = np.ones(target.shape[0])
    return _Affine(ones, shift, np.zeros_like(ones), ones - target.epsilon, target.epsilon)


def _add_bias(
    bias: Values | None, source: ForeignLayer, target: TargetLayer, *, tensors: dict[str, torch.Tensor]
) -> None:
    """The bias, zeros where only the network has one.

    Raises:
        UserError: Only the source has one, and there is no norm that could take it.
    """
    if "bias" in target.tensors:
        values = np.zeros(target.shape[0]) if bias is None else bias
        tensors[target.tensors["bias"]] = _to_torch(values, source, target)
    elif bias is not None and bias.any():
        raise UserError(f"{source.name} adds a bias and {target.name} of the network cannot", where="source, model")


def _add_norm(affine: _Affine, target: TargetLayer, *, tensors: dict[str, torch.Tensor], note: object) -> None:
    """The norm's four tensors for the network's own epsilon."""
    scale, variance = affine.scale, affine.variance
    if affine.epsilon != target.epsilon:
        moved = variance + (affine.epsilon - target.epsilon)
        if (moved > 0).all():
            variance = moved
        else:
            scale = scale * np.sqrt((variance + target.epsilon) / (variance + affine.epsilon))
        if callable(note):
            note(f"epsilon {affine.epsilon:g} became {target.epsilon:g}, with the difference in the variance or scale")
    roles: Mapping[str, Values] = {
        "weight": scale,
        "bias": affine.shift,
        "running_mean": affine.mean,
        "running_var": variance,
    }
    neutral = {"weight": 1.0, "bias": 0.0}
    for role, values in roles.items():
        if role in target.tensors:
            tensors[target.tensors[role]] = torch.from_numpy(values.astype(np.float32))
        elif (values != neutral.get(role, np.nan)).any():
            raise UserError(f"the source's norm has a {role} and {target.name} of the network has none", where="model")


def _to_torch(values: Values, source: ForeignLayer, target: TargetLayer) -> torch.Tensor:
    """float32, once every value is a number.

    Raises:
        UserError: A value is NaN, infinite, or beyond float32.
    """
    with np.errstate(over="ignore"):
        rounded = np.ascontiguousarray(values, dtype=np.float32)
    if not np.isfinite(rounded).all():
        raise UserError(
            f"{source.name} holds values that are no numbers, or too large for float32, for {target.name}",
            where="source",
            do="take another file: this one is damaged, or of a training that broke",
        )
    return torch.from_numpy(rounded)
