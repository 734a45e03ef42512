"""Offers networks that are written here, after their papers."""

from __future__ import annotations

from zoo_plugins.classic_papers import classic_facts

from zoo.hookspecs import hookimpl
from zoo.plugins import Register


@hookimpl
def register_models(register: Register) -> None:
    """The oldest networks of the classic list; timm and torchvision have the others."""
    _offer(
        register,
        "perceptron",
        "zoo_plugins.dense_networks:build_perceptron",
        summary="one linear layer on the pixels, 8 thousand parameters, no published weights",
        source="doi:10.1037/h0042519",
        input_px=28,
    )
    _offer(
        register,
        "mlp",
        "zoo_plugins.dense_networks:build_mlp",
        summary="multilayer perceptron: dense layers with ELU, He's start, optional batch norm and dropout",
        source="doi:10.1038/323533a0",
        input_px=28,
    )
    _offer(
        register,
        "lenet5",
        "zoo_plugins.lenet:build",
        summary="LeNet-5 for small gray images, 60 thousand parameters, no published weights",
        source="doi:10.1109/5.726791",
        input_px=32,
    )
    _offer(
        register,
        "lenet",
        "zoo_plugins.caffe_lenet:build",
        summary="LeNet as Caffe's MNIST example has it, 431 thousand parameters, no published weights",
        source="arXiv:1408.5093",
        input_px=28,
    )


def _offer(register: Register, name: str, target: str, *, summary: str, source: str, input_px: int) -> None:
    """A network for ten kinds of gray digits, which is how all of these are known."""
    register(
        name,
        target,
        summary=summary,
        source=source,
        library="zoo",
        input_px=input_px,
        classes=10,
        channels=1,
        records=(),
        **classic_facts(name),
    )
