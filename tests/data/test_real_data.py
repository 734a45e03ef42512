"""The data room on real photos; skipped where they are not."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from zoo_plugins.dataset_sources.archive import Archive
from zoo_plugins.dataset_sources.digits import Digits
from zoo_plugins.dataset_sources.folder import Folder
from zoo_plugins.dataset_sources.table import Table

from zoo.data.audit import audit, content_index
from zoo.data.batches import Batches
from zoo.data.listing import list_images
from zoo.data.pack import pack
from zoo.data.shorthand import source_name_for
from zoo.imaging.preprocess import Preprocess

PREPROCESS = Preprocess(56, (0.5,) * 3, (0.5,) * 3)


def only(listing, keep):
    """A listing of a few samples of each class and split, so that a test stays quick."""
    seen = Counter()
    kept = []
    for sample in listing.samples:
        seen[sample.labels, sample.split] += 1
        if seen[sample.labels, sample.split] <= keep:
            kept.append(sample)
    return dataclasses.replace(listing, samples=tuple(kept))


def test_clothing(real_data, own_cache, tree_hash):
    path = real_data / "clothing"
    assert source_name_for(path) == "folder"
    source = Folder(path=str(path))
    listing = list_images(source)
    assert {split: len(v) for split, v in listing.splits.items()} == {"train": 3068, "val": 341, "test": 372}
    assert len(listing.classes) == 10
    assert (listing.channels, listing.median_side_px) == (3, 256)
    assert (listing.facts.smallest_class, listing.facts.train_images) == (112, 3068)
    few = only(listing, 3)
    bundle = pack(few, source, preprocess=PREPROCESS, threads=2)
    assert bundle.quarantined == ()
    assert len(bundle.images) == 90
    assert audit(few, content_index(bundle)).errors == ()
    feed = Batches(
        bundle,
        bundle.splits["train"],
        preprocess=PREPROCESS,
        batch_size=16,
        sampling="shuffle",
        crop_scale=(0.4, 1),
        flip=True,
    )
    assert sum(len(batch.indices) for batch in feed.epoch(0)) == 30


def test_tiny_imagenet(real_data):
    path = real_data / "tiny-imagenet"
    assert source_name_for(path) == "table"
    source = Table(path=str(path))
    listing = list_images(source)
    assert {split: len(v) for split, v in listing.splits.items()} == {"train": 60_000, "val": 10_000}
    assert len(listing.classes) == 200
    assert listing.classes[:2] == ("goldfish", "European fire salamander")
    assert (listing.facts.smallest_class, listing.median_side_px) == (300, 64)
    bundle = pack(only(listing, 1), source, preprocess=PREPROCESS, threads=2)
    assert len(bundle.images) == 400
    assert bundle.images[0].shape == (64, 64, 3)
    assert sorted(bundle.targets[bundle.splits["val"]].tolist()) == list(range(200))


def test_clothing_in_a_compressed_archive(real_data, tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "clothing.tar.gz", "w:gz", compresslevel=1) as archive:
        for split in ("train", "validation", "test"):
            for folder in sorted((real_data / "clothing" / split).iterdir()):
                for path in sorted(folder.iterdir())[:3]:
                    archive.add(path, f"clothing/{split}/{folder.name}/{path.name}")
    source = Archive(path=str(tmp_path / "clothing.tar.gz"))
    listing = list_images(source)
    assert len(listing.samples) == 90
    bundle = pack(listing, source, preprocess=PREPROCESS, threads=2)
    folder = Folder(path=str(real_data / "clothing"))
    plain = pack(only(list_images(folder), 3), folder, preprocess=PREPROCESS, threads=2)
    assert [key.removeprefix("clothing/") for key in bundle.keys] == list(plain.keys)
    assert all(np.array_equal(bundle.images[i], plain.images[i]) for i in range(90))


def test_digits_pack_and_audit():
    source = Digits()
    listing = list_images(source)
    preprocess = Preprocess(64, (0.5,), (0.5,))
    bundle = pack(listing, source, preprocess=preprocess, threads=2)
    assert len(bundle.images) == 1797
    assert bundle.images[0].shape == (73, 73, 1)
    assert audit(listing, content_index(bundle)).sizes.short_side == (8, 8, 8)


@pytest.mark.slow
def test_clothing_whole(real_data):
    source = Folder(path=str(real_data / "clothing"))
    listing = list_images(source)
    bundle = pack(listing, source, preprocess=Preprocess(224, (0.5,) * 3, (0.5,) * 3))
    assert len(bundle.images) == 3781
    assert audit(listing, content_index(bundle)).errors == ()
