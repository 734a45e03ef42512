"""The files of new plugins: complete, clean, and never over something that is there."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from zoo import hookspecs
from zoo.errors import UserError
from zoo.kinds import KINDS
from zoo.scaffold.names import LONGEST, derive_names
from zoo.scaffold.parts import CONFIG_DEFAULTS, CONFIG_DIRS, LIBRARIES, ORDER, PARTS, WRAPPERS
from zoo.scaffold.tree import NewPlugin, render, write

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "zoo" / "scaffold" / "templates"
ALONE = [(kind,) for kind in ORDER]


def plugin(*kinds: str, name: str = "zoo-lion") -> NewPlugin:
    parts = tuple(PARTS[kind] for kind in kinds)
    return NewPlugin(derive_names(name), parts, author="Ada Lovelace", year=2031, choices={})


def tree(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def imported(text: str) -> set[str]:
    """Top-level packages that a file imports when it is imported."""
    found = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found - set(sys.stdlib_module_names)


def test_every_kind_has_a_part() -> None:
    assert set(PARTS) == {kind.name for kind in KINDS} | {CONFIG_DIRS, WRAPPERS, CONFIG_DEFAULTS} == set(ORDER)
    hooks = {name for name, value in vars(hookspecs).items() if hasattr(value, "zoo_spec")}
    assert {part.hook for part in PARTS.values()} == hooks
    assert len(ORDER) >= 17


@pytest.mark.parametrize("kind", ORDER)
def test_part_is_described(kind: str) -> None:
    part = PARTS[kind]
    assert part.kind == kind
    assert part.what.startswith(("a ", "an "))
    assert "python -m zoo" in part.use
    if part.is_component:
        assert 8 <= len(plugin(kind).filled(part.summary)) <= 100
        assert not part.summary.endswith(".")


def test_every_template_is_used(make_plugin: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.scaffold import tree as module

    asked: set[str] = set()
    read = module.template

    def note(name: str) -> str:
        asked.add(name)
        return read(name)

    monkeypatch.setattr(module, "template", note)
    make_plugin()
    assert {f"{name}.tmpl" for name in asked} == {file.name for file in TEMPLATES.iterdir()}


NAMES = {"short": "a", "long": "zoo-" + "a-quite-long-name-of-a-plugin-or-two"[: LONGEST - 4], "usual": "zoo-lion"}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("kinds", [*ALONE, ORDER], ids=[*ORDER, "all"])
def test_ruff_finds_nothing(kinds: tuple[str, ...], name: str, tmp_path: Path) -> None:
    folder = tmp_path / "plugin"
    write(render(plugin(*kinds, name=name)), folder)
    for words in (["check", "--no-cache"], ["format", "--no-cache", "--check", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "."], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kinds", [*ALONE, ORDER], ids=[*ORDER, "all"])
def test_files_say_what_is_there_and_nothing_else(kinds: tuple[str, ...]) -> None:
    files = render(plugin(*kinds))
    components = [kind for kind in kinds if PARTS[kind].is_component]
    own = [*components, *(kind for kind in kinds if kind == WRAPPERS)]
    modules = {path for path in files if path.startswith("zoo_lion/") and path.endswith(".py")}
    expected = {"zoo_lion/__init__.py", "zoo_lion/hooks.py", *(f"zoo_lion/{kind}.py" for kind in own)}
    assert modules == expected | ({"zoo_lion/conf/__init__.py"} if CONFIG_DIRS in kinds else set())
    assert {path for path in files if path.startswith("tests/")} == {
        *(f"tests/test_{kind}.py" for kind in kinds),
        *(["tests/test_conformance.py"] if components else []),
    }
    for path, text in files.items():
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert "$" not in text or path == ".github/workflows/ci.yml", path
    assert all(f"`zoo_lion/{kind}.py`" in files["README.md"] for kind in own)
    for kind in components:
        assert f'    "{kind}": "lion/lion",\n' in files["tests/test_conformance.py"]


@pytest.mark.parametrize("kinds", [*ALONE, ORDER], ids=[*ORDER, "all"])
def test_project_requires_what_is_imported(kinds: tuple[str, ...]) -> None:
    files = render(plugin(*kinds))
    project = tomllib.loads(files["pyproject.toml"])
    used: set[str] = set()
    for path, text in files.items():
        if path.startswith("zoo_lion/") and path.endswith(".py"):
            used |= imported(text) - {"zoo"}
    assert project["project"]["dependencies"] == sorted(LIBRARIES[library] for library in used)
    assert imported(files["zoo_lion/hooks.py"]) == {"zoo"}

    about = project["project"]
    assert about["entry-points"]["zoo.v1"] == {"lion": "zoo_lion.hooks"}
    assert (about["license"], about["license-files"], about["readme"]) == ("MIT", ["LICENSE"], "README.md")
    assert about["authors"] == [{"name": "Ada Lovelace"}]
    folders = {path.rpartition("/")[0].replace("/", ".") for path in files if path.endswith("__init__.py")}
    assert set(project["tool"]["setuptools"]["packages"]) == folders
    data = project["tool"]["setuptools"].get("package-data", {})
    assert data == ({"zoo_lion.conf": ["**/*.yaml"]} if CONFIG_DIRS in kinds else {})


def test_libraries_are_those_that_zoo_requires() -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert set(LIBRARIES.values()) <= set(required)


def test_licence_is_mit_in_full() -> None:
    text = render(plugin("optimizer"))["LICENSE"]
    ours = (ROOT / "LICENSE").read_text(encoding="utf-8").splitlines()
    assert text.splitlines() == [ours[0], "", "Copyright (c) 2031 Ada Lovelace", *ours[3:]]


def test_ci_runs_ruff_and_pytest_on_three_pythons() -> None:
    ci = yaml.safe_load(render(plugin("optimizer"))[".github/workflows/ci.yml"])
    job = ci["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert job["steps"][1]["with"]["python-version"] == "${{ matrix.python }}"
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs == ['python -m pip install "$ZOO" -e ".[test]"', "ruff check .", "ruff format --check .", "pytest"]
    assert "ZOO" in ci["env"]


@pytest.mark.parametrize("name", ["zoo-optimizer", "zoo-path", "zoo-none-", "zoo-exception", "zoo-true-"])
def test_a_class_never_has_the_name_of_something_that_its_module_uses(name: str) -> None:
    name = name.removesuffix("-") + ("-x" if name.endswith("-") else "")
    files = render(plugin("optimizer", "weights", name=name))
    package = derive_names(name).package
    for kind in ("optimizer", "weights"):
        for path in (f"{package}/{kind}.py", f"tests/test_{kind}.py"):
            body = ast.parse(files[path]).body
            bound = [a.asname or a.name for n in body if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names]
            bound += [n.name for n in body if isinstance(n, ast.ClassDef)]
            assert len(set(bound)) == len(bound), path
    assert ":OptimizerComponent" in render(plugin("optimizer", name="zoo-optimizer"))["zoo_optimizer/hooks.py"]


def test_experiment_takes_the_plugins_own_components() -> None:
    files = render(plugin("augmentation", "optimizer", CONFIG_DIRS))
    written = yaml.safe_load(files["zoo_lion/conf/experiment/lion.yaml"])
    assert written["defaults"] == [
        {"override /augmentations": ["lion/lion"]},
        {"override /optimizer": "lion/lion"},
    ]
    alone = yaml.safe_load(render(plugin(CONFIG_DIRS))["zoo_lion/conf/experiment/lion.yaml"])
    assert alone == {"defaults": [{"override /optimizer": "sgd"}], "optimizer": {"momentum": 0.8}}


def test_write_fills_a_new_or_an_empty_folder(tmp_path: Path) -> None:
    files = {"a/b.txt": "one\n", "c.txt": "two\n"}
    (tmp_path / "empty").mkdir()
    for name in ("new/below", "empty"):
        write(files, tmp_path / name)
        assert tree(tmp_path / name) == files


def test_write_never_touches_what_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "note").write_text("keep", encoding="utf-8")
    with pytest.raises(UserError, match="mine' is there already") as caught:
        write({"note": "lost", "new": "x"}, folder)
    assert str(folder) in str(caught.value)
    assert tree(folder) == {"note": "keep"}

    file = tmp_path / "file"
    file.write_text("keep", encoding="utf-8")
    with pytest.raises(UserError, match="is there already"):
        write({"note": "lost"}, file)
    assert file.read_text(encoding="utf-8") == "keep"


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError):
        write({"note": "x"}, tmp_path / "file" / "below")
