"""Regularizers that replace a rectangle of each image: cutmix and random erasing."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from zoo_plugins.option_checks import check_choice, check_range, no_effect
from zoo_plugins.regularizing.batches import check_images, check_loss, soften

from zoo.contracts.training import Batch, Setting
from zoo.errors import UserError

TRIES = 10
"""Rectangles drawn for an image before it is left whole, as in torchvision."""


class CutMix:
    """Pastes a rectangle of another image of the batch into each image, and shares the targets by area.

    With probability `p` a batch draws one l ~ Beta(alpha, alpha), one rectangle of sides W sqrt(1 - l) and
    H sqrt(1 - l) around a pixel drawn evenly (what lies outside of the image is cut off), and one permutation q: inside
    the rectangle x' = x[q], and t' = (1 - a) * t + a * t[q] with a the share of the area that was truly pasted.

    Source: arXiv:1905.04899 (Yun et al. 2019, appendix A, and the authors' code).

    Args:
        alpha: Above 0; 1 draws l evenly from 0 to 1.
        p: Share of the batches that are changed, in (0, 1]; the paper's for CIFAR.
    """

    def __init__(self, *, alpha: float = 1.0, p: float = 0.5) -> None:
        if alpha == 0:
            where = "regularizers.cutmix.alpha"
            raise no_effect("cutmix with alpha=0", where=where, do="raise alpha, or leave cutmix out")
        check_range(alpha, where="regularizers.cutmix.alpha", low=0, high=float("inf"), above=True)
        _check_p(p, name="cutmix")
        self.alpha, self.p = alpha, p

    def check(self, setting: Setting) -> None:
        """Refuses settings in which no images pass through the network, or the loss takes no shares.

        Raises:
            UserError: The backbone is frozen and its features are cached, or the loss takes class numbers only.
        """
        check_images(setting, "cutmix")
        check_loss(setting, "cutmix")

    def change_batch(self, batch: Batch, generator: torch.Generator, classes: int) -> Batch:
        """The batch with pasted rectangles, or as it is; targets are float32[B, classes] in both cases.

        Raises:
            UserError: The images have one pixel, of which no part can be pasted.
        """
        height, width = batch.images.shape[-2:]
        if height * width == 1:
            raise no_effect(
                "cutmix on images of one pixel",
                where="regularizers.cutmix",
                do=["leave cutmix out", "or take mixup, which mixes whole images: 'regularizers=[mixup]'"],
            )
        targets = soften(batch.targets, classes)
        if float(torch.rand((), generator=generator)) >= self.p:
            return Batch(batch.images, targets)
        # Torch's own Beta takes no generator, so numpy's is seeded by a draw from it.
        seed = int(torch.randint(2**63 - 1, (), generator=generator))
        share = float(np.random.default_rng(seed).beta(self.alpha, self.alpha))
        partner = torch.randperm(len(targets), generator=generator).to(batch.images.device)
        top, bottom = _span(height, math.sqrt(1 - share), generator=generator)
        left, right = _span(width, math.sqrt(1 - share), generator=generator)
        images = batch.images.clone()
        images[..., top:bottom, left:right] = batch.images[partner][..., top:bottom, left:right]
        pasted = (bottom - top) * (right - left) / (height * width)
        return Batch(images, (1 - pasted) * targets + pasted * targets[partner])


class RandomErasing:
    """Covers a rectangle of an image, each image with probability `p`.

    The rectangle's share of the area is drawn evenly from [min_area, max_area], the ratio of its sides log-evenly from
    [1 / max_stretch, max_stretch], and its place evenly from those where it fits; an image into which none of ten fits
    stays whole.

    Source: arXiv:1708.04896 (Zhong et al. 2017, algorithm 1). Deviations: the ratio is drawn log-evenly and there are
    ten tries, as in torchvision's `RandomErasing`; noise is normal, as in timm's, since images are normalised here.

    Args:
        p: Probability in (0, 1] that an image is changed.
        min_area: Smallest share of the area, above 0.
        max_area: Largest share of the area, from `min_area` to 1.
        max_stretch: Largest ratio of the sides, 1 or more; 1 draws squares.
        fill: `noise` draws each value from N(0, 1); `mean` fills with 0, the mean of the data that the network's
            normalisation was made for.
    """

    def __init__(
        self,
        *,
        p: float = 0.5,
        min_area: float = 0.02,
        max_area: float = 0.4,
        max_stretch: float = 10 / 3,
        fill: Literal["noise", "mean"] = "noise",
    ) -> None:
        where = "regularizers.random_erasing"
        _check_p(p, name="random_erasing")
        check_range(min_area, where=f"{where}.min_area", low=0, high=1, above=True)
        check_range(max_area, where=f"{where}.max_area", low=min_area, high=1)
        check_range(max_stretch, where=f"{where}.max_stretch", low=1, high=float("inf"))
        check_choice(fill, where=f"{where}.fill", choices=("noise", "mean"))
        self.p, self.areas, self.max_stretch, self.fill = p, (min_area, max_area), max_stretch, fill

    def check(self, setting: Setting) -> None:
        """Refuses settings in which no images pass through the network.

        Raises:
            UserError: The backbone is frozen and its features are cached.
        """
        check_images(setting, "random_erasing")

    def change_batch(self, batch: Batch, generator: torch.Generator, classes: int) -> Batch:
        """The batch with covered rectangles; targets stay as they are.

        Raises:
            UserError: The images are so small that the largest rectangle has no pixel.
        """
        images = batch.images.clone()
        height, width = images.shape[-2:]
        if self.areas[1] * height * width < 1:
            raise UserError(
                f"random_erasing covers at most {self.areas[1]:g} of an image of {width} x {height} px: no pixel",
                where="regularizers.random_erasing.max_area",
                do=["raise max_area", "leave random_erasing out"],
            )
        for image in images:
            if float(torch.rand((), generator=generator)) < self.p:
                self._erase(image, generator)
        return Batch(images, batch.targets)

    def _erase(self, image: Tensor, generator: torch.Generator) -> None:
        """Covers a rectangle of one image float32[C, H, W], in place."""
        height, width = image.shape[-2:]
        for _ in range(TRIES):
            draws = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
            area = height * width * (self.areas[0] + draws[0] * (self.areas[1] - self.areas[0]))
            stretch = math.exp((2 * draws[1] - 1) * math.log(self.max_stretch))
            tall, wide = round(math.sqrt(area * stretch)), round(math.sqrt(area / stretch))
            if 1 <= tall <= height and 1 <= wide <= width and (tall, wide) != (height, width):
                top, left = int(draws[2] * (height - tall + 1)), int(draws[3] * (width - wide + 1))
                image[:, top : top + tall, left : left + wide] = self._filling(
                    (len(image), tall, wide), generator=generator
                ).to(image)
                return

    def _filling(self, shape: tuple[int, int, int], *, generator: torch.Generator) -> Tensor:
        return torch.zeros(shape) if self.fill == "mean" else torch.randn(shape, generator=generator)


def _span(length: int, share: float, *, generator: torch.Generator) -> tuple[int, int]:
    """Where a side of `share` of the length around a pixel drawn evenly begins and ends within the image."""
    centre, half = int(torch.randint(length, (), generator=generator)), int(length * share) // 2
    return max(0, centre - half), min(length, centre + half)


def _check_p(p: float, *, name: str) -> None:
    where = f"regularizers.{name}.p"
    if p == 0:
        raise no_effect(f"{name} with p=0", where=where, do=f"raise p, or leave {name} out")
    check_range(p, where=where, low=0, high=1, above=True)
