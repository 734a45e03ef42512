"""What all examples have in common: what pip needs, light hooks, and options that can be read."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from zoo.config.schema import defaults
from zoo.plugins import Plugins

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(project.parent.name for project in EXAMPLES.glob("*/pyproject.toml"))
LIGHT = {"__future__", "collections", "typing", "zoo"}
"""What a hook module may import."""


def project_of(name: str) -> dict[str, object]:
    return tomllib.loads((EXAMPLES / name / "pyproject.toml").read_text(encoding="utf-8"))


def package_of(name: str) -> Path:
    return EXAMPLES / name / name.replace("-", "_")


def imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def test_there_are_examples() -> None:
    assert {"zoo-example-plugin", "zoo-example-lion", "zoo-example-kornia", "zoo-example-hf"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_distribution_is_complete(name: str) -> None:
    project = project_of(name)["project"]
    assert project["name"] == name
    assert project["description"]
    assert (EXAMPLES / name / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    readme = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    assert "pip install ." in readme
    assert "python -m zoo plugins show" in readme
    listed = set(project_of(name)["tool"]["setuptools"]["packages"])
    there = {".".join(init.parent.relative_to(EXAMPLES / name).parts) for init in package_of(name).rglob("__init__.py")}
    assert listed == there
    for point in project["entry-points"]["zoo.v1"]:
        assert f"plugins show {point}" in readme


@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_imported_is_required(name: str) -> None:
    project = project_of(name)["project"]
    required = {Requirement(text).name.lower().replace("-", "_") for text in project["dependencies"]}
    required |= {"PIL"} if "pillow" in required else set()
    own = {"zoo", name.replace("-", "_"), *sys.stdlib_module_names}
    for file in package_of(name).rglob("*.py"):
        assert imported(file) - own <= required, file


@pytest.mark.parametrize("name", NAMES)
def test_code_is_short_and_described(name: str) -> None:
    for file in package_of(name).rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), file
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 300, file
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, node.name
                assert node.returns is not None, node.name


@pytest.mark.parametrize("name", NAMES)
def test_hooks_import_nothing_heavy(name: str) -> None:
    hooks = package_of(name) / "hooks.py"
    assert imported(hooks) <= LIGHT


@pytest.mark.parametrize("name", NAMES)
def test_everything_offered_says_what_it_is_and_has_options_that_can_be_read(
    name: str, use_example: Callable[[str], Plugins]
) -> None:
    plugins = use_example(name)
    own = [plugin for plugin in plugins.plugins if plugin.origin.distribution == name]
    assert [plugin.status for plugin in own] == ["ok"]
    assert sum(count for _, count in own[0].counts) >= 1
    for kind, _ in own[0].counts:
        for entry in plugins.registry.entries(kind):
            if entry.origin.distribution == name:
                assert entry.summary
                assert entry.source
                if kind != "weights":
                    assert defaults(entry)["name"] == entry.full_name
