"""Files by relative path, in folders and in archives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_plugins.dataset_sources.trees import DiskTree, MemberTree, is_junk


@pytest.mark.parametrize("name", [".DS_Store", "._a.png", "__MACOSX", "__macosx", "Thumbs.db", "THUMBS.DB", "@eaDir"])
def test_is_junk(name):
    assert is_junk(name)


@pytest.mark.parametrize("name", ["a.png", "thumbs", "MACOSX", "a.b", "eaDir"])
def test_is_not_junk(name):
    assert not is_junk(name)


def test_disk_tree_lists_files_and_folders_sorted(tmp_path):
    for name in ("b/2.txt", "b/1.txt", "a/x/y.txt", "root.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    tree = DiskTree(tmp_path)
    assert [info.path for info in tree.files] == ["a/x/y.txt", "b/1.txt", "b/2.txt", "root.txt"]
    assert list(tree.folders) == ["a", "a/x", "b"]
    assert tree.files[0].size_bytes == len("a/x/y.txt")
    assert tree.read("b/2.txt") == b"b/2.txt"


def test_disk_tree_lists_once(tmp_path):
    tree = DiskTree(tmp_path)
    assert list(tree.files) == []
    (tmp_path / "late.txt").write_text("x")
    assert list(tree.files) == []
    assert tree.find("late.txt") is not None


def test_disk_tree_find(tmp_path):
    (tmp_path / "a.txt").write_text("abc")
    (tmp_path / "folder").mkdir()
    tree = DiskTree(tmp_path)
    assert tree.find("a.txt").size_bytes == 3
    assert tree.find("folder") is None
    assert tree.find("nowhere") is None
    assert tree.find("a\0b") is None


def member_tree(names):
    return MemberTree("a.zip", dict.fromkeys(names, 5), mtime_ns=7, left_out=0)


def test_member_tree_normalises_paths():
    tree = member_tree(["./a/b.png", "c//d.png", "e\\f.png"])
    assert [info.path for info in tree.files] == ["a/b.png", "c/d.png", "e/f.png"]
    assert list(tree.folders) == ["a", "c", "e"]
    assert tree.member("c/d.png") == "c//d.png"
    assert tree.find("a/b.png").mtime_ns == 7
    assert tree.find("./a/b.png") is None


def test_member_tree_folders_include_all_above():
    assert list(member_tree(["a/b/c/d.png", "x.png"]).folders) == ["a", "a/b", "a/b/c"]


@given(st.lists(st.lists(st.sampled_from(["..", ".", "", "a", "b.png", "C:", "\\", "/"]), max_size=6).map("/".join)))
def test_member_tree_never_lists_a_path_that_leads_out(names):
    tree = member_tree(names)
    for info in tree.files:
        parts = info.path.split("/")
        assert ".." not in parts
        assert "" not in parts
        assert not info.path.startswith(("/", "\\"))
        assert tree.member(info.path) in names


def test_member_tree_open_is_a_file_in_memory():
    class Fixed(MemberTree):
        def read(self, path):
            return path.encode()

    with Fixed("a.zip", {"x.txt": 5}, mtime_ns=1, left_out=0).open("x.txt") as file:
        file.seek(2)
        assert file.read() == b"txt"
