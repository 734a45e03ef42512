"""What a network computes with its values, in which order, seen while one image goes through it.

The functions of torch are watched, not the modules: a convolution is one whether a library wraps it or not, padding
that is put on before it counts with it, and a value that anything else uses is found.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from zoo.contracts.importing import LayerKind
from zoo.errors import UserError

Pads = tuple[int, int, int, int]
"""Zeros put on a map: top, left, bottom, right."""

_ARGUMENTS: Mapping[str, tuple[LayerKind, tuple[str, ...]]] = {
    "conv2d": ("conv", ("input", "weight", "bias", "stride", "padding", "dilation", "groups")),
    "linear": ("dense", ("input", "weight", "bias")),
    "batch_norm": ("norm", ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")),
}
"""The functions that layers with values call, with the names of their arguments in order."""

_SHAPES = ("dim", "size", "numel", "__get__", "stride", "is_contiguous", "__len__")
"""What asks a tensor for its shape and computes nothing; tensors of values may be asked, too."""


_POOLS: Mapping[str, tuple[Literal["max", "avg"], tuple[str, ...]]] = {
    "max_pool2d": ("max", ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode")),
    "avg_pool2d": ("avg", ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")),
}
"""The functions that pool over windows, with the names of their arguments in order."""


@dataclass(frozen=True)
class TargetPool:
    """A pooling over windows, as it was called; `reach` says how far its windows go beyond the map."""

    kind: str
    kernel: tuple[int, int]
    stride: tuple[int, int]
    reach: Pads
    input_hw: tuple[int, int]


@dataclass(frozen=True)
class TargetLayer:
    """One layer of a network, as it was called.

    Attributes:
        name: Of the module that owns its values.
        tensors: Role (`weight`, `bias`, `running_mean`, `running_var`) to the name in the state dict.
        shape: Of the weight; of the mean for a norm.
        after: Layers whose results it reads, through what has no values; () reads the image.
        input_hw: Height and width of what it reads, before any padding; None for vectors.
        flattened: [C, H, W] of the map whose values in a row a dense layer reads; None where it reads a vector.
        epsilon: Of a norm.
        direct: Whether it reads a layer's result itself, with nothing in between.
        pools: Between it and the layers that it reads, those over the whole map left out.
    """

    name: str
    kind: LayerKind
    tensors: Mapping[str, str]
    shape: tuple[int, ...]
    after: tuple[str, ...]
    input_hw: tuple[int, int] | None = None
    stride: tuple[int, int] = (1, 1)
    padding: Pads = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    flattened: tuple[int, int, int] | None = None
    epsilon: float = 0.0
    direct: bool = False
    pools: tuple[TargetPool, ...] = ()


@dataclass(frozen=True)
class _State:
    """What is known of a tensor on its way."""

    after: tuple[str, ...] = ()
    pads: Pads = (0, 0, 0, 0)
    flattened: tuple[int, int, int] | None = None
    direct: bool = False
    pools: tuple[tuple[int, TargetPool], ...] = ()


def trace_layers(module: nn.Module, image: torch.Tensor) -> tuple[TargetLayer, ...]:
    """All layers with values in the order of execution.

    Args:
        module: The network; its mode is left as it was.
        image: float[1, C, H, W].

    Raises:
        UserError: A layer is used twice, or values are used other than by convolutions, dense layers and batch norms.
    """
    tracer = _Tracer(module)
    tracer.states[id(image)] = _State()
    mode = module.training
    module.eval()
    try:
        with torch.no_grad(), tracer:
            module(image)
    finally:
        module.train(mode)
    _check_all_used(module, tracer)
    return tuple(tracer.layers)


class _Tracer(TorchFunctionMode):
    """Follows tensors through the functions of torch."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        named = itertools.chain(module.named_parameters(), module.named_buffers())
        self.names: dict[int, str] = {id(tensor): name for name, tensor in named}
        self.persistent = set(module.state_dict())
        self.states: dict[int, _State] = {}
        self.layers: list[TargetLayer] = []
        self.strangers: dict[str, str] = {}
        self.kept: list[Any] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        name = getattr(func, "__name__", "")
        if name in _SHAPES:
            return result
        inputs = [tensor for tensor in _tensors((args, given)) if id(tensor) in self.states]
        values = [self.names[id(tensor)] for tensor in _tensors((args, given)) if id(tensor) in self.names]
        values = [value for value in values if value in self.persistent]
        if not inputs:
            self.strangers.update((value, name) for value in values if not value.endswith("num_batches_tracked"))
            return result
        if values and name in _ARGUMENTS:
            state = self._layer(name, args, given)
        else:
            self.strangers.update((value, name) for value in values)
            state = self._passed(name, inputs, result=result, args=args, given=given)
        for tensor in _tensors(result):
            self.states[id(tensor)] = state
            self.kept.append(tensor)
        return result

    def _layer(self, function: str, args: Sequence[Any], given: Mapping[str, Any]) -> _State:
        """Notes a layer with values; returns what is known of its result."""
        kind, roles = _ARGUMENTS[function]
        called = dict(zip(roles, args, strict=False)) | dict(given)
        image = called["input"]
        state = self.states.get(id(image), _State())
        tensors = {
            role: self.names[id(called[role])]
            for role in ("weight", "bias", "running_mean", "running_var")
            if called.get(role) is not None and id(called[role]) in self.names
        }
        owner = next(iter(tensors.values())).rpartition(".")[0]
        key = called["running_mean"] if kind == "norm" else called["weight"]
        top, left, bottom, right = state.pads
        layer = TargetLayer(
            name=owner,
            kind=kind,
            tensors=tensors,
            shape=tuple(key.shape),
            after=state.after,
            input_hw=(image.shape[2] - top - bottom, image.shape[3] - left - right) if image.ndim == 4 else None,
            flattened=state.flattened,
            direct=state.direct,
            pools=tuple(pool for _, pool in state.pools),
        )
        if kind == "conv":
            layer = _with_geometry(layer, called, pads=state.pads)
        if kind == "norm":
            layer = replace(layer, epsilon=float(called.get("eps", 1e-5)))
        if any(known.name == layer.name for known in self.layers):
            raise UserError(f"layer {layer.name!r} is used twice in one pass, which no import aligns", where="model")
        self.layers.append(layer)
        return _State(after=(layer.name,), direct=True)

    def _passed(
        self, name: str, inputs: Sequence[torch.Tensor], *, result: Any, args: Sequence[Any], given: Mapping[str, Any]
    ) -> _State:
        """What is known of the result of a function without values."""
        states = [self.states[id(tensor)] for tensor in inputs]
        after = tuple(dict.fromkeys(itertools.chain.from_iterable(state.after for state in states)))
        pools = tuple(dict.fromkeys(itertools.chain.from_iterable(state.pools for state in states)))
        first, before = states[0], inputs[0]
        if name in _POOLS:
            pools += self._pool(name, args, given, pads=first.pads)
        if name == "pad" and len(inputs) == 1:
            pads = _added(first.pads, _four(args[1] if len(args) > 1 else given["pad"]))
            return _State(after, pads=pads, pools=pools)
        flattened = first.flattened
        if isinstance(result, torch.Tensor) and result.ndim == 2:
            if before.ndim == 4 and before.shape[2] * before.shape[3] > 1 and result.numel() == before.numel():
                flattened = (before.shape[1], before.shape[2], before.shape[3])
            elif before.shape != result.shape:
                flattened = None
        same = isinstance(result, torch.Tensor) and result.shape == before.shape
        return _State(after, pads=first.pads if same else (0, 0, 0, 0), flattened=flattened, pools=pools)

    def _pool(
        self, name: str, args: Sequence[Any], given: Mapping[str, Any], *, pads: Pads
    ) -> tuple[tuple[int, TargetPool], ...]:
        """A pooling with the number of its call; nothing where its window is the whole map."""
        kind, roles = _POOLS[name]
        called = dict(zip(roles, args, strict=False)) | dict(given)
        height, width = called["input"].shape[-2:]
        hw = (int(height) - pads[0] - pads[2], int(width) - pads[1] - pads[3])
        kernel = pair(called["kernel_size"])
        stride = pair(called.get("stride") or kernel)
        own = resolve_padding(called.get("padding", 0), kernel=kernel, stride=stride, dilation=(1, 1), input_hw=hw)
        if kernel == hw and not any(_added(pads, own)):
            return ()
        reach = reach_of(
            _added(pads, own), kernel=kernel, stride=stride, input_hw=hw, ceil=bool(called.get("ceil_mode"))
        )
        return ((len(self.kept), TargetPool(kind, kernel, stride, reach, hw)),)


