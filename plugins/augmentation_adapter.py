"""The one place where albumentations is touched: built quietly, seeded by us, its warnings made errors.

Three habits of albumentations 2.0.8 would break a run without a word, and are mended here:
it asks a server for news when it is imported; each transform holds its own random state, so that every worker and
every epoch would repeat the same draws; and an argument that it does not know is ignored with a warning.
"""

from __future__ import annotations

import ast
import copy
import functools
import importlib
import os
import threading
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from zoo_plugins.option_checks import check_choice, check_range, no_effect

from zoo.errors import PluginError, UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Border = Literal["reflect", "edge", "wrap", "constant"]

CHANNELS = (1, 3, 4)
COLOUR_CHANNELS = 3


def load_albumentations() -> Any:
    """The albumentations module, imported without its question to a server.

    OpenCV's own threads are switched off: images are already augmented by many workers at once, and each of OpenCV's
    calls would otherwise start a thread for every core.
    """
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    albumentations = importlib.import_module("albumentations")
    importlib.import_module("cv2").setNumThreads(0)
    return albumentations


class ImageOp:
    """What all built-in augmentations share: which images they take, and that alpha is not colour.

    Satisfies `zoo.contracts.training.Augmentation`. A subclass checks its options and changes pixels in `_change`.
    """

    leaves_alpha = False
    """Whether a fourth channel is passed through unchanged."""

    @property
    def name(self) -> str:
        """The name in the configuration, for messages."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in type(self).__name__).lstrip("_")

    def check(self, channels: int) -> None:
        """Refuses images that this augmentation cannot change as its options say.

        Args:
            channels: Number of channels of the images.

        Raises:
            UserError: It cannot work on that many channels, or an option would have no effect on them.
        """
        if channels not in CHANNELS:
            raise UserError(
                f"augmentations work on images of 1, 3 or 4 channels, and these have {channels}",
                where=f"augmentations.{self.name}",
                allowed="1 (gray), 3 (colour), 4 (colour and alpha)",
                do="leave the augmentations out",
            )

    def __call__(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Changes one image.

        Args:
            image: uint8[H, W, C] with C one of 1, 3 and 4; it is not written to.
            rng: Source of all randomness.

        Returns:
            uint8[H, W, C]; may be `image` itself where nothing was changed.

        Raises:
            UserError: See `check`.
        """
        import numpy as np

        self._check_image(image.shape[2])
        if not self.leaves_alpha or image.shape[2] <= COLOUR_CHANNELS:
            return self._change(np.ascontiguousarray(image), rng)
        visible = self._change(np.ascontiguousarray(image[:, :, :COLOUR_CHANNELS]), rng)
        return np.concatenate([visible, image[:, :, COLOUR_CHANNELS:]], axis=2)

    def _check_image(self, channels: int) -> None:
        """What is asked for each image again: `check`, unless that takes time."""
        self.check(channels)

    def _change(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """The change itself, of a contiguous image that must not be written to."""
        raise NotImplementedError


class AlbumentationsOp(ImageOp):
    """An augmentation made of albumentations transforms.

    The transforms are built once and seeded anew from the caller's generator at every call, one draw for each
    whatever then happens, so that nothing depends on earlier calls, on the process or on the thread. Instances can
    be pickled; they rebuild their transforms where they arrive.

    Args:
        transforms: Pairs of an albumentations class name and all its arguments, applied in this order. Values of
            the form `cv2.NAME` are replaced by OpenCV's constant of that name.
    """

    def __init__(self, *transforms: tuple[str, Mapping[str, Any]]) -> None:
        self._recipe = tuple((name, dict(arguments)) for name, arguments in transforms)
        self._transforms = self._build()

    def _change(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        shape = image.shape
        for transform in self._transforms:
            transform.set_random_seed(int(rng.integers(2**63)))
            self._prepare(transform, image)
            image = transform(image=image)["image"]
        return image.reshape(shape)

    def _prepare(self, transform: Any, image: NDArray[np.uint8]) -> None:
        """Adapts a transform to the image at hand; most need nothing."""

    def _build(self) -> list[Any]:
        try:
            return [build_strictly(name, arguments) for name, arguments in self._recipe]
        except (UserWarning, ValueError, TypeError) as error:
            raise PluginError(
                f"the installed albumentations does not take what zoo passes to it: {error}; 2.0.8 is needed"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_transforms"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        # Rebuilt and not unpickled: unpickling would import albumentations before its switches are set.
        self.__dict__.update(state)
        self._transforms = self._build()


_ADVICE = (
    r".* is a special case of .*",
    r".* is a specialized version of .*",
    r".* is an alias for .*",
    r"This augmenter is very slow.*",
)
"""What some classes say whenever they are built, with whatever arguments: no fault of the user's."""

_ONE_AT_A_TIME = threading.Lock()
"""Python's warning filters belong to the whole process."""


def build_strictly(name: str, arguments: Mapping[str, Any]) -> Any:
    """Builds a transform; what albumentations would ignore, or change by itself, with a warning is an error.

    Args:
        name: Class name in albumentations.
        arguments: Plain values; text of the form `cv2.NAME` stands for OpenCV's constant of that name.

    Raises:
        UserWarning: An argument is not known, or would be changed; the message is albumentations' own.
        ValueError: An argument has a value that is not allowed.
        TypeError: An argument is not known, or one is missing.
    """
    return copy.deepcopy(_prototype(name, repr(dict(arguments))))


@functools.lru_cache(maxsize=256)
def _prototype(name: str, arguments: str) -> Any:
    """Built once a process, so that the filters are not touched while threads that come later build their own."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for advice in _ADVICE:
            warnings.filterwarnings("ignore", message=advice, category=UserWarning)
        return _built(name, ast.literal_eval(arguments))


def _built(name: str, arguments: Mapping[str, Any]) -> Any:
    library, cv2 = load_albumentations(), importlib.import_module("cv2")
    constants = {
        key: getattr(cv2, value.removeprefix("cv2.")) if str(value).startswith("cv2.") else value
        for key, value in arguments.items()
    }
    return getattr(library, name)(**constants)


def border_arguments(border: Border, fill: int | None, *, where: str) -> dict[str, Any]:
    """What stands where the moved image leaves a gap, as arguments of albumentations.

    Args:
        border: `reflect` mirrors the image at its edge (the edge pixel itself not doubled), `edge` repeats the
            outermost pixel, `wrap` continues at the other side, `constant` fills with `fill`.
        fill: Value in [0, 255] of all channels, with `constant` only; None: 0.
        where: The augmentation's key, for messages.

    Raises:
        UserError: An unknown border, or a `fill` that would have no effect.
    """
    modes = {
        "reflect": "cv2.BORDER_REFLECT_101",
        "edge": "cv2.BORDER_REPLICATE",
        "wrap": "cv2.BORDER_WRAP",
        "constant": "cv2.BORDER_CONSTANT",
    }
    check_choice(border, where=f"{where}.border", choices=modes)
    if fill is not None and border != "constant":
        raise no_effect(
            f"fill={fill} with border={border}",
            where=f"{where}.fill",
            do=[f"set {where}.border=constant", f"leave {where}.fill out"],
        )
    if fill is not None:
        check_range(fill, where=f"{where}.fill", low=0, high=255)
    return {"border_mode": modes[border], "fill": fill or 0, "fill_mask": 0, "mask_interpolation": "cv2.INTER_NEAREST"}
