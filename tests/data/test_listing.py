"""What a listing decides, and what it refuses before anything is decoded."""

import numpy as np
import pytest

from zoo.contracts.data import Sample, Task
from zoo.data.listing import encode_targets, list_images, positions_by_split
from zoo.errors import PluginError, UserError


def test_list_images_sorts_by_key_and_gives_every_sample_a_split(memory_source):
    source = memory_source({"dog": 20, "cat": 20})
    source._samples.reverse()
    listing = list_images(source)
    assert [s.key for s in listing.samples] == sorted(s.key for s in listing.samples)
    assert all(s.split in ("train", "val", "test") for s in listing.samples)
    assert listing.classes == ("cat", "dog")
    assert listing.name == "memory"
    assert listing.task is Task.SINGLE_LABEL


def test_listing_splits_and_targets_are_positions_and_numbers(memory_source):
    listing = list_images(memory_source({"cat": 20, "dog": 20}))
    assert sorted(np.concatenate(list(listing.splits.values()))) == list(range(40))
    assert listing.targets.dtype == np.int64
    assert [listing.classes[t] for t in listing.targets] == [s.labels[0] for s in listing.samples]
    assert list(listing.splits) == ["train", "val", "test"]


def test_listing_facts_count_training_images(memory_source):
    listing = list_images(memory_source({"cat": 100, "dog": 20, "owl": 40}))
    assert listing.facts.train_images == len(listing.splits["train"])
    assert listing.facts.smallest_class == 14
    assert listing.facts.median_class == 28
    assert listing.facts.classes == 3
    assert listing.facts.median_side_px == 16
    assert listing.facts.channels == 3


def test_list_images_orders_numbers_by_value(memory_source):
    listing = list_images(memory_source({str(n): 4 for n in (10, 9, 100, 1)}))
    assert listing.classes == ("1", "9", "10", "100")


def test_list_images_keeps_the_order_that_the_source_knows(memory_source):
    listing = list_images(memory_source({"cat": 4, "dog": 4}, classes=("dog", "cat")))
    assert listing.classes == ("dog", "cat")


def test_list_images_leaves_out_known_classes_without_images(memory_source):
    listing = list_images(memory_source({"cat": 4, "dog": 4}, classes=("dog", "cat", "unicorn")))
    assert listing.classes == ("dog", "cat")
    assert any("1 of the 3 classes" in note for note in listing.notes)


def test_list_images_takes_over_the_notes_of_the_source(memory_source):
    assert "left out 3 files" in list_images(memory_source({"a": 9, "b": 9}, notes=("left out 3 files",))).notes


def test_list_images_notes_single_images_and_look_alikes(memory_source):
    notes = " | ".join(list_images(memory_source({"Cat": 9, "cat ": 9, "big_dog": 9, "Big Dog": 9, "rare": 1})).notes)
    assert "'rare'" in notes
    assert "'Cat', 'cat '" in notes
    assert "'Big Dog', 'big_dog'" in notes


# --- refusals ------------------------------------------------------------------------------------------------------


def test_list_images_refuses_an_empty_source(source_of):
    with pytest.raises(UserError, match="no images in memory:memory"):
        list_images(source_of([]))


def test_list_images_refuses_one_class_and_repeats_what_was_left_out(memory_source):
    with pytest.raises(UserError) as caught:
        list_images(memory_source({"cat": 9}, notes=("left out class folders without an image: 'dog'",)))
    assert "one class only ('cat')" in str(caught.value)
    assert "'dog'" in str(caught.value)


def test_list_images_refuses_a_class_that_is_missing_from_train(source_of):
    samples = [Sample(f"{i}", ("ab"[i % 2],), "train") for i in range(10)]
    samples += [Sample("v", ("a",), "val"), Sample("c1", ("c",), "val"), Sample("c2", ("c",), "test")]
    with pytest.raises(UserError) as caught:
        list_images(source_of(samples))
    assert "1 of 3 classes have no training image: 'c' (1 in test, 1 in val)" in str(caught.value)


def test_list_images_refuses_tables_without_labels(source_of):
    with pytest.raises(UserError, match="no labels"):
        list_images(source_of([Sample(f"{i}", ()) for i in range(9)], task=Task.MULTI_LABEL))


@pytest.mark.parametrize("channels", [0, 2, 5, "rgb"])
def test_list_images_refuses_other_channels(memory_source, channels):
    with pytest.raises(UserError, match="channels"):
        list_images(memory_source({"a": 9, "b": 9}), channels=channels)


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        ([Sample("a", ("x",)), Sample("a", ("y",))], "more than once"),
        ([Sample("a", ("x",), "training"), Sample("b", ("y",), "val")], "'training'"),
        ([Sample("a", ("x", "y")), Sample("b", ("y",))], "2 labels"),
        ([Sample("a", ()), Sample("b", ("y",))], "0 labels"),
    ],
)
def test_list_images_blames_the_plugin_for_a_broken_contract(source_of, samples, match):
    with pytest.raises(PluginError, match=match):
        list_images(source_of(samples))


