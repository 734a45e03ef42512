"""The tracker example: DVCLive's files of a real run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.config.compose import configure
from zoo.errors import UserError
from zoo.plugins import Plugins

NAME = "zoo-example-tracker"


@pytest.fixture
def plugins(use_example: Callable[[str], Plugins]) -> Plugins:
    return use_example(NAME)


def test_tracker_is_chosen_by_name_without_its_library(plugins: Plugins) -> None:
    words = ["model=lenet5", "trackers=[dvclive]"]
    chosen = configure([*words, "trackers.dvclive.report=md"], plugins, source_for=str)
    assert [(part.name, part.own) for part in chosen.trackers] == [("dvc/dvclive", {"report": "md"})]
    with pytest.raises(UserError, match="report"):
        configure([*words, "trackers.dvclive.report=pdf"], plugins, source_for=str)


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_installed_tracker_passes_its_tests_and_tracks(
    make_environment: Callable[..., Any], zoo_wheel: Path, build_example: Callable[[str], Path], tmp_path: Path
) -> None:
    installed = make_environment(zoo_wheel, build_example(NAME))
    brought = installed.install("dvclive>=3.48", may_replace=frozenset({"python-dateutil"}))
    assert not {"torch", "torchvision", "numpy"} & brought
    assert " passed" in installed.run_tests_of(NAME, tmp_path)

    words = ["strategy=full", "model=lenet5", "weights=none", "train.epochs=2", "train.device=cpu", "run.dir=run"]
    words += ["trackers=[dvclive]", "trackers.dvclive.report=html"]
    done = installed.python("-m", "zoo", "finetune", *words, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "run" / "trackers" / "dvclive"
    told = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    accuracy = json.loads(done.stdout)["scores"]["test"]["accuracy"]
    assert told["test"]["accuracy"] == pytest.approx(accuracy)
    curves = {path.relative_to(folder / "plots" / "metrics").as_posix() for path in folder.rglob("*.tsv")}
    assert {"train/loss.tsv", "train/lr.tsv", "val/loss.tsv", "val/accuracy.tsv"} <= curves
    assert "lenet5" in (folder / "params.yaml").read_text(encoding="utf-8")
    assert (folder / "report.html").is_file()
