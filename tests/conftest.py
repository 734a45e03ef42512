"""Property tests are not timed; fake distributions: what pip would leave on disk, in a folder on the import path."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

MakeDistribution = Callable[..., Path]


@pytest.fixture
def unlistable(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`unlistable("closed")`: from then on folders whose path ends so may not be listed, whoever runs the tests."""
    real = os.scandir

    def close(ending: str) -> None:
        def refuse(path: str | Path) -> Any:
            if str(path).endswith(ending):
                raise PermissionError(13, "Permission denied")
            return real(path)

        monkeypatch.setattr(os, "scandir", refuse)

    return close


@pytest.fixture
def make_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDistribution]:
    """`make_distribution("acme", points={"acme.opt": "acme_opt"}, modules={"acme_opt": source})`."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delenv("ZOO_PLUGINS", raising=False)
    monkeypatch.delenv("ZOO_STRICT", raising=False)
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    made: list[str] = []

    def make(
        name: str,
        *,
        points: Mapping[str, str],
        modules: Mapping[str, str],
        version: str = "1.0",
        group: str = "zoo.v1",
    ) -> Path:
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        lines = [f"[{group}]", *(f"{point} = {target}" for point, target in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for module, source in modules.items():
            file = site.joinpath(*module.split(".")).with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            for folder in file.relative_to(site).parents:
                if str(folder) != ".":
                    (site / folder / "__init__.py").touch()
            file.write_text(source, encoding="utf-8")
            made.append(module.partition(".")[0])
        importlib.invalidate_caches()
        return site

    yield make
    for module in [m for m in sys.modules if m.partition(".")[0] in made]:
        del sys.modules[module]
