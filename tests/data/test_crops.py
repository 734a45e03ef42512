"""Random windows: their distribution, their bounds, and that the generator alone decides."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.data.crops import crop_box, growing_side, random_crop, resize_to


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    low=st.floats(0.01, 1),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=200)
def test_crop_box_lies_within_the_image(height, width, low, seed):
    rng = np.random.default_rng(seed)
    top, left, h, w = crop_box(height, width, rng=rng, scale=(low, 1.0), ratio=(3 / 4, 4 / 3))
    assert 0 <= top <= top + h <= height
    assert 0 <= left <= left + w <= width
    assert h >= 1
    assert w >= 1


def boxes(height, width, scale, ratio, n=4000):
    rng = np.random.default_rng(0)
    return np.array([crop_box(height, width, rng=rng, scale=scale, ratio=ratio) for _ in range(n)], float)


def test_crop_box_areas_are_even_over_the_scale():
    found = boxes(300, 300, (0.2, 0.6), (3 / 4, 4 / 3))
    share = found[:, 2] * found[:, 3] / 300**2
    assert share.min() == pytest.approx(0.2, abs=0.01)
    assert share.max() == pytest.approx(0.6, abs=0.01)
    assert np.quantile(share, [0.25, 0.5, 0.75]) == pytest.approx([0.3, 0.4, 0.5], abs=0.015)


def test_crop_box_ratios_are_even_on_a_log_scale():
    found = boxes(300, 300, (0.2, 0.4), (1 / 2, 2))
    ratio = np.log2(found[:, 3] / found[:, 2])
    assert ratio.min() == pytest.approx(-1, abs=0.05)
    assert ratio.max() == pytest.approx(1, abs=0.05)
    assert np.quantile(ratio, [0.25, 0.5, 0.75]) == pytest.approx([-0.5, 0, 0.5], abs=0.06)


def test_crop_box_places_are_even():
    found = boxes(300, 300, (0.25, 0.25), (1, 1))
    assert found[:, 2] == pytest.approx(150)
    for column in (0, 1):
        assert np.quantile(found[:, column], [0, 0.5, 1]) == pytest.approx([0, 75, 150], abs=4)


def test_crop_box_agrees_with_torchvision_in_the_mean():
    import torch
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    image = torch.zeros(3, 200, 320)
    theirs = np.array([RandomResizedCrop.get_params(image, [0.4, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)], float)
    ours = boxes(200, 320, (0.4, 1.0), (3 / 4, 4 / 3))
    assert ours.mean(axis=0) == pytest.approx(theirs.mean(axis=0), rel=0.04)
    assert ours.std(axis=0) == pytest.approx(theirs.std(axis=0), rel=0.06)


@pytest.mark.parametrize(("height", "width", "expected"), [(10, 1000, (0, 493, 10, 13)), (1000, 10, (493, 0, 13, 10))])
def test_crop_box_of_a_strip_is_the_largest_centre_of_an_allowed_ratio(height, width, expected):
    found = crop_box(height, width, rng=np.random.default_rng(0), scale=(0.9, 1.0), ratio=(3 / 4, 4 / 3))
    assert found == expected


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (40, 30), (300, 200)])
def test_random_crop_gives_the_size(height, width, channels):
    window = random_crop(noise(height, width, channels), np.random.default_rng(0), size=24, flip=True)
    assert window.shape == (24, 24, channels)
    assert window.dtype == np.uint8
    assert window.flags.c_contiguous


def test_random_crop_follows_the_generator_alone():
    image = noise(50, 60)
    first = random_crop(image, np.random.default_rng(3), size=24, flip=True)
    assert np.array_equal(first, random_crop(image, np.random.default_rng(3), size=24, flip=True))
    assert not np.array_equal(first, random_crop(image, np.random.default_rng(4), size=24, flip=True))


def test_random_crop_flips_half():
    image = np.zeros((40, 40, 1), np.uint8)
    image[:, 20:] = 255
    rng = np.random.default_rng(0)
    flipped = [random_crop(image, rng, size=8, scale=(1, 1), ratio=(1, 1), flip=True)[0, 0, 0] > 0 for _ in range(400)]
    assert 0.43 < np.mean(flipped) < 0.57
    plain = [random_crop(image, rng, size=8, scale=(1, 1), ratio=(1, 1))[0, 0, 0] > 0 for _ in range(20)]
    assert not any(plain)


def test_random_crop_reads_read_only_images():
    image = noise(50, 60)
    image.setflags(write=False)
    assert random_crop(image, np.random.default_rng(0), size=24).flags.writeable


def test_resize_to_averages_where_it_shrinks():
    image = noise(32, 32)
    blocks = image.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3))
    assert np.abs(resize_to(image, 8) - blocks).max() <= 0.5


def test_resize_to_is_linear_where_it_enlarges():
    image = noise(8, 8)
    assert np.array_equal(resize_to(image, 32), cv2.resize(image, (32, 32), interpolation=cv2.INTER_LINEAR))


def test_resize_to_leaves_the_right_size_alone():
    image = noise(8, 8, 4)
    assert np.array_equal(resize_to(image, 8), image)


@pytest.mark.parametrize(
    ("epochs", "first", "last", "expected"),
    [
        (10, 32, 64, [32, 32, 40, 40, 48, 48, 56, 56, 64, 64]),
        (5, 32, 64, [32, 40, 48, 56, 64]),
        (4, 128, 224, [128, 160, 192, 224]),
        (3, 60, 64, [60, 60, 64]),
        (2, 60, 64, [60, 64]),
        (1, 32, 64, [64]),
    ],
)
def test_images_grow_in_equal_shares_to_their_full_size(epochs, first, last, expected):
    assert [growing_side(epoch, epochs=epochs, first=first, last=last) for epoch in range(epochs)] == expected


@given(epochs=st.floats(0.5, 100), first=st.integers(8, 300), more=st.integers(1, 300))
def test_images_never_shrink_nor_leave_the_range(epochs, first, more):
    sides = [growing_side(e, epochs=epochs, first=first, last=first + more) for e in range(math.ceil(epochs))]
    assert sides == sorted(sides)
    assert first <= sides[0]
    assert sides[-1] <= first + more
    assert sides[-1] == first + more
    assert len(set(sides)) <= 5
    assert all(side % 8 == 0 for side in sides if side not in (first, first + more))
