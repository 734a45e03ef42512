"""The eight built-in augmentations, each a few named options; seven stand on albumentations 2.0.8.

All take uint8[H, W, C] with C = 1, 3 or 4 and return the same shape. `p` is the probability with which an image is
changed at all; 0 leaves every image as it is. Moves of the picture take an alpha channel along; changes of colour,
intensity and noise leave it alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from zoo_plugins.augmentation_adapter import AlbumentationsOp, Border, ImageOp, border_arguments
from zoo_plugins.option_checks import check_range, no_effect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GRAY = 1


def _affine(changes: dict[str, Any], border: dict[str, Any], p: float) -> tuple[str, dict[str, Any]]:
    """Albumentations' Affine with every argument spelled out, so that none of its defaults matters."""
    still: dict[str, Any] = {
        "scale": 1.0,
        "translate_percent": None,
        "translate_px": None,
        "rotate": 0.0,
        "shear": 0.0,
        "interpolation": "cv2.INTER_LINEAR",
        "fit_output": False,
        "keep_ratio": False,
        "rotate_method": "largest_box",
        "balanced_scale": False,
        "p": p,
    }
    return "Affine", {**still, **border, **changes}


class Translate(AlbumentationsOp):
    """Shifts the image by whole pixels, drawn evenly and independently for both directions.

    dx ~ U(-x_share, x_share) * W and dy ~ U(-y_share, y_share) * H, cut to whole pixels, so that nothing is blurred.

    Source: Simard et al. 2003, Best practices for convolutional neural networks applied to visual document analysis.

    Args:
        x_share: Largest shift sideways, as a share of the width, in [0, 1].
        y_share: Largest shift up or down, as a share of the height, in [0, 1].
        border: What fills the gap: `reflect`, `edge`, `wrap` or `constant`.
        fill: Value in [0, 255] for `constant`; None: 0.
        p: Probability in [0, 1] that an image is changed.
    """

    def __init__(
        self,
        *,
        x_share: float = 0.1,
        y_share: float = 0.1,
        border: Border = "reflect",
        fill: int | None = None,
        p: float = 0.5,
    ) -> None:
        where = "augmentations.translate"
        check_range(x_share, where=f"{where}.x_share", low=0, high=1)
        check_range(y_share, where=f"{where}.y_share", low=0, high=1)
        check_range(p, where=f"{where}.p", low=0, high=1)
        if x_share == y_share == 0:
            raise no_effect("a shift of 0 in both directions", where=where, do="raise x_share or y_share")
        shift = {"x": (-float(x_share), float(x_share)), "y": (-float(y_share), float(y_share))}
        super().__init__(_affine({"translate_percent": shift}, border_arguments(border, fill, where=where), p))


class Rotate(AlbumentationsOp):
    """Turns the image about its centre by an angle ~ U(-limit_deg, limit_deg), bilinear.

    Source: Simard et al. 2003, Best practices for convolutional neural networks applied to visual document analysis.

    Args:
        limit_deg: Largest angle in degrees, either way, in (0, 180].
        border: What fills the corners: `reflect`, `edge`, `wrap` or `constant`.
        fill: Value in [0, 255] for `constant`; None: 0.
        p: Probability in [0, 1] that an image is changed.
    """

    def __init__(
        self, *, limit_deg: float = 15.0, border: Border = "reflect", fill: int | None = None, p: float = 0.5
    ) -> None:
        where = "augmentations.rotate"
        check_range(limit_deg, where=f"{where}.limit_deg", low=0, high=180, above=True)
        check_range(p, where=f"{where}.p", low=0, high=1)
        turn = {"rotate": (-float(limit_deg), float(limit_deg))}
        super().__init__(_affine(turn, border_arguments(border, fill, where=where), p))


class Scale(AlbumentationsOp):
    """Zooms about the centre, keeping the proportions and the image's size, bilinear.

    Where both directions are allowed, half of the draws zoom out, factor ~ U(min_factor, 1), and half zoom in,
    factor ~ U(1, max_factor).

    Source: Simard et al. 2003, Best practices for convolutional neural networks applied to visual document analysis.

    Args:
        min_factor: Smallest factor, in (0, 1]; 0.5 shows the image at half its size.
        max_factor: Largest factor, 1 or more; 2 shows the middle at twice its size.
        border: What fills the rim when zooming out: `reflect`, `edge`, `wrap` or `constant`.
        fill: Value in [0, 255] for `constant`; None: 0.
        p: Probability in [0, 1] that an image is changed.
    """

    def __init__(
        self,
        *,
        min_factor: float = 0.8,
        max_factor: float = 1.25,
        border: Border = "reflect",
        fill: int | None = None,
        p: float = 0.5,
    ) -> None:
        where = "augmentations.scale"
        check_range(min_factor, where=f"{where}.min_factor", low=0, high=1, above=True)
        check_range(max_factor, where=f"{where}.max_factor", low=1, high=math.inf)
        check_range(p, where=f"{where}.p", low=0, high=1)
        if min_factor == max_factor == 1:
            raise no_effect("a scale of 1", where=where, do="lower min_factor or raise max_factor")
        zoom = {"scale": (float(min_factor), float(max_factor)), "keep_ratio": True, "balanced_scale": True}
        super().__init__(_affine(zoom, border_arguments(border, fill, where=where), p))


