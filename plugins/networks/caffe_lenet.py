"""LeNet as Caffe's MNIST example has it: wider than LeNet-5, max-pooling, one rectifier.

Source: Jia et al., "Caffe: Convolutional Architecture for Fast Feature Embedding", arXiv:1408.5093, whose
`examples/mnist/lenet_train_test.prototxt` it follows; the idea is LeCun et al., doi:10.1109/5.726791.
"""

from __future__ import annotations

import functools

import torch
from torch import nn
from torch.nn import functional

from zoo.contracts.model import Model, ModelSpec
from zoo.contracts.network_options import Activation
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.models.activations import make_activation
from zoo.models.build import check_stages, for_channels, stages_from

SMALLEST_PX = 13
"""Below this nothing is left of the image behind the second convolution."""

SCALE = 0.00390625
"""Caffe multiplies bytes by 1/256."""


def build(
    *,
    classes: int,
    channels: int,
    image_size: int | None,
    activation: Activation = "relu",
) -> Model:
    """Builds Caffe's LeNet with random values.

    The layers have the names of Caffe's file (conv1, conv2, ip1, ip2) and its blobs' shapes, so that a `.caffemodel`
    fits tensor by tensor.

    Args:
        classes: Outputs of the last layer, `ip2`.
        channels: Input channels; the example has one.
        image_size: Side of the input in pixels; None is the example's 28. `ip1` follows it.
        activation: What stands between the two dense layers; the example has `relu`. There is none behind the
            convolutions, where the pooling is the only non-linearity.

    Raises:
        UserError: The image size is below 13 px, or the activation is unknown.
    """
    size = image_size or 28
    if size < SMALLEST_PX:
        raise UserError(
            f"lenet cannot take images of {size} px: nothing is left of them behind its second convolution",
            where=f"model.image_size={size}",
            allowed=f"{SMALLEST_PX} and more; the example has 28",
            do="leave model.image_size out",
        )
    module = CaffeLeNet(classes, channels=channels, size=size, activation=activation)
    spec = ModelSpec(
        name="zoo/lenet",
        library="zoo",
        arch="lenet",
        classifier="ip2",
        feature_dim=module.ip2.in_features,
        stages=stages_from(
            (name.partition(".")[0], name) for name, _ in module.named_parameters() if not name.startswith("ip2.")
        ),
        preprocess=Preprocess(
            size,
            mean=(0.0,) * channels,
            std=(1 / (255 * SCALE),) * channels,
            resize="crop",
            crop_share=1.0,
            interpolation="bilinear",
        ),
        args={"activation": activation},
    )
    convert = functools.partial(for_channels, first="conv1.weight", channels=channels)
    return check_stages(Model(module, spec, convert=convert))


class CaffeLeNet(nn.Module):
    """Two convolutions with max-pooling, two dense layers: float[B, C, S, S] to float[B, classes].

    At 28 px, one channel and ten classes it has 431,080 parameters, as Caffe's has.
    """

    def __init__(self, classes: int, *, channels: int, size: int, activation: str) -> None:
        super().__init__()
        self.act = make_activation(activation)
        side = _pooled(_pooled(size - 4) - 4)
        self.conv1 = nn.Conv2d(channels, 20, 5)
        self.conv2 = nn.Conv2d(20, 50, 5)
        self.ip1 = nn.Linear(50 * side * side, 500)
        self.ip2 = nn.Linear(500, classes)
        for layer in (self.conv1, self.conv2, self.ip1, self.ip2):
            _xavier(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits float[B, classes]."""
        maps = functional.max_pool2d(self.conv1(images), 2, ceil_mode=True)
        maps = functional.max_pool2d(self.conv2(maps), 2, ceil_mode=True)
        hidden = self.act(self.ip1(maps.flatten(1)))
        logits: torch.Tensor = self.ip2(hidden)
        return logits


def _pooled(side: int) -> int:
    """Side behind a pooling of 2 x 2; Caffe rounds up."""
    return -(-side // 2)


def _xavier(weight: torch.Tensor) -> None:
    """Caffe's `xavier` filler: uniform with variance 1 / fan-in."""
    bound = (3 / weight[0].numel()) ** 0.5
    with torch.no_grad():
        weight.uniform_(-bound, bound)
