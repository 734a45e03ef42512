"""The start-up benchmark's fakes are what pip leaves, and its verdict says what of the claim does not hold."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from zoo.plugins import load_plugins

HOME = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def startup():
    sys.path.insert(0, str(HOME))
    try:
        return importlib.import_module("startup")
    finally:
        sys.path.remove(str(HOME))


def test_twenty_fakes_load_with_all_that_they_offer(startup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("ZOO_PLUGINS", raising=False)
    startup.install_fakes(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = load_plugins()
    fakes = [plugin for plugin in found.plugins if plugin.origin.distribution.startswith("zoo-fake")]
    assert len(fakes) == startup.PLUGINS == 20
    assert {plugin.status for plugin in fakes} == {"ok"}
    assert {len(plugin.counts) for plugin in fakes} == {7}
    assert len(found.registry.get("optimizer", "torch/sgd").wrappers) == 20
    for name in [name for name in sys.modules if name.startswith("fake")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("side", "seconds", "megabytes", "heavy", "said"),
    [
        ("zoo --help, 20 plugins", 0.59, 59.0, False, ""),
        ("zoo --help, 20 plugins", 0.6, 59.0, False, "TOO SLOW"),
        ("zoo plugins", 0.1, 60.0, False, "TOO LARGE"),
        ("tab: model=", 0.31, 20.0, False, "TOO SLOW"),
        ("tab: model=", 0.31, 70.0, True, "IMPORTS TORCH, TOO SLOW, TOO LARGE"),
        ("python -c pass", 9.0, 900.0, False, ""),
    ],
)
def test_verdict(startup, side: str, seconds: float, megabytes: float, heavy: bool, said: str) -> None:
    line = startup.verdict(side, [{"seconds": seconds, "peak_mb": megabytes}], heavy=heavy)
    assert line.partition(" MB")[2].strip() == said
    assert f"{seconds:.3f} s" in line
