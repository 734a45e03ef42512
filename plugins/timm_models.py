"""Offers every network of timm by its own name, with or without a weight tag (`resnet18`, `resnet18.a1_in1k`)."""

from __future__ import annotations

from zoo.hookspecs import hookimpl
from zoo.plugins import Register


@hookimpl
def register_models(register: Register) -> None:
    """Offers timm's names on demand; timm is imported when they are first asked for."""
    register.provider(
        "zoo_plugins.timm_provider:TimmModels",
        summary="PyTorch image models (timm)",
        light_names="zoo_plugins.library_names:timm_models",
    )
