"""Rules of the house that a reader relies on: who may import whom, how long things may be, what is described."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = ("data", "models", "weights", "features", "training", "evaluation", "artifacts")
FREE = ("contracts", "imaging", "errors", "files", "machine", "registry", "wrapping", "kinds")
"""What every stage may import beside itself."""

CORE = (
    *("cli", "registry", "components", "wrapping", "plugins", "registering", "disabled", "load_times", "hookspecs"),
    *("errors", "kinds", "machine", "__init__", "__main__"),
)
LIGHT_ROOMS = ("config", "verbs", "contracts")
HEAVY = ("torch", "timm", "torchvision", "albumentations", "numpy", "pandas", "sklearn", "matplotlib", "cv2", "PIL")
BY_CONTRACT = (".change_batch",)
"""Methods that the loop calls with three things, as their contract says."""

FILES = sorted([*(ROOT / "zoo").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
MODULES = [pytest.param(file, id=str(file.relative_to(ROOT))) for file in FILES]


def imports(tree: ast.AST, *, at_import: bool = False) -> Iterator[str]:
    """Modules that a file imports, types alone left out; with `at_import` only those that its own import imports."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from imports(node, at_import=at_import)


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def library(module: str) -> str:
    return module.partition(".")[0]


def test_there_is_something_to_check() -> None:
    assert len(FILES) > 60
    assert all((ROOT / "zoo" / stage).is_dir() for stage in STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_stages_never_import_one_another(stage: str) -> None:
    allowed = {f"zoo.{name}" for name in (stage, *FREE)}
    for file in (ROOT / "zoo" / stage).rglob("*.py"):
        found = {".".join(m.split(".")[:2]) for m in imports(parsed(file)) if m.startswith("zoo.")}
        assert found <= allowed, f"{file.relative_to(ROOT)} imports {sorted(found - allowed)}"


@pytest.mark.parametrize("file", MODULES)
def test_plugins_rooms_and_libraries_keep_to_their_doors(file: Path) -> None:
    room = file.relative_to(ROOT).parts[1].removesuffix(".py")
    found = {library(module) for module in imports(parsed(file))}
    ours = file.is_relative_to(ROOT / "zoo")

    if not (ours and room in ("config", "verbs", "api")):
        assert not found & {"hydra", "omegaconf"}
    if not (ours and room == "training") and "tracker" not in file.name:
        assert "accelerate" not in found
    if ours:
        assert "zoo_plugins" not in found, "the core knows no plugin by name"


@pytest.mark.parametrize("name", CORE)
def test_core_never_imports_anything_heavy(name: str) -> None:
    found = {library(module) for module in imports(parsed(ROOT / "zoo" / f"{name}.py"))}
    assert not found & {*HEAVY, "hydra", "omegaconf", "pydantic"}


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_light_rooms_import_nothing_heavy_when_they_are_imported(room: str) -> None:
    for file in (ROOT / "zoo" / room).rglob("*.py"):
        found = {library(module) for module in imports(parsed(file), at_import=True)}
        assert not found & set(HEAVY), file


def test_hook_modules_import_nothing_heavy_when_they_are_imported() -> None:
    import tomllib

    points = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]["zoo.v1"]
    assert len(points) >= 14
    for target in points.values():
        file = (ROOT / "plugins").joinpath(*target.split(".")[1:]).with_suffix(".py")
        found = {library(module) for module in imports(parsed(file), at_import=True)}
        assert not found & {*HEAVY, "hydra", "omegaconf"}, file


@pytest.mark.parametrize("file", MODULES)
def test_files_and_functions_stay_short(file: Path) -> None:
    assert file.stem not in ("utils", "util", "helpers", "helper", "common", "misc")
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno + 1 <= 60, node.name


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Functions and methods that can be reached by name, not those inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")


@pytest.mark.parametrize("file", MODULES)
def test_all_that_is_public_is_described_and_annotated(file: Path) -> None:
    tree = parsed(file)
    if file.name != "__init__.py" or tree.body:
        assert ast.get_docstring(tree), "the module"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
    protocols = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
    }
    for name, node in functions(tree):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        unannotated = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        assert not unannotated, f"{name}: {unannotated}"
        assert node.returns is not None, name
        public = not any(part.startswith("_") for part in name.split("."))
        if public and name.partition(".")[0] not in protocols:
            overloaded = any("overload" in ast.unparse(decorator) for decorator in node.decorator_list)
            assert overloaded or ast.get_docstring(node), name


@pytest.mark.parametrize("file", MODULES)
def test_no_assert_no_bare_except_no_print_no_todo(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert "TODO" not in text
    assert "FIXME" not in text
    for node in ast.walk(parsed(file)):
        assert not isinstance(node, ast.Assert), node.lineno
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None), node.lineno
        assert not (isinstance(node, ast.Global)), node.lineno
        assert not (isinstance(node, ast.Call) and ast.unparse(node.func) == "print"), node.lineno


@pytest.mark.parametrize("file", MODULES)
def test_public_functions_take_two_positional_parameters_at_most(file: Path) -> None:
    for name, node in functions(parsed(file)):
        if any(part.startswith("_") for part in name.split(".")) or name.endswith(BY_CONTRACT):
            continue
        positional = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]
        assert len(positional) <= 2, f"{name}{positional}"
