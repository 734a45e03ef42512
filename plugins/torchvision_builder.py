"""Builds networks of torchvision as zoo models: random values, no auxiliary classifiers, stages by depth."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn
from torchvision import models
from torchvision.models.vision_transformer import interpolate_embeddings
from zoo_plugins.torchvision_families import Family, family_of, stages_of
from zoo_plugins.torchvision_provider import label_names, records_of

from zoo.contracts.model import Model, ModelSpec, WeightsRecord
from zoo.errors import UserError
from zoo.models.build import check_forward, check_stages, widen_input

OWN_ARGUMENTS: Mapping[str, str] = {
    "num_classes": "it follows the data",
    "weights": "use weights=",
    "weights_backbone": "use weights=",
    "pretrained": "use weights=",
    "progress": "use weights=",
    "image_size": "use model.image_size",
    "input_size": "use model.image_size",
    "aux_logits": "auxiliary classifiers are left out",
    "transform_input": "the preprocessing does it",
    "init_weights": "it is always on",
}
"""Arguments of torchvision's builders that zoo sets itself."""


def build(
    *, arch: str, tag: str, classes: int, channels: int, image_size: int | None, args: dict[str, Any] | None = None
) -> Model:
    """Builds a network of torchvision with random values.

    Args:
        arch: torchvision's name, `vgg16`.
        tag: Name of a set of weights, or "" for the default one; it decides the preprocessing.
        classes: Outputs of the classifier.
        channels: Input channels.
        image_size: Side of the input in pixels; None keeps the size of the weights.
        args: Further arguments for torchvision's constructor.

    Raises:
        UserError: The constructor does not take an argument, or the network not the image size.
    """
    family = family_of(arch)
    if family is None:
        raise UserError(
            f"torchvision/{arch} has no place for one head", where=f"model={arch}", do="take another network"
        )
    records = records_of(arch, tag)
    native = records[0].preprocess
    options = _own_options(arch, args)
    module = _create(
        arch, {**family.build_args, **options, **_size(family, image_size or native.size), "num_classes": classes}
    )
    first = _first_conv(module)
    if channels != 3:
        _set_channels(module, first, channels=channels)
    preprocess = native.with_size(image_size or native.size).with_channels(channels)
    spec = ModelSpec(
        name=f"torchvision/{arch}",
        library="torchvision",
        arch=arch,
        classifier=family.classifier,
        feature_dim=cast(nn.Linear, module.get_submodule(family.classifier)).in_features,
        stages=stages_of(module, family),
        preprocess=preprocess,
        weights=records,
        ignored_keys=family.ignored_keys,
        args=options,
    )
    convert = TorchvisionConverter(arch, f"{first}.weight", channels, preprocess.size)
    model = check_stages(Model(module, spec, convert, lambda record: label_names(arch, record.tag)))
    return model if preprocess.size == native.size else check_forward(model)


def _own_options(arch: str, args: dict[str, Any] | None) -> dict[str, Any]:
    """The user's extra arguments, once none of them is one that zoo sets."""
    for key in args or {}:
        if key in OWN_ARGUMENTS:
            raise UserError(f"{key!r} cannot be set here: {OWN_ARGUMENTS[key]}", where=f"model.args.{key}")
    return dict(args or {})


def _size(family: Family, size: int) -> dict[str, Any]:
    """The size argument of networks that are built for one."""
    if family.size_arg is None:
        return {}
    return {family.size_arg: (size, size) if family.size_arg == "input_size" else size}


def _create(arch: str, arguments: dict[str, Any]) -> nn.Module:
    """Calls torchvision, and says in zoo's terms what it did not take."""
    try:
        module: nn.Module = models.get_model(arch, weights=None, **arguments)
    except NotImplementedError:
        raise  # torch's own: a network that computes with values cannot be outlined on the meta device
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        blamed = [key for key in arguments if key in str(error)]
        key = "image_size" if {"image_size", "input_size"} & set(blamed) or not blamed else f"args.{blamed[0]}"
        raise UserError(
            f"torchvision/{arch} cannot take model.{key}: {error}",
            where=f"model.{key}",
            do=f"leave model.{key} out, or take another network",
        ) from error
    if type(module) is models.MNASNet:
        module.__class__ = VersionedMNASNet
    return module


class VersionedMNASNet(models.MNASNet):
    """MNASNet that takes tensors without torch's own metadata, such as safetensors hold, for those of today's version.

    torchvision's refuses them, as files of its first version had another stem; their shapes differ, which is found.
    """

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, {"version": self._version, **local_metadata}, *rest)


def _first_conv(module: nn.Module) -> str:
    """Dotted path of the convolution that reads the image."""
    names: list[str] = [name for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d)]
    return names[0]


def _set_channels(module: nn.Module, path: str, *, channels: int) -> None:
    """Puts a convolution for other channels in the first one's place, with its random values carried over."""
    old = cast(nn.Conv2d, module.get_submodule(path))
    new = nn.Conv2d(
        channels,
        old.out_channels,
        cast(tuple[int, int], old.kernel_size),
        stride=cast(tuple[int, int], old.stride),
        padding=cast(tuple[int, int], old.padding),
        bias=old.bias is not None,
    )
    with torch.no_grad():
        new.weight.copy_(widen_input(old.weight, channels))
        if new.bias is not None and old.bias is not None:
            new.bias.copy_(old.bias)
    module.set_submodule(path, new)


@dataclass(frozen=True)
class TorchvisionConverter:
    """Older names, position tables of another image size, and first convolutions for other channels."""

    arch: str
    first_weight: str
    channels: int
    size: int

    def __call__(self, tensors: Mapping[str, torch.Tensor], record: WeightsRecord) -> dict[str, torch.Tensor]:
        """Published tensors to the network's names and shapes, the head as published."""
        state = dict(tensors)
        if self.arch.startswith("densenet"):
            # Files of 2017 say `norm.1`, which torch no longer allows as a name.
            state = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key): v for key, v in state.items()}
        if {"conv_proj.weight", "encoder.pos_embedding"} <= set(state):
            patch = int(state["conv_proj.weight"].shape[-1])
            state = dict(interpolate_embeddings(self.size, patch, state))
        if self.first_weight in state:
            state[self.first_weight] = widen_input(state[self.first_weight], self.channels)
        return state
