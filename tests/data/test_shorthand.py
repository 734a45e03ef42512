"""`data=PATH`: which source reads a path."""

import os
from pathlib import Path

import pytest

from zoo.data.shorthand import source_name_for
from zoo.errors import UserError


@pytest.mark.parametrize("name", ["a.csv", "A.CSV", "a.tsv", "a.jsonl", "a.parquet", "my photos, 2 (new).csv"])
def test_files_that_are_tables(tmp_path, name):
    (tmp_path / name).write_text("x")
    assert source_name_for(tmp_path / name) == "table"


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.TGZ", "a.tar.bz2", "a.tar.xz", "a.zip", "a.b.Zip"])
def test_files_that_are_archives(tmp_path, name):
    (tmp_path / name).write_text("x")
    assert source_name_for(tmp_path / name) == "archive"


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name.endswith("/") else path.write_text("x")
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("cat/1.png", "dog/1.png"),
        ("train/cat/1.png", "val/cat/1.png"),
        ("train/cat/1.png", "labels.csv"),
        ("cat/1.png", "dog/1.png", "labels.csv"),
        ("1.png", "2.png"),
        (),
        ("a.csv", "b.csv"),
        ("images/1.png", "classes.tsv"),
    ],
)
def test_folders_that_are_folders(tmp_path, names):
    assert source_name_for(make(tmp_path, *names)) == "folder"


@pytest.mark.parametrize(
    "names",
    [
        ("train-0.parquet",),
        ("data/train-0.parquet", "README.md"),
        ("x.PARQUET", "cat/1.png", "dog/1.png"),
        ("labels.csv", "images/1.png"),
        ("labels.csv", "1.png"),
        ("labels.csv", "train/1.png", "train/.ipynb_checkpoints/1.png"),
        ("labels.csv", "train/1.png", "data/.cache.parquet"),
        ("labels.csv", "classes.tsv", "train/1.png", "test/1.png"),
    ],
)
def test_folders_that_are_tables(tmp_path, names):
    assert source_name_for(make(tmp_path, *names)) == "table"


def test_folder_with_hidden_parquet_files_is_a_folder(tmp_path):
    assert source_name_for(make(tmp_path, ".x.parquet", "cat/1.png")) == "folder"


def test_path_that_is_not_there_lists_what_is(tmp_path):
    make(tmp_path, "photos/", "photons.txt", "zebra/", ".hidden")
    with pytest.raises(UserError) as caught:
        source_name_for(tmp_path / "photo" / "train")
    text = str(caught.value)
    assert str(tmp_path / "photo/train") in text
    assert str(tmp_path) in text
    assert text.index("photos") < text.index("zebra")
    assert ".hidden" not in text


def test_relative_path_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(make(tmp_path, "photos/"))
    with pytest.raises(UserError, match="photos"):
        source_name_for(Path("photso"))


@pytest.mark.parametrize("name", ["a.txt", "a.png", "a", "a.gz", "a.rar"])
def test_file_of_no_known_kind(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(UserError, match=r"\.zip"):
        source_name_for(tmp_path / name)


def test_hub_names_say_that_a_plugin_is_wanted():
    with pytest.raises(UserError, match="pip install a plugin"):
        source_name_for(Path("hf:someone/pets"))


def test_path_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("x")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match="may not be read"):
        source_name_for(tmp_path / "a.csv")


def test_folder_in_it_that_cannot_be_listed(tmp_path, unlistable):
    make(tmp_path, "labels.csv", "train/cat/1.png")
    unlistable("train")
    with pytest.raises(UserError, match="train' cannot be listed: Permission denied"):
        source_name_for(tmp_path)


def test_odd_names(tmp_path):
    for name in ("it's", "a,b", "photos (1)", "año\n", "=x", "[y]"):
        make(tmp_path / name, "cat/1.png")
        assert source_name_for(tmp_path / name) == "folder"
