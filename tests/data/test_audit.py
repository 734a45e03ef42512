"""What is said about a data set before training."""

import numpy as np
import pytest

from zoo.contracts.data import BadFile, Sample, Task
from zoo.data.audit import Severity, audit, content_index, duplicates
from zoo.data.listing import list_images
from zoo.data.pack import pack, read_images
from zoo.imaging.preprocess import Preprocess

PREPROCESS = Preprocess(14, (0.5,) * 3, (0.5,) * 3)


def looked_at(source, **options):
    listing = list_images(source, **options)
    return listing, read_images(listing, source, preprocess=PREPROCESS, cache="none", threads=1).index


def judged(source, *, max_bad_fraction=0.05, **options):
    return audit(*looked_at(source, **options), max_bad_fraction=max_bad_fraction)


def messages(found, severity):
    return [p.message for p in found.problems if p.severity is severity]


def split_by_number(key):
    number = int(key.rsplit("/", 1)[1])
    return "train" if number < 20 else "val" if number < 25 else "test"


def test_audit_of_good_data(memory_source):
    found = judged(memory_source({"cat": 30, "dog": 30}, split=split_by_number))
    assert found.problems == ()
    assert found.errors == ()
    assert found.duplicates == ()
    assert found.bad == ()
    assert found.images == 60
    assert [(row.name, row.train, row.val, row.test) for row in found.classes] == [("cat", 20, 5, 5), ("dog", 20, 5, 5)]
    assert (found.name, found.location, found.task, found.channels) == ("memory", "memory:memory", Task.SINGLE_LABEL, 3)


def test_audit_sizes_are_smallest_median_largest(source_of, photo):
    sizes = [(20, 30), (40, 10), (50, 60)]
    samples = [Sample(f"{i:02d}", ("ab"[i % 2],)) for i in range(30)]
    found = judged(source_of(samples, {s.key: photo(i, size=sizes[i % 3]) for i, s in enumerate(samples)}))
    assert found.sizes.width == (20, 40, 50)
    assert found.sizes.height == (10, 30, 60)
    assert found.sizes.short_side == (10, 20, 50)


def test_audit_keeps_the_notes(memory_source):
    found = judged(memory_source({"cat": 30, "dog": 30}, notes=("left out 3 files",)))
    assert "left out 3 files" in found.notes


def test_audit_few_bad_files_are_a_warning_and_many_an_error(memory_source):
    source = memory_source({"cat": 40, "dog": 40})
    source.contents["cat/0000"] = b""
    found = judged(source)
    assert found.bad == (BadFile("cat/0000", "empty file (0 bytes)"),)
    assert messages(found, Severity.WARNING) == ["1 of 80 files cannot be read (1.2%); they are left out"]
    assert found.errors == ()
    for i in range(9):
        source.contents[f"dog/{i:04d}"] = b"text"
    found = judged(source)
    assert found.errors[0].message == "10 of 80 files cannot be read (12.5%), more than 5%"
    assert len(found.errors[0].keys) == 10
    assert judged(source, max_bad_fraction=0.2).errors == ()


def test_audit_when_not_one_file_can_be_read(memory_source):
    source = memory_source({"cat": 9, "dog": 9})
    source.contents = dict.fromkeys(source.contents, b"")
    found = judged(source)
    assert found.sizes is None
    assert found.images == 0
    text = " | ".join(messages(found, Severity.ERROR))
    assert "18 of 18" in text
    assert "2 classes have no train image" in text
    assert "no validation image" in text


def test_audit_class_left_without_training_images(memory_source):
    source = memory_source({"cat": 30, "dog": 30}, split=split_by_number)
    for i in range(20):
        source.contents[f"dog/{i:04d}"] = b""
    found = judged(source, max_bad_fraction=1)
    assert [p.message for p in found.errors] == ["1 classes have no train image and cannot be learned: 'dog'"]


def test_audit_class_without_validation_images_is_a_warning(memory_source):
    found = judged(memory_source({"cat": 100, "dog": 100, "rare": 1}))
    text = " | ".join(messages(found, Severity.WARNING))
    assert "1 classes have no val image and are not validated: 'rare'" in text
    assert "1 classes have fewer than 10 training images: 'rare' (1)" in text
    assert found.errors == ()


def test_audit_strong_imbalance_is_a_warning(memory_source):
    found = judged(memory_source({"cat": 900, "dog": 20}))
    assert any("the largest class has 45 times" in m for m in messages(found, Severity.WARNING)) is False
    found = judged(memory_source({"cat": 1500, "dog": 20}))
    assert any("the largest class has 75 times the smallest" in m for m in messages(found, Severity.WARNING))


