"""The pack file: what goes in comes out, and what is torn is not believed."""

import errno
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.contracts.data import BadFile
from zoo.data.packfile import MARK, PackedStore, PackIndex, PackWriter, open_pack
from zoo.errors import UserError


def images(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def write(path, pixels, *, bad=(), unreadable=()):
    with PackWriter(path, root=path.parent) as writer:
        offsets = [writer.add(image) for image in pixels]
        index = PackIndex(
            keys=tuple(f"k{i}" for i in range(len(pixels))),
            sha256=tuple("ab" for _ in pixels),
            sizes=np.array([image.shape[:2] for image in pixels], np.int64).reshape(-1, 2),
            offsets=np.array(offsets, np.int64),
            shapes=np.array([image.shape for image in pixels], np.int64).reshape(-1, 3),
            bad=tuple(bad),
            unreadable=frozenset(unreadable),
        )
        writer.finish(index)
    return path


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 4])), max_size=8))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pack_returns_what_was_written(tmp_path_factory, shapes):
    pixels = images(shapes)
    store = open_pack(write(tmp_path_factory.mktemp("p") / "x.pack", pixels))
    assert len(store) == len(pixels)
    for i, image in enumerate(pixels):
        assert np.array_equal(store[i], image)


def test_pack_images_are_read_only_views(tmp_path):
    store = open_pack(write(tmp_path / "x.pack", images([(4, 5, 3)])))
    assert store[0].dtype == np.uint8
    assert store[0].base is not None
    assert type(store[0]) is np.ndarray
    with pytest.raises(ValueError, match="read-only"):
        store[0][0] = 1


def test_pack_writes_strided_images(tmp_path):
    image = images([(6, 8, 3)])[0][::2, ::-1]
    assert np.array_equal(open_pack(write(tmp_path / "x.pack", [image]))[0], image)


def test_pack_keeps_odd_keys_and_reasons(tmp_path):
    odd = "caf\udce9 \n\t\"',漢🐈"
    path = write(tmp_path / "x.pack", images([(1, 1, 1)]), bad=[BadFile(odd, f"why {odd}")], unreadable=[odd])
    index = open_pack(path).index
    assert index.bad == (BadFile(odd, f"why {odd}"),)
    assert index.unreadable == {odd}


def test_pack_without_images(tmp_path):
    assert len(open_pack(write(tmp_path / "x.pack", []))) == 0


def test_pack_out_of_range(tmp_path):
    store = open_pack(write(tmp_path / "x.pack", images([(1, 1, 1)])))
    with pytest.raises(IndexError):
        store[1]


def test_open_pack_where_there_is_none(tmp_path):
    assert open_pack(tmp_path / "x.pack") is None
    assert open_pack(tmp_path) is None


@pytest.mark.parametrize("kept", [0, 4, 8, 60, 100, 500, -100, -57, -56, -1])
def test_open_pack_does_not_believe_a_file_cut_off(tmp_path, kept):
    path = write(tmp_path / "x.pack", images([(9, 9, 3)] * 3))
    path.write_bytes(path.read_bytes()[:kept])
    assert open_pack(path) is None


@given(place=st.integers(1, 400), value=st.integers(1, 255))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_open_pack_does_not_believe_a_changed_index(tmp_path_factory, place, value):
    path = write(tmp_path_factory.mktemp("p") / "x.pack", images([(9, 9, 3)] * 3))
    data = bytearray(path.read_bytes())
    pixels = len(MARK) + 3 * 9 * 9 * 3
    data[pixels + place % (len(data) - pixels)] ^= value
    path.write_bytes(data)
    assert open_pack(path) is None


@pytest.mark.parametrize(
    "change", [lambda d: d + b"x", lambda d: b"x" + d, lambda d: b"X" + d[1:], lambda d: b"\0" * len(d)]
)
def test_open_pack_does_not_believe_other_changes(tmp_path, change):
    path = write(tmp_path / "x.pack", images([(9, 9, 3)]))
    path.write_bytes(change(path.read_bytes()))
    assert open_pack(path) is None


def test_open_pack_notes_the_use(tmp_path):
    path = write(tmp_path / "x.pack", images([(1, 1, 1)]))
    os.utime(path, ns=(1, 1))
    open_pack(path)
    assert path.stat().st_mtime_ns > 1


def test_writer_leaves_a_file_that_others_may_read(tmp_path):
    before = os.umask(0o022)
    try:
        path = write(tmp_path / "x.pack", images([(1, 1, 1)]))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_writer_leaves_nothing_after_an_exception(tmp_path):
    def fail():
        with PackWriter(tmp_path / "x.pack", root=tmp_path) as writer:
            writer.add(images([(4, 4, 3)])[0])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_writer_leaves_nothing_without_finish(tmp_path):
    with PackWriter(tmp_path / "x.pack", root=tmp_path) as writer:
        writer.add(images([(4, 4, 3)])[0])
    assert list(tmp_path.iterdir()) == []


def test_writer_replaces_an_older_file_at_once_and_the_older_stays_readable(tmp_path):
    first, second = images([(4, 4, 3)], 1), images([(5, 5, 3)], 2)
    old = open_pack(write(tmp_path / "x.pack", first))
    write(tmp_path / "x.pack", second)
    assert np.array_equal(old[0], first[0])
    assert np.array_equal(open_pack(tmp_path / "x.pack")[0], second[0])
    assert [path.name for path in tmp_path.iterdir()] == ["x.pack"]


def test_writer_makes_its_folder(tmp_path):
    assert open_pack(write(tmp_path / "a/b/x.pack", images([(1, 1, 1)]))) is not None


def test_writer_in_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be written"):
        PackWriter(tmp_path / "file/x.pack", root=tmp_path).__enter__()


def test_writer_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="the disk is full"):
        write(tmp_path / "x.pack", images([(4, 4, 3)]))
    assert list(tmp_path.iterdir()) == []


def test_writer_wants_a_with_block(tmp_path):
    with pytest.raises(ValueError, match="with block"):
        PackWriter(tmp_path / "x.pack", root=tmp_path).add(images([(4, 4, 3)])[0])


def test_index_json_round_trip():
    index = PackIndex(("a",), ("ff",), np.array([[3, 4]]), np.array([8]), np.array([[3, 4, 1]]), (), frozenset())
    again = PackIndex.from_json(index.to_json())
    assert again.keys == index.keys
    assert again.sizes.tolist() == [[3, 4]]
    assert again.shapes.dtype == np.int64
    assert isinstance(PackedStore.__doc__, str)
