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
        target="zoo_plugins.networks.dense_networks:build_perceptron",
        summary="one linear layer on the pixels",
        source="doi:10.1037/h0042519",
        input_px=28,
        parameters=7_850,
        multiply_adds=7_840,
    )
    _offer(
        register,
        "mlp",
        target="zoo_plugins.networks.dense_networks:build_mlp",
        summary="multilayer perceptron: dense layers with ELU, He's start, optional batch norm and dropout",
        source="doi:10.1038/323533a0",
        input_px=28,
        parameters=535_818,
        multiply_adds=535_040,
    )
    _offer(
        register,
        "lenet5",
        target="zoo_plugins.networks.lenet:build",
        summary="LeNet-5 for small gray images, 60 thousand parameters",
        source="doi:10.1109/5.726791",
        input_px=32,
        parameters=60_850,
        multiply_adds=416_520,
    )
    _offer(
        register,
        "lenet",
        target="zoo_plugins.networks.caffe_lenet:build",
        summary="LeNet as Caffe's MNIST example has it, 431 thousand parameters",
        source="arXiv:1408.5093",
        input_px=28,
        parameters=431_080,
        multiply_adds=2_293_000,
    )


def _offer(register: Register, name: str, *, target: str, summary: str, source: str, **counts: int) -> None:
    """A network for ten kinds of gray digits, which is how all of these are known."""
    register(
        name,
        target,
        summary=summary,
        source=source,
        library="zoo",
        classes=10,
        channels=1,
        records=(),
        **counts,
        **classic_facts(name),
    )
