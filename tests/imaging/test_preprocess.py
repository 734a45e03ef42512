"""Sizes, windows and normalisation of a network's input."""

import json
import math
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_eval
from torchvision.transforms import v2
from torchvision.transforms.functional import _compute_resized_output_size

from zoo.imaging.preprocess import Preprocess

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


TIMMS = [
    *[(224, 0.875), (224, 0.9), (224, 0.95), (224, 1.0), (299, 0.875), (240, 0.9), (160, 0.91), (192, 0.882)],
    *[(176, 0.9), (208, 0.89), (256, 0.887), (188, 0.875), (300, 0.904), (384, 0.951), (64, 0.95), (32, 0.875)],
]
"""Sizes and crop shares that timm states beside its weights; most divide to a fraction above a half."""


@pytest.mark.parametrize(("size", "share"), TIMMS)
@pytest.mark.parametrize(("resize", "mode"), [("crop", "center"), ("squash", "squash"), ("pad", "border")])
@pytest.mark.parametrize(("height", "width"), [(150, 237), (331, 200), (181, 181)])
def test_call_is_timms_evaluation_transform_to_the_pixel(size, share, resize, mode, height, width):
    image = noise(height, width)
    share = 1.0 if resize == "pad" else share
    window = Preprocess(size, MEAN, STD, resize=resize, crop_share=share)(image)
    timms = transforms_imagenet_eval(
        size, crop_pct=share, crop_mode=mode, interpolation="bicubic", mean=MEAN, std=STD, normalize=False
    )
    assert np.array_equal(window, timms(Image.fromarray(image)).permute(1, 2, 0).numpy())


@pytest.mark.parametrize(("height", "width"), [(300, 500), (500, 300), (256, 256), (100, 90), (97, 410)])
def test_call_is_torchvisions_resize_and_centre_crop_to_the_pixel(height, width):
    image = noise(height, width)
    preprocess = Preprocess(224, MEAN, STD)
    resized = v2.Resize(256, interpolation=v2.InterpolationMode.BICUBIC)(Image.fromarray(image))
    assert np.array_equal(preprocess.fit(image), np.asarray(resized))
    assert np.array_equal(preprocess(image), np.asarray(v2.CenterCrop(224)(resized)))


@given(height=st.integers(1, 700), width=st.integers(1, 700), size=st.integers(1, 600), share=st.floats(0.3, 1))
@settings(max_examples=300)
def test_sides_are_torchvisions_for_any_image(height, width, size, share):
    preprocess = Preprocess(size, MEAN, STD, crop_share=share)
    if max(height, width) >= 8 * min(height, width):
        return
    side = math.floor(size / share)
    expected = tuple(_compute_resized_output_size((height, width), [side]))
    fitted = np.empty((*expected, 3), np.uint8)
    assert preprocess.resize_px == side >= size
    with patch("zoo.imaging.preprocess._resize", lambda image, target, interpolation: np.empty((*target, 3))):
        assert preprocess.fit(np.empty((height, width, 3), np.uint8)).shape == fitted.shape
    assert preprocess.crop(fitted).shape == (size, size, 3)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    size=st.integers(1, 40),
    resize=st.sampled_from(["crop", "pad", "squash"]),
    channels=st.sampled_from([1, 3, 4]),
)
@settings(max_examples=120)
def test_call_gives_the_window_for_any_image(height, width, size, resize, channels):
    preprocess = Preprocess(size, (0.5,) * channels, (0.5,) * channels, resize=resize)
    window = preprocess(noise(height, width, channels))
    assert window.shape == (size, size, channels)
    assert window.dtype == np.uint8


def test_fit_of_a_long_strip_stays_small():
    fitted = Preprocess(224, MEAN, STD).fit(noise(1, 20_000))
    assert fitted.shape == (256, 8 * 256, 3)


def test_fit_leaves_an_image_of_the_right_size_alone():
    image = noise(256, 300)
    assert np.array_equal(Preprocess(224, MEAN, STD).fit(image), image)


def test_squash_ignores_the_aspect_ratio():
    image = noise(40, 80)
    expected = np.asarray(Image.fromarray(image).resize((20, 20), Image.Resampling.BICUBIC))
    assert np.array_equal(Preprocess(20, MEAN, STD, resize="squash", crop_share=1.0)(image), expected)


def test_pad_shows_the_whole_image_between_margins_of_the_mean():
    preprocess = Preprocess(8, (0.2, 0.4, 0.6), STD, resize="pad")
    window = preprocess(np.full((4, 8, 3), 200, np.uint8))
    assert (window[2:6] == 200).all()
    assert window[0, 0].tolist() == [51, 102, 153]
    assert window[7, 7].tolist() == [51, 102, 153]


@pytest.mark.parametrize("channels", [1, 4])
def test_fit_resizes_each_channel_by_itself(channels):
    image = noise(30, 40, channels)
    fitted = Preprocess(16, (0.5,) * channels, (0.5,) * channels).fit(image)
    for c in range(channels):
        plane = Image.fromarray(image[:, :, c]).resize((fitted.shape[1], fitted.shape[0]), Image.Resampling.BICUBIC)
        assert np.array_equal(fitted[:, :, c], np.asarray(plane))


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_fit_uses_the_named_filter(name):
    image = noise(40, 40)
    fitted = Preprocess(14, MEAN, STD, interpolation=name).fit(image)
    assert np.array_equal(fitted, np.asarray(Image.fromarray(image).resize((16, 16), Image.Resampling[name.upper()])))


def test_normalise_is_torchvisions():
    batch = torch.from_numpy(np.stack([noise(9, 9, seed=i) for i in range(2)]))
    result = Preprocess(9, MEAN, STD).normalise(batch)
    scaled = v2.functional.to_dtype(batch.permute(0, 3, 1, 2), torch.float32, scale=True)
    assert result.shape == (2, 3, 9, 9)
    assert result.dtype == torch.float32
    assert torch.allclose(result, v2.functional.normalize(scaled, list(MEAN), list(STD)), atol=1e-5)
    assert result.is_contiguous(memory_format=torch.channels_last)


def test_with_size_changes_the_size_alone():
    preprocess = Preprocess(224, MEAN, STD, crop_share=0.9)
    assert preprocess.with_size(64) == Preprocess(64, MEAN, STD, crop_share=0.9)


def test_with_channels():
    preprocess = Preprocess(224, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    gray = preprocess.with_channels(1)
    assert gray.mean == pytest.approx((0.2,))
    assert gray.std == pytest.approx((0.5,))
    assert gray.with_channels(3).mean == pytest.approx((0.2,) * 3)
    assert preprocess.with_channels(4).mean == (0.1, 0.2, 0.3, 0.5)
    assert preprocess.with_channels(3) is preprocess
    with pytest.raises(ValueError, match="no rule"):
        preprocess.with_channels(2)


def test_to_dict_and_back_through_json():
    preprocess = Preprocess(224, MEAN, STD, resize="pad", crop_share=0.9, interpolation="lanczos")
    assert Preprocess.from_dict(json.loads(json.dumps(preprocess.to_dict()))) == preprocess
