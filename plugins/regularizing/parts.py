"""Which parameters of a network a regularizer acts on: kernels, biases, the backbone's, the head's, output units."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from zoo.contracts.model import Model


def kernels(module: nn.Module) -> Iterator[nn.Parameter]:
    """Trainable parameters of two or more dimensions."""
    return (p for p in module.parameters() if p.requires_grad and p.ndim >= 2)


def biases(module: nn.Module) -> Iterator[nn.Parameter]:
    """Trainable one-dimensional parameters named `...bias`, without those of normalisation layers."""
    for owner in module.modules():
        weight = getattr(owner, "weight", None)
        if isinstance(weight, Tensor) and weight.ndim == 1:
            continue
        for name, parameter in owner.named_parameters(recurse=False):
            if parameter.requires_grad and parameter.ndim == 1 and name.endswith("bias"):
                yield parameter


def backbone(model: Model) -> dict[str, nn.Parameter]:
    """Trainable parameters outside the head, by name."""
    head = {id(parameter) for parameter in model.head.parameters()}
    named = model.module.named_parameters()
    return {name: p for name, p in named if p.requires_grad and id(p) not in head}


def head(model: Model) -> list[nn.Parameter]:
    """Trainable parameters of the head."""
    return [parameter for parameter in model.head.parameters() if parameter.requires_grad]


def unit_kernels(module: nn.Module) -> Iterator[nn.Parameter]:
    """Trainable weights whose first dimension counts output units: of linear layers and convolutions.

    Those of transposed convolutions, whose first dimension counts inputs, are left out.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d) and layer.weight.requires_grad:
            yield layer.weight


def stage_ends(model: Model) -> dict[str, str]:
    """Stage name to the path of the module whose output ends it.

    It is the largest module that holds the stage's last parameter and no parameter of another stage: `layer1` of a
    ResNet, `blocks.2` of a vision transformer whose third block ends a stage.
    """
    found = {}
    for stage in model.spec.stages:
        own = set(stage.parameters)
        owners = [name.rpartition(".")[0] for name in stage.parameters]
        inside = [path for path in owners if path]  # a token or table stands in the network itself, not in a layer
        if inside:
            found[stage.name] = _largest_within(own, inside[-1], module=model.module)
    return found


def _largest_within(own: set[str], path: str, *, module: nn.Module) -> str:
    """The longest way up from a layer on which all parameters are the stage's own."""
    while parent := path.rpartition(".")[0]:
        names = {f"{parent}.{name}" for name, _ in module.get_submodule(parent).named_parameters()}
        if not names <= own:
            break
        path = parent
    return path
