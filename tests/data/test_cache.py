"""Where the cache lies, how it stays within bounds, and what a full disk says."""

import errno
import os
import threading
import time
from pathlib import Path

import pytest

from zoo.data.cache import cache_root, cache_write_errors, lock, prune
from zoo.errors import UserError


def test_cache_root_in_order_of_preference(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "own"))
    assert cache_root(tmp_path / "given") == tmp_path / "given"
    assert cache_root() == tmp_path / "own"
    monkeypatch.delenv("ZOO_CACHE")
    assert cache_root() == tmp_path / "xdg/zoo"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == tmp_path / "home/.cache/zoo"


def test_cache_root_expands_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root("~/c") == tmp_path / "c"
    monkeypatch.setenv("ZOO_CACHE", "~/d")
    assert cache_root() == tmp_path / "d"


def test_cache_root_takes_an_empty_variable_for_none(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZOO_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_root() == tmp_path / ".cache/zoo"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_cache_write_errors_full_disk(code):
    with pytest.raises(UserError) as caught, cache_write_errors(Path("/some/cache")):
        raise OSError(code, os.strerror(code))
    text = str(caught.value)
    assert "the disk is full" in text
    assert "/some/cache" in text
    assert "data.cache=none" in text
    assert "ZOO_CACHE" in text


def test_cache_write_errors_no_permission():
    with pytest.raises(UserError, match="Permission denied"), cache_write_errors(Path("/some/cache")):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_cache_write_errors_lets_others_through():
    with pytest.raises(KeyError), cache_write_errors(Path("/some/cache")):
        raise KeyError


def fill(root, sizes):
    """Packs of given sizes, the first the longest unused."""
    (root / "packs").mkdir(parents=True)
    for i, (name, size) in enumerate(sizes.items()):
        path = root / "packs" / name
        path.write_bytes(b"x" * size)
        os.utime(path, ns=(i, 1000 + i))


def test_prune_removes_the_longest_unused_until_it_fits(tmp_path):
    fill(tmp_path, {"a.pack": 100, "b.pack": 100, "c.pack": 100})
    assert [path.name for path in prune(tmp_path, limit_bytes=250)] == ["a.pack"]
    assert prune(tmp_path, limit_bytes=250) == []
    assert [path.name for path in prune(tmp_path, limit_bytes=0)] == ["b.pack", "c.pack"]


def test_prune_keeps_what_it_is_told_to_keep(tmp_path):
    fill(tmp_path, {"a.pack": 100, "b.pack": 100})
    prune(tmp_path, limit_bytes=0, keep=tmp_path / "packs/a.pack")
    assert [path.name for path in (tmp_path / "packs").iterdir()] == ["a.pack"]


def test_prune_removes_temporary_files_of_killed_runs_only(tmp_path):
    fill(tmp_path, {"a.pack.tmp-old": 5, "a.lock": 5})
    fresh = tmp_path / "packs/b.pack.tmp-fresh"
    fresh.write_bytes(b"x")
    assert [path.name for path in prune(tmp_path)] == ["a.pack.tmp-old"]
    assert fresh.exists()
    assert (tmp_path / "packs/a.lock").exists()


def test_prune_reaches_features_and_archives_and_what_killed_runs_left_of_them(tmp_path):
    fill(tmp_path, {"a.pack": 100, ".b.pack.7-0a.tmp": 5})
    for name in ("archives/a.tar", "archives/.b.tar.7-0a.tmp", "features/a.npy", "features/.b.npy.7"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 100)
        os.utime(path, ns=(5, 5))
    left = {".b.pack.7-0a.tmp", ".b.tar.7-0a.tmp", ".b.npy.7"}
    assert {path.name for path in prune(tmp_path)} == left
    assert {path.name for path in prune(tmp_path, limit_bytes=100)} == {"a.tar", "a.npy"}


def test_prune_never_touches_other_files(tmp_path):
    (tmp_path / "packs").mkdir()
    for name in ("notes.txt", "packs/notes.txt", "model.pt"):
        (tmp_path / name).write_text("mine")
    assert prune(tmp_path, limit_bytes=0) == []
    assert prune(tmp_path / "nowhere", limit_bytes=0) == []


def test_lock_holds_others_off(tmp_path):
    order = []

    def second():
        with lock(tmp_path / "x.lock"):
            order.append("second")

    with lock(tmp_path / "x.lock"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_lock_is_free_after_an_exception(tmp_path):
    with pytest.raises(KeyError), lock(tmp_path / "x.lock"):
        raise KeyError
    with lock(tmp_path / "x.lock"):
        pass
