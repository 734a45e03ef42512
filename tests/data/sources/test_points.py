"""Points of two features against scikit-learn's own generators, and XOR's truth table."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import datasets
from zoo_plugins.dataset_sources.points import Blobs, Moons, Rings, Xor

from zoo.data.listing import list_images
from zoo.errors import UserError

ALL = (Xor, Moons, Rings, Blobs)


def labels_of(source) -> list[int]:
    return [int(sample.labels[0]) for sample in source.samples()]


@pytest.mark.parametrize("kind", ALL)
def test_points_are_functions_of_the_seed(kind):
    one, again, other = kind(seed=1), kind(seed=1), kind(seed=2)
    assert one.arrays().shape == (len(one.samples()), 2, 1, 1)
    assert one.arrays().dtype == np.float32
    assert np.array_equal(one.arrays(), again.arrays())
    assert not np.array_equal(one.arrays(), other.arrays())
    listing = list_images(one)
    assert listing.arrays
    assert set(listing.splits) == {"train", "val", "test"}


def test_xor_is_one_where_one_of_two_signs_is_negative():
    source = Xor(n=200, noise=0.1)
    for (x, y), label in zip(source.arrays()[:, :, 0, 0], labels_of(source), strict=True):
        assert label == int((x < 0) != (y < 0))
    exact = Xor(n=8, noise=0.0)
    assert sorted(map(tuple, np.unique(exact.arrays()[:, :, 0, 0], axis=0).tolist())) == [
        (-1, -1),
        (-1, 1),
        (1, -1),
        (1, 1),
    ]
    assert exact.notes


@pytest.mark.parametrize(
    ("source", "reference"),
    [
        (Moons(n=50, noise=0.3, seed=4), datasets.make_moons(50, noise=0.3, random_state=4)),
        (Rings(n=50, noise=0.2, factor=0.3, seed=4), datasets.make_circles(50, noise=0.2, factor=0.3, random_state=4)),
        (Blobs(n=50, clouds=4, noise=2.0, seed=4), datasets.make_blobs(50, centers=4, cluster_std=2.0, random_state=4)),
    ],
)
def test_points_are_scikit_learns(source, reference):
    points, labels = reference
    assert np.array_equal(source.arrays()[:, :, 0, 0], points.astype(np.float32))
    assert labels_of(source) == labels.tolist()


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: Xor(n=4), "data.n=4"),
        (lambda: Moons(noise=-1), "data.noise=-1"),
        (lambda: Rings(factor=1.0), "data.factor=1.0"),
        (lambda: Blobs(clouds=1), "data.clouds=1"),
        (lambda: Blobs(n=20, clouds=6), "data.clouds=6"),
    ],
)
def test_points_refuse_what_makes_no_set(make, where):
    with pytest.raises(UserError, match=where):
        make()
