"""The built-in augmentations: the promised formulas, randomness from the generator alone, and refused options."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo_plugins import augmentation_adapter as adapter
from zoo_plugins import augmentation_ops as ops
from zoo_plugins.augmentation_erasing import RandomErasing
from zoo_plugins.augmentation_policies import AugMix, RandAugment, TrivialAugment

from zoo.errors import PluginError, UserError

SINGLE = (ops.Translate, ops.Rotate, ops.Scale, ops.Flip, ops.Crop, ops.Intensity, ops.ColorJitter, ops.Noise)
POLICIES = (RandAugment, TrivialAugment, AugMix)
ALL = (*SINGLE, *POLICIES, RandomErasing)
COLOUR = (ops.Intensity, ops.ColorJitter, ops.Noise, RandomErasing)
GRAY_OPTIONS: dict[type, dict[str, Any]] = {ops.ColorJitter: {"saturation": 0.0, "hue": 0.0}}


def build(kind: type, *, channels: int = 3, **options: Any) -> Any:
    """One augmentation with p = 1, with options that suit the number of channels."""
    return kind(**{"p": 1.0, **(GRAY_OPTIONS.get(kind, {}) if channels == 1 else {}), **options})


def image_of(height: int = 23, width: int = 31, channels: int = 3, *, seed: int = 0) -> np.ndarray:
    """A random image that cannot be written to."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    image.setflags(write=False)
    return image


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", ALL)
def test_augmentation_keeps_shape_and_type_and_changes_something(kind, channels):
    image = image_of(channels=channels)
    before = image.copy()
    results = [build(kind, channels=channels)(image, rng(seed)) for seed in range(4)]
    assert all(result.shape == image.shape and result.dtype == np.uint8 for result in results)
    assert any((result != image).any() for result in results)
    assert (image == before).all()


@pytest.mark.parametrize("kind", ALL)
def test_augmentation_is_a_function_of_the_generator_alone(kind):
    image = image_of()
    fresh = build(kind)
    used = build(kind)
    for seed in range(3):
        used(image_of(9, 40, seed=seed), rng(seed))
    assert (fresh(image, rng(7)) == used(image, rng(7))).all()
    drawn = {build(kind, p=0.5 if kind is ops.Flip else 1.0)(image, rng(seed)).tobytes() for seed in range(12)}
    assert len(drawn) > (1 if kind is ops.Flip else 8)


@pytest.mark.parametrize("kind", ALL)
def test_augmentation_draws_as_often_whether_or_not_it_acts(kind):
    """Else what the next augmentation of the chain draws would depend on this one's luck."""
    image = image_of()
    states = []
    for p in (0.0, 0.5, 1.0):
        generator = rng(3)
        build(kind, p=p)(image, generator)
        states.append(generator.bit_generator.state)
    assert states[0] == states[1] == states[2]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("kind", ALL)
def test_augmentation_with_p_0_is_the_identity(kind, channels):
    image = image_of(channels=channels)
    never = build(kind, channels=channels, p=0.0)
    assert all((never(image, rng(seed)) == image).all() for seed in range(5))


@pytest.mark.parametrize("kind", ALL)
def test_augmentation_with_p_one_half_leaves_about_half_alone(kind):
    image, generator = image_of(), rng(0)
    moving = {"operations": ("rotate",)} if kind in POLICIES else {}  # others, like equalize, may leave it as it is
    sometimes = build(kind, p=0.5, **moving)
    unchanged = sum((sometimes(image, generator) == image).all() for _ in range(200))
    assert 70 <= unchanged <= 130  # 4.2 standard deviations either way


@pytest.mark.parametrize("kind", ALL)
def test_augmentation_survives_pickling_and_copying(kind):
    image, original = image_of(), build(kind)
    copy = pickle.loads(pickle.dumps(original))
    assert (copy(image, rng(5)) == original(image, rng(5))).all()


