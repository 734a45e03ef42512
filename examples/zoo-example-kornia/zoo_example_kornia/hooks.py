"""What this plugin offers to zoo. Every command reads it, so it imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register


@hookimpl
def register_regularizers(register: Register) -> None:
    """Two changes of batches.

    They are regularizers and no augmentations: an augmentation of zoo gets one image, uint8 on the CPU, in a thread of
    the loader; a regularizer's `change_batch` gets the whole batch, float32 on the device that trains.
    """
    register(
        "affine",
        "zoo_example_kornia.batches:Affine",
        summary="Rotates, shifts and scales each image of a batch, on the training device",
        source="https://kornia.readthedocs.io/en/latest/augmentation.module.html",
    )
    register(
        "color",
        "zoo_example_kornia.batches:Color",
        summary="Changes brightness, contrast, saturation and hue of each image of a batch, on the training device",
        source="https://kornia.readthedocs.io/en/latest/augmentation.module.html",
    )
