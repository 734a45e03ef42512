from __future__ import annotations

import csv
import errno
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zoo.contracts.data import Task
from zoo.contracts.evaluation import Outputs, Scores
from zoo.errors import UserError
from zoo.evaluation.calibration import reliability
from zoo.evaluation.metrics import score
from zoo.evaluation.report import plain_scores, render_scores, write_curves, write_report


def single_outputs(classes: int = 4, count: int = 60, *, seed: int = 0) -> Outputs:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)).astype(np.float32)
    logits[np.arange(count), targets] += 1.5
    return Outputs(logits, targets, np.arange(count), 0.5)


def scores_of(names: list[str], *, count: int = 60) -> Scores:
    return score(single_outputs(len(names), count), split="test", classes=names, task=Task.SINGLE_LABEL)


def label_scores(names: list[str], *, count: int = 50) -> Scores:
    rng = np.random.default_rng(0)
    targets = (rng.random((count, len(names))) < 0.3).astype(np.float32)
    logits = (rng.normal(size=targets.shape) + 2 * targets - 1).astype(np.float32)
    return score(Outputs(logits, targets, np.arange(count), 0.1), split="val", classes=names, task=Task.MULTI_LABEL)


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        return list(csv.reader(stream))


def test_write_report_leaves_the_files_it_promises(tmp_path):
    outputs = single_outputs()
    scores = score(outputs, split="test", classes=list("abcd"), task=Task.SINGLE_LABEL)
    paths = write_report(tmp_path / "report" / "test", scores, reliability=reliability(outputs, task=Task.SINGLE_LABEL))
    expected = {"scores.json", "confusion.csv", "per_class.csv", "confusion.png", "reliability.png"}
    assert {path.name for path in paths} == expected == set(os.listdir(tmp_path / "report" / "test"))
    for path in paths:
        assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def test_write_report_json_holds_the_numbers(tmp_path):
    scores = scores_of(list("abcdefg"))
    write_report(tmp_path, scores)
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found == plain_scores(scores)
    assert found["accuracy"] == {
        "value": scores.accuracy.value,
        "low": scores.accuracy.low,
        "high": scores.accuracy.high,
    }
    assert found["top5"]["value"] == scores.top5.value
    assert found["count"] == 60
    assert np.array_equal(found["confusion"], scores.confusion)
    assert [entry["name"] for entry in found["classes"]] == list("abcdefg")


def test_plain_scores_writes_nan_as_null():
    outputs = Outputs(np.eye(3, dtype=np.float32)[[0, 1]], np.array([0, 1]), np.arange(2), float("nan"))
    found = plain_scores(score(outputs, split="val", classes=list("abc"), task=Task.SINGLE_LABEL))
    assert found["classes"][2]["precision"] == {"value": None, "low": None, "high": None}
    assert found["classes"][2]["f1"] is None
    assert found["loss"] is None
    assert found["top5"] is None
    json.dumps(found, allow_nan=False)


def test_write_report_confusion_csv_is_the_matrix(tmp_path):
    scores = scores_of(["cat", "dog", "a, b", 'quo"te'])
    write_report(tmp_path, scores)
    header, *rows = rows_of(tmp_path / "confusion.csv")
    assert header == ["truth \\ prediction", "cat", "dog", "a, b", 'quo"te']
    assert [row[0] for row in rows] == header[1:]
    assert np.array_equal([[int(cell) for cell in row[1:]] for row in rows], scores.confusion)


def test_write_report_per_class_csv_leaves_unknown_cells_empty(tmp_path):
    outputs = Outputs(np.eye(3, dtype=np.float32)[[0, 1]], np.array([0, 1]), np.arange(2), 0.0)
    write_report(tmp_path, score(outputs, split="val", classes=list("abc"), task=Task.SINGLE_LABEL))
    header, first, _, third = rows_of(tmp_path / "per_class.csv")
    assert header[:4] == ["class", "support", "precision", "precision_low"]
    assert first[:3] == ["a", "1", "1.0"]
    assert third == ["c", "0", "", "", "", "", "", "", ""]


def test_write_report_multi_label_counts_each_label(tmp_path):
    scores = label_scores(["red", "round", "old"])
    paths = write_report(tmp_path, scores)
    assert {path.name for path in paths} == {"scores.json", "confusion.csv", "per_class.csv", "labels.png"}
    header, *rows = rows_of(tmp_path / "confusion.csv")
    assert header == ["label", "true_negative", "false_positive", "false_negative", "true_positive"]
    assert [[int(cell) for cell in row[1:]] for row in rows] == [table.ravel().tolist() for table in scores.confusion]