@pytest.mark.parametrize("kind", ALL)
def test_augmentation_gives_the_same_in_every_thread(kind):
    """OpenCV keeps random state of its own for each thread."""
    image, results = image_of(), []

    def work() -> None:
        own = build(kind)
        results.append(own(image, rng(11)).tobytes())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert set(results) == {build(kind)(image, rng(11)).tobytes()}


@settings(max_examples=40)
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    channels=st.sampled_from([1, 3, 4]),
    kind=st.sampled_from(ALL),
    seed=st.integers(0, 2**32),
)
def test_augmentation_takes_any_size(height, width, channels, kind, seed):
    image = image_of(height, width, channels)
    options = {"max_area": 1.0} if kind is RandomErasing else {}  # less than a pixel is an error of its own
    result = build(kind, channels=channels, **options)(image, rng(seed))
    assert result.shape == image.shape
    assert result.dtype == np.uint8


@pytest.mark.parametrize("kind", ALL)
def test_augmentation_takes_views_that_are_not_contiguous(kind):
    image = image_of(40, 60)
    view = image[::2, ::-2]
    assert (build(kind)(view, rng(2)) == build(kind)(view.copy(), rng(2))).all()


@pytest.mark.parametrize("kind", COLOUR)
def test_colour_changes_leave_alpha_alone(kind):
    image = image_of(channels=4)
    result = build(kind)(image, rng(1))
    assert (result[:, :, 3] == image[:, :, 3]).all()
    assert (result[:, :, :3] != image[:, :, :3]).any()
    assert (result[:, :, :3] == build(kind)(image[:, :, :3], rng(1))).all()


@pytest.mark.parametrize("kind", [k for k in ALL if k not in COLOUR])
def test_moves_take_alpha_along(kind):
    gray = image_of(channels=1)
    image = np.concatenate([gray] * 4, axis=2)
    moving = {"operations": ("rotate", "shear_x", "translate_y")} if kind in POLICIES else {}
    result = build(kind, **moving)(image, rng(4))
    assert (result != image).any()
    assert all((result[:, :, c] == result[:, :, 0]).all() for c in range(4))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("channels", [2, 5])
def test_check_refuses_other_channel_counts(kind, channels):
    with pytest.raises(UserError, match=f"these have {channels}"):
        build(kind).check(channels)
    with pytest.raises(UserError, match=f"these have {channels}"):
        build(kind)(image_of(channels=channels), rng())


def test_flip_matches_numpy():
    image = image_of()
    assert (ops.Flip(p=1.0)(image, rng()) == image[:, ::-1]).all()
    assert (ops.Flip(horizontal=False, vertical=True, p=1.0)(image, rng()) == image[::-1]).all()
    assert (ops.Flip(vertical=True, p=1.0)(image, rng()) == image[::-1, ::-1]).all()


def test_flip_draws_both_directions_independently():
    image, both, generator = image_of(), ops.Flip(vertical=True, p=0.5), rng(0)
    seen = {both(image, generator).tobytes() for _ in range(60)}
    assert seen == {view.tobytes() for view in (image, image[:, ::-1], image[::-1], image[::-1, ::-1])}


def test_translate_shifts_whole_pixels_within_the_limit():
    image = image_of(40, 50)
    shift = ops.Translate(x_share=0.2, y_share=0.1, border="wrap", p=1.0)
    seen = set()
    for seed in range(30):
        result = shift(image, rng(seed))
        found = [
            (dx, dy)
            for dx in range(-10, 11)
            for dy in range(-4, 5)
            if (np.roll(image, (dy, dx), axis=(0, 1)) == result).all()
        ]
        assert len(found) == 1
        seen.add(found[0])
    assert len(seen) > 20
    assert max(dx for dx, _ in seen) > 4
    assert min(dx for dx, _ in seen) < -4


