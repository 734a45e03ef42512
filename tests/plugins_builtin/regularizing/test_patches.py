"""CutMix against torchvision's; random erasing by what it covers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.regularizing import generator, setting
from torchvision.transforms import v2
from zoo_plugins.regularizing.batches import Mixup
from zoo_plugins.regularizing.patches import CutMix, RandomErasing

from zoo.contracts.data import Task
from zoo.contracts.training import Batch
from zoo.errors import UserError


def colours(count: int, height: int = 12, width: int = 10) -> torch.Tensor:
    """Image i holds the value i everywhere: where a pixel came from can be read off."""
    return torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(count, 3, height, width).clone()


@settings(max_examples=60)
@given(
    count=st.integers(1, 6),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    seed=st.integers(0, 2**40),
    alpha=st.floats(0.05, 5.0),
)
def test_cutmix_shares_targets_by_the_area_that_was_pasted(count, height, width, seed, alpha):
    assume(height * width > 1)
    images, targets = colours(count, height, width), torch.arange(count)
    mixed = CutMix(alpha=alpha, p=1.0).change_batch(Batch(images, targets), generator(seed), count)
    shares = torch.stack([(mixed.images == i).float().mean((1, 2, 3)) for i in range(count)], dim=1)
    torch.testing.assert_close(mixed.targets, shares, atol=1e-6, rtol=0)
    assert images.equal(colours(count, height, width))


@pytest.mark.parametrize("seed", range(20))
def test_cutmix_pastes_what_torchvisions_does(seed):
    """With two images that changed places the permutation is torchvision's roll: same box, same batch."""
    images, targets = torch.randn(2, 3, 16, 12, generator=generator(99)), torch.tensor([0, 2])
    mixed = CutMix(p=1.0).change_batch(Batch(images, targets), generator(seed), 3)
    rows, columns = torch.nonzero((mixed.images != images).any(1).any(0), as_tuple=True)
    if len(rows) == 0:  # an empty box, or nobody changed places
        assert mixed.images.equal(images)
        return
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    area = (box[2] - box[0]) * (box[3] - box[1])

    class Fixed(v2.CutMix):
        def make_params(self, flat_inputs):
            return {"box": box, "lam_adjusted": 1.0 - area / (16 * 12)}

    theirs, shares = Fixed(num_classes=3)(images, targets)
    torch.testing.assert_close(mixed.images, theirs, rtol=0, atol=0)
    torch.testing.assert_close(mixed.targets, shares)


def test_cutmix_areas_follow_the_beta_distribution():
    """Areas against an independent simulation: l drawn evenly for alpha 1, boxes cut off at the edges."""
    batch, areas = Batch(colours(2, 100, 100), torch.arange(2)), []
    for seed in range(1200):
        mixed = CutMix(alpha=1.0, p=1.0).change_batch(batch, generator(seed), 2)
        changed = mixed.images[0, 0] == 1
        if changed.any():
            assert changed.any(1).sum() * changed.any(0).sum() == changed.sum()  # a rectangle
            areas.append(float(changed.float().mean()))
    rng = np.random.default_rng(0)
    side = np.sqrt(1 - rng.uniform(size=200_000)) * 100
    spans = []
    for _ in range(2):
        centre, half = rng.integers(100, size=len(side)), side.astype(int) // 2
        spans.append(np.minimum(100, centre + half) - np.maximum(0, centre - half))
    expected = spans[0] * spans[1] / 1e4
    assert np.mean(areas) == pytest.approx(expected[expected > 0].mean(), abs=0.02)
    assert np.quantile(areas, [0.25, 0.5, 0.75]) == pytest.approx(np.quantile(expected, [0.25, 0.5, 0.75]), abs=0.04)


def test_cutmix_changes_a_share_p_of_the_batches():
    batch, changed = Batch(colours(2), torch.arange(2)), 0
    for seed in range(400):
        mixed = CutMix(p=0.25).change_batch(batch, generator(seed), 2)
        assert mixed.targets.dtype == torch.float32
        changed += not mixed.images.equal(batch.images)
    assert changed / 400 == pytest.approx(0.25 / 2, abs=0.05)  # in half of the draws nobody changes places


def test_cutmix_beside_mixup_draws_anew():
    """One generator serves all: drawn anew for each, the second permutation would equal the first."""
    batch, same = Batch(colours(8), torch.arange(8)), 0
    for seed in range(50):
        shared = generator(seed)
        first = Mixup(alpha=1.0).change_batch(batch, shared, 8).targets
        second = CutMix(p=1.0).change_batch(batch, shared, 8).targets
        same += bool(((first > 0) == (second > 0)).all())
    assert same < 3


