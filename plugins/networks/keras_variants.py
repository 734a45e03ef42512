"""Networks that share a name with others and compute otherwise, so that their published weights have a true home."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal, cast

from timm.layers import create_pool2d
from torch import nn
from zoo_plugins import timm_builder, torchvision_builder

from zoo.contracts.model import Model
from zoo.errors import UserError, name_list

POOLS = ("padded", "ceil")


Pool = Literal["padded", "ceil"]


def _of_depth(depth: int) -> Callable[..., Model]:
    """The builder of one depth: 50, 101 or 152."""

    def build(
        *, classes: int, channels: int, image_size: int | None, epsilon: float = 1.001e-5, pool: Pool = "padded"
    ) -> Model:
        """Builds a bottleneck ResNet whose stages stride in the first 1 x 1 convolution, as the paper has it.

        torchvision and timm stride in the 3 x 3 convolution instead ("ResNet v1.5"): the same values give other
        outputs. Keras' and Caffe's published weights belong to this one. Keras' convolutions have biases; they stand in
        the means of the norms behind them.

        Args:
            classes: Outputs of the classifier.
            channels: Input channels.
            image_size: Side of the input in pixels; None is 224.
            epsilon: What the norms add to their variance; Keras has 1.001e-5, Caffe 1e-5.
            pool: The stem's 3 x 3 pooling: `padded` with one pixel on each side, as Keras has it; `ceil` from the
                corner, with a last window that hangs over, as Caffe has it.

        Raises:
            UserError: An option is not allowed, or the network cannot take the image size.

        Source: He et al., arXiv:1512.03385;
            https://github.com/keras-team/keras/blob/master/keras/src/applications/resnet.py
        """
        if pool not in POOLS:
            raise UserError(f"unknown pool {pool!r}", where="model.pool", allowed=name_list(pool, POOLS))
        model = torchvision_builder.build(
            arch=f"resnet{depth}", tag="", classes=classes, channels=channels, image_size=image_size
        )
        for stage in ("layer2", "layer3", "layer4"):
            first = model.module.get_submodule(f"{stage}.0.conv1")
            second = model.module.get_submodule(f"{stage}.0.conv2")
            cast(nn.Conv2d, first).stride, cast(nn.Conv2d, second).stride = (2, 2), (1, 1)
        if pool == "ceil":
            model.module.set_submodule("maxpool", nn.MaxPool2d(3, stride=2, padding=0, ceil_mode=True))
        args = {"epsilon": epsilon, "pool": pool}
        return _renamed(_with_epsilon(model, epsilon), f"resnet{depth}_v1", args)

    return build


resnet50_v1, resnet101_v1, resnet152_v1 = _of_depth(50), _of_depth(101), _of_depth(152)


def xception_same(*, classes: int, channels: int, image_size: int | None, epsilon: float = 1e-3) -> Model:
    """Builds Xception with TensorFlow's SAME padding in its poolings, as Keras' published weights need it.

    Where a map has an even side, SAME puts the zero of a 3 x 3 pooling with stride 2 at the end, and timm's network one
    on each side: every later place then sees other pixels.

    Args:
        classes: Outputs of the classifier.
        channels: Input channels.
        image_size: Side of the input in pixels; None is 299.
        epsilon: What the norms add to their variance; Keras has 1e-3.

    Raises:
        UserError: An option is not allowed, or the network cannot take the image size.

    Source: Chollet, arXiv:1610.02357; https://github.com/keras-team/keras/blob/master/keras/src/applications/xception.py
    """
    model = timm_builder.build(
        arch="legacy_xception", tag="", classes=classes, channels=channels, image_size=image_size
    )
    pools = [name for name, layer in model.module.named_modules() if isinstance(layer, nn.MaxPool2d)]
    for name in pools:
        old = cast(nn.MaxPool2d, model.module.get_submodule(name))
        model.module.set_submodule(name, create_pool2d("max", old.kernel_size, stride=old.stride, padding="same"))
    return _renamed(_with_epsilon(model, epsilon), "xception_same", {"epsilon": epsilon})


def _with_epsilon(model: Model, epsilon: float) -> Model:
    """Sets what every norm adds to its variance.

    Raises:
        UserError: It is not above 0.
    """
    if not epsilon > 0:
        raise UserError(f"epsilon {epsilon} is not above 0", where="model.epsilon")
    for layer in model.module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = epsilon
    return model


def _renamed(model: Model, arch: str, args: dict[str, object]) -> Model:
    """A network of its own: the library's published weights do not belong to it."""
    spec = dataclasses.replace(
        model.spec, name=f"zoo/{arch}", library="zoo", arch=arch, weights=(), fresh_keys=(), args=args
    )
    return dataclasses.replace(model, spec=spec, labels=None)
