"""Which of albumentations 2.0.8's transforms are offered by name, and why the others are not; it imports nothing.

A table, so that listing names costs no import (albumentations takes seconds: it loads torch and scipy). A test holds it
against the library.
"""

from __future__ import annotations

from collections.abc import Mapping

OFFERED: tuple[str, ...] = (
    *("AdditiveNoise", "AdvancedBlur", "Affine", "AutoContrast", "Blur", "CLAHE", "CenterCrop", "ChannelDropout"),
    *("ChannelShuffle", "ChromaticAberration", "CoarseDropout", "ColorJitter", "Crop", "CropAndPad", "D4", "Defocus"),
    *("Downscale", "ElasticTransform", "Emboss", "Equalize", "Erasing", "FancyPCA", "FrequencyMasking", "GaussNoise"),
    *("GaussianBlur", "GlassBlur", "GridDistortion", "GridDropout", "GridElasticDeform", "HEStain", "HorizontalFlip"),
    *("HueSaturationValue", "ISONoise", "Illumination", "ImageCompression", "InvertImg", "LongestMaxSize"),
    *("MedianBlur", "Morphological", "MotionBlur", "MultiplicativeNoise", "OpticalDistortion", "Pad", "PadIfNeeded"),
    *("Perspective", "PiecewiseAffine", "PixelDropout", "PlanckianJitter", "PlasmaBrightnessContrast"),
    *("PlasmaShadow", "Posterize", "RGBShift", "RandomBrightnessContrast", "RandomCrop", "RandomCropFromBorders"),
    *("RandomFog", "RandomGamma", "RandomGravel", "RandomGridShuffle", "RandomRain", "RandomResizedCrop"),
    *("RandomRotate90", "RandomScale", "RandomShadow", "RandomSizedCrop", "RandomSnow", "RandomSunFlare"),
    *("RandomToneCurve", "Resize", "RingingOvershoot", "Rotate", "SafeRotate", "SaltAndPepper", "Sharpen"),
    *("ShiftScaleRotate", "ShotNoise", "SmallestMaxSize", "Solarize", "Spatter", "SquareSymmetry", "Superpixels"),
    *("ThinPlateSpline", "TimeMasking", "TimeReverse", "ToGray", "ToSepia", "Transpose", "UnsharpMask"),
    *("VerticalFlip", "XYMasking", "ZoomBlur"),
)
"""Transforms that need an image and nothing else, and give one of the same type and channels."""

_BOXES = "it moves with the boxes of objects, and there are none here"
_MASKS = "it needs a mask beside each image"
_OTHERS = "it needs other images, given for each image anew"
_TYPE = "it makes numbers of another type; what a network's weights want of pixels is done by zoo, after augmentation"
_TENSOR = "it makes a tensor; zoo does so itself, after augmentation"
_VOLUME = "it takes volumes of several slices, and there are only images here"

REFUSED: Mapping[str, str] = {
    "AtLeastOneBBoxRandomCrop": _BOXES,
    "BBoxSafeRandomCrop": _BOXES,
    "RandomCropNearBBox": _BOXES,
    "RandomSizedBBoxSafeCrop": _BOXES,
    "ConstrainedCoarseDropout": _MASKS,
    "CropNonEmptyMaskIfExists": _MASKS,
    "MaskDropout": _MASKS,
    "FDA": _OTHERS,
    "HistogramMatching": _OTHERS,
    "Mosaic": _OTHERS,
    "OverlayElements": _OTHERS,
    "PixelDistributionAdaptation": _OTHERS,
    "TextImage": "it needs text and a place for it, given for each image anew",
    "FromFloat": _TYPE,
    "Normalize": _TYPE,
    "ToFloat": _TYPE,
    "ToRGB": "it makes three channels of one; data.channels=3 does so for all images",
    "ToTensor3D": _TENSOR,
    "ToTensorV2": _TENSOR,
    "Lambda": "it needs a Python function; a plugin of your own can offer that",
    "NoOp": "it does nothing",
    "CenterCrop3D": _VOLUME,
    "CoarseDropout3D": _VOLUME,
    "CubicSymmetry": _VOLUME,
    "Pad3D": _VOLUME,
    "PadIfNeeded3D": _VOLUME,
    "RandomCrop3D": _VOLUME,
}
"""The others, and why not: what is said when one is asked for."""
