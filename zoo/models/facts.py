"""What a strategy may know of a network before it plans."""

from __future__ import annotations

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
        linear_layers=sum(isinstance(module, nn.Linear) for module in body),
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