def test_cutmix_is_a_function_of_the_generator_and_keeps_the_layout():
    images = torch.randn(4, 3, 8, 8).to(memory_format=torch.channels_last)
    batch = Batch(images, torch.arange(4))
    first, again = (CutMix(p=1.0).change_batch(batch, generator(4), 4) for _ in range(2))
    assert first.images.equal(again.images)
    assert first.images.is_contiguous(memory_format=torch.channels_last)


def test_cutmix_and_erasing_are_refused_where_they_could_do_nothing():
    for kind in (CutMix, RandomErasing):
        with pytest.raises(UserError, match="has no effect"):
            kind().check(setting(trainable="head"))
        kind().check(setting())
    with pytest.raises(UserError, match="takes class numbers only"):
        CutMix().check(setting(loss_takes_soft_targets=False))
    CutMix().check(setting(task=Task.MULTI_LABEL, loss_takes_soft_targets=False))
    RandomErasing().check(setting(loss_takes_soft_targets=False))


def covered(batch: Batch, images: torch.Tensor) -> torch.Tensor:
    """bool[B, H, W]: which pixels were changed."""
    return (batch.images != images).all(dim=1)


@settings(max_examples=40)
@given(
    size=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    seed=st.integers(0, 2**40),
    low=st.floats(0.02, 0.3),
    more=st.floats(0, 0.4),
    stretch=st.floats(1, 5),
)
def test_erasing_covers_one_rectangle_within_its_ranges(size, seed, low, more, stretch):
    images = torch.full((3, 2, *size), 7.0)
    erasing = RandomErasing(p=1.0, min_area=low, max_area=low + more, max_stretch=stretch)
    result = erasing.change_batch(Batch(images, torch.arange(3)), generator(seed), 3)
    for mask in covered(result, images):
        rows, columns = int(mask.any(1).sum()), int(mask.any(0).sum())
        assert rows * columns == mask.sum()
        if rows:
            # sides are rounded to the pixel: half a pixel either way
            assert (rows - 0.5) * (columns - 0.5) <= (low + more) * size[0] * size[1] + 1e-6
            assert (rows + 0.5) * (columns + 0.5) >= low * size[0] * size[1] - 1e-6
            assert (max(rows, columns) - 0.5) / (min(rows, columns) + 0.5) <= stretch + 1e-6
    assert images.eq(7.0).all()
    assert result.targets.equal(torch.arange(3))


def test_erasing_changes_each_image_with_probability_p():
    images = torch.full((600, 1, 16, 16), 3.0)
    result = RandomErasing(p=0.3).change_batch(Batch(images, torch.zeros(600, dtype=torch.long)), generator(), 2)
    assert covered(result, images).flatten(1).any(1).float().mean().item() == pytest.approx(0.3, abs=0.05)


def test_erasing_areas_and_places_are_those_of_the_paper():
    images = torch.full((3000, 1, 50, 50), 3.0)
    result = RandomErasing(p=1.0).change_batch(Batch(images, torch.zeros(3000, dtype=torch.long)), generator(1), 2)
    masks = covered(result, images)
    areas = masks.float().mean((1, 2))
    areas = areas[areas > 0]
    assert areas.min() >= 0.016  # sides are rounded
    assert areas.max() <= 0.43
    assert areas.mean().item() == pytest.approx(0.21, abs=0.01)  # drawn evenly from 0.02 to 0.4
    density = masks.float().mean(0)
    assert density[25, 25] > 2 * density[0, 0]  # the middle lies in more rectangles than a corner
    torch.testing.assert_close(density, density.flip(0), atol=0.05, rtol=0)


def test_erasing_fills_with_noise_or_the_mean():
    images = torch.full((50, 3, 20, 20), 5.0)
    batch = Batch(images, torch.zeros(50, dtype=torch.long))
    noise = RandomErasing(p=1.0).change_batch(batch, generator(), 2)
    values = noise.images[noise.images != 5.0]
    assert values.mean().item() == pytest.approx(0.0, abs=0.05)
    assert values.std().item() == pytest.approx(1.0, abs=0.05)
    mean = RandomErasing(p=1.0, fill="mean").change_batch(batch, generator(), 2)
    assert set(mean.images.unique().tolist()) == {0.0, 5.0}


def test_erasing_of_images_without_a_pixel_to_cover_is_refused():
    with pytest.raises(UserError, match="no pixel"):
        RandomErasing().change_batch(Batch(torch.ones(2, 1, 1, 1), torch.arange(2)), generator(), 2)


def test_cutmix_of_images_of_one_pixel_is_refused():
    with pytest.raises(UserError, match="cutmix on images of one pixel has no effect"):
        CutMix(p=0.1).change_batch(Batch(torch.ones(2, 2, 1, 1), torch.arange(2)), generator(), 2)