class Flip(AlbumentationsOp):
    """Mirrors the image, each chosen direction with probability `p`, independently of the other.

    Source: Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks.

    Args:
        horizontal: Left to right.
        vertical: Upside down; for images without an up, such as those from above or through a microscope.
        p: Probability in [0, 1] of each chosen mirroring.
    """

    def __init__(self, *, horizontal: bool = True, vertical: bool = False, p: float = 0.5) -> None:
        where = "augmentations.flip"
        check_range(p, where=f"{where}.p", low=0, high=1)
        chosen = [("HorizontalFlip", {"p": p})] * bool(horizontal) + [("VerticalFlip", {"p": p})] * bool(vertical)
        if not chosen:
            raise no_effect("a flip in no direction", where=where, do="set horizontal or vertical to true")
        super().__init__(*chosen)


class Crop(AlbumentationsOp):
    """Cuts out a random part and enlarges it to the image's own size, bilinear.

    area ~ U(min_area, max_area) * H * W, log(width / height) ~ U(-log max_stretch, log max_stretch), place even;
    after ten draws that do not fit, the largest centre part of an allowed shape is taken.

    Source: arXiv:1409.4842 (Szegedy et al. 2014, section 6).

    Args:
        min_area: Smallest share of the area kept, in (0, 1].
        max_area: Largest share, in (0, 1], not below `min_area`.
        max_stretch: Largest ratio of the part's sides, 1 or more; 1 keeps parts square.
        p: Probability in [0, 1] that an image is changed.
    """

    def __init__(
        self, *, min_area: float = 0.4, max_area: float = 1.0, max_stretch: float = 4 / 3, p: float = 1.0
    ) -> None:
        where = "augmentations.crop"
        check_range(min_area, where=f"{where}.min_area", low=0, high=1, above=True)
        check_range(max_area, where=f"{where}.max_area", low=min_area, high=1)
        check_range(max_stretch, where=f"{where}.max_stretch", low=1, high=math.inf)
        check_range(p, where=f"{where}.p", low=0, high=1)
        arguments = {
            "size": (1, 1),  # set from each image in `_prepare`
            "scale": (float(min_area), float(max_area)),
            "ratio": (1 / max_stretch, float(max_stretch)),
            "interpolation": "cv2.INTER_LINEAR",
            "mask_interpolation": "cv2.INTER_NEAREST",
            "area_for_downscale": None,
            "p": p,
        }
        super().__init__(("RandomResizedCrop", arguments))

    def _prepare(self, transform: Any, image: NDArray[np.uint8]) -> None:
        transform.size = image.shape[:2]


class Intensity(AlbumentationsOp):
    """Changes brightness and contrast of all channels alike; works on gray images too.

    y = floor(clip(c * x + 255 * b, 0, 255)), c ~ U(1 - contrast, 1 + contrast), b ~ U(-brightness, brightness).

    Source: arXiv:1312.5402 (Howard 2013, section 2.1).

    Args:
        brightness: Largest value added, as a share of the full range, in [0, 1].
        contrast: Largest change of the factor on the values, in [0, 1].
        p: Probability in [0, 1] that an image is changed.
    """

    leaves_alpha = True

    def __init__(self, *, brightness: float = 0.2, contrast: float = 0.2, p: float = 0.5) -> None:
        where = "augmentations.intensity"
        check_range(brightness, where=f"{where}.brightness", low=0, high=1)
        check_range(contrast, where=f"{where}.contrast", low=0, high=1)
        check_range(p, where=f"{where}.p", low=0, high=1)
        if brightness == contrast == 0:
            raise no_effect("brightness=0 with contrast=0", where=where, do="raise one of them")
        arguments = {
            "brightness_limit": (-float(brightness), float(brightness)),
            "contrast_limit": (-float(contrast), float(contrast)),
            "brightness_by_max": True,
            "ensure_safe_range": False,
            "p": p,
        }
        super().__init__(("RandomBrightnessContrast", arguments))


