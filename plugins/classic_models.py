"""Offers networks that are written here, after their papers."""

from __future__ import annotations

from zoo.hookspecs import hookimpl
from zoo.plugins import Register


@hookimpl
def register_models(register: Register) -> None:
    """Offers LeNet-5 and Caffe's LeNet."""
    register(
        "lenet5",
        "zoo_plugins.lenet:build",
        summary="LeNet-5 for small gray images, 60 thousand parameters, no published weights",
        source="doi:10.1109/5.726791",
        library="zoo",
        paper="doi:10.1109/5.726791",
        year=1998,
        input_px=32,
        classes=10,
        channels=1,
        records=(),
    )
    register(
        "lenet",
        "zoo_plugins.caffe_lenet:build",
        summary="LeNet as Caffe's MNIST example has it, 431 thousand parameters, no published weights",
        source="arXiv:1408.5093",
        library="zoo",
        paper="doi:10.1109/5.726791",
        year=1998,
        input_px=28,
        classes=10,
        channels=1,
        records=(),
    )
