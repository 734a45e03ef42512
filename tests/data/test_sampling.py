"""Orders of an epoch: balanced ones show each class equally often, and every image of a class in turn."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.contracts.data import DataBundle, DataFacts, Task
from zoo.data.batches import Batches
from zoo.data.sampling import balanced, repeats, shuffled
from zoo.imaging.preprocess import Preprocess

SIZES = st.lists(st.integers(1, 40), min_size=2, max_size=6)


def classes_of(sizes: list[int]) -> np.ndarray:
    """int64[N], `sizes[k]` images of class k, mixed."""
    classes = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(0).permutation(classes)


@given(sizes=SIZES, seed=st.integers(0, 99), epoch=st.integers(0, 50))
def test_each_class_comes_equally_often_to_within_one(sizes, seed, epoch):
    classes = classes_of(sizes)
    positions = np.arange(len(classes)) + 1000
    order = balanced(positions, classes, seed=seed, epoch=epoch)
    assert len(order) == len(positions)
    counts = Counter(classes[order - 1000].tolist())
    assert max(counts.values()) - min(counts.get(k, 0) for k in range(len(sizes))) <= 1
    for k, size in enumerate(sizes):
        own = Counter(order[classes[order - 1000] == k].tolist())
        assert not own or max(own.values()) - (min(own.values()) if len(own) == size else 0) <= 1


@given(sizes=SIZES, seed=st.integers(0, 99))
def test_every_image_of_a_class_has_its_turn(sizes, seed):
    classes = classes_of(sizes)
    positions = np.arange(len(classes))
    base = len(positions) // len(sizes)
    lasts = max(-(-size // base) for size in sizes)
    seen: set[int] = set()
    for epoch in range(lasts):
        seen |= set(balanced(positions, classes, seed=seed, epoch=epoch).tolist())
    assert seen == set(positions.tolist())


def test_orders_are_functions_of_seed_and_epoch():
    positions, classes = np.arange(30), classes_of([20, 7, 3])
    one = balanced(positions, classes, seed=1, epoch=4)
    assert np.array_equal(one, balanced(positions, classes, seed=1, epoch=4))
    assert not np.array_equal(one, balanced(positions, classes, seed=2, epoch=4))
    assert not np.array_equal(one, balanced(positions, classes, seed=1, epoch=5))
    assert sorted(shuffled(positions, seed=1, epoch=0)) == positions.tolist()


@given(st.lists(st.integers(0, 5), max_size=30))
def test_repeats_counts_what_came_before(values):
    expected = [values[:i].count(value) for i, value in enumerate(values)]
    assert repeats(np.array(values, np.int64)).tolist() == expected


def bundle_of(sizes: list[int]) -> DataBundle:
    classes = classes_of(sizes)
    images = [np.full((16, 16, 1), i, np.uint8) for i in range(len(classes))]
    facts = DataFacts("x", len(sizes), Task.SINGLE_LABEL, 1, len(classes), min(sizes), 1, 16)
    return DataBundle(
        name="x",
        location="x",
        task=Task.SINGLE_LABEL,
        classes=tuple(str(k) for k in range(len(sizes))),
        channels=1,
        images=images,
        keys=tuple(f"k{i}" for i in range(len(classes))),
        targets=classes,
        splits={"train": np.arange(len(classes))},
        quarantined=(),
        fingerprint="",
        facts=facts,
    )


def feed(bundle: DataBundle, **options) -> Batches:
    preprocess = Preprocess(16, (0.5,), (0.5,), crop_share=1.0)
    fixed = {"preprocess": preprocess, "batch_size": 8, "seed": 3, "sampling": "balanced", "threads": 2}
    return Batches(bundle, bundle.splits["train"], **(fixed | options))


@settings(max_examples=10)
@given(start=st.integers(0, 4), world=st.integers(1, 3))
def test_batches_are_the_same_from_any_step_and_over_any_processes(start, world):
    bundle = bundle_of([30, 8, 2])
    whole = [batch.indices.tolist() for batch in feed(bundle).epoch(1)]
    shares = [list(feed(bundle, rank=rank, world=world).epoch(1, start_step=start)) for rank in range(world)]
    for step, parts in enumerate(zip(*shares, strict=True), start=start):
        assert np.concatenate([part.indices for part in parts]).tolist() == whole[step]


def test_an_image_that_comes_again_is_drawn_anew():
    bundle = bundle_of([30, 2])
    noisy = feed(bundle, pipeline=lambda: lambda image, rng: rng.integers(0, 256, image.shape, dtype=np.uint8))
    seen: dict[int, list[bytes]] = {}
    for batch in noisy.epoch(0):
        for position, image in zip(batch.indices.tolist(), batch.images, strict=True):
            seen.setdefault(position, []).append(image.tobytes())
    rare = max(seen.values(), key=len)
    assert len(rare) == 8
    assert len(set(rare)) == 8


def test_several_labels_cannot_be_balanced():
    bundle = bundle_of([4, 4])
    several = dataclasses.replace(bundle, targets=np.zeros((8, 2), np.float32))
    with pytest.raises(ValueError, match="one label"):
        feed(several)
