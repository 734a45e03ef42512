"""How a Caffe net wants its pixels: 0 to 255, blue before red, less a mean, times a scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from zoo_plugins.foreign.caffe_layers import blob_array
from zoo_plugins.foreign.caffe_net import CaffeLayer, read_file
from zoo_plugins.foreign.caffe_schema import SCHEMA
from zoo_plugins.foreign.protobuf_wire import Message, decode

from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess

_DATA_PARAMS = ("transform_param", "data_param", "image_data_param")
"""Where a layer of data states its pixels; the last two in files of 2014."""

_CROP_SHARE = 0.875
"""Caffe's ImageNet nets are trained on crops of 224 or 227 px out of 256; a file states the crop alone."""


@dataclass(frozen=True)
class Pixels:
    """What is done to pixels in [0, 255]: (x - mean) * scale.

    Attributes:
        mean: One number, or one a channel in the net's own order.
        scale: The factor.
        crop_px: Side of the crop, or 0.
        mean_file: Name of a mean image that is kept elsewhere, or "".
    """

    mean: tuple[float, ...] = ()
    scale: float = 1.0
    crop_px: int = 0
    mean_file: str = ""


def stated_pixels(layers: Sequence[CaffeLayer]) -> Pixels | None:
    """What the first layer of data says; None where none says anything."""
    for layer in layers:
        for name in _DATA_PARAMS:
            if not layer.bottoms and name in layer.message:
                param = layer.param(name)
                mean = tuple(float(value) for value in param.array("mean_value"))
                crop, file = int(param.last("crop_size", 0)), param.last("mean_file", "")
                if mean or crop or file or "scale" in param:
                    return Pixels(mean, param.number("scale", 1.0), crop, file)
    return None


def input_shape(net: Message, layers: Sequence[CaffeLayer]) -> tuple[int, int, int] | None:
    """(C, H, W) of one image, as the net's inputs or its first layer state it."""
    shapes = [shape.all("dim") for shape in net.all("input_shape")] or [net.all("input_dim")[:4]]
    for layer in layers:
        shapes += [shape.all("dim") for shape in layer.param("input_param").all("shape")]
        if "memory_data_param" in layer.message:
            param = layer.param("memory_data_param")
            shapes.append([1, *(param.last(name, 0) for name in ("channels", "height", "width"))])
    for shape in shapes:
        if len(shape) == 4 and all(0 < side < 2**16 for side in shape[1:]):
            return int(shape[1]), int(shape[2]), int(shape[3])
    return None


def mean_of_image(path: Path) -> tuple[tuple[float, ...], bool]:
    """Channel means of a mean image (.binaryproto), and whether each channel has one value all over.

    Raises:
        UserError: The file is no blob of [C, H, W] or [1, C, H, W].
    """
    blob = decode(read_file(path), schema=SCHEMA, kind="BlobProto", where=str(path))
    image = blob_array(blob, what="the mean image")
    if image.ndim == 4 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 3 or not image.size:
        raise UserError(f"a mean image is [channels, h, w], this is {list(image.shape)}", where=str(path))
    means = image.astype(np.float64).mean(axis=(1, 2))
    flat = bool(np.abs(image - means[:, None, None]).max() < 1e-3)
    return tuple(float(mean) for mean in means), flat


def build_preprocess(
    pixels: Pixels, *, shape: tuple[int, int, int] | None, channels: int, order: Literal["rgb", "bgr"], where: str
) -> Preprocess:
    """The same in zoo's terms, for a side of one pixel where nothing states the size: that is the network's then.

    Args:
        pixels: What is done to pixels.
        shape: (C, H, W) of the input where it is stated; a crop comes first.
        channels: That the first convolution reads.
        order: In which the net reads colours.
        where: The file, for messages.

    Raises:
        UserError: The means are not as many as channels, the mean image is missing, or the scale is not above 0.
    """
    if pixels.mean_file and not pixels.mean:
        raise UserError(
            f"this net takes a mean image off its pixels that is kept in another file, {pixels.mean_file}",
            where=where,
            do=("importer.mean_file=FILE.binaryproto reads it", "importer.mean_values=[B, G, R] states the means"),
        )
    mean = pixels.mean or (0.0,)
    if len(mean) not in (1, channels):
        raise UserError(
            f"{len(mean)} means for {channels} channels", where=where, allowed=f"1 or {channels}, from 0 to 255"
        )
    if not math.isfinite(pixels.scale) or pixels.scale <= 0 or not all(math.isfinite(value) for value in mean):
        raise UserError(
            f"pixels are said to lose {mean} and to be multiplied by {pixels.scale}",
            where=where,
            allowed="finite numbers, the scale above 0",
        )
    side = pixels.crop_px or (shape[1] if shape and shape[1] == shape[2] else 1)
    per_channel = mean * channels if len(mean) == 1 else mean
    if order == "bgr":
        per_channel = per_channel[::-1]
    return Preprocess(
        side,
        mean=tuple(value / 255 for value in per_channel),
        std=(1 / (255 * pixels.scale),) * channels,
        crop_share=_CROP_SHARE if pixels.crop_px else 1.0,
        interpolation="bilinear",
    )
