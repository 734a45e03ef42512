from __future__ import annotations

import enum
import errno
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo import files
from zoo.errors import UserError
from zoo.files import read_json, temporary_name, to_json, to_plain, write_bytes, write_json, write_text


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    x: float
    tags: tuple[str, ...]


def test_write_bytes_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "a" / "b.bin"
    assert write_bytes(path, b"one") == path
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["b.bin"]


def test_write_bytes_is_readable_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        path = write_bytes(tmp_path / "x", b"")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "Permission denied")]
)
def test_write_bytes_failure_keeps_the_old_file_and_leaves_no_rest(tmp_path, monkeypatch, call, number, message):
    path = write_bytes(tmp_path / "x.json", b"old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(UserError, match=message) as caught:
        write_bytes(path, b"new")
    assert caught.value.where == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.json"]


def test_write_bytes_beyond_the_size_a_process_may_write_keeps_the_old_file(tmp_path):
    resource = pytest.importorskip("resource")
    path = write_bytes(tmp_path / "x", b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(UserError, match="the disk is full"):
            write_bytes(path, bytes(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_write_bytes_below_a_file_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "x", b"")


def test_write_bytes_takes_names_as_long_as_the_file_system_does(tmp_path):
    for name in ("n" * 255, "ü" * 127):
        assert write_bytes(tmp_path / name, b"x").read_bytes() == b"x"


@given(name=st.text(min_size=1))
def test_temporary_name_is_short_hidden_and_new_each_time(name):
    one, two = temporary_name(name), temporary_name(name)
    assert one != two
    assert one.startswith(".")
    assert one.endswith(".tmp")
    assert len(os.fsencode(one.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape"))) <= 255


def test_write_text_keeps_bytes_that_are_no_unicode(tmp_path):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert write_text(tmp_path / "x", name).read_bytes() == b"caf\xe9"


def test_to_plain_by_example():
    value = {
        "enum": Colour.RED,
        "point": Point(1.5, ("a", "b")),
        "array": np.array([[1, 2]]),
        "float32": np.float32(0.5),
        "flag": np.bool_(True),
        "path": Path("a/b"),
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "nan": float("nan"),
        "inf": np.inf,
        "set": {3, 1, 2},
        5: None,
    }
    assert to_plain(value) == {
        "enum": "red",
        "point": {"x": 1.5, "tags": ["a", "b"]},
        "array": [[1, 2]],
        "float32": 0.5,
        "flag": True,
        "path": "a/b",
        "time": "2026-01-02T03:04:05+00:00",
        "nan": None,
        "inf": None,
        "set": [1, 2, 3],
        "5": None,
    }
    assert type(to_plain(Colour.RED)) is str


@pytest.mark.parametrize("value", [object(), b"bytes", {"a": object()}, Point])
def test_to_plain_refuses_what_has_no_form(value):
    with pytest.raises(TypeError, match="no form in JSON"):
        to_plain(value)


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(value=plain_values)
def test_json_round_trips(value):
    assert json.loads(to_json(value)) == value


def test_write_json_and_read_json(tmp_path):
    path = write_json(tmp_path / "x.json", {"a": (1, float("nan"))})
    assert read_json(path) == {"a": [1, None]}
    assert path.read_text().endswith("}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "x.json is missing"), (b"{", "no valid JSON"), (b"\xff\xfe\x00", "no valid JSON"), (b"", "no valid JSON")],
)
def test_read_json_says_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_json(path)


def test_read_json_of_a_folder_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_json(tmp_path)


def test_write_error_offers_another_disk():
    error = files.write_error(OSError(errno.ENOSPC, "x"), Path("runs/model"))
    assert "another disk" in str(error)
    assert error.exit_code == 2
