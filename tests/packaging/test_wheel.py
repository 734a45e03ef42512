"""The wheel holds the tree, and works where there is no checkout. Slow: real builds, pip and fine-tuning."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zoo

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FOLDERS = {"zoo": "zoo", "conf": "zoo/conf", "plugins": "zoo_plugins"}


@pytest.fixture(scope="session")
def installed(make_environment: Callable[..., Any], zoo_wheel: Path, example_wheel: Path) -> Any:
    return make_environment(zoo_wheel, example_wheel)


def test_wheel_holds_exactly_the_tree(zoo_wheel: Path) -> None:
    expected = set()
    for folder, inside in FOLDERS.items():
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and file.suffix != ".pyc":
                expected.add(f"{inside}/{file.relative_to(ROOT / folder).as_posix()}")
    packed = {name for name in zipfile.ZipFile(zoo_wheel).namelist() if ".dist-info/" not in name}

    assert packed == expected
    assert "zoo/conf/finetune.yaml" in packed
    assert "zoo/py.typed" in packed


def test_wheel_carries_its_licence_and_entry_points(zoo_wheel: Path) -> None:
    wheel = zipfile.ZipFile(zoo_wheel)
    names = [name for name in wheel.namelist() if ".dist-info/" in name]
    assert any(name.endswith("LICENSE") for name in names)
    points = wheel.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert "[zoo.v1]" in points
    assert "zoo = zoo.cli:script" in points


def test_installed_zoo_is_the_installed_one(installed: Any, tmp_path: Path) -> None:
    code = "import zoo, zoo.config.source as s; print(zoo.__file__); print(s.conf_path())"
    done = installed.python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    file, conf = done.stdout.splitlines()
    assert Path(file).is_relative_to(installed.folder)
    assert conf == "pkg://zoo.conf"


def test_installed_zoo_helps_and_lists(installed: Any, tmp_path: Path) -> None:
    helped = installed.python("-m", "zoo", "--help", cwd=tmp_path)
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "finetune" in helped.stdout

    listed = installed.python("-m", "zoo", "plugins", "--json", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    rows = {row["plugin"]: row for row in json.loads(listed.stdout)}
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert rows["zoo.verbs"]["version"] == zoo.__version__
    assert Path(rows["zoo.verbs"]["file"]).is_relative_to(installed.folder)
    assert rows["example.augmentations"]["distribution"] == "zoo-example-plugin"


def test_installed_zoo_fine_tunes_on_the_embedded_digits_with_a_strangers_plugin(
    installed: Any, tmp_path: Path
) -> None:
    words = ["finetune", "strategy=full", "model=lenet5", "weights=none", "train.epochs=1", "experiment=posters"]
    done = installed.python("-m", "zoo", *words, "run.dir=my run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert 0 <= summary["scores"]["test"]["accuracy"] <= 1
    assert (tmp_path / "my run" / "model" / "model.safetensors").is_file()
    config = (tmp_path / "my run" / "config.yaml").read_text(encoding="utf-8")
    assert "example/posterize" in config


def test_installed_zoo_fine_tunes_with_its_defaults(installed: Any, tmp_path: Path) -> None:
    done = installed.python("-m", "zoo", "finetune", "strategy=probe", "run.dir=run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scores"]["test"]["accuracy"] > 0.9


def test_clone_that_shadows_an_installed_zoo_finds_its_yaml(installed: Any, tmp_path: Path) -> None:
    import shutil

    for folder in ("zoo", "conf", "plugins"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    done = installed.python("-m", "zoo", "finetune", "model=lenet5", "--cfg", "job", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "zoo/lenet5" in done.stdout
