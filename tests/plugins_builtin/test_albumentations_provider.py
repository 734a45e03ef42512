"""Every transform of albumentations by name: its own signature as schema, our seeds, and refusals that say why."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from zoo_plugins import albumentations_provider as provider
from zoo_plugins.albumentations_builder import LibraryTransform, build
from zoo_plugins.albumentations_names import OFFERED, REFUSED
from zoo_plugins.augmentation_adapter import load_albumentations

from zoo.config import schema
from zoo.errors import UserError, UserErrors
from zoo.plugins import load_plugins

REGISTRY = load_plugins(only=[]).registry
SIDE = 48

GIVEN: dict[str, dict[str, Any]] = {
    "CenterCrop": {"height": 20, "width": 24},
    "RandomCrop": {"height": 20, "width": 24},
    "RandomResizedCrop": {"size": (20, 24)},
    "RandomSizedCrop": {"min_max_height": (10, 20), "size": (20, 24)},
    "Resize": {"height": 20, "width": 24},
    "GridElasticDeform": {"num_grid_xy": (3, 3), "magnitude": 5},
    # without a default that does something
    "Affine": {"rotate": (-20.0, 20.0)},
    "Crop": {"x_max": 20, "y_max": 24},
    "CropAndPad": {"px": 3},
    "LongestMaxSize": {"max_size": 20},
    "SmallestMaxSize": {"max_size": 20},
    "Pad": {"padding": 3},
    "XYMasking": {"num_masks_x": 1, "num_masks_y": 1, "mask_x_length": (5, 9), "mask_y_length": (5, 9)},
}
"""Options of those that need some, or do nothing (or not work on small images) without."""

REQUIRED = {
    "CenterCrop": ["height", "width"],
    "RandomCrop": ["height", "width"],
    "RandomResizedCrop": ["size"],
    "RandomSizedCrop": ["min_max_height", "size"],
    "Resize": ["height", "width"],
    "GridElasticDeform": ["num_grid_xy", "magnitude"],
}
COLOURS_ONLY = {
    *("ChannelDropout", "ChannelShuffle", "ChromaticAberration", "HEStain", "HueSaturationValue", "ISONoise"),
    *("PlanckianJitter", "RandomFog", "RandomGravel", "RandomRain", "RandomSnow", "RandomSunFlare", "Spatter"),
    *("ToGray", "ToSepia"),
}
"""Those that refuse gray images, or do nothing to them."""

NO_ALPHA = {"GridElasticDeform"}
"""Moves that take three channels at most."""

OTHER_SIZE = {
    *("CenterCrop", "Crop", "LongestMaxSize", "Pad", "PadIfNeeded", "RandomCrop", "RandomCropFromBorders"),
    *("RandomResizedCrop", "RandomScale", "RandomSizedCrop", "Resize", "SmallestMaxSize"),
}
FIXED = {
    *("AutoContrast", "CLAHE", "CenterCrop", "Crop", "CropAndPad", "Downscale", "Equalize", "HorizontalFlip"),
    *("InvertImg", "LongestMaxSize", "Pad", "PadIfNeeded", "Posterize", "Resize", "SmallestMaxSize", "Solarize"),
    *("TimeReverse", "ToGray", "ToSepia", "Transpose", "VerticalFlip", "Morphological"),
}
"""Those that draw nothing that would show with these options."""


def settings_of(name: str, **changed: Any) -> dict[str, Any]:
    """All options as a configuration hands them over: defaults, what must be given, and p = 1."""
    options = schema.options(REGISTRY.get("augmentation", f"albumentations/{name}"))
    defaults = {option.name: option.default for option in options if not option.required}
    return {**defaults, **GIVEN.get(name, {}), "p": 1.0, **changed}


def made(name: str, **changed: Any) -> LibraryTransform:
    return REGISTRY.get("augmentation", name).build(**settings_of(name, **changed))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def photo(channels: int = 3, side: int = SIDE) -> np.ndarray:
    """Slopes with noise; it cannot be written to."""
    ys, xs = np.mgrid[:side, :side]
    planes = [(ys * (c + 1) + xs * (4 - c)) % 170 + 40 for c in range(channels)]
    image = (np.stack(planes, axis=2) + rng(1).integers(-15, 16, (side, side, channels))).astype(np.uint8)
    image.setflags(write=False)
    return image


def channels_of(name: str) -> list[int]:
    return [c for c in (1, 3, 4) if not (c == 1 and name in COLOURS_ONLY) and not (c == 4 and name in NO_ALPHA)]


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_table_is_the_library():
    library = load_albumentations()
    bases = {"BasicTransform", "ImageOnlyTransform", "DualTransform", "Transform3D"}
    classes = {
        name
        for name in dir(library)
        if isinstance(getattr(library, name), type) and issubclass(getattr(library, name), library.BasicTransform)
    }
    assert set(OFFERED) | set(REFUSED) == classes - bases
    assert not set(OFFERED) & set(REFUSED)
    assert (len(OFFERED), len(set(OFFERED)), len(REFUSED)) == (91, 91, 27)
    assert library.__version__ == provider.VERSION


def test_names_are_listed_and_unknown_ones_refused_without_the_library():
    """It takes seconds to import; so does torch, which it loads."""
    code = (
        "import sys\n"
        "from zoo.plugins import load_plugins\n"
        "registry = load_plugins(only=[]).registry\n"
        "assert len(registry.names('augmentation')) == 91 + 12\n"
        "assert registry.has('augmentation', 'rand_augment')\n"
        "assert registry.get('augmentation', 'flip').full_name == 'zoo/flip'\n"
        "assert not registry.has('augmentation', 'Clahe')\n"
        "print([name for name in ('albumentations', 'torch', 'numpy', 'cv2', 'scipy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", OFFERED)
def test_signature_is_the_schema(name):
    entry = REGISTRY.get("augmentation", name)
    assert entry.full_name == f"albumentations/{name}"
    assert 8 <= len(entry.summary) <= 100
    assert "\n" not in entry.summary
    own = inspect.signature(getattr(load_albumentations(), name)).parameters
    options = {option.name: option for option in schema.options(entry)}
    assert list(options) == [option for option in own if option not in provider.IDLE]
    for option in options.values():
        assert option.default == own[option.name].default
        assert option.annotation not in (inspect.Parameter.empty, Any)
        assert "Callable" not in option.type_name
        if not option.required:
            assert schema.convert(schema.plain(option.default), option.annotation) == option.default
    assert [option.name for option in options.values() if option.required] == REQUIRED.get(name, [])
    assert schema.defaults(entry)["p"] == own["p"].default


def test_hidden_options_are_those_of_masks_and_other_images():
    """Each is an argument of some class, so that the list holds nothing that is gone."""
    library = load_albumentations()
    arguments = {p for name in (*OFFERED, *REFUSED) for p in inspect.signature(getattr(library, name)).parameters}
    assert arguments >= provider.IDLE


@pytest.mark.parametrize("name", OFFERED)
def test_transform_keeps_type_and_channels_and_is_a_function_of_the_generator(name):
    fresh, used = made(name), made(name)
    for channels in channels_of(name):
        image = photo(channels)
        before = image.copy()
        used(photo(channels, side=40), rng(99))
        results = [fresh(image, rng(seed)) for seed in range(5)]
        assert all(result.dtype == np.uint8 and result.shape[2] == channels for result in results)
        assert any(result.shape != image.shape or (result != image).any() for result in results)
        assert (image == before).all()
        assert any(result.shape != image.shape for result in results) == (name in OTHER_SIZE)
        for seed, result in enumerate(results):
            again = used(image, rng(seed))
            assert again.shape == result.shape
            assert (again == result).all()


@pytest.mark.parametrize("name", OFFERED)
def test_transform_differs_from_seed_to_seed_unless_it_draws_nothing(name):
    side = 128 if name == "RandomGravel" else 64  # on smaller images it draws no gravel
    transform, image = made(name), photo(side=side)
    drawn = {transform(image, rng(seed)).tobytes() for seed in range(16)}
    assert (len(drawn) > 1) == (name not in FIXED)


@pytest.mark.parametrize("name", OFFERED)
def test_check_takes_just_the_channels_on_which_it_acts(name):
    transform = made(name)
    for channels in (1, 3, 4):
        if channels in channels_of(name):
            transform.check(channels)
            continue
        with pytest.raises(UserError, match=rf"albumentations' {name}") as caught:
            transform.check(channels)
        assert caught.value.where == f"augmentations.{name}"
        assert caught.value.do
    with pytest.raises(UserError, match="these have 2"):
        transform.check(2)


def test_all_transforms_were_seen():
    assert {*GIVEN, *REQUIRED, *COLOURS_ONLY, *NO_ALPHA, *OTHER_SIZE, *FIXED} <= set(OFFERED)
    assert sum(len(channels_of(name)) for name in OFFERED) == 91 * 3 - 15 - 1


@pytest.mark.parametrize("name", ["CLAHE", "GaussianBlur", "RandomFog", "ToGray", "HueSaturationValue"])
def test_changes_of_pixels_leave_alpha_alone(name):
    image = photo(4)
    result = made(name)(image, rng(3))
    assert (result[:, :, 3] == image[:, :, 3]).all()
    assert (result[:, :, :3] == made(name)(image[:, :, :3], rng(3))).all()


@pytest.mark.parametrize("name", ["Rotate", "RandomCrop", "ElasticTransform", "GridDistortion", "Perspective"])
def test_moves_take_alpha_along(name):
    image = np.repeat(photo(1), 4, axis=2)
    result = made(name)(image, rng(3))
    assert (result == result[:, :, :1]).all()
    assert result.shape != image.shape or (result != image).any()


def test_known_transforms_do_what_numpy_does():
    image = photo()
    for name, expected in {
        "HorizontalFlip": image[:, ::-1],
        "VerticalFlip": image[::-1],
        "Transpose": image.swapaxes(0, 1),
        "InvertImg": 255 - image,
        "Solarize": np.where(image >= 127.5, 255 - image, image),
        "Crop": image[:24, :20],
        "Pad": np.pad(image, ((3, 3), (3, 3), (0, 0))),
    }.items():
        assert (made(name)(image, rng()) == expected).all(), name


def test_result_is_the_librarys_own_for_the_seed_that_is_drawn():
    image, library = photo(), load_albumentations()
    direct = library.ElasticTransform(alpha=30.0, sigma=4.0, p=1.0)
    for seed in range(3):
        direct.set_random_seed(int(rng(seed).integers(2**63)))
        ours = made("ElasticTransform", alpha=30.0, sigma=4.0)(image, rng(seed))
        assert (ours == direct(image=image)["image"]).all()


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0])
def test_one_draw_whether_or_not_it_acts(p):
    generator = rng(5)
    made("GaussNoise", p=p)(photo(), generator)
    other = rng(5)
    other.integers(2**63)
    assert generator.bit_generator.state == other.bit_generator.state


def test_p_is_the_share_of_images_that_are_changed():
    image, generator, sometimes = photo(), rng(0), made("HorizontalFlip", p=0.3)
    changed = sum((sometimes(image, generator) != image).any() for _ in range(300))
    assert 60 <= changed <= 120
    assert schema.defaults(REGISTRY.get("augmentation", "HorizontalFlip"))["p"] == 0.5
    assert schema.defaults(REGISTRY.get("augmentation", "RandomRotate90"))["p"] == 1


@pytest.mark.parametrize("name", ["CLAHE", "ShiftScaleRotate", "RandomRain", "D4"])
def test_transform_survives_pickling(name):
    original = made(name)
    copy = pickle.loads(pickle.dumps(original))
    assert copy.name == name
    assert (copy(photo(), rng(5)) == original(photo(), rng(5))).all()


def test_threads_build_and_draw_alike_and_leave_the_warning_filters_alone():
    before, results = list(warnings.filters), []

    def work() -> None:
        for name in ("ShiftScaleRotate", "GlassBlur", "GaussNoise", "PiecewiseAffine"):
            results.append((name, made(name)(photo(side=24), rng(7)).tobytes()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 16
    assert len(set(results)) == 4
    assert list(warnings.filters) == before


def test_opencvs_names_stand_for_its_numbers():
    entry = REGISTRY.get("augmentation", "Rotate")
    options = {option.name: option for option in schema.options(entry)}
    for name, number in (("INTER_CUBIC", 2), (2, 2)):
        value = schema.convert(name, options["interpolation"].annotation)
        named, plain = made("Rotate", interpolation=value), made("Rotate", interpolation=number)
        assert (named(photo(), rng(1)) == plain(photo(), rng(1))).all()
    assert (made("Rotate", border_mode="BORDER_WRAP")(photo(), rng(1)) != made("Rotate")(photo(), rng(1))).any()
    with pytest.raises(ValueError, match="INTER_CUBICAL"):
        schema.convert("INTER_CUBICAL", options["interpolation"].annotation)


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_more_than_an_image_is_refused_with_the_reason(name):
    for asked in (name, f"albumentations/{name}"):
        with pytest.raises(UserError) as caught:
            REGISTRY.get("augmentation", asked)
        assert REFUSED[name] in caught.value.what
        assert caught.value.do


@pytest.mark.parametrize(
    ("name", "options", "where", "said"),
    [
        ("CLAHE", {"clip_limit": -2.0}, "augmentations.CLAHE.clip_limit", "1"),
        ("CLAHE", {"p": 1.5}, "augmentations.CLAHE.p", "less than or equal to 1"),
        ("Blur", {"blur_limit": (4, 6)}, "augmentations.Blur", "adjusted"),  # it would take 5 and 7 by itself
        ("GaussNoise", {"std_range": (0.5, 0.1)}, "augmentations.GaussNoise.std_range", "less than the second"),
        ("CropAndPad", {"px": None}, "augmentations.CropAndPad", "cannot be None"),
        ("CLAHE", {"cliplimit": 2.0}, "augmentations.CLAHE", "cliplimit"),
        ("RandomRotate90", {"limit": 2.0}, "augmentations.RandomRotate90", "limit"),
    ],
)
def test_values_that_the_library_would_refuse_change_or_ignore_are_errors(name, options, where, said):
    with pytest.raises(UserError) as caught:
        build(transform=name, **{**GIVEN.get(name, {}), **options})
    assert caught.value.where == where
    assert name in caught.value.what
    assert said in f"{caught.value.what} {caught.value.allowed}"
    assert caught.value.allowed


def test_several_bad_values_are_said_together():
    with pytest.raises(UserErrors) as caught:
        build(transform="CLAHE", clip_limit=-2.0, p=7.0)
    assert {error.where for error in caught.value.errors} == {"augmentations.CLAHE.clip_limit", "augmentations.CLAHE.p"}


@pytest.mark.parametrize("name", ["Affine", "Pad", "XYMasking"])
def test_defaults_that_do_nothing_are_an_error(name):
    defaults = {k: v for k, v in settings_of(name).items() if k not in GIVEN[name]}
    with pytest.raises(UserError, match="has no effect") as caught:
        build(transform=name, **defaults).check(3)
    assert next(iter(GIVEN[name])) in caught.value.do[0]


def test_gray_images_are_named_where_a_change_of_colours_has_no_effect():
    with pytest.raises(UserError, match="on gray images, albumentations' ChannelShuffle has no effect") as caught:
        made("ChannelShuffle").check(1)
    assert any("data.channels=3" in way for way in caught.value.do)


def test_other_channels_than_the_images_own_are_refused():
    with pytest.raises(UserError, match=r"it makes uint8\[H, W, 1\]"):
        made("ToGray", num_output_channels=1).check(3)


def test_crop_larger_than_the_image_is_the_users_error():
    crop = made("RandomCrop", height=300, width=300)
    crop.check(3)  # images of another size may hold it
    with pytest.raises(UserError, match="48 x 48 px") as caught:
        crop(photo(), rng())
    assert caught.value.where == "augmentations.RandomCrop"
