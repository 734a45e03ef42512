"""Decoding once: what is kept, what is quarantined, when a cache is believed, and what stays untouched."""

import dataclasses
import hashlib
import io
import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image
from zoo_plugins.dataset_sources.folder import Folder

from zoo.contracts.data import Sample, Task
from zoo.data import pack as module
from zoo.data.listing import Listing, list_images
from zoo.data.pack import fingerprint, pack, pack_key, read_images
from zoo.errors import UserError
from zoo.imaging.decode import decode
from zoo.imaging.preprocess import Preprocess

PREPROCESS = Preprocess(14, (0.5,) * 3, (0.5,) * 3)  # keeps images with a short side of 16 px as they are


def packed(source, *, listing=None, preprocess=PREPROCESS, **options):
    return pack(listing or list_images(source), source, preprocess=preprocess, threads=2, **options)


def packs(root):
    return sorted(root.glob("packs/*.pack"))


# --- what is kept --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", ["packed", "none"])
def test_pack_keeps_the_fitted_pixels(memory_source, cache):
    source = memory_source({"cat": 12, "dog": 12})
    bundle = packed(source, cache=cache)
    assert len(bundle.images) == len(bundle.keys) == 24
    for i, key in enumerate(bundle.keys):
        assert np.array_equal(bundle.images[i], PREPROCESS.fit(decode(source.contents[key], channels=3)))


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pack_by_the_preprocessing(memory_source, resize, channels):
    preprocess = Preprocess(8, (0.5,) * channels, (0.5,) * channels, resize=resize)
    source = memory_source({"cat": 9, "dog": 9})
    bundle = packed(source, preprocess=preprocess)
    assert bundle.channels == channels
    for i, key in enumerate(bundle.keys):
        assert np.array_equal(bundle.images[i], preprocess.fit(decode(source.contents[key], channels=channels)))
        assert preprocess.crop(bundle.images[i]).shape == (8, 8, channels)


def test_pack_bundle_describes_the_data(memory_source):
    source = memory_source({"cat": 40, "dog": 20})
    bundle = packed(source)
    assert bundle.classes == ("cat", "dog")
    assert bundle.name == "memory"
    assert bundle.location == "memory:memory"
    assert bundle.task is Task.SINGLE_LABEL
    assert {split: len(v) for split, v in bundle.splits.items()} == {"train": 42, "val": 9, "test": 9}
    assert sorted(np.concatenate(list(bundle.splits.values()))) == list(range(60))
    assert [bundle.classes[t] for t in bundle.targets] == [key.split("/")[0] for key in bundle.keys]
    assert bundle.facts.train_images == 42
    assert (bundle.facts.smallest_class, bundle.facts.median_class) == (14, 21)
    assert any("splits made" in note for note in bundle.notes)


def test_pack_multi_label_targets(source_of, photo):
    samples = [Sample(f"{i:02d}", ("a",) if i % 2 else ("a", "b")) for i in range(20)]
    bundle = packed(source_of(samples, {s.key: photo(i) for i, s in enumerate(samples)}, task=Task.MULTI_LABEL))
    assert bundle.targets.dtype == np.float32
    assert bundle.targets[:2].tolist() == [[1, 1], [1, 0]]


def test_pack_arrays(source_of):
    rng = np.random.default_rng(0)
    samples = [Sample(f"{i}", ("ab"[i % 2],), size_bytes=256) for i in range(20)]
    source = source_of(samples, {s.key: rng.integers(0, 256, (16, 16, 1), dtype=np.uint8) for s in samples})
    bundle = packed(source, preprocess=PREPROCESS.with_channels(1))
    for i, key in enumerate(bundle.keys):
        assert np.array_equal(bundle.images[i], source.contents[key])


def test_pack_index_knows_hashes_and_original_sizes(memory_source):
    source = memory_source({"cat": 9, "dog": 9})
    bundle = packed(source, preprocess=PREPROCESS.with_size(7))
    index = bundle.images.index
    assert index.sha256 == tuple(hashlib.sha256(source.contents[key]).hexdigest() for key in bundle.keys)
    assert index.sizes.tolist() == [[16, 20]] * 18
    assert index.shapes[0].tolist() == [8, 10, 3]


