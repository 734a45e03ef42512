"""albumentations' transforms as components of kind `augmentation`, each with its own signature as the schema."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

from zoo_plugins.albumentations_names import OFFERED, REFUSED
from zoo_plugins.augmentation_adapter import load_albumentations

from zoo.errors import UserError
from zoo.registry import Offer

VERSION = "2.0.8"
SUMMARY_LENGTH = 100

IDLE = frozenset(
    {
        "fill_mask",
        "mask_interpolation",
        "mask_drop_value",
        "keypoint_remapping_method",
        "mask",
        "mask_params",
        "metadata_key",
        "reference_images",
        "read_fn",
    }
)
"""Arguments that act on masks, keypoints or other images, which there are none of: as options they would do nothing."""

CONSTANTS: Mapping[str, str] = MappingProxyType({"interpolation": "INTER_", "border_mode": "BORDER_"})
"""Options that take one of OpenCV's numbers, and how the names of these begin."""


class AlbumentationsTransforms:
    """The provider: satisfies `zoo.registry.Provider`. Names and refusals come from a table; the library waits."""

    def names(self) -> list[str]:
        """All transforms that need nothing but an image."""
        return list(OFFERED)

    def offer(self, name: str) -> Offer | None:
        """What albumentations says of one transform, or None where it has none of that name.

        Raises:
            UserError: albumentations has it, but it does not work on images alone.
        """
        if name in REFUSED:
            raise UserError(
                f"albumentations' {name} cannot augment here: {REFUSED[name]}",
                where="augmentations",
                do="choose another; `python -m zoo plugins show NAME` shows one with its options",
            )
        if name not in OFFERED:
            return None
        found = transform_class(name)
        return Offer(
            target="zoo_plugins.albumentations_builder:build",
            summary=_first_line(found),
            source=f"albumentations {VERSION}, https://explore.albumentations.ai/transform/{name}",
            bound={"transform": name},
            parameters=partial(options, name),
        )


def transform_class(name: str) -> Any:
    """The class of that name in albumentations."""
    return getattr(load_albumentations(), name)


def options(name: str) -> list[inspect.Parameter]:
    """The options of a transform with its own defaults, less those that can do nothing to an image.

    Where the library wants one of OpenCV's numbers, OpenCV's name for it is taken as well: `INTER_CUBIC` for 2.
    """
    found = transform_class(name)
    return [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=_annotation(parameter, found))
        for parameter in inspect.signature(found).parameters.values()
        if parameter.name not in IDLE
    ]


def _annotation(parameter: inspect.Parameter, found: type[Any]) -> Any:
    """The evaluated annotation; it stands as text in the module of the class that has the constructor."""
    owner = next(base for base in found.__mro__ if "__init__" in vars(base))
    holder = type("Holder", (), {"__annotations__": {"value": parameter.annotation}})
    annotation = typing.get_type_hints(holder, globalns=vars(sys.modules[owner.__module__]))["value"]
    if typing.get_origin(annotation) is Literal and parameter.name in CONSTANTS:
        numbers = typing.get_args(annotation)
        names = tuple(name for name, number in constants(CONSTANTS[parameter.name]).items() if number in numbers)
        return Literal[numbers + names]  # type: ignore[valid-type]
    return annotation


def constants(prefix: str) -> dict[str, int]:
    """OpenCV's constants whose names begin so; a number may have several names."""
    import cv2

    return {name: number for name, number in vars(cv2).items() if name.startswith(prefix)}


def _first_line(found: type[Any]) -> str:
    """The first sentence of its description, cut to one line."""
    text = " ".join((inspect.getdoc(found) or found.__name__).partition("\n\n")[0].split())
    sentence = text.partition(". ")[0].rstrip(".")
    if len(sentence) <= SUMMARY_LENGTH:
        return sentence
    return sentence[: SUMMARY_LENGTH - 3].rpartition(" ")[0] + "..."
