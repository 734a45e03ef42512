"""New plugins, written into a temporary folder and put on the import path as pip would."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zoo.plugins import Plugins, load_plugins
from zoo.scaffold.parts import ORDER
from zoo.verbs import plugins_new

ALL_KINDS = ",".join(ORDER)


@pytest.fixture
def make_plugin(tmp_path: Path) -> Callable[..., Path]:
    """`make_plugin("optimizer,loss", name="zoo-lion")`: the folder of a new plugin, as the command line writes it."""

    def make(kinds: str = ALL_KINDS, *, name: str = "zoo-lion") -> Path:
        folder = tmp_path / "new" / name
        assert plugins_new.main([name, "--kind", kinds, str(folder), "--author", "Ada Lovelace"]) == 0
        return folder

    return make


@pytest.fixture
def install(
    make_distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Path], Plugins]]:
    """`install(folder)`: its sources on the path, with the metadata that pip would have written; all must load."""
    packages: list[str] = []

    def put_on_path(folder: Path) -> Plugins:
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        about, points = project["project"], project["project"]["entry-points"]["zoo.v1"]
        packages.append(project["tool"]["setuptools"]["packages"][0])
        make_distribution(about["name"], version=about["version"], points=points, modules={})
        monkeypatch.syspath_prepend(str(folder))
        return load_plugins(strict=True)

    yield put_on_path
    for module in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[module]