def test_pack_original_sizes_of_photos_that_were_decoded_smaller(source_of):
    buffer = io.BytesIO()
    Image.new("RGB", (640, 480)).save(buffer, "JPEG")
    samples = [Sample(f"{i}", ("ab"[i % 2],)) for i in range(20)]
    source = source_of(samples, {s.key: buffer.getvalue() for s in samples})
    bundle = packed(source)
    assert bundle.images[0].shape == (16, 21, 3)
    assert bundle.images.index.sizes[0].tolist() == [480, 640]


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_pack_is_the_same_for_any_number_of_threads(memory_source, tmp_path, threads):
    source = memory_source({"cat": 20, "dog": 20})
    listing = list_images(source)
    pack(listing, source, preprocess=PREPROCESS, threads=threads, cache_dir=tmp_path / str(threads))
    pack(listing, source, preprocess=PREPROCESS, threads=3, cache_dir=tmp_path / "reference")
    (one,), (two,) = packs(tmp_path / str(threads)), packs(tmp_path / "reference")
    assert one.read_bytes() == two.read_bytes()


def test_pack_reports_progress(memory_source):
    calls = []
    packed(memory_source({"cat": 9, "dog": 9}), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 18) for i in range(1, 19)]


def scored(source, split="test"):
    """A listing of images that a finished network is to be scored on: no training images, or few."""
    samples = tuple(dataclasses.replace(s, split=split) for s in sorted(source.samples(), key=lambda s: s.key))
    return Listing("x", "x", Task.SINGLE_LABEL, samples, ("dog", "cat", "owl"), 3, 16)


@pytest.mark.parametrize("split", ["test", "train"])
def test_pack_for_scoring_needs_no_training_images_of_each_class(memory_source, split):
    source = memory_source({"cat": 3})
    bundle = packed(source, listing=scored(source, split))
    assert {k: len(v) for k, v in bundle.splits.items()} == {split: 3}
    assert bundle.classes == ("dog", "cat", "owl")
    assert bundle.targets.tolist() == [1, 1, 1]


def test_pack_for_scoring_refuses_nothing_but_bad_files(memory_source):
    source = memory_source({"cat": 3})
    source.contents = dict.fromkeys(source.contents, b"")
    with pytest.raises(UserError, match="all images are bad files"):
        packed(source, listing=scored(source), max_bad_fraction=1.0)


# --- quarantine ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", ["packed", "none"])
def test_pack_quarantines_bad_files_by_name(memory_source, cache):
    source = memory_source({"cat": 40, "dog": 40})
    source.contents["cat/0003"] = b""
    source.contents["dog/0001"] = source.contents["dog/0001"][:200]
    source.contents["dog/0002"] = b"I am a text file"
    source.contents["dog/0005"] = PermissionError(13, "Permission denied")
    bundle = packed(source, cache=cache)
    assert {bad.key: bad.reason for bad in bundle.quarantined}.keys() == {
        "cat/0003",
        "dog/0001",
        "dog/0002",
        "dog/0005",
    }
    reasons = {bad.key: bad.reason for bad in bundle.quarantined}
    assert reasons["cat/0003"] == "empty file (0 bytes)"
    assert "not an image" in reasons["dog/0002"]
    assert reasons["dog/0005"] == "Permission denied"
    assert len(bundle.images) == len(bundle.targets) == 76
    assert not {"cat/0003", "dog/0001"} & set(bundle.keys)
    for i, key in enumerate(bundle.keys):  # nothing has slipped by one
        assert np.array_equal(bundle.images[i], decode(source.contents[key], channels=3))
    assert any("quarantined 4 bad files" in note for note in bundle.notes)


def test_pack_stops_above_the_threshold_and_lists_the_first(memory_source):
    source = memory_source({"cat": 20, "dog": 20})
    for i in range(7):
        source.contents[f"cat/{i:04d}"] = b""
    with pytest.raises(UserError) as caught:
        packed(source)
    text = str(caught.value)
    assert "7 of 40 files are bad, more than 5%" in text
    assert "'cat/0000': empty file" in text
    assert "and 2 more" in text
    assert "data.max_bad_fraction" in text
    assert len(packed(source, max_bad_fraction=0.2).images) == 33


def test_pack_takes_exactly_the_threshold(memory_source):
    source = memory_source({"cat": 10, "dog": 10})
    source.contents["cat/0000"] = b""
    assert len(packed(source).images) == 19
    with pytest.raises(UserError, match="more than 4%"):
        packed(source, max_bad_fraction=0.04)
    source.contents["cat/0000"] = source.contents["cat/0001"]
    assert len(packed(source, max_bad_fraction=0, cache="none").images) == 20


def test_pack_refuses_a_class_whose_training_images_are_all_bad(memory_source):
    source = memory_source({"cat": 40, "dog": 2})
    listing = list_images(source)
    for sample in listing.samples:
        if sample.labels == ("dog",) and sample.split == "train":
            source.contents[sample.key] = b""
    with pytest.raises(UserError, match=r"all training images of 1 classes are bad files: 'dog'"):
        packed(source, listing=listing)