def test_list_images_blames_the_plugin_for_labels_beside_its_classes(memory_source):
    with pytest.raises(PluginError, match="'dog'"):
        list_images(memory_source({"cat": 4, "dog": 4}, classes=("cat", "mouse")))


# --- channels and sizes --------------------------------------------------------------------------------------------


def with_modes(source_of, photo, modes, fmt="PNG", size=(20, 16)):
    samples = [Sample(f"{i:03d}", ("ab"[i % 2],), size_bytes=1) for i in range(len(modes))]
    contents = {
        s.key: photo(i, mode=mode, fmt=fmt, size=size) for i, (s, mode) in enumerate(zip(samples, modes, strict=True))
    }
    return source_of(samples, contents)


def test_list_images_one_channel_where_all_are_gray(source_of, photo):
    listing = list_images(with_modes(source_of, photo, ["L"] * 20))
    assert listing.channels == 1
    assert any("one channel" in note for note in listing.notes)


def test_list_images_three_channels_where_some_are_coloured(source_of, photo):
    listing = list_images(with_modes(source_of, photo, ["L"] * 10 + ["RGB"] * 10))
    assert listing.channels == 3
    assert any("three equal channels" in note for note in listing.notes)


def test_list_images_four_channels_only_when_asked(source_of, photo):
    source = with_modes(source_of, photo, ["RGBA"] * 20)
    listing = list_images(source)
    assert listing.channels == 3
    assert any("transparent pixels lie on white" in note for note in listing.notes)
    assert list_images(source, channels=4).channels == 4


def test_list_images_channels_as_asked(source_of, photo):
    assert list_images(with_modes(source_of, photo, ["RGB"] * 20), channels=1).channels == 1


def test_list_images_reads_arrays(source_of):
    samples = [Sample(f"{i}", ("ab"[i % 2],)) for i in range(20)]
    listing = list_images(source_of(samples, {s.key: np.zeros((7, 9, 1), np.uint8) for s in samples}))
    assert listing.channels == 1
    assert listing.median_side_px == 7


def test_list_images_median_of_the_short_sides(source_of, photo):
    samples = [Sample(f"{i}", ("ab"[i % 2],)) for i in range(20)]
    sizes = [(10, 30)] * 9 + [(40, 50)] * 11
    source = source_of(samples, {s.key: photo(i, size=sizes[i]) for i, s in enumerate(samples)})
    assert list_images(source).median_side_px == 40


def test_list_images_reads_some_two_hundred_headers_evenly(source_of, photo):
    samples = [Sample(f"{i:04d}", ("ab"[i % 2],)) for i in range(1000)]
    content = photo(0)
    source = source_of(samples, {s.key: content for s in samples})
    list_images(source)
    assert source.reads == [f"{i:04d}" for i in range(0, 1000, 5)]


def test_list_images_passes_over_bad_files(source_of, photo):
    samples = [Sample(f"{i}", ("ab"[i % 2],)) for i in range(20)]
    contents = {s.key: photo(i) for i, s in enumerate(samples)}
    contents["3"], contents["4"], contents["5"] = b"", OSError("gone"), b"text"
    assert list_images(source_of(samples, contents)).median_side_px == 16


def test_list_images_when_no_header_can_be_read(source_of):
    samples = [Sample(f"{i}", ("ab"[i % 2],)) for i in range(20)]
    listing = list_images(source_of(samples, {s.key: b"" for s in samples}))
    assert (listing.channels, listing.median_side_px) == (3, 1)


# --- multi-label, targets ------------------------------------------------------------------------------------------


def test_encode_targets_multi_label():
    samples = [Sample("1", ("b", "a")), Sample("2", ()), Sample("3", ("c",))]
    targets = encode_targets(samples, ("a", "b", "c"), task=Task.MULTI_LABEL)
    assert targets.dtype == np.float32
    assert targets.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_list_images_multi_label_takes_a_single_tag(source_of, photo):
    samples = [Sample(f"{i}", ("tag",) if i % 2 else ()) for i in range(20)]
    listing = list_images(source_of(samples, {s.key: photo() for s in samples}, task=Task.MULTI_LABEL))
    assert listing.classes == ("tag",)
    assert listing.targets.shape == (20, 1)


def test_positions_by_split_leaves_empty_ones_out():
    found = positions_by_split(["val", "train", "val"])
    assert {k: v.tolist() for k, v in found.items()} == {"train": [1], "val": [0, 2]}
