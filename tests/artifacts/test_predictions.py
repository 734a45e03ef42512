from __future__ import annotations

import csv
import errno
import io
import json
import os

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.artifacts.predictions import Prediction, check_predictions_path, write_predictions
from zoo.errors import UserError

GOOD = Prediction("a.jpg", True, None, "cat", 0.75, (("cat", 0.75), ("dog", 0.2), ("owl", 0.05)))
BAD = Prediction('b, "x"\n.jpg', False, "empty file (0 bytes)")
LABELS = Prediction("c.jpg", True, None, "red", 0.9, (("red", 0.9), ("round", 0.8)), ("red", "round"), True)


def read_csv(path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        return list(csv.DictReader(stream))


def test_csv_has_a_row_for_each_image_bad_ones_too(tmp_path):
    first, second = read_csv(write_predictions([GOOD, BAD], tmp_path / "p.csv"))
    assert first == {
        "file": "a.jpg",
        "ok": "true",
        "label": "cat",
        "confidence": "0.75",
        "error": "",
        "label_2": "dog",
        "probability_2": "0.2",
        "label_3": "owl",
        "probability_3": "0.05",
    }
    assert second["file"] == BAD.file
    assert second["ok"] == "false"
    assert second["error"] == "empty file (0 bytes)"
    assert second["label"] == second["confidence"] == second["label_2"] == ""


def test_csv_of_labels_joins_them(tmp_path):
    first, second = read_csv(write_predictions([LABELS, BAD], tmp_path / "p.csv"))
    assert first["labels"] == "red|round"
    assert second["labels"] == ""


def test_csv_is_what_pandas_reads(tmp_path):
    table = pd.read_csv(write_predictions([GOOD, BAD], tmp_path / "p.csv"))
    assert table["file"].tolist() == ["a.jpg", BAD.file]
    assert table["ok"].tolist() == [True, False]
    assert table["confidence"][0] == 0.75
    assert pd.isna(table["confidence"][1])


def test_json_holds_everything(tmp_path):
    found = json.loads(write_predictions([GOOD, BAD, LABELS], tmp_path / "p.json").read_text())
    assert found[0]["top"][1] == {"label": "dog", "probability": 0.2}
    assert found[0]["error"] is None
    assert found[1] == {
        "file": BAD.file,
        "ok": False,
        "label": None,
        "confidence": None,
        "error": "empty file (0 bytes)",
        "labels": [],
        "top": [],
    }
    assert found[2]["labels"] == ["red", "round"]


def test_parquet_holds_everything(tmp_path):
    import pyarrow.parquet as pq

    rows = pq.read_table(write_predictions([GOOD, BAD, LABELS], tmp_path / "p.parquet")).to_pylist()
    plain = json.loads(write_predictions([GOOD, BAD, LABELS], tmp_path / "p.json").read_text())
    assert rows == plain


@pytest.mark.parametrize("name", ["p.csv", "p.json", "p.parquet"])
def test_no_rows_give_a_readable_file(tmp_path, name):
    path = write_predictions([], tmp_path / name)
    read = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}[name[2:]]
    assert len(read(path)) == 0


def test_the_ending_may_be_in_capitals(tmp_path):
    assert read_csv(write_predictions([GOOD], tmp_path / "P.CSV"))


@pytest.mark.parametrize("name", ["p.xlsx", "p", "p.csv.gz", "csv"])
def test_another_ending_is_refused_with_the_three(tmp_path, name):
    for call in (check_predictions_path, lambda path: write_predictions([GOOD], path)):
        with pytest.raises(UserError) as caught:
            call(tmp_path / name)
        assert caught.value.allowed == ".csv, .json, .parquet"
    assert os.listdir(tmp_path) == []


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "p.csv").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        check_predictions_path(tmp_path / "p.csv")


@pytest.mark.parametrize("name", ["p.csv", "p.json", "p.parquet"])
def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch, name):
    path = write_predictions([GOOD], tmp_path / name)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="the disk is full"):
        write_predictions([GOOD, BAD], path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [name]


names = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1)
shares = st.floats(0, 1)


@settings(max_examples=60)
@given(rows=st.lists(st.tuples(names, names, shares, st.booleans()), max_size=6))
def test_odd_names_round_trip_through_all_three(rows, tmp_path_factory):
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("odd")
    given_rows = [
        Prediction(file, True, None, label, share, ((label, share),)) if ok else Prediction(file, False, label)
        for file, label, share, ok in rows
    ]
    listed = read_csv(write_predictions(given_rows, folder / "p.csv"))
    assert [row["file"] for row in listed] == [row.file for row in given_rows]
    assert [row["label"] or None for row in listed] == [row.label for row in given_rows]
    assert [row["error"] or None for row in listed] == [row.error for row in given_rows]
    plain = json.loads(write_predictions(given_rows, folder / "p.json").read_text())
    assert [row["file"] for row in plain] == [row.file for row in given_rows]
    assert [row["confidence"] for row in plain] == [row.confidence for row in given_rows]
    assert pq.read_table(write_predictions(given_rows, folder / "p.parquet")).to_pylist() == plain


def test_a_name_that_is_no_unicode_keeps_its_bytes(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    row = Prediction(name, True, None, "cat", 1.0, (("cat", 1.0),))
    path = write_predictions([row], tmp_path / "p.csv")
    assert b"caf\xe9.jpg" in path.read_bytes()
    assert read_csv(path)[0]["file"] == name
    assert json.loads(write_predictions([row], tmp_path / "p.json").read_text())[0]["file"] == name
    assert pd.read_parquet(write_predictions([row], tmp_path / "p.parquet"))["file"][0] == "caf\\udce9.jpg"


def test_rows_of_different_length_fill_up_with_nothing(tmp_path):
    short = Prediction("s.jpg", True, None, "cat", 1.0, (("cat", 1.0),))
    text = write_predictions([short, GOOD], tmp_path / "p.csv").read_text()
    assert [len(row) for row in csv.reader(io.StringIO(text))] == [9, 9, 9]


def test_csv_of_labels_keeps_their_column_where_no_image_has_any(tmp_path):
    none = Prediction("d.jpg", True, None, "red", 0.2, (("red", 0.2), ("round", 0.1)), (), multi_label=True)
    (row,) = read_csv(write_predictions([none], tmp_path / "p.csv"))
    assert row["labels"] == ""
