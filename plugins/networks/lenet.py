"""LeNet-5 as its paper describes it, with a linear last layer.

Source: LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings of the
IEEE 86(11), 1998, section II.B and appendix A.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from zoo.contracts.model import Model, ModelSpec, Stage
from zoo.contracts.network_options import Activation
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.models.activations import make_activation
from zoo.models.build import check_stages, for_channels

SMALLEST_PX = 16
"""Below this nothing is left of the image at C5."""

C3_INPUTS: tuple[tuple[int, ...], ...] = (
    *(tuple(sorted((start + step) % 6 for step in range(3))) for start in range(6)),
    *(tuple(sorted((start + step) % 6 for step in range(4))) for start in range(6)),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)
"""Table I of the paper: which maps of S2 each of the 16 maps of C3 reads."""


def build(
    *,
    classes: int,
    channels: int,
    image_size: int | None,
    activation: Activation = "scaled_tanh",
) -> Model:
    """Builds LeNet-5 with random values.

    Deviations from the paper: a linear output layer in place of the radial-basis units, whose targets were drawn by
    hand for ten digits; inputs scaled to [-1, 1] in place of [-0.1, 1.175]; any image size from 16 px on.

    Args:
        classes: Outputs of the last layer.
        channels: Input channels; the paper has one.
        image_size: Side of the input in pixels; None is the paper's 32.
        activation: Behind every layer; `scaled_tanh` is the paper's 1.7159 tanh(2/3 x).

    Raises:
        UserError: The image size is below 16 px, or the activation is unknown.
    """
    size = image_size or 32
    if size < SMALLEST_PX:
        raise UserError(
            f"lenet5 cannot take images of {size} px: nothing is left of them after its two poolings",
            where=f"model.image_size={size}",
            allowed=f"{SMALLEST_PX} and more; the paper has 32",
            do="leave model.image_size out",
        )
    module = LeNet5(classes, channels=channels, size=size, activation=activation)
    half = (0.5,) * channels
    spec = ModelSpec(
        name="zoo/lenet5",
        library="zoo",
        arch="lenet5",
        classifier="output",
        feature_dim=84,
        stages=_stages(module),
        preprocess=Preprocess(size, half, half, resize="crop", crop_share=1.0, interpolation="bilinear"),
        args={"activation": activation},
    )
    return check_stages(
        Model(module, spec, convert=functools.partial(for_channels, first="c1.weight", channels=channels))
    )


def _stages(module: nn.Module) -> tuple[Stage, ...]:
    """Each convolution with the pooling behind it."""
    members = {"c1": ("c1", "s2"), "c3": ("c3", "s4"), "c5": ("c5",), "f6": ("f6",)}
    names = [name for name, _ in module.named_parameters()]
    return tuple(
        Stage(stage, tuple(name for name in names if name.partition(".")[0] in layers))
        for stage, layers in members.items()
    )


class LeNet5(nn.Module):
    """Convolutions C1, C3, C5, poolings S2, S4, the layer F6, and a linear output: float[B, C, S, S] to float[B, K].

    At 32 px the parameters are the paper's: C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164. C5 reads 5 x 5
    places of S4, or all of them where there are fewer; on larger images its maps are averaged over their places.
    """

    def __init__(self, classes: int, *, channels: int, size: int, activation: str) -> None:
        super().__init__()
        self.squash = make_activation(activation)
        left = ((size - 4) // 2 - 4) // 2
        self.c1 = nn.Conv2d(channels, 6, 5)
        self.s2 = TrainablePool(6)
        self.c3 = PartialConv2d(6, C3_INPUTS, kernel=5)
        self.s4 = TrainablePool(16)
        self.c5 = nn.Conv2d(16, 120, min(5, left))
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, classes)
        for layer in (self.c1, self.c5, self.f6, self.output):
            _fill(layer.weight, fan_in=layer.weight[0].numel())
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits float[B, classes]."""
        maps = self.squash(self.s2(self.squash(self.c1(images))))
        maps = self.squash(self.s4(self.squash(self.c3(maps))))
        vector = self.squash(self.c5(maps)).mean(dim=(2, 3))
        logits: torch.Tensor = self.output(self.squash(self.f6(vector)))
        return logits


class TrainablePool(nn.Module):
    """Mean over 2 x 2 places, times one coefficient and plus one bias a map: float[B, C, H, W] to [B, C, H/2, W/2].

    The paper adds the four inputs; taking the mean only divides the coefficient by four.
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.ones(maps))
        self.bias = nn.Parameter(torch.zeros(maps))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Pools and scales; an odd last row or column is left out."""
        pooled = functional.avg_pool2d(maps, 2)
        return pooled * self.coefficient[:, None, None] + self.bias[:, None, None]


class PartialConv2d(nn.Module):
    """A convolution whose output maps read only some of the input maps; it holds no value for the others."""

    def __init__(self, maps_in: int, inputs: tuple[tuple[int, ...], ...], *, kernel: int) -> None:
        super().__init__()
        self.maps_in, self.maps_out = maps_in, len(inputs)
        places = [out * maps_in + source for out, sources in enumerate(inputs) for source in sources]
        self.weight = nn.Parameter(torch.empty(len(places), kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(self.maps_out))
        self.register_buffer("places", torch.tensor(places), persistent=False)
        self.counts = tuple(len(sources) for sources in inputs)
        for kernels in self.weight.split(self.counts):
            _fill(kernels, fan_in=kernels.numel())

    def fill_weights(self, fill: Callable[[torch.Tensor], None]) -> None:
        """Fills the kernels of one output map after the other, as float[1, inputs, k, k]: fan-in is what the map reads.

        Args:
            fill: Fills a weight in place.
        """
        for kernels in self.weight.split(self.counts):
            fill(kernels.unsqueeze(0))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """float[B, maps_in, H, W] to float[B, maps_out, H - kernel + 1, W - kernel + 1]."""
        kernel = self.weight.shape[-1]
        full = self.weight.new_zeros(self.maps_out * self.maps_in, kernel, kernel)
        full = full.index_copy(0, self.get_buffer("places"), self.weight)
        return functional.conv2d(maps, full.view(self.maps_out, self.maps_in, kernel, kernel), self.bias)


def _fill(weight: torch.Tensor, *, fan_in: int) -> None:
    """Uniform in [-2.4 / fan-in, 2.4 / fan-in], as the paper starts (section III.B)."""
    with torch.no_grad():
        weight.uniform_(-2.4 / fan_in, 2.4 / fan_in)
