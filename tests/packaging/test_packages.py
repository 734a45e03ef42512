"""What pyproject.toml, constraints.txt and the tree say of each other. Nothing is built here."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS = {"zoo": "zoo", "zoo.conf": "conf", "zoo_plugins": "plugins"}


def on_disk() -> set[str]:
    found = set()
    for name, folder in FOLDERS.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([name, *init.parent.relative_to(ROOT / folder).parts]))
    return found


def test_packages_are_those_on_disk() -> None:
    assert PROJECT["tool"]["setuptools"]["package-dir"] == FOLDERS
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == on_disk()
    assert len(on_disk()) >= 15


def test_every_folder_with_code_is_a_package() -> None:
    for folder in ("zoo", "plugins"):
        for file in (ROOT / folder).rglob("*.py"):
            assert (file.parent / "__init__.py").is_file(), file


def test_every_file_of_a_package_is_code_or_declared_data() -> None:
    declared = PROJECT["tool"]["setuptools"]["package-data"]
    for name, folder in FOLDERS.items():
        patterns = declared.get(name, [])
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and file.suffix not in (".py", ".pyc"):
                relative = file.relative_to(ROOT / folder)
                assert any(
                    relative.full_match(p) if hasattr(relative, "full_match") else _matches(relative, p)
                    for p in patterns
                ), file


def _matches(path: Path, pattern: str) -> bool:
    """`**/*.yaml` at any depth, the top included; `*.json`, `starter/*.json` and names at their own depth only."""
    if pattern.startswith("**/"):
        return path.match(pattern.removeprefix("**/"))
    return len(path.parts) == pattern.count("/") + 1 and path.match(pattern)


def test_entry_points_name_modules_on_disk() -> None:
    points = PROJECT["project"]["entry-points"]["zoo.v1"]
    for target in points.values():
        package, *rest = target.split(".")
        assert package == "zoo_plugins"
        assert (ROOT / "plugins").joinpath(*rest).with_suffix(".py").is_file(), target
    assert PROJECT["project"]["scripts"] == {"zoo": "zoo.cli:script"}


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!\[; ]", text)[0].lower().replace("_", "-") for text in requirements}


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def test_constraints_pin_all_that_is_required() -> None:
    project = PROJECT["project"]
    wanted = _names(project["dependencies"]) | _names(project["optional-dependencies"]["dev"])
    assert wanted <= set(pinned())
    assert "zoo" not in pinned()
    assert (pinned()["torch"], pinned()["torchvision"]) == ("2.15.0", "0.29.2")


def test_constraints_meet_the_ranges_of_the_project() -> None:
    from packaging.requirements import Requirement

    project = PROJECT["project"]
    for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        requirement = Requirement(text)
        version = pinned()[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(version), f"{text} against {version}"


def test_every_library_that_is_imported_is_required() -> None:
    import ast
    import sys
    from importlib.metadata import packages_distributions

    required = _names(PROJECT["project"]["dependencies"])
    for extra in set(PROJECT["project"]["optional-dependencies"]) - {"dev"}:
        required |= _names(PROJECT["project"]["optional-dependencies"][extra])
    owners = packages_distributions()
    for folder in FOLDERS.values():
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                modules += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
                for library in {module.partition(".")[0] for module in modules}:
                    if library in sys.stdlib_module_names or library in ("zoo", "zoo_plugins", ""):
                        continue
                    names = {owner.lower().replace("_", "-") for owner in owners.get(library, [library])}
                    assert names & required, f"{file.relative_to(ROOT)} imports {library}"
