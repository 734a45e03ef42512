"""What every network can be asked, whatever library it comes from: its head, its features, its parameters by depth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from zoo.contracts.model import Model, Stage, WeightsRecord
from zoo.errors import UserError


def replace_head(model: Model, head: nn.Module) -> Model:
    """Puts a module in the head's slot; the network is changed in place.

    Where the library's own classifier is a 1 x 1 convolution behind a pooling that keeps its two spatial axes, the new
    head flattens float[B, C, 1, 1] to float[B, C] by itself; its parameter names do not change.

    Args:
        head: Maps float[B, spec.feature_dim] to logits float[B, classes].
    """
    if isinstance(model.head, nn.Conv2d):
        head.register_forward_pre_hook(_flatten_pooled)
    model.module.set_submodule(model.spec.classifier, head)
    return model


def _flatten_pooled(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """float[B, C, 1, 1] to float[B, C]; two axes stay as they are."""
    return (_flat(inputs[0]), *inputs[1:])


def _flat(features: torch.Tensor) -> torch.Tensor:
    """Drops spatial axes of length one.

    Raises:
        ValueError: The features are not pooled, so no vector stands for an image.
    """
    if features.ndim > 2 and features.shape[2:].numel() != 1:
        raise ValueError(f"the classifier is fed {tuple(features.shape)}: not one vector an image")
    return features.flatten(1)


class _Reached(Exception):
    """Ends a forward pass at the classifier; carries what it was about to be fed."""

    def __init__(self, features: torch.Tensor) -> None:
        self.features = features


def features_of(model: Model, images: torch.Tensor) -> torch.Tensor:
    """What enters the head's slot: float[B, C, S, S] to float[B, feature_dim]. The head itself is not run.

    The network's mode (train or eval), precision and gradients are the caller's to set.
    """

    def stop(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        raise _Reached(inputs[0])

    handle = model.head.register_forward_pre_hook(stop, prepend=True)
    try:
        model.module(images)
    except _Reached as reached:
        return _flat(reached.features)
    finally:
        handle.remove()
    raise ValueError(f"{model.spec.name} never calls its classifier {model.spec.classifier!r}")


def channels_last(module: nn.Module) -> nn.Module:
    """Lays 4-D parameters out channels-last, the quicker layout for convolutions on CPUs and GPUs; in place."""
    return module.to(memory_format=torch.channels_last)


def norms_of(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The layers that keep running statistics: BatchNorm in all its forms."""
    for name, child in module.named_modules():
        if isinstance(child, nn.modules.batchnorm._NormBase) and getattr(child, "running_mean", None) is not None:
            yield name, child


