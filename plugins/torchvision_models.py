"""Offers torchvision's classification networks, with or without a weight tag (`vgg16`, `resnet50.imagenet1k_v2`)."""

from __future__ import annotations

from zoo.hookspecs import hookimpl
from zoo.plugins import Register


@hookimpl
def register_models(register: Register) -> None:
    """Offers torchvision's names on demand; torchvision is imported when they are first asked for."""
    register.provider(
        "zoo_plugins.torchvision_provider:TorchvisionModels",
        summary="torchvision's classifiers",
        light_names="zoo_plugins.library_names:torchvision_models",
    )