def test_pack_refuses_when_all_validation_images_are_bad(memory_source):
    source = memory_source({"cat": 40, "dog": 40})
    listing = list_images(source, val_fraction=0.03, test_fraction=0.03)
    for i in listing.splits["val"]:
        source.contents[listing.samples[i].key] = b""
    with pytest.raises(UserError, match="all validation images"):
        packed(source, listing=listing)


def test_pack_without_good_test_images_has_no_test_split(memory_source):
    source = memory_source({"cat": 40, "dog": 40})
    listing = list_images(source, test_fraction=0.03)
    for i in listing.splits["test"]:
        source.contents[listing.samples[i].key] = b""
    assert list(packed(source, listing=listing).splits) == ["train", "val"]


# --- the cache -----------------------------------------------------------------------------------------------------


def test_pack_second_run_reads_no_image(memory_source, own_cache):
    source = memory_source({"cat": 9, "dog": 9})
    listing = list_images(source)
    first = packed(source, listing=listing)
    source.reads.clear()
    second = packed(source, listing=listing)
    assert source.reads == []
    assert second.fingerprint == first.fingerprint
    assert all(np.array_equal(first.images[i], second.images[i]) for i in range(18))
    assert len(packs(own_cache)) == 1


def test_pack_remembers_bad_files(memory_source):
    source = memory_source({"cat": 40, "dog": 40})
    source.contents["cat/0003"] = b""
    listing = list_images(source)
    first = packed(source, listing=listing)
    source.reads.clear()
    assert packed(source, listing=listing).quarantined == first.quarantined
    assert source.reads == []


def test_pack_tries_unreadable_files_again(memory_source):
    """A network disk that was away changes no file, so the key stays the same."""
    source = memory_source({"cat": 40, "dog": 40})
    content, source.contents["cat/0003"] = source.contents["cat/0003"], OSError("away")
    listing = list_images(source)
    assert len(packed(source, listing=listing).quarantined) == 1
    source.contents["cat/0003"] = content
    assert packed(source, listing=listing).quarantined == ()


def test_pack_does_not_look_again_for_files_that_are_not_there(memory_source):
    source = memory_source({"cat": 40, "dog": 40})
    source._samples[3] = dataclasses.replace(source._samples[3], size_bytes=0, mtime_ns=0)
    source.contents["cat/0003"] = FileNotFoundError(2, "No such file")
    listing = list_images(source)
    packed(source, listing=listing)
    source.reads.clear()
    assert packed(source, listing=listing).quarantined[0].reason == "No such file"
    assert source.reads == []


def test_pack_of_a_source_without_sizes_is_built_every_time(source_of, photo):
    samples = [Sample(f"{i:02d}", ("ab"[i % 2],)) for i in range(20)]
    source = source_of(samples, {s.key: photo(i) for i, s in enumerate(samples)})
    first = packed(source)
    source.contents = {s.key: photo(100 + i) for i, s in enumerate(samples)}
    second = packed(source)
    assert first.fingerprint != second.fingerprint
    assert not np.array_equal(first.images[0], second.images[0])


@pytest.mark.parametrize(
    "change",
    [
        {"size": 15},
        {"resize": "squash"},
        {"interpolation": "bilinear"},
        {"crop_share": 0.5},
        {"mean": (0.5,), "std": (0.5,)},
    ],
)
def test_pack_key_changes_with_what_decides_the_pixels(memory_source, change):
    listing = list_images(memory_source({"cat": 9, "dog": 9}))
    assert pack_key(listing, PREPROCESS) != pack_key(listing, dataclasses.replace(PREPROCESS, **change))


@pytest.mark.parametrize(
    "change", [{"mean": (0.1, 0.2, 0.3)}, {"std": (0.1, 0.2, 0.3)}, {"size": 16, "crop_share": 1.0}]
)
def test_pack_key_stays_with_what_does_not(memory_source, change):
    listing = list_images(memory_source({"cat": 9, "dog": 9}))
    assert pack_key(listing, PREPROCESS) == pack_key(listing, dataclasses.replace(PREPROCESS, **change))


@pytest.mark.parametrize("change", [{"key": "other"}, {"size_bytes": 7}, {"mtime_ns": 7}])
def test_pack_key_changes_with_the_files(memory_source, change):
    listing = list_images(memory_source({"cat": 9, "dog": 9}))
    samples = (dataclasses.replace(listing.samples[0], **change), *listing.samples[1:])
    assert pack_key(listing, PREPROCESS) != pack_key(dataclasses.replace(listing, samples=samples), PREPROCESS)


