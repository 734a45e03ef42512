"""One of albumentations' transforms as an augmentation: built strictly, tried before training, seeded by image."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from zoo_plugins.albumentations_provider import CONSTANTS, constants, options, transform_class
from zoo_plugins.augmentation_adapter import AlbumentationsOp, build_strictly, load_albumentations
from zoo_plugins.option_checks import no_effect

from zoo.errors import UserError, raise_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS: Mapping[int, str] = {1: "gray images", 3: "colour images", 4: "colour images with alpha"}
SMALL_PX = 64
LARGEST_PX = 4096
TRIES = 16
COLOUR = 3


def build(*, transform: str, **settings: Any) -> LibraryTransform:
    """Builds one of albumentations' transforms.

    Args:
        transform: Its class name.
        **settings: Options of that transform, see `zoo_plugins.albumentations_provider.options`.

    Raises:
        UserError: albumentations would not take an option, or would change its value by itself.
    """
    return LibraryTransform(transform, settings)


class LibraryTransform(AlbumentationsOp):
    """A transform of albumentations 2.0.8 by its class name.

    It is seeded anew for each image. Transforms of pixels alone (albumentations calls them image-only) leave an alpha
    channel as it is; those that move the picture, crop it or cover parts of it take it along.

    Args:
        transform: Class name in albumentations.
        settings: Its arguments.

    Raises:
        UserError: albumentations would not take an option, or would change its value by itself.
    """

    def __init__(self, transform: str, settings: Mapping[str, Any]) -> None:
        self._name = transform
        numbers = {
            key: constants(CONSTANTS[key]).get(str(value), value) if key in CONSTANTS else value
            for key, value in settings.items()
        }
        super().__init__((transform, numbers))
        self._never = settings.get("p") == 0
        self.leaves_alpha = issubclass(transform_class(transform), load_albumentations().ImageOnlyTransform)

    @property
    def name(self) -> str:
        """The transform's own name."""
        return self._name

    def check(self, channels: int) -> None:
        """Tries the transform on made-up images: see `ImageOp.check`.

        Raises:
            UserError: It refuses images of so many channels, gives others, or changes nothing.
        """
        super().check(channels)
        if self._never or self._acts_on(min(channels, COLOUR) if self.leaves_alpha else channels):
            return
        if channels < COLOUR and self._acts_on(COLOUR):
            raise no_effect(
                f"on {KINDS[channels]}, albumentations' {self.name}", where=self._where, do=self._ways_out(channels)
            )
        others = ", ".join(p.name for p in options(self.name) if p.name != "p")
        ways = [f"set another of its options: {others}"] if others else []
        raise no_effect(
            f"albumentations' {self.name} with these options", where=self._where, do=[*ways, f"leave {self.name} out"]
        )

    def _check_image(self, channels: int) -> None:
        super().check(channels)

    def _acts_on(self, channels: int) -> bool:
        """Whether any of several draws changes a made-up image.

        Raises:
            UserError: The transform works on no such image.
        """
        acted, refusals = [], []
        for side_px in self._sides_px():
            try:
                acted.append(self._changes(_made_up(side_px, channels)))
            except _Refusal as refusal:
                refusals.append(refusal)
            if True in acted:
                return True
        if not acted:
            raise UserError(
                f"albumentations' {self.name} with these options does not work on {KINDS[channels]}: {refusals[0]}",
                where=self._where,
                do=self._ways_out(channels),
            )
        return False

    def _sides_px(self) -> Iterator[int]:
        """A small image; then, for crops to a size and the like, one of twice the largest number of the options."""
        yield SMALL_PX
        usual = {p.name: p.default for p in options(self.name)}
        largest = max(_whole_numbers([*{**usual, **self._recipe[0][1]}.values()]), default=0)
        if SMALL_PX < 2 * largest <= LARGEST_PX:
            yield 2 * largest

    def _changes(self, image: NDArray[np.uint8]) -> bool:
        with warnings.catch_warnings():  # called once, before any thread starts
            warnings.simplefilter("error", UserWarning)
            results = (self._result(image, seed=seed, force_apply=True) for seed in range(TRIES))
            return any(result.shape != image.shape or bool((result != image).any()) for result in results)

    def _change(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        try:
            return self._result(image, seed=int(rng.integers(2**63)))
        except _Refusal as refusal:
            height, width, channels = image.shape
            raise UserError(
                f"albumentations' {self.name} with these options does not work on {KINDS[channels]} of {width} x "
                f"{height} px: {refusal}",
                where=self._where,
                do=self._ways_out(channels),
            ) from refusal

    def _result(self, image: NDArray[np.uint8], *, seed: int, force_apply: bool = False) -> NDArray[np.uint8]:
        """uint8[H', W', C] of one image.

        Raises:
            _Refusal: The transform refuses the image, or gives something else than an image of its channels.
        """
        [transform] = self._transforms
        transform.set_random_seed(seed)
        try:
            result = transform(image=image, force_apply=force_apply)["image"]
        except Exception as error:  # it refuses images with every kind of exception, some of its own
            raise _Refusal(str(error).partition("\n")[0] or type(error).__name__) from error
        result = result[:, :, None] if result.ndim < image.ndim else result
        if result.dtype != image.dtype or result.shape[2] != image.shape[2]:
            raise _Refusal(f"it makes {result.dtype}[H, W, {result.shape[2]}]")
        return cast("NDArray[np.uint8]", result)

    @property
    def _where(self) -> str:
        return f"augmentations.{self.name}"

    def _ways_out(self, channels: int) -> list[str]:
        colours = ["set data.channels=3, if the images have colours"] if channels < COLOUR else []
        shown = f"choose other options: `python -m zoo plugins show {self.name}` lists them"
        return [f"leave {self.name} out", shown, *colours]

    def _build(self) -> list[Any]:
        [(name, arguments)] = self._recipe
        try:
            return [build_strictly(name, arguments)]
        except (UserWarning, ValueError, TypeError) as error:
            raise_all(_misfits(name, arguments, error=error))
            raise


class _Refusal(Exception):
    """albumentations will not change an image as it is; the message is its own."""


def _misfits(name: str, arguments: Mapping[str, Any], *, error: Exception) -> list[UserError]:
    """What albumentations said of the options, one error for each option that it named."""
    where, types = f"augmentations.{name}", {p.name: p.annotation for p in options(name)}
    found: dict[str, list[str]] = {}
    details = getattr(error.__cause__, "errors", None)
    for detail in details() if callable(details) else []:
        option = str(detail["loc"][0]) if detail["loc"] else ""
        said = str(detail["msg"]).removeprefix("Value error, ")
        if said not in found.setdefault(option, []):
            found[option].append(said)
    if not found or not set(found) <= set(arguments):
        said = "; ".join(text for texts in found.values() for text in texts) or " ".join(str(error).split())
        what = f"albumentations' {name} does not take its options as they are: {said}"
        return [UserError(what, where=where, allowed=", ".join(types))]
    return [
        UserError(
            f"{arguments[option]!r} is not a value for {option} of albumentations' {name}",
            where=f"{where}.{option}",
            allowed="; ".join(said),
        )
        for option, said in found.items()
    ]


def _made_up(side_px: int, channels: int) -> NDArray[np.uint8]:
    """uint8[side_px, side_px, channels]: slopes of different colours with noise, neither black nor white."""
    import numpy as np

    rng = np.random.default_rng(0)
    slope = np.linspace(0, 1, side_px)
    planes = [slope[:, None] * (1 - share) + slope[None, :] * share for share in np.linspace(0, 1, channels)]
    noisy = 60 + 120 * np.stack(planes, axis=2) + rng.normal(0, 12, (side_px, side_px, channels))
    return np.clip(noisy, 30, 220).astype(np.uint8)


def _whole_numbers(value: Any) -> Iterator[int]:
    if isinstance(value, tuple | list):
        for item in value:
            yield from _whole_numbers(item)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value
