"""Looks at a plugin in its source tree, without installing it: what pip would write is made in a temporary folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.plugins import GROUP


@dataclass(frozen=True)
class SourceTree:
    """A distribution that is not installed.

    Attributes:
        name: Of the distribution.
        version: As the file states it; `0` where something computes it.
        points: Entry points of this generation: name to module.
        roots: Folders that are to be on the import path, the first one first.
        missing: Requirements of it that are not installed here.
    """

    name: str
    version: str
    points: Mapping[str, str]
    roots: tuple[Path, ...]
    missing: tuple[str, ...]


def read_tree(folder: Path) -> SourceTree:
    """What a folder's pyproject.toml says.

    Raises:
        UserError: Something is missing in it; the message says what, and how it looks where it is there.
    """
    file = folder / "pyproject.toml"
    if not file.is_file():
        what = "there is no such folder" if not folder.is_dir() else "there is no pyproject.toml in it"
        raise UserError(
            f"{str(folder)!r} is no plugin: {what}",
            where=str(file),
            do=[
                "name the folder that holds the pyproject.toml",
                "begin one: python -m zoo plugins new NAME --kind KIND",
            ],
        )
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"pyproject.toml cannot be read: {error}", where=str(file)) from error
    project = content.get("project", {})
    if not isinstance(project.get("name"), str):
        raise UserError("pyproject.toml names no project", where=f"{file} [project]", do='add name = "zoo-acme"')
    points = project.get("entry-points", {}).get(GROUP)
    if not points:
        raise UserError(
            f"pyproject.toml offers no plugin: it has no entry points of the group {GROUP}",
            where=str(file),
            do=[f'add [project.entry-points."{GROUP}"]', '    "acme.optimizers" = "zoo_acme.hooks"'],
        )
    roots = _roots(folder, content)
    for name, module in points.items():
        _check_module(module, roots, name=name, file=file)
    return SourceTree(
        project["name"],
        str(project.get("version", "0")),
        dict(points),
        roots,
        tuple(_not_installed(project.get("dependencies", ()))),
    )


def _roots(folder: Path, content: Mapping[str, Any]) -> tuple[Path, ...]:
    """Where packages lie: where setuptools is told, in `src`, or beside the pyproject.toml."""
    told = content.get("tool", {}).get("setuptools", {})
    named = [told.get("package-dir", {}).get("")]
    found = told.get("packages", {})
    named += found.get("find", {}).get("where", []) if isinstance(found, Mapping) else []
    roots = [folder / place for place in (*named, "src", ".") if place and (folder / place).is_dir()]
    return tuple(dict.fromkeys(root.resolve() for root in roots))


def _check_module(module: str, roots: Sequence[Path], *, name: str, file: Path) -> None:
    path = module.partition(":")[0].replace(".", "/")
    places = [root / end for root in roots for end in (f"{path}.py", f"{path}/__init__.py")]
    if not any(place.is_file() for place in places):
        raise UserError(
            f"the plugin {name!r} names the module {module!r}, which is not in the source tree",
            where=f'{file} [project.entry-points."{GROUP}"]',
            allowed=", ".join(str(place) for place in places),
        )


def _not_installed(requirements: Sequence[str]) -> list[str]:
    """Requirements whose distribution is not there; versions are pip's business, and markers too."""
    missing = []
    for requirement in requirements:
        name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
        if name is None or ";" in requirement:
            continue
        try:
            version(name[0])
        except PackageNotFoundError:
            missing.append(requirement)
    return missing


def check_tree(folder: Path, *, flags: Sequence[str]) -> int:
    """Looks at all plugins of a source tree in a fresh process; returns its exit code.

    Args:
        folder: The folder with the pyproject.toml.
        flags: Handed on: `--quick`, `--json`.

    Raises:
        UserError: It cannot be loaded as it is; nothing was looked at.
    """
    tree = read_tree(folder)
    if tree.missing:
        sys.stderr.write(f"note: not installed here, and asked for by {tree.name}: {', '.join(tree.missing)}\n")
    with tempfile.TemporaryDirectory(prefix="zoo-check-", ignore_cleanup_errors=True) as made:
        site = Path(made)
        info = site / f"{re.sub(r'[-_.]+', '_', tree.name)}-{tree.version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {tree.name}\nVersion: {tree.version}\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        lines = [f"[{GROUP}]", *(f"{name} = {module}" for name, module in tree.points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        before = os.environ.get("PYTHONPATH")
        path = [str(site), *(str(root) for root in tree.roots), *([before] if before else [])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "ZOO_PLUGINS": ",".join(tree.points)}
        sys.stdout.flush()
        done = subprocess.run(
            [sys.executable, "-P", "-m", "zoo", "plugins", "check", tree.name, *flags], env=environment, check=False
        )
    return done.returncode
