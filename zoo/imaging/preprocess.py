"""How a network wants its pixels. The same object serves validation, prediction and export."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

Resize = Literal["crop", "pad", "squash", "none"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

GENERATION = 2
"""Goes up when the same `Preprocess` gives other pixels than before; caches of pixels and features are named by it."""


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Size, resizing and normalisation, as the weights' own record states them.

    Sizes and windows are those of timm's evaluation transform, with which its published accuracies were measured, to
    the pixel: it rounds the resized sides of `crop` down, as torchvision does, and those of `pad` to the nearest.

    Attributes:
        size: Side of the square input in pixels.
        resize: `crop` scales the short side to `size / crop_share` and cuts the centre; `pad` fits the whole image
            and fills with the mean; `squash` scales both sides to `size / crop_share`, whatever the aspect ratio, and
            cuts the centre. `none` takes arrays of numbers as they are, and no images (`of_numbers`).
        crop_share: Share of the short side (`squash`: of both) that the centre crop keeps, in (0, 1]; not used by
            `pad`.
        interpolation: Filter of the resize.
        mean: Channel means, of values in [0, 1].
        std: Channel standard deviations, of values in [0, 1].

    Source: timm 1.0.31, `timm.data.transforms_factory.transforms_imagenet_eval`; torchvision 0.29,
        `torchvision.transforms.Resize` and `CenterCrop`. Deviation: a side is at most 8 times `resize_px`.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Resize = "crop"
    crop_share: float = 0.875
    interpolation: Interpolation = "bicubic"

    @classmethod
    def of_numbers(cls, *, channels: int, size: int) -> Preprocess:
        """For arrays float32[channels, size, size], which are given to the network as they are."""
        zeros, ones = (0.0,) * channels, (1.0,) * channels
        return cls(size, zeros, ones, resize="none", crop_share=1.0, interpolation="nearest")

    @property
    def takes_numbers(self) -> bool:
        """Whether the network takes arrays of numbers, and no images."""
        return self.resize == "none"

    @property
    def channels(self) -> int:
        """Number of input channels: 1, 3 or 4 for images."""
        return len(self.mean)

    @property
    def resize_px(self) -> int:
        """Side to which `fit` scales: the short one for `crop`, the long one for `pad`, both for `squash`."""
        return self.size if self.resize == "pad" else math.floor(self.size / self.crop_share)

    def fit(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resizes an image for storing: uint8[H, W, C] to uint8[h, w, C], not cropped yet.

        Raises:
            ValueError: The network takes no images.
        """
        import numpy as np

        if self.takes_numbers:
            raise ValueError("this network takes arrays of numbers, and no images")
        height, width = image.shape[:2]
        if self.resize == "squash":
            target = (self.resize_px, self.resize_px)
        elif self.resize == "crop":
            short = min(height, width)
            target = self._bounded((self.resize_px * height // short, self.resize_px * width // short))
        else:
            scale = max(height, width) / self.resize_px
            target = (max(1, round(height / scale)), max(1, round(width / scale)))
        if target == (height, width):
            return np.ascontiguousarray(image)
        return _resize(image, target, interpolation=self.interpolation)

    def _bounded(self, target: tuple[int, int]) -> tuple[int, int]:
        """Caps the long side at 8 times the short one's goal: a 1 x 20,000 strip must not become gigabytes."""
        limit = 8 * self.resize_px
        return min(target[0], limit), min(target[1], limit)

    def crop(self, fitted: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The network's window on a fitted image: uint8[h, w, C] to uint8[size, size, C]."""
        import numpy as np

        height, width = fitted.shape[:2]
        if self.resize == "pad":
            canvas = np.empty((self.size, self.size, fitted.shape[2]), np.uint8)
            canvas[:] = np.round(np.asarray(self.mean) * 255).astype(np.uint8)
            top, left = (self.size - height) // 2, (self.size - width) // 2
            canvas[top : top + height, left : left + width] = fitted
            return canvas
        top, left = round((height - self.size) / 2), round((width - self.size) / 2)  # of two middles the even one
        return fitted[top : top + self.size, left : left + self.size]

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A decoded image of any size to the network's window: uint8[H, W, C] to uint8[size, size, C]."""
        return self.crop(self.fit(image))

    def normalise(self, batch: torch.Tensor) -> torch.Tensor:
        """uint8[B, S, S, C] to float32[B, C, S, S] (channels-last in memory), (x / 255 - mean) / std.

        Numbers, float32[B, S, S, C], keep their values.
        """
        import torch

        if self.takes_numbers:
            return batch.to(torch.float32).permute(0, 3, 1, 2)
        scale = torch.tensor([1 / (255 * s) for s in self.std], dtype=torch.float32, device=batch.device)
        shift = torch.tensor(
            [m / s for m, s in zip(self.mean, self.std, strict=True)], dtype=torch.float32, device=batch.device
        )
        return (batch.to(torch.float32) * scale - shift).permute(0, 3, 1, 2)

    def with_size(self, size: int) -> Preprocess:
        """The same for another input size."""
        return dataclasses.replace(self, size=size)

    def with_channels(self, channels: int) -> Preprocess:
        """The same for another number of channels.

        Gray takes the mean over the colour statistics; a fourth channel (alpha) has mean and std 0.5.
        """
        if channels == self.channels:
            return self
        mean: tuple[float, ...]
        std: tuple[float, ...]
        if channels == 1:
            mean, std = (sum(self.mean) / self.channels,), (sum(self.std) / self.channels,)
        elif channels == 4 and self.channels == 3:
            mean, std = (*self.mean, 0.5), (*self.std, 0.5)
        elif self.channels == 1:
            mean, std = self.mean * channels, self.std * channels
        else:
            raise ValueError(f"no rule from {self.channels} to {channels} channels; allowed are 1, 3 and 4")
        return dataclasses.replace(self, mean=mean, std=std)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocess:
        """The inverse of `to_dict`."""
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})


def _resize(image: NDArray[np.uint8], target: tuple[int, int], *, interpolation: str) -> NDArray[np.uint8]:
    """Resizes with Pillow, whose filters widen when they shrink (no aliasing), one plane a channel beyond RGBA."""
    import numpy as np
    from PIL import Image

    filters = Image.Resampling
    kernel = {
        "nearest": filters.NEAREST,
        "bilinear": filters.BILINEAR,
        "bicubic": filters.BICUBIC,
        "lanczos": filters.LANCZOS,
    }[interpolation]
    size = (target[1], target[0])
    if image.shape[2] == 3:
        return np.asarray(Image.fromarray(image).resize(size, kernel))
    planes = [np.asarray(Image.fromarray(image[:, :, c]).resize(size, kernel)) for c in range(image.shape[2])]
    return np.stack(planes, axis=2)
