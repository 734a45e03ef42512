"""Names that libraries offer, for tab completion: read from their files, without importing them.

Tests hold each against what the library says once it is imported.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from importlib import resources
from pathlib import Path

TORCHVISION_UNFIT = ("squeezenet",)
"""Networks of torchvision for which zoo has no family (torchvision_families.FAMILIES says why)."""

_REGISTERED = re.compile(r"^@register_model\(\)\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)


def timm_models() -> list[str]:
    """Architectures of the version of timm whose networks were counted (timm_counts)."""
    table = json.loads(resources.files("zoo_plugins").joinpath("timm_counts.json").read_text(encoding="utf-8"))
    return sorted(table["counts"])


def torchvision_models() -> list[str]:
    """Functions that torchvision's files on classification register as models."""
    found: list[str] = []
    for file in sorted(_folder("torchvision", "models").glob("*.py")):
        found += _REGISTERED.findall(file.read_text(encoding="utf-8"))
    return sorted(name for name in found if not name.startswith(TORCHVISION_UNFIT))


def timm_optimizers() -> list[str]:
    """Optimizers that timm's factory registers, and their other names, without those that need CUDA packages or second
    derivatives."""
    file = _folder("timm", "optim") / "_optim_factory.py"
    found = []
    for node in ast.walk(ast.parse(file.read_bytes()) if file.is_file() else ast.Module([], [])):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "OptimInfo":
            given = {one.arg: one.value for one in node.keywords}
            name, target, second = given.get("name"), given.get("opt_class"), given.get("second_order")
            bare = not isinstance(target, ast.Constant) and not (isinstance(second, ast.Constant) and second.value)
            found += [str(name.value)] if bare and isinstance(name, ast.Constant) else []
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".register_alias"):
            found += [str(node.args[0].value)] if isinstance(node.args[0], ast.Constant) else []
    return sorted(found)


def published_models() -> list[str]:
    """Models in the folders of ZOO_PATH."""
    from zoo.artifacts.zoo_folder import published_names, zoo_folders

    return sorted({name for folder in zoo_folders() for name in published_names(folder)})


def _folder(library: str, package: str) -> Path:
    """The folder of a package, below where its library lies; one that is not there where the library is not."""
    spec = importlib.util.find_spec(library)
    return Path((spec.submodule_search_locations or [""])[0] if spec else "", package)
