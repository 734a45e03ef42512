"""What a strategy may know of a network before it plans."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from zoo.contracts.model import Model, NetworkFacts


def network_facts(model: Model) -> NetworkFacts:
    """Counts of a network's values and layers, its head left out."""
    inside_head = {id(module) for module in model.head.modules()}
    body = [module for module in model.module.modules() if id(module) not in inside_head]
    head = sum(parameter.numel() for parameter in model.head.parameters())
    return NetworkFacts(
        name=model.spec.name,
        stages=tuple(stage.name for stage in model.spec.stages),
        parameters=sum(parameter.numel() for parameter in model.module.parameters()) - head,
        input_px=model.spec.preprocess.size,
        norm_layers=sum(is_norm(module) for module in body),
        linear_layers=len(adaptable_layers(model, "linear")),
        conv_layers=len(adaptable_layers(model, "conv")),
        biases=sum(is_bias(name) for stage in model.spec.stages for name in stage.parameters),
    )


def is_norm(module: nn.Module) -> bool:
    """Whether a layer normalises and has scales and shifts of its own: batch, group, layer, instance or RMS norm.

    Told by its parameters: a one-dimensional `weight` and at most a `bias` of the same shape beside it.
    """
    own = dict(module.named_parameters(recurse=False))
    weight, bias = own.pop("weight", None), own.pop("bias", None)
    if weight is None or weight.ndim != 1 or own or isinstance(module, nn.PReLU):
        return False
    return bias is None or bias.shape == weight.shape


def norm_parameters(module: nn.Module) -> Iterator[str]:
    """Names of the scales and shifts of all norms."""
    for prefix, child in module.named_modules():
        if is_norm(child):
            yield from (f"{prefix}.{name}".lstrip(".") for name, _ in child.named_parameters(recurse=False))


def is_bias(name: str) -> bool:
    """Whether a parameter of this name is added to a layer's output: `bias`, or `in_proj_bias` and the like."""
    last = name.rpartition(".")[2]
    return last == "bias" or last.endswith("_bias")


def adaptable_layers(model: Model, kind: str) -> tuple[str, ...]:
    """Names of the layers outside the head that low-rank adapters can attach to and be merged into.

    Exactly torch's own classes: subclasses compute otherwise (standardised kernels, attention that reads a projection's
    weight without calling it). Adapters of convolutions with groups cannot be merged, and those of dilated ones would
    look at other places than the layer.

    Args:
        model: The network.
        kind: `linear`, `conv`, or `all`.
    """
    inside_head = {id(module) for module in model.head.modules()}
    outside = ((name, child) for name, child in model.module.named_modules() if id(child) not in inside_head)
    return tuple(name for name, child in outside if _takes_adapter(child, kind))


def _takes_adapter(layer: nn.Module, kind: str) -> bool:
    if type(layer) is nn.Linear:
        return kind in ("linear", "all")
    if type(layer) is not nn.Conv2d or kind not in ("conv", "all"):
        return False
    return layer.groups == 1 and set(layer.dilation) == {1} and layer.padding_mode == "zeros"
