"""The embedded default: scikit-learn's digits."""

import numpy as np
from sklearn.datasets import load_digits
from zoo_plugins.dataset_sources.digits import Digits

from zoo.contracts.data import Task
from zoo.data.listing import list_images


def test_digits_are_scikit_learns_spread_over_all_shades():
    source, original = Digits(), load_digits()
    samples = source.samples()
    assert len(samples) == 1797
    assert [int(s.labels[0]) for s in samples] == original.target.tolist()
    for i in (0, 7, 1796):
        pixels = source.read(samples[i].key)
        assert pixels.shape == (8, 8, 1)
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels[:, :, 0], np.round(original.images[i] * 255 / 16))


def test_digits_use_all_shades():
    source = Digits()
    values = np.unique(np.stack([source.read(s.key) for s in source.samples()]))
    assert values.min() == 0
    assert values.max() == 255
    assert len(values) == 17


def test_digits_listing():
    listing = list_images(Digits())
    assert listing.classes == tuple("0123456789")
    assert (listing.channels, listing.median_side_px, listing.task) == (1, 8, Task.SINGLE_LABEL)
    assert {split: len(v) for split, v in listing.splits.items()} == {"train": 1258, "val": 270, "test": 269}
    assert listing.samples[3].key == "digits/0003"