def _with_geometry(layer: TargetLayer, called: Mapping[str, Any], *, pads: Pads) -> TargetLayer:
    """A convolution with its stride, padding, dilation and groups."""
    stride, dilation = pair(called.get("stride", 1)), pair(called.get("dilation", 1))
    own = resolve_padding(
        called.get("padding", 0),
        kernel=layer.shape[2:],
        stride=stride,
        dilation=dilation,
        input_hw=layer.input_hw or (1, 1),
    )
    groups = int(called.get("groups", 1))
    return replace(layer, stride=stride, dilation=dilation, padding=_added(pads, own), groups=groups)


def resolve_padding(
    padding: Any,
    *,
    kernel: Sequence[int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    input_hw: tuple[int, int],
) -> Pads:
    """Zeros on each side that a stated padding means for an input of this size.

    Args:
        padding: `same` as TensorFlow has it (the odd zero at the end), `valid`, int, (h, w), or
            (top, left, bottom, right).
        kernel: Height and width.
        stride: Height and width.
        dilation: Height and width.
        input_hw: Height and width of the map.

    Source: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
    """
    if padding == "valid":
        return (0, 0, 0, 0)
    if padding == "same":
        ends = []
        for k, s, d, n in zip(kernel, stride, dilation, input_hw, strict=True):
            total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
            ends.append((total // 2, total - total // 2))
        return (ends[0][0], ends[1][0], ends[0][1], ends[1][1])
    numbers = tuple(padding) if isinstance(padding, Iterable) else (int(padding),) * 2
    if len(numbers) == 4:
        return (int(numbers[0]), int(numbers[1]), int(numbers[2]), int(numbers[3]))
    height, width = (numbers * 2)[:2]
    return (int(height), int(width), int(height), int(width))


def reach_of(
    pads: Pads, *, kernel: tuple[int, int], stride: tuple[int, int], input_hw: tuple[int, int], ceil: bool
) -> Pads:
    """How far the windows of a pooling go beyond the map: two poolings of the same reach see the same pixels.

    Args:
        pads: What is put around the map.
        kernel: Height and width.
        stride: Height and width.
        input_hw: Height and width of the map.
        ceil: A last window that hangs over counts, where it begins within the map or the padding before it.
    """
    ends = []
    for n, k, s, before, behind in zip(input_hw, kernel, stride, pads[:2], pads[2:], strict=True):
        room = n + before + behind - k
        windows = (-(-room // s) if ceil else room // s) + 1
        if ceil and (windows - 1) * s >= n + before:
            windows -= 1
        ends.append(max((windows - 1) * s + k - n - before, 0))
    return (pads[0], pads[1], ends[0], ends[1])


def pair(value: Any) -> tuple[int, int]:
    """One number for both sides, or (height, width)."""
    numbers = tuple(value) if isinstance(value, Iterable) else (value,)
    return int(numbers[0]), int(numbers[-1])


def _four(pad: Sequence[int]) -> Pads:
    """torch's (left, right, top, bottom) as (top, left, bottom, right)."""
    left, right, top, bottom = (*pad, 0, 0, 0, 0)[:4]
    return int(top), int(left), int(bottom), int(right)


def _added(first: Pads, second: Pads) -> Pads:
    return first[0] + second[0], first[1] + second[1], first[2] + second[2], first[3] + second[3]


def _tensors(value: Any) -> list[torch.Tensor]:
    """Tensors in nested arguments, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in _tensors(item)]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


def _check_all_used(module: nn.Module, tracer: _Tracer) -> None:
    """Raises UserError where the network holds values that no traced layer has."""
    known = {name for layer in tracer.layers for name in layer.tensors.values()}
    left = [name for name in module.state_dict() if name not in known and not name.endswith("num_batches_tracked")]
    if left:
        used = ", ".join(
            f"{name} ({tracer.strangers[name]})" if name in tracer.strangers else name for name in left[:4]
        )
        raise UserError(
            f"this network holds {len(left)} tensors outside of convolutions, dense layers and batch norms: {used}",
            where="model",
            do="take a network of these layers alone: their values are all that an import can align",
        )
