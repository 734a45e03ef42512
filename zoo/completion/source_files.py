"""Python modules as syntax trees, found without importing them or any package they lie in."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from zoo.load_times import HEAVY


@lru_cache(maxsize=64)
def parsed(module: str) -> ast.Module | None:
    """The syntax tree of a module; None where there is no source file of it."""
    file = source_of(module)
    if file is None:
        return None
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def source_of(module: str) -> Path | None:
    """The file of a module: its top-level package is located, not imported, and the rest is a path below it."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or ():
        path = Path(folder, *rest)
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def found(name: str, module: str, *, depth: int = 8) -> tuple[ast.AST, str] | None:
    """What a name means in a module: its definition or the value it is set to, and in which module that is.

    Imports are followed, but not into Python's own library and the heavy ones, which are large and tell of no options.

    Args:
        name: Dotted from the module on.
        module: Where it is used.
        depth: How many imports are followed.
    """
    tree = parsed(module)
    if tree is None or depth == 0:
        return None
    head, _, rest = name.partition(".")
    for node in reversed(list(_statements(tree))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == head:
            if not rest:
                return node, module
            inside = [one for one in node.body if getattr(one, "name", None) == rest]
            return (inside[-1], module) if inside else None
        if isinstance(node, ast.Assign | ast.AnnAssign) and not rest:
            value = _assigned(node, head)
            if value is not None:
                return value, module
        if isinstance(node, ast.ImportFrom | ast.Import):
            origin = _imported(node, head, module)
            if origin is not None:
                large = origin[0].partition(".")[0] in HEAVY | sys.stdlib_module_names
                return None if large else _through(origin, rest, depth=depth)
    return None


def _through(origin: tuple[str, str], rest: str, *, depth: int) -> tuple[ast.AST, str] | None:
    """What an imported name means where it comes from."""
    module, name = origin
    if name and rest and source_of(f"{module}.{name}") is not None:  # a module of a package
        module, name = f"{module}.{name}", ""
    whole = ".".join(part for part in (name, rest) if part)
    return found(whole, module, depth=depth - 1) if whole else None


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Top-level statements, those of top-level `if` and `try` included."""
    for node in tree.body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from (inner for inner in ast.walk(node) if isinstance(inner, ast.stmt) and inner is not node)


def _assigned(node: ast.Assign | ast.AnnAssign, name: str) -> ast.AST | None:
    """The value that an assignment gives a name, in `a = 1` and in `a, b = 1, 2`."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        if isinstance(target, ast.Name) and target.id == name:
            return node.value
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            for one, value in zip(target.elts, node.value.elts, strict=False):
                if isinstance(one, ast.Name) and one.id == name:
                    return value
    return None


def _imported(node: ast.ImportFrom | ast.Import, name: str, module: str) -> tuple[str, str] | None:
    """Module and name that an import gives a name here; the name is "" for a whole module."""
    for alias in node.names:
        if (alias.asname or alias.name.partition(".")[0]) != name:
            continue
        if isinstance(node, ast.Import):
            return (alias.name if alias.asname else alias.name.partition(".")[0]), ""
        return _absolute(node, module), alias.name
    return None


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    file = source_of(module)
    parts = module.split(".")
    inside = parts if file is not None and file.name == "__init__.py" else parts[:-1]
    base = inside[: len(inside) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])
