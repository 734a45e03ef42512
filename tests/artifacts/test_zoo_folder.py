"""A zoo in a folder: names, the index that the folders are, and two publishers at once as real processes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.artifacts.zoo_folder import (
    LONGEST_NAME,
    Placed,
    check_name,
    describe,
    identity,
    place,
    plain_name,
    published_names,
    zoo_folders,
)
from zoo.errors import UserError


def card(value: object, **published: object) -> dict[str, object]:
    return {"classes": [value], "origin": {"run": "r", "published": published}, "sha256": {"model.safetensors": "ab"}}


def fill(values: dict[str, object]):
    def write(folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"tensors")
        (folder / "zoo.json").write_text(json.dumps(values))

    return write


def put(zoo: Path, name: str, values: dict[str, object]) -> Placed:
    return place(zoo, name, fill=fill(values), content=identity(values))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["a", "resnet18-flowers", "A_1", "0x", "a" * LONGEST_NAME])
def test_a_name_of_letters_digits_and_dashes_is_taken(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", ".", ".hidden", "a b", "-x", "_x", "a.b", "é", "a\n", "a\0b", "a" * (LONGEST_NAME + 1)]
)
def test_any_other_name_is_refused_with_one_that_would_do(name):
    with pytest.raises(UserError) as caught:
        check_name(name)
    assert caught.value.where == f"name={name}"
    proposed = caught.value.do[0].removeprefix("name=")
    assert check_name(proposed) == proposed


@given(st.lists(st.text(max_size=60), min_size=1, max_size=3))
def test_plain_name_makes_a_name_of_anything_or_nothing(parts):
    name = plain_name(*parts)
    assert name == "" or check_name(name) == name


def test_plain_name_joins_what_is_left():
    assert plain_name("resnet18", "my photos (1)") == "resnet18-my-photos-1"
    assert plain_name("resnet18", "鸟") == "resnet18"


def test_a_model_is_placed_whole_and_listed(tmp_path):
    zoo = tmp_path / "new" / "zoo"
    assert put(zoo, "pets", card(1)) == Placed(zoo / "pets", new=True)
    assert put(zoo, "birds", card(2)).new
    (zoo / ".half.1-ab.tmp").mkdir()
    (zoo / ".half.1-ab.tmp" / "zoo.json").write_text("{}")
    (zoo / "notes.txt").write_text("mine")
    (zoo / "empty").mkdir()
    assert published_names(zoo) == ["birds", "pets"]
    assert set(tree(zoo / "pets")) == {"model.safetensors", "zoo.json"}


def test_the_same_model_is_there_once_and_another_is_refused(tmp_path):
    put(tmp_path, "pets", card(1, on="2026-11-25"))
    before = tree(tmp_path)
    assert put(tmp_path, "pets", card(1, on="2026-12-01")) == Placed(tmp_path / "pets", new=False)
    with pytest.raises(UserError, match="another model is in") as caught:
        put(tmp_path, "pets", card(2))
    assert "name=pets-2" in caught.value.do[0]
    with pytest.raises(UserError, match="another model"):
        put(tmp_path, "pets", card(1, license="mit"))
    assert tree(tmp_path) == before
    put(tmp_path, "pets-2", card(2))
    with pytest.raises(UserError) as caught:
        put(tmp_path, "pets-2", card(3))
    assert "name=pets-3" in caught.value.do[0]
    with pytest.raises(UserError) as caught:
        put(tmp_path, "pets", card(3))
    assert "name=pets-3" in caught.value.do[0]


def test_what_is_no_model_keeps_its_place(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    before = tree(tmp_path)
    for name in ("thesis", "file", "link"):
        with pytest.raises(UserError, match="something else is in"):
            put(tmp_path, name, card(1))
    assert tree(tmp_path) == before
    (tmp_path / "empty").mkdir()
    assert put(tmp_path, "empty", card(1)).new


@pytest.mark.parametrize("inside", ["zoo.json", "record.json", "config.yaml"])
def test_a_run_or_a_model_is_no_zoo(tmp_path, inside):
    (tmp_path / inside).write_text("{}")
    with pytest.raises(UserError, match="is a run or a saved model"):
        put(tmp_path, "pets", card(1))
    assert os.listdir(tmp_path) == [inside]


def test_a_file_is_no_zoo(tmp_path):
    (tmp_path / "zoo").write_text("mine")
    with pytest.raises(UserError, match="is no folder"):
        put(tmp_path / "zoo", "pets", card(1))
    with pytest.raises(UserError, match="cannot be written"):
        put(tmp_path / "zoo" / "inner", "pets", card(1))
    assert (tmp_path / "zoo").read_text() == "mine"


@pytest.mark.parametrize("call", ["mkdir", "fsync", "rename"])
@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "cannot be written")])
def test_a_failure_leaves_nothing_not_even_the_folder_it_made(tmp_path, monkeypatch, call, number, said):
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    def write(folder: Path) -> None:
        fill(card(1))(folder)
        with (folder / "zoo.json").open("rb") as stream:
            os.fsync(stream.fileno())

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(UserError, match=said) as caught:
            place(tmp_path / "a" / "zoo", "pets", fill=write, content={})
    assert "to=" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_refusal_while_writing_leaves_nothing(tmp_path):
    def refuse(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise UserError("changed while it was copied")

    with pytest.raises(UserError, match="changed while"):
        place(tmp_path / "zoo", "pets", fill=refuse, content={})
    assert os.listdir(tmp_path) == []


PUBLISH = """
import json, os, sys, time
from pathlib import Path
from zoo.artifacts.zoo_folder import identity, place
from zoo.errors import UserError

