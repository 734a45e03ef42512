"""Arrays of numbers: handed on as they are, checked once, never treated as images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zoo.contracts.data import Sample, Task
from zoo.data.audit import audit
from zoo.data.batches import Batches
from zoo.data.listing import list_images
from zoo.data.pack import pack
from zoo.errors import PluginError, UserError
from zoo.imaging.preprocess import Preprocess


class Numbers:
    """A source of arrays; tests change its rows."""

    name = location = "numbers"
    task = Task.SINGLE_LABEL
    classes = ("no", "yes")
    notes = ()

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def samples(self):
        return [Sample(f"n/{i:03d}", (self.classes[i % 2],), size_bytes=8) for i in range(len(self.values))]

    def arrays(self):
        return self.values


VALUES = np.random.default_rng(0).normal(size=(40, 2, 1, 1)).astype(np.float32)
NUMBERS = Preprocess.of_numbers(channels=2, size=1)


def packed(source: Numbers, tmp_path):
    return pack(
        list_images(source), source, preprocess=NUMBERS, cache="packed", cache_dir=str(tmp_path), max_bad_fraction=0.2
    )


def test_arrays_arrive_as_they_are_and_nothing_is_cached(tmp_path):
    bundle = packed(Numbers(VALUES), tmp_path)
    assert bundle.facts.arrays
    assert (bundle.channels, bundle.facts.median_side_px) == (2, 1)
    feed = Batches(bundle, bundle.splits["train"], preprocess=NUMBERS, batch_size=8, sampling="shuffle", seed=1)
    seen = 0
    for batch in feed.epoch(0):
        assert batch.images.dtype == np.float32
        for position, image in zip(batch.indices, batch.images, strict=True):
            row = int(bundle.keys[position].removeprefix("n/"))
            assert np.array_equal(image, VALUES[row].transpose(1, 2, 0))
        seen += len(batch.indices)
    assert seen == len(bundle.splits["train"])
    assert not list(tmp_path.iterdir())


def test_network_gets_the_very_numbers():
    batch = torch.from_numpy(np.ascontiguousarray(VALUES.transpose(0, 2, 3, 1)))
    assert torch.equal(NUMBERS.normalise(batch), torch.from_numpy(VALUES))
    assert NUMBERS.takes_numbers
    assert not Preprocess(8, (0.5,), (0.5,)).takes_numbers
    assert Preprocess.from_dict(NUMBERS.to_dict()) == NUMBERS
    with pytest.raises(ValueError, match="no images"):
        NUMBERS.fit(np.zeros((4, 4, 2), np.uint8))


def test_row_that_is_not_finite_is_left_out_by_name(tmp_path):
    values = VALUES.copy()
    values[7, 1] = np.nan
    bundle = packed(Numbers(values), tmp_path)
    assert [(bad.key, bad.reason) for bad in bundle.quarantined] == [("n/007", "a number is not finite")]
    assert len(bundle.keys) == 39


@pytest.mark.parametrize(
    "values",
    [
        VALUES.astype(np.float64),
        VALUES[:, :, 0],
        np.zeros((40, 2, 1, 3), np.float32),
        [[0.0]] * 40,
    ],
    ids=["float64", "three axes", "no square", "list"],
)
def test_arrays_of_another_shape_or_type_are_the_plugins_fault(values):
    with pytest.raises(PluginError, match="numbers"):
        list_images(Numbers(values))


@pytest.mark.parametrize(
    "options", [{"crop_scale": (0.5, 1.0)}, {"flip": True}, {"pipeline": lambda: lambda image, rng: image}]
)
def test_arrays_are_not_treated_as_images(options, tmp_path):
    bundle = packed(Numbers(VALUES), tmp_path)
    with pytest.raises(ValueError, match="arrays of numbers"):
        Batches(bundle, bundle.splits["train"], preprocess=NUMBERS, batch_size=8, **options)


def test_channels_cannot_be_asked_of_numbers():
    with pytest.raises(UserError, match=r"data.channels=3 has no effect"):
        list_images(Numbers(VALUES), channels=3)


def test_equal_rows_are_a_warning_and_no_error(tmp_path):
    """Numbers of few values coincide by nature; copies of photos do not."""
    same = np.tile(VALUES[:2], (20, 1, 1, 1))
    source = Numbers(same)
    listing = list_images(source)
    found = audit(listing, packed(source, tmp_path).images.index)
    assert not found.errors
    assert any("rows of numbers lie in more than one split" in problem.message for problem in found.problems)