def test_translate_fills_the_gap_as_asked():
    image = np.full((20, 20, 3), 90, np.uint8)
    filled = [ops.Translate(border="constant", fill=7, p=1.0)(image, rng(seed)) for seed in range(5)]
    assert {int(value) for result in filled for value in np.unique(result)} == {7, 90}
    black = [ops.Translate(border="constant", p=1.0)(image, rng(seed)) for seed in range(5)]
    assert {int(value) for result in black for value in np.unique(result)} == {0, 90}
    for border in ("reflect", "edge", "wrap"):
        assert (ops.Translate(border=border, p=1.0)(image, rng(1)) == 90).all()


def test_rotate_turns_by_degrees_within_the_limit():
    """The angle is found from where a single bright spot ends up."""
    image = np.zeros((101, 101, 1), np.uint8)
    image[45:56, 85:96] = 255
    angles = []
    for seed in range(40):
        result = ops.Rotate(limit_deg=30, border="constant", p=1.0)(image, rng(seed))[:, :, 0].astype(float)
        ys, xs = np.mgrid[:101, :101]
        x, y = (xs * result).sum() / result.sum() - 50, (ys * result).sum() / result.sum() - 50
        assert np.hypot(x, y) == pytest.approx(40, abs=0.5)
        angles.append(np.degrees(np.arctan2(y, x)))
    assert -30.5 <= min(angles) < -20
    assert 20 < max(angles) <= 30.5


def test_scale_zooms_within_the_limits_and_keeps_proportions():
    image = np.zeros((101, 101, 1), np.uint8)
    image[40:61, 40:61] = 255
    factors = []
    for seed in range(60):
        result = ops.Scale(min_factor=0.5, max_factor=2.0, border="constant", p=1.0)(image, rng(seed))[:, :, 0]
        rows, columns = (result > 127).any(axis=1).sum(), (result > 127).any(axis=0).sum()
        assert abs(int(rows) - int(columns)) <= 1
        factors.append(rows / 21)
    assert 0.45 < min(factors) < 0.65
    assert 1.7 < max(factors) < 2.1
    assert 18 <= sum(factor < 1 for factor in factors) <= 42  # half of 60, 3.1 standard deviations


def test_crop_shows_a_part_of_the_asked_area():
    """Each pixel holds its own place, so a crop shows which part was enlarged."""
    ys, xs = np.mgrid[:200, :200]
    image = np.stack([ys, xs, ys], axis=2).astype(np.uint8)
    shares, ratios = [], []
    for seed in range(60):
        result = ops.Crop(min_area=0.25, max_area=0.5, max_stretch=1.5)(image, rng(seed)).astype(float)
        height, width = np.ptp(result[:, :, 0]) + 1, np.ptp(result[:, :, 1]) + 1
        shares.append(height * width / 200**2)
        ratios.append(width / height)
    assert 0.23 < min(shares) < 0.3
    assert 0.45 < max(shares) < 0.52
    assert 1 / 1.55 < min(ratios) < 0.8
    assert 1.25 < max(ratios) < 1.55


def test_crop_of_the_whole_area_is_the_identity():
    image = image_of(30, 30)
    assert (ops.Crop(min_area=1.0, max_stretch=1.0)(image, rng()) == image).all()


def test_intensity_is_affine_in_the_values():
    """y = floor(clip(c x + 255 b)), the same c and b for all values and channels."""
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    slopes, shifts = [], []
    for seed in range(40):
        result = ops.Intensity(brightness=0.2, contrast=0.3, p=1.0)(image, rng(seed)).reshape(-1, 3)
        assert (result[:, 0] == result[:, 1]).all()
        values = result[:, 0].astype(float)
        inside = (values > 0) & (values < 255)
        slope, shift = np.polyfit(np.arange(256)[inside], values[inside] + 0.5, 1)
        exact = np.clip(slope * np.arange(256) + shift, 0, 255)
        assert np.abs(exact - values).max() <= 1.1
        slopes.append(slope)
        shifts.append(shift / 255)
    assert 0.69 < min(slopes) < 0.8
    assert 1.2 < max(slopes) < 1.31
    assert -0.21 < min(shifts) < -0.1
    assert 0.1 < max(shifts) < 0.21


