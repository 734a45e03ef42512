"""Wheels of zoo and of the example plugin, and an environment that has them and nothing of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "zoo-example-plugin"
IGNORED = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".*", "runs")


def build(source: Path, work: Path, *names: str) -> Path:
    """A wheel of a copy of a folder: building leaves files beside the sources."""
    copy = work / "source"
    copy.mkdir(parents=True)
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, copy / name, ignore=IGNORED)
        else:
            shutil.copy(source / name, copy / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(work), str(copy)], check=True)
    (wheel,) = work.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def zoo_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout."""
    names = ("pyproject.toml", "README.md", "LICENSE", "zoo", "conf", "plugins")
    return build(ROOT, tmp_path_factory.mktemp("zoo"), *names)


@pytest.fixture(scope="session")
def example_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the example plugin."""
    return build(EXAMPLE, tmp_path_factory.mktemp("example"), "pyproject.toml", "README.md", "zoo_example_plugin")


@dataclass(frozen=True)
class Environment:
    """A Python of its own."""

    folder: Path

    def python(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Runs it, away from the checkout."""
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "ZOO_PLUGINS", "ZOO_STRICT")}
        command = [str(self.folder / "bin" / "python"), *words]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    """`make_environment(wheel, ...)`: pip installs the wheels; the heavy libraries are this environment's own.

    They are added after the installation, so that pip never sees, and never touches, the zoo that runs the tests.
    """

    def make(*wheels: Path) -> Environment:
        folder = tmp_path_factory.mktemp("environment") / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "-q"]
        subprocess.run([*pip, "--no-deps", "--no-index", *map(str, wheels)], check=True)
        (site,) = (folder / "lib").glob("python*/site-packages")
        (site / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        return Environment(folder)

    return make
