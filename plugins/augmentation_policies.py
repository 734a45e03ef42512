"""Augmentations that draw from a set of operations: RandAugment, TrivialAugment and AugMix.

All take uint8[H, W, C] with C = 1, 3 or 4 and return the same shape. Moves of the picture take an alpha channel along;
changes of colour leave it alone. The operation `color` (saturation) does nothing to gray images, so that there they
draw from the others; listed by hand for gray images, it is an error.

Operations: identity, auto_contrast, equalize, posterize, solarize, color, contrast, brightness, sharpness, rotate,
shear_x, shear_y, translate_x, translate_y. Which of them keep a label is a matter of the data: turned by 135 degrees,
a 6 is no 6. `python -m zoo preview check=yes` looks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from zoo_plugins.augmentation_adapter import ImageOp
from zoo_plugins.augmentation_pillow_ops import (
    COLOUR_ONLY,
    MOVES,
    OPERATIONS,
    SIGNED,
    Interpolation,
    Operation,
    Ranges,
    apply_operation,
)
from zoo_plugins.option_checks import check_choice, check_range, no_effect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GRAY = 1
LARGEST_MAGNITUDE = 30
LARGEST_SEVERITY = 10

# torchvision has the same figures in `RandAugment` and `TrivialAugmentWide`; the tests compare them.
RAND_AUGMENT = Ranges(shear=0.3, rotate_deg=30, enhance=0.9, bits=(8, 4), translate_share=150 / 331)
TRIVIAL_AUGMENT = Ranges(shear=0.99, rotate_deg=135, enhance=0.99, bits=(8, 2), translate_px=32)
AUG_MIX = Ranges(shear=0.3, rotate_deg=30, enhance=0.9, bits=(4, 0), translate_share=1 / 3)
AUG_MIX_OPERATIONS: tuple[Operation, ...] = (
    "auto_contrast",
    "equalize",
    "posterize",
    "solarize",
    "rotate",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)


class _Policy(ImageOp):
    """What the three share: the operations to draw from, and how a move fills its gaps."""

    _ranges: Ranges
    _usual: tuple[Operation, ...] = OPERATIONS

    def __init__(
        self, *, operations: tuple[Operation, ...] | None, interpolation: Interpolation, fill: int, p: float
    ) -> None:
        where = f"augmentations.{self.name}"
        self._listed, operations = operations is not None, self._usual if operations is None else operations
        for operation in operations:
            check_choice(operation, where=f"{where}.operations", choices=OPERATIONS)
        if set(operations) <= {"identity"}:
            listed = ", ".join(operations) or "none"
            raise no_effect(
                f"{self.name} with these operations: {listed}", where=f"{where}.operations", do="list others"
            )
        check_choice(interpolation, where=f"{where}.interpolation", choices=("nearest", "bilinear", "bicubic"))
        check_range(fill, where=f"{where}.fill", low=0, high=255)
        check_range(p, where=f"{where}.p", low=0, high=1)
        if not MOVES & set(operations):
            self._refuse_idle(where, interpolation=interpolation, fill=fill)
        self._operations, self._interpolation, self._fill, self._p = tuple(operations), interpolation, fill, p

    def _refuse_idle(self, where: str, *, interpolation: Interpolation, fill: int) -> None:
        """Refuses options of moves that were changed where no move is listed."""
        usual = type(self).__init__.__kwdefaults__
        for option, value in (("interpolation", interpolation), ("fill", fill)):
            if value != usual[option]:
                raise no_effect(
                    f"{option}={value!r} without an operation that moves the image",
                    where=f"{where}.{option}",
                    do=[f"leave {where}.{option} out", f"add one of {', '.join(sorted(MOVES))} to {where}.operations"],
                )

    def check(self, channels: int) -> None:
        """Also refuses operations that were listed for gray images and do nothing to them: see `ImageOp.check`."""
        super().check(channels)
        idle = [operation for operation in self._operations if operation in COLOUR_ONLY]
        if channels == GRAY and idle and self._listed:
            where = f"augmentations.{self.name}.operations"
            raise no_effect(f"on gray images, the operation {idle[0]!r}", where=where, do=f"take {idle[0]!r} out")

    def _draw(self, channels: int, own: np.random.Generator) -> Operation:
        acting = [o for o in self._operations if channels != GRAY or o not in COLOUR_ONLY]
        return acting[int(own.integers(len(acting)))]

    def _apply(
        self, operation: Operation, image: NDArray[np.uint8], *, level: float, own: np.random.Generator
    ) -> NDArray[np.uint8]:
        """One operation, in a direction that is drawn where it has two."""
        level = -level if operation in SIGNED and own.random() < 0.5 else level
        side_px = image.shape[0] if operation == "translate_y" else image.shape[1]
        amount = self._ranges.amount(operation, level, side_px=side_px)
        return apply_operation(operation, image, amount=amount, interpolation=self._interpolation, fill=self._fill)

    def _change(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        import numpy as np

        own = np.random.default_rng(rng.integers(2**63))  # one draw, as the others take, whatever then happens
        return self._augmented(image, own) if own.random() < self._p else image

    def _augmented(self, image: NDArray[np.uint8], own: np.random.Generator) -> NDArray[np.uint8]:
        raise NotImplementedError


class RandAugment(_Policy):
    """A number of operations drawn evenly from fourteen, all with the same magnitude, one after the other.

    At level l = magnitude / 30: shear by 0.3 l pixels a pixel, shift by 0.453 l of the side, turn by 30 l degrees, the
    factor of color, contrast, brightness and sharpness 1 - 0.9 l or 1 + 0.9 l, 8 - 4 l bits kept, values inverted from
    256 (1 - l) on. Each move and factor takes one of its two directions at random. Gray images: without `color`.

    Source: arXiv:1909.13719 (Cubuk et al. 2019, section 3). The scale is torchvision's, where 30 is AutoAugment's
    largest; the authors' code calls that 10, so that their magnitude 9 is 27 here. Deviation from torchvision: values
    are inverted from 256 (1 - l) on and not from 255 (1 - l), where the mildest turns white into black; and gaps are
    gray, as in the authors' code, not black.

    Args:
        num_ops: Operations for each image, 1 or more.
        magnitude: Strength of all of them, a whole number from 1 to 30.
        operations: Operations to draw from, of those named above; None: the paper's. One that stands twice is drawn
            twice as often.
        interpolation: How moves read between pixels: `nearest`, `bilinear` or `bicubic`.
        fill: Value in [0, 255] of all channels where a moved image leaves a gap.
        p: Probability in [0, 1] that an image is changed at all.
    """

    _ranges = RAND_AUGMENT

    def __init__(
        self,
        *,
        num_ops: int = 2,
        magnitude: int = 9,
        operations: tuple[Operation, ...] | None = None,
        interpolation: Interpolation = "nearest",
        fill: int = 128,
        p: float = 1.0,
    ) -> None:
        super().__init__(operations=operations, interpolation=interpolation, fill=fill, p=p)
        check_range(num_ops, where="augmentations.rand_augment.num_ops", low=1, high=math.inf)
        check_range(magnitude, where="augmentations.rand_augment.magnitude", low=1, high=LARGEST_MAGNITUDE)
        self._num_ops, self._level = num_ops, magnitude / LARGEST_MAGNITUDE

    def _augmented(self, image: NDArray[np.uint8], own: np.random.Generator) -> NDArray[np.uint8]:
        for _ in range(self._num_ops):
            image = self._apply(self._draw(image.shape[2], own), image, level=self._level, own=own)
        return image


class TrivialAugment(_Policy):
    """One operation drawn evenly from fourteen, with a strength drawn evenly from 31: the paper's wide ranges.

    At level l of 0, 1/30, ... 1: shear by 0.99 l pixels a pixel, shift by 32 l pixels whatever the image's size, turn
    by 135 l degrees, the factor of color, contrast, brightness and sharpness 1 - 0.99 l or 1 + 0.99 l, 8 - 6 l bits
    kept, values inverted from 256 (1 - l) on. Each move and factor takes one of its two directions at random. Gray
    images: without `color`. There is nothing to tune; shifts of 32 px suit images of 32 px as little as the paper's do.

    Source: arXiv:2103.10158 (Müller and Hutter 2021, table 1, "wide"). Deviation from torchvision: the threshold of
    solarize, as in `rand_augment`.

    Args:
        operations: Operations to draw from, of those named above; None: the paper's. One that stands twice is drawn
            twice as often.
        interpolation: How moves read between pixels: `nearest`, `bilinear` or `bicubic`.
        fill: Value in [0, 255] of all channels where a moved image leaves a gap.
        p: Probability in [0, 1] that an image is changed at all.
    """

    _ranges = TRIVIAL_AUGMENT

    def __init__(
        self,
        *,
        operations: tuple[Operation, ...] | None = None,
        interpolation: Interpolation = "nearest",
        fill: int = 0,
        p: float = 1.0,
    ) -> None:
        super().__init__(operations=operations, interpolation=interpolation, fill=fill, p=p)

    def _augmented(self, image: NDArray[np.uint8], own: np.random.Generator) -> NDArray[np.uint8]:
        level = int(own.integers(LARGEST_MAGNITUDE + 1)) / LARGEST_MAGNITUDE
        return self._apply(self._draw(image.shape[2], own), image, level=level, own=own)


class AugMix(_Policy):
    """Several chains of operations, mixed with one another and with the image.

    y = (1 - m) x + m * sum_i w_i chain_i(x), m ~ Beta(alpha, alpha), w ~ Dirichlet(alpha, ..., alpha). A chain is 1, 2
    or 3 operations (or `depth`), each with a level l ~ U(0.1, severity) / 10: shear by 0.3 l pixels a pixel, shift by
    l / 3 of the side, turn by 30 l degrees, 4 - 4 l bits kept, values inverted from 256 (1 - l) on. Each move takes one
    of its two directions at random.

    The consistency loss of the paper (Jensen-Shannon divergence between an image and two of its mixtures) is left out:
    this is the augmentation alone, which gives a part of the paper's gain.

    Source: arXiv:1912.02781 (Hendrycks et al. 2019, algorithm 1, and the authors' code). Deviations: angles are not cut
    to whole degrees and bits are rounded; the result is rounded to whole values. color, contrast, brightness and
    sharpness, which the paper leaves out since its test corruptions have them, may be listed: their factor is 1 - 0.9 l
    or 1 + 0.9 l, as in torchvision.

    Args:
        severity: Largest strength, a whole number from 1 to 10.
        width: Chains, 1 or more.
        depth: Operations in a chain, 1 or more; None draws 1, 2 or 3 for each chain.
        alpha: Of the Beta and the Dirichlet distribution, above 0: the larger, the more even the mixture.
        operations: Operations to draw from, of those named above; None: the paper's. One that stands twice is drawn
            twice as often.
        interpolation: How moves read between pixels: `nearest`, `bilinear` or `bicubic`.
        fill: Value in [0, 255] of all channels where a moved image leaves a gap.
        p: Probability in [0, 1] that an image is changed at all.
    """

    _ranges = AUG_MIX
    _usual = AUG_MIX_OPERATIONS

    def __init__(
        self,
        *,
        severity: int = 3,
        width: int = 3,
        depth: int | None = None,
        alpha: float = 1.0,
        operations: tuple[Operation, ...] | None = None,
        interpolation: Interpolation = "bilinear",
        fill: int = 0,
        p: float = 1.0,
    ) -> None:
        where = "augmentations.aug_mix"
        super().__init__(operations=operations, interpolation=interpolation, fill=fill, p=p)
        check_range(severity, where=f"{where}.severity", low=1, high=LARGEST_SEVERITY)
        check_range(width, where=f"{where}.width", low=1, high=math.inf)
        if depth is not None:
            check_range(depth, where=f"{where}.depth", low=1, high=math.inf)
        check_range(alpha, where=f"{where}.alpha", low=0, high=math.inf, above=True)
        self._severity, self._width, self._depth, self._alpha = severity, width, depth, alpha

    def _augmented(self, image: NDArray[np.uint8], own: np.random.Generator) -> NDArray[np.uint8]:
        import numpy as np

        share = own.beta(self._alpha, self._alpha)
        weights = own.dirichlet([self._alpha] * self._width)
        mixed = np.float32(1 - share) * image
        for weight in weights:
            mixed += np.float32(share * weight) * self._chain(image, own)
        return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)

    def _chain(self, image: NDArray[np.uint8], own: np.random.Generator) -> NDArray[np.uint8]:
        for _ in range(self._depth or int(own.integers(1, 4))):
            level = float(own.uniform(0.1, self._severity)) / LARGEST_SEVERITY
            image = self._apply(self._draw(image.shape[2], own), image, level=level, own=own)
        return image