# --- duplicates ----------------------------------------------------------------------------------------------------


def test_audit_duplicate_across_splits_is_an_error(memory_source):
    source = memory_source({"cat": 30, "dog": 30}, split=split_by_number)
    source.contents["cat/0029"] = source.contents["cat/0000"]
    found = judged(source)
    (duplicate,) = found.duplicates
    assert duplicate.keys == ("cat/0000", "cat/0029")
    assert duplicate.splits == ("train", "test")
    assert duplicate.leaks
    assert not duplicate.contradicts
    (error,) = found.errors
    assert error.message.startswith("1 images lie in more than one split")
    assert "'cat/0000' = 'cat/0029'" in error.message
    assert error.keys == ("cat/0000", "cat/0029")


def test_audit_duplicate_with_other_labels_is_an_error(memory_source):
    source = memory_source({"cat": 30, "dog": 30}, split=split_by_number)
    source.contents["dog/0001"] = source.contents["cat/0000"]
    found = judged(source)
    (duplicate,) = found.duplicates
    assert duplicate.contradicts
    assert not duplicate.leaks
    assert duplicate.labels == (("cat",), ("dog",))
    assert [p.message.split(" (")[0] for p in found.errors] == ["1 images have different labels in different places"]


def test_audit_duplicate_within_a_split_is_a_warning(memory_source):
    source = memory_source({"cat": 30, "dog": 30}, split=split_by_number)
    source.contents["cat/0002"] = source.contents["cat/0001"] = source.contents["cat/0000"]
    found = judged(source)
    assert found.errors == ()
    (warning,) = messages(found, Severity.WARNING)
    assert warning.startswith("1 images lie more than once in the same split")
    assert len(found.duplicates[0].keys) == 3


def test_audit_a_duplicate_may_be_wrong_in_two_ways(memory_source):
    source = memory_source({"cat": 30, "dog": 30}, split=split_by_number)
    source.contents["dog/0029"] = source.contents["cat/0000"]
    found = judged(source)
    assert len(found.errors) == 2
    assert messages(found, Severity.WARNING) == []


def test_duplicates_of_arrays(source_of):
    samples = [Sample(f"{i:02d}", ("ab"[i % 2],), "train" if i < 18 else "val") for i in range(20)]
    contents = {s.key: np.full((4, 4, 1), i, np.uint8) for i, s in enumerate(samples)}
    contents["03"] = contents["01"].copy()
    contents["05"] = contents["01"].reshape(2, 8, 1)  # the same bytes, another picture
    assert [d.keys for d in duplicates(*looked_at(source_of(samples, contents)))] == [("01", "03")]


def test_duplicates_of_multi_label_images_compare_sets(source_of, photo):
    samples = [Sample(f"{i:02d}", ("a", "b") if i % 2 else ("b", "a"), "train" if i < 18 else "val") for i in range(20)]
    contents = {s.key: photo(i) for i, s in enumerate(samples)}
    contents["01"] = contents["00"]
    (duplicate,) = duplicates(*looked_at(source_of(samples, contents, task=Task.MULTI_LABEL)))
    assert not duplicate.contradicts


def test_duplicates_take_no_part_of_bad_files(memory_source):
    source = memory_source({"cat": 40, "dog": 40})
    source.contents["cat/0000"] = source.contents["dog/0000"] = b""
    assert duplicates(*looked_at(source)) == ()


def test_problems_have_errors_first(memory_source):
    source = memory_source({"cat": 30, "dog": 30, "rare": 1}, split=split_by_number)
    source.contents["cat/0029"] = source.contents["cat/0000"]
    severities = [p.severity for p in judged(source).problems]
    assert severities == sorted(severities)
    assert severities[0] is Severity.ERROR


@pytest.mark.parametrize("cache", ["packed", "none"])
def test_content_index_of_a_bundle(memory_source, cache):
    source = memory_source({"cat": 9, "dog": 9})
    listing = list_images(source)
    bundle = pack(listing, source, preprocess=PREPROCESS, cache=cache, threads=1)
    assert content_index(bundle).keys == bundle.keys
    assert audit(listing, content_index(bundle)).images == 18


def test_content_index_of_pixels_from_elsewhere(memory_source):
    import dataclasses

    source = memory_source({"cat": 9, "dog": 9})
    bundle = pack(list_images(source), source, preprocess=PREPROCESS, threads=1)
    with pytest.raises(TypeError, match="list keeps no content hashes"):
        content_index(dataclasses.replace(bundle, images=[]))