def test_color_jitter_without_hue_and_saturation_keeps_gray_gray():
    gray = image_of(channels=1).repeat(3, axis=2)
    result = ops.ColorJitter(saturation=0, hue=0, p=1.0)(gray, rng(3))
    assert (result[:, :, 0] == result[:, :, 2]).all()
    assert (result != gray).any()


def test_color_jitter_saturation_0_to_2_reaches_gray_and_vivid():
    image = np.full((8, 8, 3), (180, 90, 60), np.uint8)
    spreads = [
        int(np.ptp(ops.ColorJitter(brightness=0, contrast=0, saturation=1, hue=0, p=1.0)(image, rng(seed))[0, 0]))
        for seed in range(40)
    ]
    assert min(spreads) < 15
    assert max(spreads) > 200


def test_color_jitter_hue_turns_the_circle():
    """Half a turn of pure red is cyan; within 0.1 of a turn red stays the largest channel."""
    red = np.zeros((4, 4, 3), np.uint8)
    red[:, :, 0] = 255
    small = [ops.ColorJitter(brightness=0, contrast=0, saturation=0, hue=0.1, p=1.0)(red, rng(s)) for s in range(20)]
    assert all(result[0, 0].argmax() == 0 for result in small)
    large = [ops.ColorJitter(brightness=0, contrast=0, saturation=0, hue=0.5, p=1.0)(red, rng(s)) for s in range(40)]
    assert {int(result[0, 0].argmax()) for result in large} == {0, 1, 2}


def test_color_jitter_refuses_gray_images_while_colour_options_are_on():
    with pytest.raises(UserError, match=r"saturation=0\.2 and hue=0\.05") as caught:
        ops.ColorJitter().check(1)
    assert "intensity" in str(caught.value)
    with pytest.raises(UserError, match="has no effect"):
        ops.ColorJitter(p=1.0)(image_of(channels=1), rng())
    ops.ColorJitter(saturation=0, hue=0).check(1)
    ops.ColorJitter().check(3)
    ops.ColorJitter().check(4)


@pytest.mark.parametrize("sigma", [0.003, 0.05])
def test_noise_has_the_stated_spread(sigma):
    """Rounded Gaussian noise: variance (255 s)^2 + 1/12, mean 0."""
    image = np.full((300, 300, 3), 128, np.uint8)
    noise = ops.Noise(min_sigma=sigma, max_sigma=sigma, p=1.0)(image, rng(5)).astype(float) - 128
    assert noise.std() == pytest.approx(np.sqrt((255 * sigma) ** 2 + 1 / 12), rel=0.02)
    assert abs(noise.mean()) < 5 * noise.std() / np.sqrt(noise.size)
    correlation = np.corrcoef(noise.reshape(-1, 3).T)
    assert np.abs(correlation - np.eye(3)).max() < 0.03


def test_noise_draws_sigma_for_each_image_from_the_range():
    image = np.full((64, 64, 3), 128, np.uint8)
    noisy = ops.Noise(min_sigma=0.02, max_sigma=0.1, p=1.0)
    spreads = [noisy(image, rng(seed)).astype(float).std() / 255 for seed in range(40)]
    assert 0.018 < min(spreads) < 0.035
    assert 0.085 < max(spreads) < 0.103


def test_noise_shared_by_channels_is_gray():
    image = np.full((20, 20, 3), 128, np.uint8)
    result = ops.Noise(per_channel=False, p=1.0)(image, rng())
    assert (np.ptp(result, axis=2) == 0).all()
    assert result.std() > 1


def test_noise_clips_and_does_not_wrap_round():
    dark = np.zeros((50, 50, 3), np.uint8)
    assert ops.Noise(max_sigma=0.05, p=1.0)(dark, rng()).max() < 100
    bright = np.full((50, 50, 3), 255, np.uint8)
    assert ops.Noise(max_sigma=0.05, p=1.0)(bright, rng()).min() > 155


