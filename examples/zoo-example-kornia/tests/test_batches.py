"""Batches that kornia changes: draws that follow from the generator alone, values that stay colours, any device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("kornia")

from zoo_example_kornia.batches import Affine, Color  # noqa: E402

from zoo.contracts.data import Task  # noqa: E402
from zoo.contracts.model import Model, ModelSpec  # noqa: E402
from zoo.contracts.training import Batch, Setting  # noqa: E402
from zoo.errors import UserError  # noqa: E402
from zoo.imaging.preprocess import Preprocess  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPROCESS = Preprocess(24, MEAN, STD)
BUILDERS: dict[str, Callable[[], Any]] = {
    "affine": lambda: Affine(p=1.0),
    "color": lambda: Color(saturation=0.4, hue=0.1, p=1.0),
}


def model(preprocess: Preprocess = PREPROCESS) -> Model:
    """A network of which only the preprocessing counts here."""
    return Model(torch.nn.Identity(), ModelSpec("x/y", "x", "y", "", 0, (), preprocess))


def ready(name: str) -> Any:
    """A component as the loop uses it: it has seen the network."""
    component = BUILDERS[name]()
    component.change_model(model())
    return component


def batch(count: int = 6, device: str = "cpu") -> Batch:
    """Smooth images, normalised, and their classes."""
    waves = torch.linspace(0, 6.28, 24)
    image = 0.5 + 0.3 * torch.sin(waves)[:, None] * torch.cos(waves)[None, :]
    images = torch.stack([image, image.flip(0), image.T]).expand(count, 3, 24, 24)
    mean, std = torch.tensor(MEAN).view(1, 3, 1, 1), torch.tensor(STD).view(1, 3, 1, 1)
    return Batch(((images - mean) / std).to(device), torch.arange(count, device=device) % 3)


def generator(seed: int = 5) -> torch.Generator:
    """What a step of training hands over."""
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", BUILDERS)
def test_shape_kind_and_targets_are_kept(name: str) -> None:
    given = batch()
    before = given.images.clone()
    changed = ready(name).change_batch(given, generator(), 3)
    assert changed.images.shape == given.images.shape
    assert changed.images.dtype == torch.float32
    assert bool(changed.images.isfinite().all())
    assert torch.equal(changed.targets, given.targets)
    assert torch.equal(given.images, before), "the batch that came in is left as it was"
    assert all(not torch.equal(one, other) for one, other in zip(changed.images, before, strict=True))


@pytest.mark.parametrize("name", BUILDERS)
def test_draws_are_a_function_of_the_generator(name: str) -> None:
    first = ready(name).change_batch(batch(), generator(), 3).images
    torch.manual_seed(99)
    torch.rand(7)
    component = ready(name)
    component.change_batch(batch(), generator(1), 3)
    assert torch.equal(component.change_batch(batch(), generator(), 3).images, first), "nothing is remembered"
    assert not torch.equal(component.change_batch(batch(), generator(6), 3).images, first)


@pytest.mark.parametrize("name", BUILDERS)
def test_every_image_and_every_call_has_draws_of_its_own(name: str) -> None:
    component, drawn = ready(name), generator()
    same = Batch(batch().images[:1].expand(6, -1, -1, -1), batch().targets)
    first, second = (component.change_batch(same, drawn, 3).images for _ in range(2))
    assert len({tuple(image.flatten().tolist()) for image in (*first, *second)}) == 12


@pytest.mark.parametrize("name", BUILDERS)
def test_global_generator_goes_on_as_if_nothing_was(name: str) -> None:
    component = ready(name)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    component.change_batch(batch(), generator(), 3)
    assert torch.equal(torch.rand(4), expected)


def test_only_the_share_p_is_changed() -> None:
    component = Affine(p=0.3)
    given = batch(400)
    changed = component.change_batch(given, generator(), 3).images
    share = float((changed != given.images).flatten(1).any(1).float().mean())
    assert 0.2 < share < 0.4


def test_colours_stay_colours() -> None:
    changed = ready("color").change_batch(batch(), generator(), 3).images
    values = changed * torch.tensor(STD).view(1, 3, 1, 1) + torch.tensor(MEAN).view(1, 3, 1, 1)
    assert float(values.min()) > -1e-5
    assert float(values.max()) < 1 + 1e-5


def test_brightness_is_added_to_values_from_0_to_1() -> None:
    component = Color(brightness=0.2, contrast=0.0, p=1.0)
    component.change_model(model())
    given = batch(200)
    moved = (component.change_batch(given, generator(), 3).images - given.images) * torch.tensor(STD).view(1, 3, 1, 1)
    per_image = moved.flatten(1)
    assert float((per_image.amax(1) - per_image.amin(1)).max()) < 1e-5, "the same amount for all values of an image"
    assert float(per_image.abs().max()) <= 0.2 + 1e-5
    assert float(per_image.amax()) > 0.15
    assert float(per_image.amin()) < -0.15


def test_rotation_by_nothing_but_a_shift_moves_pixels() -> None:
    component = Affine(rotate_deg=0.0, shift=0.5, scale=0.0, p=1.0)
    image = torch.zeros(64, 3, 24, 24)
    image[:, :, 12, 12] = 1.0
    moved = component.change_batch(Batch(image, torch.zeros(64, dtype=torch.int64)), generator(), 3).images
    assert float(moved[:, :, 12, 12].max()) < 1.0
    torch.testing.assert_close(moved.sum((2, 3)).amax(), torch.tensor(1.0), rtol=1e-3, atol=1e-3)
    places = moved.mean(1).flatten(1).argmax(1)
    assert len(places.unique()) > 20


def test_what_comes_in_from_outside_is_the_mean_colour() -> None:
    bright = Batch(torch.full((8, 3, 24, 24), 2.0), torch.zeros(8, dtype=torch.int64))
    moved = Affine(rotate_deg=0.0, shift=0.5, scale=0.0, p=1.0).change_batch(bright, generator(), 3).images
    assert float(moved.min()) == 0.0
    assert float(moved.max()) == pytest.approx(2.0)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Affine(rotate_deg=0.0, shift=0.0, scale=0.0),
        lambda: Color(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0),
        lambda: Color(saturation=0.2).change_model(model(PREPROCESS.with_channels(1))),
        lambda: Color().change_model(model(Preprocess.of_numbers(channels=2, size=1))),
        lambda: Affine().change_model(model(Preprocess.of_numbers(channels=2, size=1))),
        lambda: Affine().check(Setting(Task.SINGLE_LABEL, 3, "head", True)),
        lambda: Color().check(Setting(Task.SINGLE_LABEL, 3, "head", True)),
    ],
)
def test_what_would_change_nothing_is_refused(build: Callable[[], Any]) -> None:
    with pytest.raises(UserError, match="has no effect"):
        build()


def test_gray_images_have_brightness_and_contrast() -> None:
    component = Color(p=1.0)
    component.change_model(model(PREPROCESS.with_channels(1)))
    gray = Batch(batch().images[:, :1], batch().targets)
    changed = component.change_batch(gray, generator(), 3).images
    assert changed.shape == (6, 1, 24, 24)
    assert not torch.equal(changed, gray.images)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", BUILDERS)
def test_the_gpu_sees_the_images_of_the_cpu(name: str) -> None:
    on_cpu = ready(name).change_batch(batch(), generator(), 3).images
    state = torch.cuda.get_rng_state()
    on_gpu = ready(name).change_batch(batch(device="cuda"), generator(), 3).images
    assert on_gpu.is_cuda
    assert torch.equal(torch.cuda.get_rng_state(), state), "the GPU's generator is left alone"
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-3, atol=1e-3)
