"""CSV and JSON lines: read back with the libraries that people read them with, and cut back where a run goes on."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from zoo_plugins.tracking.curve_files import Csv, JsonLines

from zoo.contracts.tracking import TrackedRun
from zoo.errors import UserError


def run_in(folder: Path, *, step: int = -1, resumed: bool = False) -> TrackedRun:
    return TrackedRun("run", folder, {"train.seed": 0}, resumed, folder / "trackers" / "own", step)


def lines_of(folder: Path) -> list[tuple[int, str, float]]:
    text = (folder / "trackers" / "own" / "curves.jsonl").read_text()
    return [(row["step"], row["name"], row["value"]) for row in map(json.loads, text.splitlines())]


def table_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "trackers" / "own" / "curves.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def log_some(tracker, *, start: int = 0) -> None:
    if start == 0:
        tracker.log({"val/loss": 2.5}, 0)
    for step in range(max(2, start), 8, 2):
        tracker.log({"train/loss": 1 / step, "train/lr": 0.1}, step)
        if step % 4 == 0:
            tracker.log({"val/loss": 1 / (step + 1), "val/accuracy": 0.5}, step)


@pytest.mark.parametrize("kind", [Csv, JsonLines])
def test_the_file_is_in_the_trackers_own_folder_and_readable_before_anything_is_logged(tmp_path, kind):
    tracker = kind()
    assert list(tmp_path.iterdir()) == []
    tracker.start(run_in(tmp_path))
    assert [file.name for file in (tmp_path / "trackers" / "own").iterdir()] == [kind.FILE]
    assert (table_of if kind is Csv else lines_of)(tmp_path) == []


def test_json_lines_hold_one_value_each(tmp_path):
    tracker = JsonLines()
    tracker.start(run_in(tmp_path))
    log_some(tracker)
    tracker.finish({"test/accuracy": 0.75})
    found = lines_of(tmp_path)
    assert found[:4] == [(0, "val/loss", 2.5), (2, "train/loss", 0.5), (2, "train/lr", 0.1), (4, "train/loss", 0.25)]
    assert found[-1] == (6, "test/accuracy", 0.75)


def test_json_lines_know_no_nan(tmp_path):
    tracker = JsonLines()
    tracker.start(run_in(tmp_path))
    tracker.log({"val/loss": math.nan}, 1)
    assert lines_of(tmp_path) == [(1, "val/loss", None)]


def test_the_table_has_a_row_a_step_and_a_column_a_curve(tmp_path):
    tracker = Csv()
    tracker.start(run_in(tmp_path))
    log_some(tracker)
    tracker.finish({"test/accuracy": 0.75})
    rows = table_of(tmp_path)
    assert list(rows[0]) == ["step", "val/loss", "train/loss", "train/lr", "val/accuracy", "test/accuracy"]
    assert [row["step"] for row in rows] == ["0", "2", "4", "6"]
    assert rows[2].pop("test/accuracy") == ""
    assert list(rows[2].values()) == ["4", "0.2", "0.25", "0.1", "0.5"]
    assert (rows[0]["val/loss"], rows[0]["train/loss"]) == ("2.5", "")
    assert rows[3]["test/accuracy"] == "0.75"


def test_numbers_come_back_to_the_bit(tmp_path):
    tracker = Csv()
    tracker.start(run_in(tmp_path))
    values = [0.1 + 0.2, 1e-17, 1 / 3, 123456789.123]
    for step, value in enumerate(values):
        tracker.log({"a": value}, step)
    assert [float(row["a"]) for row in table_of(tmp_path)] == values


def test_pandas_reads_the_table_as_numbers(tmp_path):
    pandas = pytest.importorskip("pandas")
    tracker = Csv()
    tracker.start(run_in(tmp_path))
    log_some(tracker)
    frame = pandas.read_csv(tmp_path / "trackers" / "own" / "curves.csv")
    assert frame["step"].tolist() == [0, 2, 4, 6]
    assert frame["train/loss"].tolist()[1:] == [0.5, 0.25, 1 / 6]
    assert frame["val/accuracy"].isna().tolist() == [True, True, False, True]


@pytest.mark.parametrize("kind", [Csv, JsonLines])
@pytest.mark.parametrize("torn", [b"", b"9", b'{"step": 9, "na'])
def test_a_resumed_run_goes_on_without_doubling(tmp_path, kind, torn):
    """Killed when step 6 was logged, with a checkpoint at step 4; the last line may be torn."""
    whole = kind()
    whole.start(run_in(tmp_path / "whole"))
    log_some(whole)
    whole.finish({"test/accuracy": 1.0})
    first = kind()
    first.start(run_in(tmp_path / "part"))
    log_some(first)
    file = tmp_path / "part" / "trackers" / "own" / kind.FILE
    file.write_bytes(file.read_bytes() + torn)
    second = kind()
    second.start(run_in(tmp_path / "part", step=4, resumed=True))
    log_some(second, start=6)
    second.finish({"test/accuracy": 1.0})
    assert file.read_bytes() == (tmp_path / "whole" / "trackers" / "own" / kind.FILE).read_bytes()


@pytest.mark.parametrize("kind", [Csv, JsonLines])
def test_a_run_without_a_checkpoint_begins_anew(tmp_path, kind):
    first = kind()
    first.start(run_in(tmp_path))
    log_some(first)
    before = (tmp_path / "trackers" / "own" / kind.FILE).read_bytes()
    second = kind()
    second.start(run_in(tmp_path, step=-1, resumed=True))
    assert (table_of if kind is Csv else lines_of)(tmp_path) == []
    log_some(second)
    rows = table_of(tmp_path) if kind is Csv else lines_of(tmp_path)
    assert len(rows) == len(before.splitlines()) - (kind is Csv)


def test_the_row_of_the_checkpoint_takes_what_comes_late(tmp_path):
    """Training of step 4 was logged before the checkpoint, its validation after it."""
    first = Csv()
    first.start(run_in(tmp_path))
    first.log({"train/loss": 0.25}, 4)
    second = Csv()
    second.start(run_in(tmp_path, step=4, resumed=True))
    second.log({"val/loss": 0.5}, 4)
    assert table_of(tmp_path) == [{"step": "4", "train/loss": "0.25", "val/loss": "0.5"}]


@pytest.mark.parametrize("kind", [Csv, JsonLines])
def test_a_full_disk_is_said_and_leaves_whole_lines(tmp_path, kind, monkeypatch):
    tracker = kind()
    tracker.start(run_in(tmp_path))
    log_some(tracker)
    file = tmp_path / "trackers" / "own" / kind.FILE
    before = file.read_bytes()

    class Full:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def write(self, content):
            return self.stream.write(content[:3])

    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: Full(opened(self, *a, **k)))
    with pytest.raises(UserError, match="the disk is full"):
        tracker.log({"train/loss": 0.1, "train/lr": 0.1}, 10)
    monkeypatch.undo()
    assert file.read_bytes() == before
