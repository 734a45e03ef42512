"""Wheels of zoo and of the examples, and environments that have them and nothing of the checkout."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

from zoo.plugins import Plugins, load_plugins

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
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
def build_example(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`build_example("zoo-example-lion")`: a wheel of one of the examples, built once."""

    @functools.cache
    def make(name: str) -> Path:
        names = ("pyproject.toml", "README.md", "LICENSE", name.replace("-", "_"))
        return build(EXAMPLES / name, tmp_path_factory.mktemp(name), *names)

    return make


@pytest.fixture(scope="session")
def example_wheel(build_example: Callable[[str], Path]) -> Path:
    """A wheel of the first example."""
    return build_example("zoo-example-plugin")


@pytest.fixture
def use_example(
    make_distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Plugins]]:
    """`use_example("zoo-example-lion")`: its sources on the path, with the metadata that pip would have written."""
    used: list[str] = []

    def use(name: str) -> Plugins:
        project = tomllib.loads((EXAMPLES / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        points = project["entry-points"]["zoo.v1"]
        make_distribution(project["name"], version=project["version"], points=points, modules={})
        monkeypatch.syspath_prepend(str(EXAMPLES / name))
        used.append(name.replace("-", "_"))
        return load_plugins(strict=True)

    yield use
    for module in [name for name in sys.modules if name.partition(".")[0] in used]:
        del sys.modules[module]


@dataclass(frozen=True)
class Environment:
    """A Python of its own."""

    folder: Path

    def python(self, *words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs it, away from the checkout."""
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "ZOO_PLUGINS", "ZOO_STRICT")}
        command = [str(self.folder / "bin" / "python"), *words]
        return subprocess.run(
            command, cwd=cwd, env=environment | variables, capture_output=True, text=True, check=False
        )

    def install(self, *requirements: str, may_replace: frozenset[str] = frozenset()) -> set[str]:
        """pip resolves the requirements against all that is here, and installs what is missing from the index.

        Nothing that is here is replaced, but for names in `may_replace`: these lie before the shared ones then.

        Returns:
            Names of what was installed.
        """
        pip = [sys.executable, "-m", "pip", "--python", str(self.folder / "bin" / "python"), "install", "-q"]
        report = self.folder / "report.json"
        subprocess.run([*pip, "--dry-run", "--report", str(report), *requirements], check=True)
        chosen = [item["metadata"] for item in json.loads(report.read_text(encoding="utf-8"))["install"]]
        here = {dist.metadata["Name"].lower().replace("_", "-") for dist in metadata.distributions()}
        replaced = {item["name"] for item in chosen if item["name"].lower().replace("_", "-") in here}
        assert replaced <= may_replace, f"{requirements} would replace {sorted(replaced)}"
        if chosen:
            pinned = [f"{item['name']}=={item['version']}" for item in chosen]
            subprocess.run([*pip, "--no-deps", "--ignore-installed", *pinned], check=True)
        return {item["name"] for item in chosen}

    def run_tests_of(self, example: str, work: Path) -> str:
        """Runs an example's own tests, away from its sources: what is installed is tested."""
        tests = work / "tests"
        shutil.copytree(EXAMPLES / example / "tests", tests, ignore=IGNORED)
        done = self.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(work), "tests", cwd=work)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips a test where no package index can be reached."""
    folder = str(tmp_path_factory.mktemp("index"))
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--retries", "1", "--timeout", "10"]
    if subprocess.run([*pip, "-d", folder, "annotated-types"], capture_output=True, check=False).returncode:
        pytest.skip("no package index can be reached")


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
