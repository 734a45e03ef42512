"""Random erasing on the image: where the rectangle lies, how large it is, and what it holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from torchvision.transforms import v2
from zoo_plugins.augmentation_erasing import RandomErasing
from zoo_plugins.regularizing.patches import RandomErasing as OnBatches

from zoo.errors import UserError

SIDE = 100


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def rectangle(changed: np.ndarray) -> tuple[int, int, int, int]:
    """Top, left, height, width of the changed pixels bool[H, W], which must fill their bounds."""
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
    assert changed[top : top + height, left : left + width].all()
    assert changed.sum() == height * width
    return top, left, height, width


def test_rectangle_has_area_ratio_and_place_within_the_limits():
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    erase = RandomErasing(p=1.0, min_area=0.05, max_area=0.3, max_stretch=2.0, fill=255)
    found = [rectangle(erase(image, rng(seed))[:, :, 0] == 255) for seed in range(400)]
    areas = np.array([h * w for _, _, h, w in found]) / SIDE**2
    ratios = np.log([h / w for _, _, h, w in found])
    assert 0.045 < areas.min() < 0.06
    assert 0.29 < areas.max() < 0.31
    assert areas.mean() == pytest.approx(0.175, abs=0.02)
    assert np.abs(ratios).max() < math.log(2.0) + 0.1
    assert np.abs(ratios.mean()) < 0.1
    tops = np.array([top / (SIDE - h) for top, _, h, _ in found])
    lefts = np.array([left / (SIDE - w) for _, left, _, w in found])
    for places in (tops, lefts):
        assert places.min() < 0.02
        assert places.max() > 0.98
        assert places.mean() == pytest.approx(0.5, abs=0.08)


def test_sizes_are_distributed_as_torchvisions():
    """The same scale and ratio: rectangles of the same mean area and the same spread of ratios."""
    import torch

    ours, theirs = (
        RandomErasing(p=1.0, max_area=0.33, fill=255),
        v2.RandomErasing(p=1.0, ratio=(0.3, 1 / 0.3), value=1.0),
    )
    image, empty = np.zeros((SIDE, SIDE, 1), np.uint8), torch.zeros(1, SIDE, SIDE)
    torch.manual_seed(0)
    mine = [rectangle(ours(image, rng(seed))[:, :, 0] == 255)[2:] for seed in range(600)]
    other = [rectangle(theirs(empty)[0].numpy() == 1)[2:] for _ in range(600)]
    areas, ratios = (
        [np.array([f(h, w) for h, w in sizes]) for sizes in (mine, other)]
        for f in (lambda h, w: h * w / SIDE**2, lambda h, w: math.log(h / w))
    )
    assert areas[0].mean() == pytest.approx(areas[1].mean(), abs=0.02)
    assert ratios[0].std() == pytest.approx(ratios[1].std(), rel=0.1)


def test_noise_is_even_over_all_values_and_the_rest_is_untouched():
    image = np.full((SIDE, SIDE, 3), 128, np.uint8)
    erased = RandomErasing(p=1.0, min_area=0.3, max_area=0.3, max_stretch=1.0)(image, rng())
    changed = (erased != 128).any(axis=2)
    values = erased[changed].ravel()
    assert 0.28 < changed.mean() <= 0.31
    assert values.mean() == pytest.approx(127.5, abs=4)
    assert values.std() == pytest.approx(math.sqrt((256**2 - 1) / 12), rel=0.05)
    assert abs(np.corrcoef(erased[changed].T)[0, 1]) < 0.1


def test_mean_is_the_images_own_and_a_number_fills_all_channels():
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, :20] = (200, 100, 50)
    erased = RandomErasing(p=1.0, fill="mean")(image, rng(1))
    changed = (erased != image).any(axis=2)
    assert {tuple(map(int, pixel)) for pixel in erased[changed]} == {(100, 50, 25)}
    erased = RandomErasing(p=1.0, fill=7)(image, rng(1))
    assert {tuple(map(int, pixel)) for pixel in erased[(erased != image).any(axis=2)]} == {(7, 7, 7)}


def test_image_into_which_nothing_fits_stays_whole():
    wide = np.zeros((1, 400, 3), np.uint8)
    erase = RandomErasing(p=1.0, min_area=0.9, max_area=0.9, max_stretch=1.0)
    assert (erase(wide, rng()) == wide).all()


def test_rectangle_of_no_pixel_is_an_error():
    with pytest.raises(UserError, match="no pixel") as caught:
        RandomErasing(min_area=0.001, max_area=0.001)(np.zeros((28, 28, 1), np.uint8), rng())
    assert caught.value.where == "augmentations.random_erasing.max_area"


def test_options_are_called_as_those_of_the_regularizer():
    ours, other = (kind.__init__.__kwdefaults__ for kind in (RandomErasing, OnBatches))
    assert ours == other


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"min_area": 0}, "min_area"),
        ({"min_area": 0.5, "max_area": 0.4}, "max_area"),
        ({"max_area": 1.1}, "max_area"),
        ({"max_stretch": 0.9}, "max_stretch"),
        ({"fill": "black"}, "fill"),
        ({"fill": 256}, "fill"),
        ({"fill": True}, "fill"),
    ],
)
def test_options_out_of_range_are_refused(options, where):
    with pytest.raises(UserError) as caught:
        RandomErasing(**options)
    assert caught.value.where == f"augmentations.random_erasing.{where}"
    assert caught.value.allowed
