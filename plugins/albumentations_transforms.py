"""Hook module of albumentations' transforms: one provider, asked on demand. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register


@hookimpl
def register_augmentations(register: Register) -> None:
    """Offers every transform of albumentations 2.0.8 that needs nothing but an image."""
    register.provider(
        "zoo_plugins.albumentations_provider:AlbumentationsTransforms",
        summary="Transforms of albumentations 2.0.8 (CLAHE, ElasticTransform, MotionBlur and some ninety more)",
        light_names="zoo_plugins.albumentations_names:OFFERED",
    )
