from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.artifacts.run_folder import MetricsLog, RunFolder
from zoo.errors import UserError

NOON = datetime(2026, 11, 23, 12, 0, 1)


def create(root: Path, *, model: str = "timm/resnet18", data: str = "clothing") -> RunFolder:
    return RunFolder.create(model=model, data=data, root=root, now=NOON)


def test_create_names_the_folder_after_time_model_and_data(tmp_path):
    run = create(tmp_path / "runs", data="../shared/data/clothing/")
    assert run.path == tmp_path / "runs" / "2026-11-23" / "12-00-01-resnet18-clothing"
    assert run.path.is_dir()


def test_create_without_a_time_takes_now(tmp_path):
    before = datetime.now().replace(microsecond=0)
    run = RunFolder.create(model="lenet5", data="digits", root=tmp_path)
    started = datetime.strptime(f"{run.path.parent.name} {run.path.name[:8]}", "%Y-%m-%d %H-%M-%S")
    assert before <= started <= datetime.now()


def test_create_in_the_same_second_gives_every_run_its_own_folder(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: create(tmp_path), range(20)))
    names = sorted(run.path.name for run in runs)
    assert len(set(names)) == 20
    assert "12-00-01-resnet18-clothing" in names
    assert "12-00-01-resnet18-clothing-2" in names
    assert "12-00-01-resnet18-clothing-20" in names


@pytest.mark.parametrize(
    ("model", "data", "expected"),
    [
        ("timm/resnet18.a1_in1k", "photos.tar.gz", "resnet18.a1_in1k-photos"),
        ("lenet5", "hf:owner/name", "lenet5-hf-owner-name".replace("hf-", "")),
        ("lenet5", "my photos (1)", "lenet5-my-photos-1"),
        ("lenet5", "衣服", "lenet5-衣服"),
        ("lenet5", "/", "lenet5-unnamed"),
        ("lenet5", "\udce9", "lenet5-unnamed"),
    ],
)
def test_create_turns_odd_names_into_plain_ones(tmp_path, model, data, expected):
    assert create(tmp_path, model=model, data=data).path.name == f"12-00-01-{expected}"


def test_create_keeps_dots_in_the_name_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.v2").mkdir()
    assert create(tmp_path, data="photos.v2").path.name.endswith("-photos.v2")
    assert create(tmp_path, data="list.v2.csv").path.name.endswith("-list")


@settings(max_examples=60)
@given(model=st.text(max_size=80), data=st.text(max_size=80).filter(lambda text: "\0" not in text))
def test_create_takes_any_name(tmp_path_factory, model, data):
    root = tmp_path_factory.mktemp("runs")
    run = create(root, model=model, data=data)
    assert run.path.is_dir()
    assert run.path.parent.parent == root


