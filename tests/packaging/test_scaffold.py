"""A new plugin of every kind, written, installed and used away from the checkout. Slow: pip, pytest and fine-tuning."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.kinds import KINDS
from zoo.scaffold.parts import ORDER, PARTS
from zoo.testing import PROPERTIES

pytestmark = pytest.mark.slow

CHOICES = (
    "data=lion",
    "data.images=60",
    "model=lion/lion",
    "weights=none",
    "head=lion",
    "augmentations=[lion/lion]",
    "regularizers=[lion]",
    "optimizer=lion/lion",
    "schedule=lion",
    "loss=lion",
    "strategy=lion",
    "callbacks=[lion]",
    "trackers=[lion]",
)
TINY = ("train.epochs=2", "train.threads=1", "train.loader_threads=1", "train.precision=fp32", "run.dir=run")


@pytest.fixture(scope="module")
def environment(make_environment: Callable[..., Any], zoo_wheel: Path) -> Any:
    return make_environment(zoo_wheel)


@pytest.fixture(scope="module")
def plugin(environment: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a plugin of all kinds, written by the installed zoo, and installed beside it."""
    work = tmp_path_factory.mktemp("author")
    words = ["plugins", "new", "zoo-lion", "--kind", ",".join(ORDER), "--author", "Ada Lovelace"]
    done = environment.python("-m", "zoo", *words, cwd=work)
    assert done.returncode == 0, done.stderr
    pip = [sys.executable, "-m", "pip", "--python", str(environment.folder / "bin" / "python"), "install", "-q"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--no-build-isolation", str(work / "zoo-lion")], check=True)
    return work / "zoo-lion"


def test_it_is_installed_and_listed(plugin: Path, environment: Any, tmp_path: Path) -> None:
    done = environment.python("-m", "zoo", "plugins", "--json", cwd=tmp_path, ZOO_STRICT="1")
    assert done.returncode == 0, done.stderr
    (row,) = [row for row in json.loads(done.stdout) if row["plugin"] == "lion"]
    assert (row["distribution"], row["version"], row["status"]) == ("zoo-lion", "0.1.0", "ok")
    assert row["offers"].items() >= {kind: 1 for kind in ORDER if PARTS[kind].is_component}.items()
    assert Path(row["file"]).is_relative_to(environment.folder)


def test_it_passes_its_own_tests_untouched(plugin: Path, environment: Any, tmp_path: Path) -> None:
    """In a folder that holds the tests alone: what is installed is tested."""
    (tmp_path / "tests").symlink_to(plugin / "tests")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "tests"]
    done = environment.python(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = sum(kind.name in one.kinds for kind in KINDS for one in PROPERTIES)
    passed = int(re.search(r"(\d+) passed", done.stdout).group(1))
    assert passed >= cases + 40, "every property of every kind, and the plugin's own"


def test_a_run_is_made_of_nothing_but_its_components(plugin: Path, environment: Any, tmp_path: Path) -> None:
    done = environment.python("-m", "zoo", "finetune", *CHOICES, *TINY, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert 0 <= summary["scores"]["test"]["accuracy"] <= 1
    config = (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")
    chosen = [word for word in CHOICES if "lion" in word]
    assert config.count("name: lion/lion") == len(chosen)
    curves = (tmp_path / "run" / "trackers" / "lion" / "curves.csv").read_text(encoding="utf-8")
    assert "train/loss" in curves
    assert "test/accuracy" in curves

    listed = environment.python("-m", "zoo", "lion", "run", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.split()[1] == "run"


def test_its_experiment_runs(plugin: Path, environment: Any, tmp_path: Path) -> None:
    words = ["experiment=lion", "model=lenet5", "weights=none", "strategy=full"]
    done = environment.python("-m", "zoo", "finetune", *words, *TINY, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    config = (tmp_path / "run" / "config.yaml").read_text(encoding="utf-8")
    assert config.count("name: lion/lion") == 5