@settings(max_examples=20)
@given(names=st.lists(st.text(min_size=1, max_size=30), min_size=2, max_size=4, unique=True))
def test_confusion_csv_round_trips_any_class_name(names, tmp_path_factory):
    from zoo.evaluation import report

    scores = scores_of([*names, "\r"] if "\r" not in names else names, count=10)
    header, *rows = list(csv.reader(io.StringIO(_text(report._csv(report._confusion_rows(scores))), newline="")))
    assert header[1:] == [row[0] for row in rows] == [entry.name for entry in scores.per_class]


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    "name",
    ["$\\frac{$", "$x_1$ and $", "中文 衣服", "nl\nnl", "x" * 300, "\\frac{", "\udce9t\udce9", "<b>&", " ", "\x1b[31m"],
)
def test_write_report_draws_odd_class_names(tmp_path, name, recwarn):
    write_report(tmp_path, scores_of([name, "plain", "third"]))
    with Image.open(tmp_path / "confusion.png") as picture:
        assert max(picture.size) < 1500
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_write_report_full_disk_is_a_user_error_and_keeps_the_old_file(tmp_path, monkeypatch):
    scores = scores_of(["a", "b"])
    write_report(tmp_path, scores)
    before = (tmp_path / "scores.json").read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="disk is full"):
        write_report(tmp_path, scores_of(["c", "d"]))
    assert (tmp_path / "scores.json").read_bytes() == before
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_write_report_into_a_file_is_a_user_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_report(tmp_path / "file", scores_of(["a", "b"]))


def test_render_scores_shows_what_counts():
    lines = render_scores(scores_of([f"kind {k}" for k in range(7)]))
    text = "\n".join(lines)
    scores = scores_of([f"kind {k}" for k in range(7)])
    assert lines[0] == "test: 60 images, loss 0.5000"
    accuracy = scores.accuracy
    assert f"{100 * accuracy.value:.1f} % ({100 * accuracy.low:.1f} to {100 * accuracy.high:.1f})" in text
    assert "top 5" in text
    assert "macro F1" in text
    assert all(f"kind {k}" in text for k in range(7))


def test_render_scores_columns_line_up_for_wide_letters():
    from rich.cells import cell_len

    lines = render_scores(scores_of(["衣服", "hat", "t\nshirt"]))
    table = [line for line in lines if "%" in line and "(" in line and "  " in line.strip()]
    ends = {cell_len(line) for line in table if line.split()[0] in ("衣服", "hat", "t")}
    assert len(ends) == 1
    assert not any("\n" in line for line in lines)


def test_render_scores_shows_nothing_that_a_terminal_cannot():
    text = "\n".join(render_scores(scores_of(["\x1b[31mred", "\udce9t\udce9", "\r"])))
    text.encode()
    assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_render_scores_lists_the_worst_classes_where_there_are_many():
    scores = scores_of([f"kind {k:02d}" for k in range(40)], count=400)
    lines = render_scores(scores, most=5)
    assert any("the 5 of 40 classes with the lowest F1" in line for line in lines)
    shown = [line.split()[1] for line in lines if line.startswith("  kind") and "taken for" not in line]
    worst = sorted(scores.per_class, key=lambda entry: entry.f1)[:5]
    assert shown == [entry.name.split()[1] for entry in worst]


def test_render_scores_names_the_commonest_confusion():
    logits = np.eye(3, dtype=np.float32)[[1, 1, 1, 2, 0]]
    outputs = Outputs(logits, np.array([0, 0, 0, 1, 0]), np.arange(5), 0.0)
    lines = render_scores(score(outputs, split="val", classes=["a", "b", "c"], task=Task.SINGLE_LABEL))
    assert lines[-2:] == ["  a taken for b: 3 of 4", "  b taken for c: 1 of 1"]


def test_render_scores_of_a_perfect_split_names_no_confusion():
    outputs = Outputs(np.eye(2, dtype=np.float32), np.arange(2), np.arange(2), 0.0)
    lines = render_scores(score(outputs, split="val", classes=["a", "b"], task=Task.SINGLE_LABEL))
    assert not any("taken for" in line for line in lines)


def test_render_scores_multi_label_says_what_accuracy_means():
    text = "\n".join(render_scores(label_scores(["red", "round"])))
    assert "all labels right" in text
    assert "taken for" not in text


def test_write_curves_draws_what_there_is(tmp_path):
    rows = [
        {"phase": "full", "epoch": e, "train_loss": 1 / e, "val_loss": 1.2 / e, "val_accuracy": 0.9, "lr": 1e-3}
        for e in (1, 2, 3)
    ]
    path = write_curves(rows, tmp_path / "report" / "curves.png")
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width > 3 * picture.height


def test_write_curves_of_a_probe_writes_nothing(tmp_path):
    assert write_curves([{"phase": "probe", "seconds": 3.0}], tmp_path / "curves.png") is None
    assert write_curves([], tmp_path / "curves.png") is None
    assert not (tmp_path / "curves.png").exists()