def test_pack_key_ignores_labels_and_splits(memory_source):
    source = memory_source({"cat": 9, "dog": 9})
    assert pack_key(list_images(source, seed=0), PREPROCESS) == pack_key(list_images(source, seed=1), PREPROCESS)


def test_pack_key_changes_with_place_format_and_pillow(memory_source, monkeypatch):
    listing = list_images(memory_source({"cat": 9, "dog": 9}))
    keys = {pack_key(listing, PREPROCESS), pack_key(dataclasses.replace(listing, location="elsewhere"), PREPROCESS)}
    monkeypatch.setattr(module, "FORMAT", 99)
    keys.add(pack_key(listing, PREPROCESS))
    monkeypatch.setattr(module.PIL, "__version__", "0.0")
    keys.add(pack_key(listing, PREPROCESS))
    monkeypatch.setattr(module, "GENERATION", 99)
    keys.add(pack_key(listing, PREPROCESS))
    assert len(keys) == 5


def test_pack_sees_a_file_that_changed(tmp_path, fill, photo):
    root = fill(tmp_path / "pets", {"cat": 9, "dog": 9})
    first = packed(Folder(path=str(root)))
    (root / "cat/000.png").write_bytes(photo(999))
    second = packed(Folder(path=str(root)))
    assert np.array_equal(second.images[0], decode(photo(999), channels=3))
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    "damage", [lambda d: d[: len(d) // 2], lambda d: b"", lambda d: d[:-1], lambda d: d[:-100] + b"\0" * 100]
)
def test_pack_rebuilds_a_torn_cache(memory_source, own_cache, damage):
    source = memory_source({"cat": 9, "dog": 9})
    listing = list_images(source)
    first = packed(source, listing=listing)
    kept = [np.array(first.images[i]) for i in range(18)]
    del first
    (path,) = packs(own_cache)
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(damage(whole))
    second = packed(source, listing=listing)
    assert all(np.array_equal(a, second.images[i]) for i, a in enumerate(kept))
    assert path.read_bytes() == whole


def test_pack_none_writes_nothing(memory_source, own_cache):
    bundle = packed(memory_source({"cat": 9, "dog": 9}), cache="none")
    assert bundle.images[3].shape == (16, 20, 3)
    assert list(own_cache.iterdir()) == []


def test_pack_none_and_packed_have_one_fingerprint(memory_source):
    source = memory_source({"cat": 9, "dog": 9})
    assert packed(source, cache="none").fingerprint == packed(source).fingerprint


def test_pack_none_says_so_when_a_file_goes_away(memory_source):
    source = memory_source({"cat": 9, "dog": 9})
    bundle = packed(source, cache="none")
    source.contents["cat/0000"] = OSError("gone")
    with pytest.raises(UserError, match=r"'cat/0000' could be read when the run started"):
        bundle.images[0]


def test_pack_takes_the_cache_folder_that_it_is_given(memory_source, own_cache, tmp_path):
    packed(memory_source({"cat": 9, "dog": 9}), cache_dir=tmp_path / "other")
    assert len(packs(tmp_path / "other")) == 1
    assert list(own_cache.iterdir()) == []


def test_pack_that_is_interrupted_leaves_no_half_file_and_no_thread(memory_source, own_cache):
    def stop(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packed(memory_source({"cat": 9, "dog": 9}), progress=stop)
    assert not list(own_cache.rglob("*.pack*"))
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


# --- surroundings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", ["packed", "none"])
def test_pack_leaves_the_users_folder_byte_identical(tmp_path, fill, tree_hash, cache):
    root = fill(tmp_path / 'it\'s, "mine" (1)', {"train/cat": 9, "train/dög\n": 9, "val/cat": 3, "val/dög\n": 3})
    (root / "train/cat/empty.jpg").write_bytes(b"")
    (root / "train/cat/notes.txt").write_text("x")
    before = tree_hash(tmp_path)
    source = Folder(path=str(root))
    bundle = packed(source, cache=cache)
    assert len(bundle.quarantined) == 1
    assert len(bundle.images) == 24
    assert tree_hash(tmp_path) == before


def test_pack_of_a_folder_that_may_only_be_read(tmp_path, fill):
    root = fill(tmp_path / "pets", {"cat": 9, "dog": 9})
    for path in [*root.rglob("*"), root]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert len(packed(Folder(path=str(root))).images) == 18
    finally:
        for path in [root, *root.rglob("*")]:
            path.chmod(0o755)


PROGRAM = """
import signal, sys
from zoo_plugins.dataset_sources.folder import Folder
from zoo.data.listing import list_images
from zoo.data.pack import pack
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
if len(sys.argv) > 2:
    import resource
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
source = Folder(path=sys.argv[1])
try:
    bundle = pack(list_images(source), source, preprocess=Preprocess(14, (0.5,) * 3, (0.5,) * 3), threads=1)
    print(bundle.fingerprint, len(bundle.images), int(sum(image.sum() for image in bundle.images)))
except UserError as error:
    print(error)
"""


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )


@pytest.mark.parametrize("limit", [4, 3000, 18_000])
def test_pack_full_disk_says_what_to_do_and_leaves_no_half_file(tmp_path, fill, own_cache, limit):
    """A limit on the size of files is what a full disk is to a program, and needs no disk."""
    root = fill(tmp_path / "pets", {"cat": 9, "dog": 9})
    output = start(root, limit).communicate()[0]
    assert "the disk is full" in output
    assert "data.cache=none" in output
    assert not list(own_cache.rglob("*.pack*"))


def test_pack_two_processes_at_once(tmp_path, fill, own_cache):
    root = fill(tmp_path / "pets", {"cat": 60, "dog": 60})
    outputs = [process.communicate()[0] for process in [start(root) for _ in range(3)]]
    assert len(set(outputs)) == 1
    assert outputs[0].split()[1] == "120"
    assert len(packs(own_cache)) == 1
    assert not list(own_cache.rglob("*.tmp"))


def test_pack_two_runs_at_once_without_locks(memory_source, monkeypatch, own_cache):
    """Where the system has no locks both build, and both are right."""
    import contextlib

    monkeypatch.setattr(module, "lock", lambda path: contextlib.nullcontext())
    source = memory_source({"cat": 30, "dog": 30})
    listing = list_images(source)
    results = []

    def run():
        results.append(packed(source, listing=listing))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({bundle.fingerprint for bundle in results}) == 1
    assert all(np.array_equal(results[0].images[i], b.images[i]) for b in results for i in range(60))
    assert len(packs(own_cache)) == 1
    assert not list(own_cache.rglob("*.tmp"))


def test_pack_killed_in_the_middle_is_built_by_the_next(tmp_path, fill, own_cache):
    root = fill(tmp_path / "pets", {"cat": 9, "dog": 9})
    (own_cache / "packs").mkdir()
    (own_cache / "packs/.abc.pack.7-0a.tmp").write_bytes(b"half")
    assert start(root).communicate()[0].split()[1] == "18"


def test_pack_readers_in_other_processes_share_the_file(memory_source):
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork here")
    bundle = packed(memory_source({"cat": 9, "dog": 9}))
    expected = [int(bundle.images[i].sum()) for i in range(18)]
    pid = os.fork()
    if pid == 0:
        os._exit(0 if [int(bundle.images[i].sum()) for i in range(18)] == expected else 1)
    assert os.waitpid(pid, 0)[1] == 0


# --- fingerprint ---------------------------------------------------------------------------------------------------


def test_fingerprint_ignores_order_and_sees_everything_else():
    samples = [Sample("a", ("x",), "train"), Sample("b", ("x", "y"), "val")]
    hashes = ["11", "22"]
    reference = fingerprint(samples, hashes)
    assert reference == fingerprint(samples[::-1], hashes[::-1])
    assert reference == fingerprint([samples[0], Sample("b", ("y", "x"), "val", size_bytes=5, mtime_ns=5)], hashes)
    others = [
        fingerprint(samples, hashes[::-1]),
        fingerprint([samples[0], Sample("c", ("x", "y"), "val")], hashes),
        fingerprint([samples[0], Sample("b", ("x",), "val")], hashes),
        fingerprint([samples[0], Sample("b", ("x", "y"), "test")], hashes),
        fingerprint(samples[:1], hashes[:1]),
    ]
    assert len({reference, *others}) == 6


def test_fingerprint_takes_odd_keys():
    assert len(fingerprint([Sample("caf\udce9\n", ("é",), "train")], ["11"])) == 64


def test_read_images_for_an_audit_never_raises_for_bad_files(memory_source):
    source = memory_source({"cat": 5, "dog": 5})
    listing = list_images(source)
    source.contents = dict.fromkeys(source.contents, b"")
    store = read_images(listing, source, preprocess=PREPROCESS, cache="none")
    assert len(store) == 0
    assert len(store.index.bad) == 10