class ColorJitter(AlbumentationsOp):
    """Changes brightness, contrast, saturation and hue, in random order.

    Each of the first three draws a factor ~ U(max(0, 1 - v), 1 + v): brightness multiplies the values, contrast
    stretches them about the mean gray, saturation about each pixel's own gray. Hue turns by ~ U(-hue, hue) of the
    colour circle.

    Source: arXiv:1805.09501 (Cubuk et al. 2018, table 6) for the operations; the ranges are torchvision's.

    Args:
        brightness: Largest change of the brightness factor, 0 or more.
        contrast: Largest change of the contrast factor, 0 or more.
        saturation: Largest change of the saturation factor, 0 or more; no effect on gray images.
        hue: Largest turn of the hue, as a share of the full circle, in [0, 0.5]; no effect on gray images.
        p: Probability in [0, 1] that an image is changed.
    """

    leaves_alpha = True

    def __init__(
        self,
        *,
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        hue: float = 0.05,
        p: float = 0.5,
    ) -> None:
        where = "augmentations.color_jitter"
        factors = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        for name, value in factors.items():
            check_range(value, where=f"{where}.{name}", low=0, high=math.inf)
        check_range(hue, where=f"{where}.hue", low=0, high=0.5)
        check_range(p, where=f"{where}.p", low=0, high=1)
        if not any((brightness, contrast, saturation, hue)):
            raise no_effect("a colour jitter of 0 throughout", where=where, do="raise one of its options")
        self._colour_options = {name: value for name, value in (("saturation", saturation), ("hue", hue)) if value}
        ranges = {name: (max(0.0, 1.0 - value), 1.0 + value) for name, value in factors.items()}
        turn = (-float(hue), float(hue))
        super().__init__(("ColorJitter", {**ranges, "hue": turn, "p": p}))

    def check(self, channels: int) -> None:
        """Also refuses gray images while saturation or hue is on: see `AlbumentationsOp.check`."""
        super().check(channels)
        if channels == GRAY and self._colour_options:
            names = " and ".join(f"{name}={value}" for name, value in self._colour_options.items())
            off = " ".join(f"augmentations.color_jitter.{name}=0" for name in self._colour_options)
            raise no_effect(
                f"on gray images, {names} of color_jitter",
                where="augmentations.color_jitter",
                do=["use `intensity`, which changes brightness and contrast", f"set {off}"],
            )


class Noise(ImageOp):
    """Adds Gaussian noise: y = clip(round(x + 255 * e), 0, 255), e ~ N(0, s^2), s ~ U(min_sigma, max_sigma) an image.

    Source: Bishop 1995, Training with noise is equivalent to Tikhonov regularization, Neural Computation 7(1).
    Drawn with numpy: albumentations 2.0.8 cuts the noise on uint8 images towards zero, so that sigma 0.05 comes out
    as 0.048 and 0.003 as nothing, and it knows 65,536 noise fields only (it seeds OpenCV with 16 bits).

    Args:
        min_sigma: Smallest standard deviation, as a share of the full range (0.1 is 25.5 of 255), in [0, 1].
        max_sigma: Largest standard deviation, likewise, in (0, 1], not below `min_sigma`.
        per_channel: Whether each channel has noise of its own; false: the same for all (gray noise).
        p: Probability in [0, 1] that an image is changed.
    """

    leaves_alpha = True

    def __init__(
        self, *, min_sigma: float = 0.01, max_sigma: float = 0.05, per_channel: bool = True, p: float = 0.5
    ) -> None:
        where = "augmentations.noise"
        check_range(min_sigma, where=f"{where}.min_sigma", low=0, high=1)
        check_range(max_sigma, where=f"{where}.max_sigma", low=0, high=1, above=True)
        check_range(max_sigma, where=f"{where}.max_sigma", low=min_sigma, high=1)
        check_range(p, where=f"{where}.p", low=0, high=1)
        self._sigmas, self._per_channel, self._p = (min_sigma, max_sigma), per_channel, p

    def _change(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        import numpy as np

        own = np.random.default_rng(rng.integers(2**63))  # one draw, as the others take, whatever then happens
        if own.random() >= self._p:
            return image
        shape = image.shape if self._per_channel else (*image.shape[:2], 1)
        sigma = own.uniform(*self._sigmas)
        noisy = image + own.standard_normal(shape, dtype=np.float32) * np.float32(255 * sigma)
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
