"""RandAugment, TrivialAugment and AugMix: what they draw, how they mix, and what they refuse."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2
from zoo_plugins import augmentation_policies as policies
from zoo_plugins.augmentation_pillow_ops import ENHANCED, MOVES, OPERATIONS, SIGNED, apply_operation
from zoo_plugins.augmentation_policies import AugMix, RandAugment, TrivialAugment

from zoo.errors import UserError

POLICIES = (RandAugment, TrivialAugment, AugMix)
TORCHVISION = {operation: operation.title().replace("_", "") for operation in OPERATIONS}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def photo(channels: int = 3, side: int = 33) -> np.ndarray:
    ys, xs = np.mgrid[:side, :side]
    planes = [(ys * (c + 2) + xs * (5 - c)) % 190 + 30 for c in range(channels)]
    image = (np.stack(planes, axis=2) + rng(1).integers(-15, 16, (side, side, channels))).astype(np.uint8)
    image.setflags(write=False)
    return image


def of_torchvision(image: np.ndarray, operation: str, magnitude: float) -> bytes:
    """What torchvision makes of a Pillow image, black gaps, nearest pixel."""
    changed = v2.RandAugment()._apply_image_or_video_transform(
        Image.fromarray(image),
        TORCHVISION[operation],
        magnitude,
        interpolation=v2.InterpolationMode.NEAREST,
        fill={Image.Image: 0},
    )
    return np.asarray(changed).tobytes()


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o not in ("identity", "solarize")])
@pytest.mark.parametrize("magnitude", [1, 9, 30])
def test_rand_augment_with_one_operation_is_torchvisions_in_both_directions(operation, magnitude):
    """Solarize has another threshold: its pixels and strengths are compared with the operations."""
    image = photo()
    table, signed = v2.RandAugment._AUGMENTATION_SPACE[TORCHVISION[operation]]
    values = table(31, *image.shape[:2])
    largest = 0.0 if values is None else float(values[magnitude])
    expected = {of_torchvision(image, operation, m) for m in ({largest, -largest} if signed else {largest})}
    black = {"fill": 0} if operation in MOVES else {}
    ours = RandAugment(num_ops=1, magnitude=magnitude, operations=(operation,), **black)
    assert {ours(image, rng(seed)).tobytes() for seed in range(12)} == expected


def test_rand_augment_fills_gaps_with_gray():
    assert (RandAugment(num_ops=1, magnitude=30, operations=("rotate",))(photo(), rng())[0, 0] == 128).all()


def test_rand_augment_draws_each_operation_equally_often_and_num_ops_of_them(monkeypatch):
    seen: list[str] = []

    def noted(operation, image, **_):
        seen.append(operation)
        return image

    monkeypatch.setattr(policies, "apply_operation", noted)
    augment = RandAugment(num_ops=3)
    for seed in range(700):
        augment(photo(side=4), rng(seed))
    assert len(seen) == 2100
    counts = Counter(seen)
    assert set(counts) == set(OPERATIONS)
    assert all(abs(count - 150) < 5 * math.sqrt(150) for count in counts.values())


def test_trivial_augment_draws_operation_and_strength_evenly(monkeypatch):
    amounts: dict[str, list[float]] = {}

    def noted(operation, image, *, amount, **_):
        amounts.setdefault(operation, []).append(amount)
        return image

    monkeypatch.setattr(policies, "apply_operation", noted)
    for seed in range(4000):
        TrivialAugment()(photo(side=4), rng(seed))
    assert set(amounts) == set(OPERATIONS)
    assert all(abs(len(found) - 4000 / 14) < 5 * math.sqrt(4000 / 14) for found in amounts.values())
    for operation, found in amounts.items():
        table, _ = v2.TrivialAugmentWide._AUGMENTATION_SPACE[TORCHVISION[operation]]
        values = table(31, 4, 4)
        if values is None:
            assert set(found) == {0.0}
            continue
        steps = {round(float(v) * (256 if operation == "solarize" else 1), 3) for v in values}
        if operation.startswith("translate"):
            steps = {float(int(v + 1e-4)) for v in values}
        allowed = steps | {-step for step in steps} if operation in SIGNED else steps
        centred = [value - 1 if operation in ENHANCED else value for value in found]
        assert all(min(abs(value - step) for step in allowed) < 2e-3 for value in centred), operation
        assert max(centred) > 0.9 * max(allowed)
        if operation in SIGNED:
            assert 0.35 < np.mean(np.sign([value for value in centred if value]) > 0) < 0.65


def test_aug_mix_is_the_stated_mixture():
    """One chain of one shift, mixed half and half (a large alpha): the shift is found in what is left."""
    image = photo(side=40)
    augment = AugMix(severity=10, width=1, depth=1, alpha=1e9, operations=("translate_x",), interpolation="nearest")
    shifts = []
    for seed in range(30):
        mixed = augment(image, rng(seed)).astype(float)
        chain = 2 * mixed - image
        fits = {
            dx: np.abs(chain - apply_operation("translate_x", image, amount=dx).astype(float)).max()
            for dx in range(-14, 15)
        }
        best = min(fits, key=fits.get)
        assert fits[best] <= 1.01  # rounding half a value, twice
        shifts.append(best)
    assert all(abs(shift) <= 40 / 3 for shift in shifts)
    assert min(shifts) < -8
    assert max(shifts) > 8


def test_aug_mix_weights_follow_beta_and_dirichlet(monkeypatch):
    """Chains that are white on a black image: the result is m, Beta(alpha, alpha), whatever the other weights."""
    monkeypatch.setattr(policies, "apply_operation", lambda operation, image, **_: np.full_like(image, 255))
    black = np.zeros((1, 1, 3), np.uint8)
    for alpha in (1.0, 4.0):
        shares = np.array([AugMix(alpha=alpha)(black, rng(seed))[0, 0, 0] for seed in range(1500)]) / 255
        beta = torch.distributions.Beta(alpha, alpha)
        assert shares.mean() == pytest.approx(0.5, abs=5 * float(beta.stddev) / math.sqrt(1500))
        assert shares.std() == pytest.approx(float(beta.stddev), rel=0.1)


def test_aug_mix_mixes_chains_evenly_on_average(monkeypatch):
    """Each chain ends at a value of its own; the mean of their mixture is the mean of these values."""
    numbers = iter(range(10**9))
    monkeypatch.setattr(
        policies, "apply_operation", lambda operation, image, **_: np.full_like(image, (next(numbers) % 2) * 255)
    )
    gray = np.full((1, 1, 1), 128, np.uint8)
    results = [float(AugMix(width=2, depth=1)(gray, rng(seed))[0, 0, 0]) for seed in range(1500)]
    assert np.mean(results) == pytest.approx(128, abs=6)
    assert min(results) < 40
    assert max(results) > 215


def test_aug_mix_draws_depth_from_one_to_three_and_levels_up_to_the_severity(monkeypatch):
    seen: list[float] = []
    monkeypatch.setattr(
        policies, "apply_operation", lambda operation, image, *, amount, **_: seen.append(amount) or image
    )
    lengths = []
    for seed in range(300):
        AugMix(width=1, severity=4, operations=("rotate",))(photo(side=4), rng(seed))
        lengths.append(len(seen) - sum(lengths))
    counts = Counter(lengths)
    assert set(counts) == {1, 2, 3}
    assert min(counts.values()) > 65
    degrees = np.abs(seen)
    assert 0.3 <= degrees.min() < 0.6
    assert 11.5 < degrees.max() <= 12
    assert degrees.mean() == pytest.approx((0.3 + 12) / 2, rel=0.06)
    seen.clear()
    AugMix(width=4, depth=5)(photo(side=4), rng())
    assert len(seen) == 20


def test_aug_mix_leaves_out_what_the_paper_leaves_out(monkeypatch):
    seen: set[str] = set()
    monkeypatch.setattr(policies, "apply_operation", lambda operation, image, **_: seen.add(operation) or image)
    for seed in range(100):
        AugMix()(photo(side=4), rng(seed))
    assert seen == set(OPERATIONS) - {"identity", "color", "contrast", "brightness", "sharpness"}


@pytest.mark.parametrize("kind", [RandAugment, TrivialAugment])
@pytest.mark.parametrize(("channels", "expected"), [(1, 13), (3, 14), (4, 14)])
def test_gray_images_draw_from_operations_that_act(kind, channels, expected, monkeypatch):
    seen: set[str] = set()
    monkeypatch.setattr(policies, "apply_operation", lambda operation, image, **_: seen.add(operation) or image)
    augment = kind()
    augment.check(channels)
    for seed in range(300):
        augment(photo(channels, side=4), rng(seed))
    assert len(seen) == expected
    assert ("color" in seen) == (channels > 1)


@pytest.mark.parametrize("kind", POLICIES)
def test_color_listed_for_gray_images_is_an_error(kind):
    listed = kind(operations=("color", "rotate"))
    listed.check(3)
    listed.check(4)
    with pytest.raises(UserError, match="'color' has no effect") as caught:
        listed.check(1)
    assert caught.value.where == f"augmentations.{listed.name}.operations"
    with pytest.raises(UserError, match="has no effect"):
        listed(photo(1), rng())


@pytest.mark.parametrize("kind", POLICIES)
def test_moves_fill_gaps_and_interpolate_as_asked(kind):
    image = np.full((30, 30, 3), 200, np.uint8)
    moved = [kind(operations=("translate_x", "rotate"), fill=77)(image, rng(seed)) for seed in range(12)]
    values = {int(v) for result in moved for v in np.unique(result)}
    assert 200 in values
    assert min(values) >= 77
    sharp, smooth = (kind(operations=("rotate",), interpolation=way)(photo(), rng(2)) for way in ("nearest", "bicubic"))
    assert (sharp != smooth).any()


@pytest.mark.parametrize(
    ("kind", "options", "where"),
    [
        (RandAugment, {"num_ops": 0}, "augmentations.rand_augment.num_ops"),
        (RandAugment, {"magnitude": 0}, "augmentations.rand_augment.magnitude"),
        (RandAugment, {"magnitude": 31}, "augmentations.rand_augment.magnitude"),
        (RandAugment, {"operations": ()}, "augmentations.rand_augment.operations"),
        (RandAugment, {"operations": ("identity",)}, "augmentations.rand_augment.operations"),
        (RandAugment, {"operations": ("rotat",)}, "augmentations.rand_augment.operations"),
        (RandAugment, {"fill": 256}, "augmentations.rand_augment.fill"),
        (RandAugment, {"interpolation": "lanczos"}, "augmentations.rand_augment.interpolation"),
        (RandAugment, {"operations": ("equalize",), "fill": 3}, "augmentations.rand_augment.fill"),
        (AugMix, {"operations": ("equalize",), "interpolation": "nearest"}, "augmentations.aug_mix.interpolation"),
        (TrivialAugment, {"fill": -1}, "augmentations.trivial_augment.fill"),
        (TrivialAugment, {"operations": ()}, "augmentations.trivial_augment.operations"),
        (AugMix, {"severity": 0}, "augmentations.aug_mix.severity"),
        (AugMix, {"severity": 11}, "augmentations.aug_mix.severity"),
        (AugMix, {"width": 0}, "augmentations.aug_mix.width"),
        (AugMix, {"depth": 0}, "augmentations.aug_mix.depth"),
        (AugMix, {"alpha": 0}, "augmentations.aug_mix.alpha"),
    ],
)
def test_policy_refuses_options_without_sense_or_effect(kind, options, where):
    with pytest.raises(UserError) as caught:
        kind(**options)
    assert caught.value.where == where
    assert caught.value.allowed or caught.value.do