@pytest.mark.parametrize(
    ("kind", "options", "where"),
    [
        (ops.Translate, {"x_share": 0, "y_share": 0}, "augmentations.translate"),
        (ops.Translate, {"x_share": 1.5}, "augmentations.translate.x_share"),
        (ops.Translate, {"border": "mirror"}, "augmentations.translate.border"),
        (ops.Translate, {"fill": 3}, "augmentations.translate.fill"),
        (ops.Translate, {"fill": 256, "border": "constant"}, "augmentations.translate.fill"),
        (ops.Rotate, {"limit_deg": 0}, "augmentations.rotate.limit_deg"),
        (ops.Rotate, {"limit_deg": 181}, "augmentations.rotate.limit_deg"),
        (ops.Rotate, {"limit_deg": float("nan")}, "augmentations.rotate.limit_deg"),
        (ops.Scale, {"min_factor": 1, "max_factor": 1}, "augmentations.scale"),
        (ops.Scale, {"min_factor": 0}, "augmentations.scale.min_factor"),
        (ops.Scale, {"max_factor": 0.5}, "augmentations.scale.max_factor"),
        (ops.Flip, {"horizontal": False}, "augmentations.flip"),
        (ops.Crop, {"min_area": 0.9, "max_area": 0.5}, "augmentations.crop.max_area"),
        (ops.Crop, {"max_stretch": 0.5}, "augmentations.crop.max_stretch"),
        (ops.Intensity, {"brightness": 0, "contrast": 0}, "augmentations.intensity"),
        (ops.Intensity, {"contrast": 2}, "augmentations.intensity.contrast"),
        (ops.ColorJitter, {"hue": 0.6}, "augmentations.color_jitter.hue"),
        (ops.ColorJitter, {"brightness": -1}, "augmentations.color_jitter.brightness"),
        (
            ops.ColorJitter,
            {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0},
            "augmentations.color_jitter",
        ),
        (ops.Noise, {"min_sigma": 0, "max_sigma": 0}, "augmentations.noise.max_sigma"),
        (ops.Noise, {"min_sigma": 0.2, "max_sigma": 0.1}, "augmentations.noise.max_sigma"),
    ],
)
def test_augmentation_refuses_options_without_sense_or_effect(kind, options, where):
    with pytest.raises(UserError) as caught:
        kind(**options)
    assert caught.value.where == where
    assert caught.value.allowed or caught.value.do


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), "often", True])
def test_augmentation_refuses_a_p_that_is_no_probability(kind, p):
    with pytest.raises(UserError) as caught:
        kind(p=p)
    assert caught.value.where.endswith(".p")


def test_adapter_turns_an_ignored_argument_into_an_error():
    """albumentations 2.0.8 takes `value=` (a name of older versions) with a warning, and does nothing with it."""
    with pytest.raises(PluginError, match=r"value.*not valid"):
        adapter.AlbumentationsOp(("Affine", {"rotate": 10, "value": 3, "p": 1.0}))


def test_adapter_names_follow_the_registry():
    assert [kind(p=1.0).name for kind in ALL] == [
        "translate",
        "rotate",
        "scale",
        "flip",
        "crop",
        "intensity",
        "color_jitter",
        "noise",
        "rand_augment",
        "trivial_augment",
        "aug_mix",
        "random_erasing",
    ]


def test_adapter_imports_albumentations_without_a_connection():
    """Run in a fresh process, with every look-up of a host an error, also when only unpickling."""
    code = (
        "import sys, pickle\n"
        "def watch(event, args):\n"
        "    if event in ('socket.getaddrinfo', 'socket.connect', 'urllib.Request'):\n"
        "        sys.stderr.write(f'{event} {args}'); sys.stderr.flush(); import os; os._exit(9)\n"
        "sys.addaudithook(watch)\n"
        "flip = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
        "import cv2\n"
        "assert 'albumentations' in sys.modules and 'torch' not in sys.argv\n"
        "print(cv2.getNumThreads())\n"
    )
    frozen = pickle.dumps(ops.Flip()).hex()
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code, frozen], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("0", "1")  # OpenCV reports one thread as 1 where it was built without a pool
