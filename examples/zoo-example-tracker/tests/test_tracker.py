"""What DVCLive's files hold after a run, after one that was resumed, and after one that broke."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dvclive")
yaml = pytest.importorskip("ruamel.yaml")

from zoo_example_tracker.tracker import DvcLive  # noqa: E402

from zoo.contracts.tracking import TrackedRun  # noqa: E402

CONFIG = {"optimizer.name": "torch/sgd", "optimizer.lr": 0.1, "augmentations": ["flip"], "train.patience": None}


def tracked(run_dir: Path, *, resumed: bool = False, step: int = -1) -> TrackedRun:
    """A run as zoo hands it over."""
    folder = run_dir / "trackers" / "dvclive"
    return TrackedRun("run", run_dir, CONFIG, resumed=resumed, folder=folder, step=step)


def curve(run_dir: Path, name: str) -> list[tuple[int, float]]:
    """Steps and values of a curve."""
    path = run_dir / "trackers" / "dvclive" / "plots" / "metrics" / f"{name}.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [(int(row["step"]), float(row[name.rpartition("/")[2]])) for row in rows]


def summary(run_dir: Path) -> dict[str, Any]:
    """`metrics.json`."""
    found: dict[str, Any] = json.loads((run_dir / "trackers" / "dvclive" / "metrics.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in an empty folder, so that what is written beside the run's folder is seen."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


def test_settings_curves_and_scores_are_in_the_runs_folder(tmp_path: Path) -> None:
    tracker = DvcLive(report="html")
    tracker.start(tracked(tmp_path / "run"))
    for step in (10, 20):
        tracker.log({"train/loss": 1 / step, "train/lr": 0.1}, step)
    tracker.log({"val/accuracy": 0.75}, 20)
    assert summary(tmp_path / "run")["val"] == {"accuracy": 0.75}, "it is readable while the run goes"
    tracker.finish({"test/accuracy": 0.7})

    assert curve(tmp_path / "run", "train/loss") == [(10, 0.1), (20, 0.05)]
    assert curve(tmp_path / "run", "val/accuracy") == [(20, 0.75)]
    assert summary(tmp_path / "run")["test"] == {"accuracy": 0.7}
    folder = tmp_path / "run" / "trackers" / "dvclive"
    settings = yaml.YAML(typ="safe").load((folder / "params.yaml").read_text(encoding="utf-8"))
    assert settings == {
        "optimizer": {"name": "torch/sgd", "lr": 0.1},
        "augmentations": ["flip"],
        "train": {"patience": None},
    }
    assert (folder / "report.html").is_file()
    assert not list((tmp_path / "cwd").iterdir()), "nothing is written elsewhere"
    assert {path.name for path in tmp_path.iterdir()} == {"run", "cwd"}


def test_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    tracker = DvcLive()
    tracker.start(tracked(tmp_path / "run"))
    for step in (10, 20, 30):
        tracker.log({"train/loss": 1 / step}, step)

    again = DvcLive()  # killed after step 30, with a checkpoint at 20
    again.start(tracked(tmp_path / "run", resumed=True, step=20))
    for step in (30, 40):
        again.log({"train/loss": 1 / step}, step)
    again.finish({"test/accuracy": 0.7})
    assert curve(tmp_path / "run", "train/loss") == [(step, pytest.approx(1 / step)) for step in (10, 20, 30, 40)]


def test_why_a_run_broke_is_kept(tmp_path: Path) -> None:
    tracker = DvcLive()
    tracker.start(tracked(tmp_path / "run"))
    tracker.log({"train/loss": 0.5}, 1)
    tracker.finish({}, ValueError("no more images"))
    assert summary(tmp_path / "run")["error"] == "ValueError: no more images"


def test_values_that_are_no_numbers_are_kept_as_words(tmp_path: Path) -> None:
    tracker = DvcLive()
    tracker.start(tracked(tmp_path / "run"))
    tracker.log({"val/loss": float("nan")}, 1)
    tracker.finish({})
    assert summary(tmp_path / "run")["val"] == {"loss": "nan"}
