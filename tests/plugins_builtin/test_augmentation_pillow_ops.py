"""The operations of RandAugment and its kin: the same pixels and the same strengths as in torchvision and timm."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment as timm_ops
from torchvision.transforms import v2
from zoo_plugins.augmentation_pillow_ops import (
    COLOUR_ONLY,
    ENHANCED,
    MOVES,
    OPERATIONS,
    SIGNED,
    apply_operation,
)
from zoo_plugins.augmentation_policies import AUG_MIX, AUG_MIX_OPERATIONS, RAND_AUGMENT, TRIVIAL_AUGMENT

TORCHVISION = {
    "identity": "Identity",
    "auto_contrast": "AutoContrast",
    "equalize": "Equalize",
    "posterize": "Posterize",
    "solarize": "Solarize",
    "color": "Color",
    "contrast": "Contrast",
    "brightness": "Brightness",
    "sharpness": "Sharpness",
    "rotate": "Rotate",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateX",
    "translate_y": "TranslateY",
}
TIMM = {
    "auto_contrast": timm_ops.auto_contrast,
    "equalize": timm_ops.equalize,
    "posterize": timm_ops.posterize,
    "solarize": timm_ops.solarize,
    "color": timm_ops.color,
    "contrast": timm_ops.contrast,
    "brightness": timm_ops.brightness,
    "sharpness": timm_ops.sharpness,
    "rotate": timm_ops.rotate,
    "shear_x": timm_ops.shear_x,
    "shear_y": timm_ops.shear_y,
    "translate_x": timm_ops.translate_x_abs,
    "translate_y": timm_ops.translate_y_abs,
}
AMOUNTS = {
    "posterize": (3, 6, 8),
    "solarize": (0.0, 100.0, 256.0),
    "rotate": (-20.0, 0.0, 7.5, 135.0),
    "shear_x": (-0.3, 0.23),
    "shear_y": (-0.3, 0.23),
    "translate_x": (-9, 4),
    "translate_y": (-9, 4),
    **dict.fromkeys(ENHANCED, (0.1, 0.7, 1.0, 1.9)),
}
CASES = [(operation, amount) for operation in OPERATIONS for amount in AMOUNTS.get(operation, (0.0,))]
HEIGHT, WIDTH = 31, 44
POLICIES = {
    "RandAugment": (RAND_AUGMENT, 31, v2.RandAugment._AUGMENTATION_SPACE),
    "TrivialAugmentWide": (TRIVIAL_AUGMENT, 31, v2.TrivialAugmentWide._AUGMENTATION_SPACE),
    "AugMix": (AUG_MIX, 10, v2.AugMix._AUGMENTATION_SPACE),
}


def photo(channels: int = 3) -> np.ndarray:
    """Smooth slopes with noise: nothing that an operation would leave alone by luck."""
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    planes = [(ys * (c + 2) + xs * (5 - c)) % 200 + 30 for c in range(channels)]
    noise = np.random.default_rng(1).integers(-15, 16, (HEIGHT, WIDTH, channels))
    image = (np.stack(planes, axis=2) + noise).astype(np.uint8)
    image.setflags(write=False)
    return image


def test_all_fourteen_operations_are_those_of_torchvision():
    assert len(OPERATIONS) == 14
    for _, _, space in POLICIES.values():
        assert {TORCHVISION[operation] for operation in OPERATIONS} - {"Identity"} == set(space) - {"Identity"}
    assert {TORCHVISION[operation] for operation in AUG_MIX_OPERATIONS} == set(v2.AugMix._PARTIAL_AUGMENTATION_SPACE)


@pytest.mark.parametrize(("operation", "amount"), CASES)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_operation_gives_timms_pixels(operation, amount, mode):
    image = photo(1 if mode == "L" else 3)
    picture = Image.fromarray(image[:, :, 0] if mode == "L" else image)
    if operation == "identity":
        expected = picture
    elif operation in MOVES:
        fill = 9 if mode == "L" else (9, 9, 9)
        expected = TIMM[operation](picture, amount, resample=Image.Resampling.BILINEAR, fillcolor=fill)
    else:
        expected = TIMM[operation](picture, *([amount] if operation in AMOUNTS else []))
    result = apply_operation(operation, image, amount=amount, interpolation="bilinear", fill=9)
    assert result.dtype == np.uint8
    assert (result == np.asarray(expected).reshape(image.shape)).all()


@pytest.mark.parametrize(("operation", "amount"), [case for case in CASES if case != ("solarize", 256.0)])
def test_operation_gives_torchvisions_pixels(operation, amount):
    """Its tensor path shares no code with Pillow; single pixels at edges may be rounded to the other side."""
    image = photo()
    magnitude = {"solarize": amount / 255}.get(operation, amount - 1 if operation in ENHANCED else amount)
    if operation in ("translate_x", "translate_y"):
        magnitude = -magnitude  # Pillow's matrix says where a pixel comes from, torchvision's where it goes
    expected = v2.RandAugment()._apply_image_or_video_transform(
        torch.from_numpy(image.copy()).permute(2, 0, 1),
        TORCHVISION[operation],
        magnitude,
        interpolation=v2.InterpolationMode.NEAREST,
        fill={torch.Tensor: [9.0, 9.0, 9.0]},
    )
    result = apply_operation(operation, image, amount=amount, fill=9)
    difference = np.abs(result.astype(int) - expected.permute(1, 2, 0).numpy())
    if operation in MOVES:
        assert (difference > 0).any(axis=2).mean() <= (0.08 if operation == "rotate" else 0.04)
    else:
        assert difference.max() <= 1


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o != "identity"])
def test_strengths_are_torchvisions(policy, operation):
    ranges, bins, space = POLICIES[policy]
    magnitudes, signed = space[TORCHVISION[operation]]
    assert signed == (operation in SIGNED)
    table = magnitudes(bins, HEIGHT, WIDTH)
    side = HEIGHT if operation == "translate_y" else WIDTH
    for i in range(bins):
        amount = ranges.amount(operation, i / (bins - 1), side_px=side)
        if table is None:
            assert amount == 0
            continue
        expected = float(table[i])
        if operation in ("translate_x", "translate_y"):
            assert abs(amount - int(expected)) <= (abs(expected - round(expected)) < 1e-4)
        elif operation in ENHANCED:
            assert amount == pytest.approx(1 + expected)
            assert ranges.amount(operation, -i / (bins - 1), side_px=side) == pytest.approx(1 - expected)
        elif operation == "solarize":
            assert amount == pytest.approx(256 * expected)
        else:
            assert amount == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_mildest_solarize_leaves_white_alone():
    """torchvision's threshold of 255 turns white into black."""
    white = np.full((4, 4, 3), 255, np.uint8)
    mildest = RAND_AUGMENT.amount("solarize", 0.0, side_px=4)
    assert (apply_operation("solarize", white, amount=mildest) == 255).all()
    assert (np.asarray(v2.functional.solarize(torch.from_numpy(white), 255.0)) == 0).all()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_alpha_moves_along_and_keeps_its_values_otherwise(operation):
    alpha = photo(1)
    image = np.concatenate([photo(3), alpha], axis=2)
    amount = AMOUNTS.get(operation, (0.0,))[0]
    result = apply_operation(operation, image, amount=amount, fill=9)
    assert (result[:, :, :3] == apply_operation(operation, image[:, :, :3], amount=amount, fill=9)).all()
    expected = apply_operation(operation, alpha, amount=amount, fill=9) if operation in MOVES else alpha
    assert (result[:, :, 3:] == expected).all()


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o != "identity"])
def test_every_operation_acts_on_what_it_is_said_to_act_on(operation):
    amount = AMOUNTS.get(operation, (0.0,))[0]
    assert (apply_operation(operation, photo(3), amount=amount) != photo(3)).any()
    acts_on_gray = bool((apply_operation(operation, photo(1), amount=amount) != photo(1)).any())
    assert acts_on_gray == (operation not in COLOUR_ONLY)
