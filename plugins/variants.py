"""Offers networks under whose common names two different ones are known."""

from __future__ import annotations

from zoo.hookspecs import hookimpl
from zoo.plugins import Register

RESNET, XCEPTION = "arXiv:1512.03385", "arXiv:1610.02357"


@hookimpl
def register_models(register: Register) -> None:
    """ResNets that stride first, and Xception with SAME padding."""
    for depth in (50, 101, 152):
        register(
            f"resnet{depth}_v1",
            f"zoo_plugins.networks.keras_variants:resnet{depth}_v1",
            summary=f"ResNet-{depth} as its paper has it: stages stride in the first 1 x 1 convolution (Keras, Caffe)",
            source=RESNET,
            library="zoo",
            paper=RESNET,
            year=2015,
            input_px=224,
            records=(),
            variant_of=(f"timm/resnet{depth}", f"torchvision/resnet{depth}"),
        )
    register(
        "xception_same",
        "zoo_plugins.networks.keras_variants:xception_same",
        summary="Xception with TensorFlow's SAME padding, as Keras' published weights need it",
        source=XCEPTION,
        library="zoo",
        paper=XCEPTION,
        year=2016,
        input_px=299,
        records=(),
        variant_of=("timm/legacy_xception",),
    )