def test_create_in_a_folder_that_cannot_be_written_is_a_user_error(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(UserError, match="cannot be written"):
        create(tmp_path / "runs")


def test_at_makes_a_new_folder_and_takes_an_empty_one(tmp_path):
    first = RunFolder.at(tmp_path / "a" / "b")
    assert first.path.is_dir()
    assert RunFolder.at(tmp_path / "a" / "b") == first


def test_at_refuses_a_folder_with_something_in_it(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"not empty \(it holds 'notes.txt'\)") as caught:
        RunFolder.at(tmp_path)
    assert f"resume={tmp_path}" in str(caught.value)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_at_refuses_a_file(tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is no folder"):
        RunFolder.at(tmp_path / path)


def test_open_takes_a_run(tmp_path):
    run = create(tmp_path)
    run.write_text("config.yaml", "a: 1\n")
    assert RunFolder.open(run.path) == run


def test_open_refuses_what_is_no_run_and_names_the_newest(tmp_path):
    for second in (1, 2, 3, 4):
        run = RunFolder.create(model="m", data="d", root=tmp_path, now=NOON.replace(second=second))
        run.write_text("config.yaml", "")
    with pytest.raises(UserError, match="is not a run folder") as caught:
        RunFolder.open(tmp_path)
    assert "12-00-04-m-d" in str(caught.value)
    assert "12-00-01-m-d" not in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        RunFolder.open(tmp_path / "nothing")
    with pytest.raises(UserError, match="is a file"):
        RunFolder.open(run.config)


def test_paths_are_those_of_the_design(tmp_path):
    run = RunFolder(tmp_path)
    found = [run.config, run.overrides, run.record, run.metrics.path, run.checkpoints, run.model, run.report]
    names = ["config.yaml", "overrides.yaml", "record.json", "metrics.jsonl", "checkpoints", "model", "report"]
    assert found == [tmp_path / name for name in names]


def test_write_text_and_json_go_through_a_rename(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    run.write_json("record.json", {"a": 1})
    run.write_text("config.yaml", "a: 1\n")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="the disk is full"):
        run.write_json("record.json", {"a": 2})
    with pytest.raises(UserError, match="the disk is full"):
        run.write_text("config.yaml", "a: 2\n")
    assert json.loads(run.record.read_text()) == {"a": 1}
    assert run.config.read_text() == "a: 1\n"


def log_of(tmp_path: Path, *rows: dict) -> MetricsLog:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for row in rows:
        log.append(row)
    return log


def test_append_is_on_disk_at_once_and_in_order(tmp_path):
    log = MetricsLog(tmp_path / "run" / "metrics.jsonl")
    for step in range(3):
        log.append({"step": step, "loss": float("nan"), "text": "a\nb"})
        assert log.path.read_text().count("\n") == step + 1
    assert log.rows() == [{"step": step, "loss": None, "text": "a\nb"} for step in range(3)]


def test_rows_of_a_log_that_is_not_there(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    assert log.rows() == []
    assert log.cut_back(3) == 0
    assert not log.path.exists()


@pytest.mark.parametrize("torn", [b'{"step": 2, "lo', b"x" * 10_000, b'{"step": 2}'])
def test_a_torn_last_line_is_passed_over_and_taken_away(tmp_path, torn):
    log = log_of(tmp_path, {"step": 0}, {"step": 1})
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + torn)
    assert [row["step"] for row in log.rows()] == [0, 1]
    log.append({"step": 9})
    assert log.path.read_bytes() == whole + b'{"step": 9}\n'


def test_a_log_that_is_only_a_torn_line_becomes_empty(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.path.write_bytes(b'{"st')
    assert log.rows() == []
    assert log.cut_back(5) == 1
    assert log.path.read_bytes() == b""


@pytest.mark.parametrize("bad", ["not json", "[1]", "3"])
def test_a_damaged_line_in_the_middle_is_a_user_error(tmp_path, bad):
    log = log_of(tmp_path, {"step": 0})
    with log.path.open("a") as stream:
        stream.write(f'{bad}\n{{"step": 1}}\n')
    with pytest.raises(UserError, match=r"line 2 of metrics\.jsonl is damaged") as caught:
        log.rows()
    assert caught.value.where == f"{log.path}:2"


def test_cut_back_keeps_the_lines_up_to_the_checkpoint(tmp_path):
    log = log_of(tmp_path, *({"step": step} for step in (10, 20, 30, 40)))
    kept = log.path.read_bytes().splitlines(keepends=True)[:2]
    assert log.cut_back(25) == 2
    assert log.path.read_bytes() == b"".join(kept)
    assert log.cut_back(25) == 0


def test_cut_back_counts_a_torn_line(tmp_path):
    log = log_of(tmp_path, {"step": 10}, {"step": 20})
    with log.path.open("ab") as stream:
        stream.write(b'{"step": 3')
    assert log.cut_back(20) == 1
    assert [row["step"] for row in log.rows()] == [10, 20]


def phases(*rows: tuple[str, int | None]) -> list[dict]:
    return [{"phase": phase} | ({} if step is None else {"step": step}) for phase, step in rows]


PHASES = phases(("probe", None), ("one", 10), ("one", 20), ("two", 10), ("two", 20))


@pytest.mark.parametrize(
    ("step", "phase", "kept"),
    [
        (20, "two", 5),
        (15, "two", 4),
        (5, "two", 3),
        (20, "one", 3),
        (10, "one", 2),
        (0, "one", 1),
        (7, "three", 5),
        (-1, None, 0),
    ],
)
def test_cut_back_counts_steps_within_a_phase(tmp_path, step, phase, kept):
    log = log_of(tmp_path, *PHASES)
    assert log.cut_back(step, phase=phase) == 5 - kept
    assert log.rows() == PHASES[:kept]


def test_cut_back_with_a_full_disk_keeps_the_log(tmp_path, monkeypatch):
    log = log_of(tmp_path, {"step": 1}, {"step": 2})
    before = log.path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="the disk is full"):
        log.cut_back(1)
    assert log.path.read_bytes() == before


def test_append_on_a_full_disk_is_a_user_error_and_leaves_whole_lines(tmp_path):
    resource = pytest.importorskip("resource")
    log = log_of(tmp_path, {"step": 0})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, hard))
    try:
        with pytest.raises(UserError, match="the disk is full"):
            log.append({"step": 1, "text": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log.path.read_bytes() == b'{"step": 0}\n'
    log.append({"step": 1})
    assert [row["step"] for row in log.rows()] == [0, 1]


@settings(max_examples=50)
@given(
    steps=st.lists(st.integers(0, 50), max_size=12).map(sorted),
    cut=st.integers(0, 60),
    torn=st.binary(max_size=20).filter(lambda b: b"\n" not in b and b"\r" not in b),
)
def test_cut_back_then_append_is_as_if_never_stopped(tmp_path_factory, steps, cut, torn):
    log = MetricsLog(tmp_path_factory.mktemp("log") / "metrics.jsonl")
    for step in steps:
        log.append({"step": step})
    unbroken = log.path.read_bytes() if steps else b""
    with log.path.open("ab") as stream:
        stream.write(torn)
    log.cut_back(cut)
    for step in steps:
        if step > cut:
            log.append({"step": step})
    assert log.path.read_bytes() == unbroken