zoo, name, value, start = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])

def fill(folder):
    for number in range(20):
        (folder / f"{number}.bin").write_bytes(bytes([value]) * 10_000)
    (folder / "zoo.json").write_text(json.dumps({"classes": [value], "sha256": {}, "origin": {}}))

content = identity({"classes": [value], "sha256": {}, "origin": {}})
time.sleep(max(0.0, start - time.time()))
try:
    print("new" if place(zoo, name, fill=fill, content=content).new else "there")
except UserError as error:
    print("refused")
"""


def publish_at_once(zoo: Path, wanted: list[tuple[str, int]]) -> list[str]:
    """What each of several processes says that publish at the same moment."""
    start = str(time.time() + 1.5)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISH, str(zoo), name, str(value), start], stdout=subprocess.PIPE, text=True
        )
        for name, value in wanted
    ]
    return [process.communicate(timeout=60)[0].strip() for process in running]


def test_publishers_of_one_name_have_one_winner_and_nothing_is_torn(tmp_path):
    said = publish_at_once(tmp_path / "zoo", [("pets", value) for value in (1, 2, 3)])
    assert sorted(said) == ["new", "refused", "refused"]
    winner = said.index("new") + 1
    assert os.listdir(tmp_path / "zoo") == ["pets"]
    content = tree(tmp_path / "zoo" / "pets")
    assert len(content) == 21
    assert json.loads(content.pop("zoo.json"))["classes"] == [winner]
    assert set(content.values()) == {bytes([winner]) * 10_000}


def test_publishers_of_one_model_agree_and_those_of_two_lose_nothing(tmp_path):
    said = publish_at_once(tmp_path / "zoo", [("same", 7), ("same", 7), ("other", 8)])
    assert sorted(said[:2]) == ["new", "there"]
    assert said[2] == "new"
    assert sorted(os.listdir(tmp_path / "zoo")) == ["other", "same"]


def test_zoo_path_names_folders_in_order(tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    (tmp_path / "a").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZOO_PATH", os.pathsep.join([str(tmp_path / "b"), "", "~/a"]))
    assert zoo_folders() == (tmp_path / "b", tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    assert zoo_folders("a") == (tmp_path / "a",)
    monkeypatch.delenv("ZOO_PATH")
    assert zoo_folders() == ()
    with pytest.raises(UserError, match="which is no folder"):
        zoo_folders(str(tmp_path / "gone"))


def test_a_description_that_is_damaged_is_said_to_be(tmp_path):
    for text in ("{", "[]", '{"classes": 3}'):
        (tmp_path / "zoo.json").write_text(text)
        with pytest.raises(UserError, match=r"damaged|no valid JSON"):
            describe(tmp_path)
