"""Hook module of the built-in augmentations. Imports nothing heavy: albumentations loads when one is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register

OPS = "zoo_plugins.augmentation_ops"
POLICIES = "zoo_plugins.augmentation_policies"
AFFINE = "Simard et al. 2003, Best practices for convolutional neural networks; drawn by albumentations 2.0.8 Affine"


@hookimpl
def register_augmentations(register: Register) -> None:
    """Offers the twelve augmentations; each keeps the image's size and type."""
    register("translate", f"{OPS}:Translate", summary="Shifts the image sideways and up or down", source=AFFINE)
    register("rotate", f"{OPS}:Rotate", summary="Turns the image about its centre", source=AFFINE)
    register("scale", f"{OPS}:Scale", summary="Zooms in or out about the centre, keeping proportions", source=AFFINE)
    register(
        "flip",
        f"{OPS}:Flip",
        summary="Mirrors left to right, upside down, or both",
        source="Krizhevsky et al. 2012, ImageNet classification with deep convolutional neural networks",
    )
    register(
        "crop",
        f"{OPS}:Crop",
        summary="Cuts a random part and enlarges it to the image's size",
        source="arXiv:1409.4842 (Szegedy et al. 2014), albumentations 2.0.8 RandomResizedCrop",
    )
    register(
        "intensity",
        f"{OPS}:Intensity",
        summary="Changes brightness and contrast of all channels alike, gray images too",
        source="arXiv:1312.5402 (Howard 2013), albumentations 2.0.8 RandomBrightnessContrast",
    )
    register(
        "color_jitter",
        f"{OPS}:ColorJitter",
        summary="Changes brightness, contrast, saturation and hue in random order",
        source="arXiv:1805.09501 (Cubuk et al. 2018) for the operations, albumentations 2.0.8 ColorJitter",
    )
    register(
        "noise",
        f"{OPS}:Noise",
        summary="Adds Gaussian noise to each pixel",
        source="Bishop 1995, Training with noise is equivalent to Tikhonov regularization",
    )
    register(
        "rand_augment",
        f"{POLICIES}:RandAugment",
        summary="A few operations of fourteen, drawn for each image, all of one magnitude",
        source="arXiv:1909.13719 (Cubuk et al. 2019), with the scale of torchvision's RandAugment",
    )
    register(
        "trivial_augment",
        f"{POLICIES}:TrivialAugment",
        summary="One operation of fourteen with any strength: nothing to tune",
        source="arXiv:2103.10158 (Müller and Hutter 2021), the wide ranges",
    )
    register(
        "aug_mix",
        f"{POLICIES}:AugMix",
        summary="Chains of operations mixed with the image, without the paper's consistency loss",
        source="arXiv:1912.02781 (Hendrycks et al. 2019)",
    )
    register(
        "random_erasing",
        "zoo_plugins.augmentation_erasing:RandomErasing",
        summary="Covers a rectangle of the image with noise, its mean or one value",
        source="arXiv:1708.04896 (Zhong et al. 2017)",
    )