def parameter_groups(
    model: Model, lr: float, *, stage_decay: float = 1.0, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer: the head at the full rate, each earlier stage at a smaller one.

    With stages 1..n from the input, stage i has `lr * stage_decay ** (n + 1 - i)`. Biases, one-dimensional parameters
    (scales of norms) and those the network itself names (position tables) have no weight decay.

    Returns:
        Groups with `name`, `params`, `lr`, `weight_decay`; frozen parameters are in none, empty groups are left out.

    Raises:
        ValueError: A trainable parameter belongs to no stage, or to two.
    """
    depth_of = _depths(model)
    exempt = _exempt_from_decay(model.module)
    total = len(model.spec.stages)
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.module.named_parameters():
        if not parameter.requires_grad:
            continue
        if name not in depth_of:
            raise ValueError(f"{model.spec.name}: parameter {name!r} is in no stage")
        depth = depth_of[name]
        decays = parameter.ndim > 1 and not name.endswith(".bias") and name not in exempt
        label = "head" if depth == total else model.spec.stages[depth].name
        group = groups.setdefault(
            (depth, decays),
            {
                "name": label if decays else f"{label} (no decay)",
                "params": [],
                "lr": lr * stage_decay ** (total - depth),
                "weight_decay": weight_decay if decays else 0.0,
            },
        )
        group["params"].append(parameter)
    return [groups[key] for key in sorted(groups, key=lambda key: (key[0], not key[1]))]


def _depths(model: Model) -> dict[str, int]:
    """Stage number of every parameter; the head's is the number of stages."""
    depth_of: dict[str, int] = {}
    for depth, stage in enumerate(model.spec.stages):
        for name in stage.parameters:
            if name in depth_of:
                raise ValueError(f"{model.spec.name}: parameter {name!r} is in two stages")
            depth_of[name] = depth
    for name, _ in model.head.named_parameters(prefix=model.spec.classifier):
        if name in depth_of:
            raise ValueError(f"{model.spec.name}: parameter {name!r} is in the head and in a stage")
        depth_of[name] = len(model.spec.stages)
    return depth_of


def _exempt_from_decay(module: nn.Module) -> set[str]:
    """Names that a network says must not decay (timm: position and class tokens)."""
    names = getattr(module, "no_weight_decay", None)
    return set(names()) if callable(names) else set()


def stages_from(names: Iterable[tuple[str, str]]) -> tuple[Stage, ...]:
    """Stages from (stage name, parameter name) pairs in the order in which a stage is first met."""
    found: dict[str, list[str]] = {}
    for stage, parameter in names:
        found.setdefault(stage, []).append(parameter)
    return tuple(Stage(name, tuple(parameters)) for name, parameters in found.items())


def check_stages(model: Model) -> Model:
    """The model itself, once every parameter is known to be in exactly one stage or in the head.

    Raises:
        ValueError: One is in none or in two; the plugin that built the network is at fault.
    """
    depth_of = _depths(model)
    actual = {name for name, _ in model.module.named_parameters()}
    missing, unknown = sorted(actual - set(depth_of)), sorted(set(depth_of) - actual)
    if missing or unknown:
        raise ValueError(f"{model.spec.name}: in no stage: {missing[:5]}; not in the network: {unknown[:5]}")
    return model


def check_forward(model: Model, *, size: int | None = None, key: str = "model.image_size") -> Model:
    """The model itself, once one blank image went through it.

    Args:
        size: Side of the image in pixels; None is the model's input size.
        key: The option that asks for this size.

    Raises:
        UserError: The network cannot take images of that size.
    """
    preprocess = model.spec.preprocess
    size = size or preprocess.size
    reference = next(model.module.parameters())
    blank = reference.new_zeros(1, preprocess.channels, size, size)
    mode = model.module.training
    try:
        with torch.no_grad():
            model.module.eval()(blank)
    except (RuntimeError, ValueError, AssertionError, ZeroDivisionError, IndexError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        ways = [f"leave {key} out, so that the network keeps its own size", "try a larger size"]
        if preprocess.channels != 3:
            ways.append("data.channels=3, where the network is made for colour alone")
        raise UserError(
            f"{model.spec.name} cannot take images of {size} x {size} px in {_channels(preprocess.channels)}: "
            f"{reason[:200]}",
            where=f"{key}={size}",
            do=ways,
        ) from error
    finally:
        model.module.train(mode)
    return model


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"


def widen_input(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """First-layer kernels for another number of input channels: float[O, I, k, k] to float[O, channels, k, k].

    One channel sums the kernels, so a gray image gives what the same image in equal colours gave. More channels repeat
    them in order, scaled by I / channels so that the size of the sum is kept. Both are timm's rules.
    """
    present = weight.shape[1]
    if channels == present:
        return weight
    if channels == 1:
        return weight.float().sum(dim=1, keepdim=True).to(weight.dtype)
    repeats = -(-channels // present)
    return (weight.float().repeat(1, repeats, 1, 1)[:, :channels] * (present / channels)).to(weight.dtype)


def for_channels(
    tensors: Mapping[str, torch.Tensor], record: WeightsRecord, *, first: str, channels: int
) -> dict[str, torch.Tensor]:
    """A `Model.convert` that fits the first layer's kernels to the channels of the data; all else stays as it is.

    Args:
        tensors: Of a file, in the network's names.
        record: What is known of them; not looked at.
        first: Name of the first layer's kernels, float[O, I, k, k].
        channels: Of the data.
    """
    return {name: widen_input(value, channels) if name == first else value for name, value in tensors.items()}
