"""Reads Caffe's weights: .caffemodel, with a .prototxt where one is at hand.

Source: Jia et al., "Caffe: Convolutional Architecture for Fast Feature Embedding", arXiv:1408.5093, and caffe.proto.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zoo_plugins.foreign.caffe_input import (
    Pixels,
    build_preprocess,
    input_shape,
    mean_of_image,
    stated_pixels,
)
from zoo_plugins.foreign.caffe_layers import foreign_layers
from zoo_plugins.foreign.caffe_net import TEXT_SUFFIXES, net_layers, read_net, trace_flow, with_blobs
from zoo_plugins.foreign.channel_order import OrderOption, check_order, choose_order, input_channels

from zoo.contracts.importing import ForeignModel
from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.contracts.importing import Forward
    from zoo.imaging.preprocess import Preprocess


class CaffeImporter:
    """Convolution, InnerProduct, and BatchNorm with Scale; any other layer with values is refused by its name.

    With a definition the net is that of the prototxt when it is tested, filled by layer names as Caffe does it; else
    the net is the one that the .caffemodel describes itself.

    Args:
        channel_order: Order of the colours that the net reads. `auto` is `bgr` for a net of three channels, since
            Caffe reads images with OpenCV.
        mean_values: Means that pixels in [0, 255] lose, one or one a channel in the net's own order, such as
            104, 117, 123; instead of what the file states.
        mean_file: A mean image (.binaryproto), of which the channel means are used.
        scale: Factor of pixels after that; instead of what the file states.
    """

    def __init__(
        self,
        *,
        channel_order: OrderOption = "auto",
        mean_values: tuple[float, ...] | None = None,
        mean_file: str | None = None,
        scale: float | None = None,
    ) -> None:
        check_order(channel_order)
        if mean_values is not None and mean_file is not None:
            raise UserError(
                "both mean_values and mean_file are given", where="importer.mean_file", do="leave one of them out"
            )
        self.channel_order: OrderOption = channel_order
        self.mean_values = None if mean_values is None else tuple(float(value) for value in mean_values)
        self.mean_file = None if mean_file is None else Path(mean_file).expanduser()
        self.scale = scale

    def reads(self, path: Path) -> bool:
        """Whether the file ends in .caffemodel."""
        return path.suffix.lower() == ".caffemodel"

    def read(self, path: Path, *, definition: Path | None = None) -> ForeignModel:
        """All layers with their values.

        Args:
            path: The .caffemodel; or a whole net as text.
            definition: The .prototxt; a file with another ending than that of a text is read as a binary net.

        Raises:
            UserError: The files are torn or of another kind, do not fit each other, or hold what cannot be expressed.
        """
        notes: list[str] = []
        net = read_net(path)
        layers = net_layers(net, testing=path.suffix.lower() in TEXT_SUFFIXES)
        pixels = stated_pixels(layers)
        if definition is not None:
            model, net = layers, read_net(definition)
            pixels = stated_pixels(net_layers(net, testing=False)) or pixels
            layers = with_blobs(net_layers(net, testing=True), model, notes=notes)
        flow = trace_flow(layers, net.all("input"), where=net.where)
        found = foreign_layers(layers, flow, where=str(definition or path), notes=notes)
        order, channels = choose_order(self.channel_order, found, notes=notes), input_channels(found)
        shape = input_shape(net, layers)
        if shape is None and pixels is not None and pixels.crop_px:
            shape = (channels, pixels.crop_px, pixels.crop_px)
        preprocess = self._preprocess(pixels, shape=shape, channels=channels, order=order, where=net.where, notes=notes)
        return ForeignModel(
            framework="caffe",
            layers=tuple(found),
            order="execution" if flow is not None else "file",
            architecture=net.last("name", ""),
            preprocess=preprocess,
            notes=tuple(notes),
            channel_order=order,
            input_shape=shape,
        )

    def forward(self, path: Path, *, definition: Path | None = None) -> Forward | None:
        """None: Caffe itself runs nowhere that zoo does."""
        return None

    def _preprocess(
        self,
        pixels: Pixels | None,
        *,
        shape: tuple[int, int, int] | None,
        channels: int,
        order: Literal["rgb", "bgr"],
        where: str,
        notes: list[str],
    ) -> Preprocess | None:
        """What the file states, and the options instead of it."""
        given = {"mean_values": self.mean_values, "mean_file": self.mean_file, "scale": self.scale}
        used = [name for name, value in given.items() if value is not None]
        if pixels is None and not used:
            notes.append("the file does not state how pixels are prepared; importer.mean_values and .scale do")
            return None
        pixels = pixels or Pixels()
        if self.mean_values is not None:
            pixels = replace(pixels, mean=self.mean_values)
        elif self.mean_file is not None:
            means, flat = mean_of_image(self.mean_file)
            pixels = replace(pixels, mean=means)
            notes += [] if flat else ["of the mean image the means of its channels are used, not each place of it"]
        if self.scale is not None:
            pixels = replace(pixels, scale=self.scale)
        notes += [f"pixels are prepared as the options {', '.join(used)} say"] if used else []
        stated: Preprocess = build_preprocess(pixels, shape=shape, channels=channels, order=order, where=where)
        return stated
