"""Names that may stand behind a group, without importing the libraries that offer them.

Components that are registered one by one are known at once. Of a library's names a provider says how to list them
lightly (`light_names`), or they come from the file that the last command that used it left in the cache folder.
"""

from __future__ import annotations

import importlib.util
import json
import pkgutil
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from zoo.data.cache import cache_root
from zoo.errors import PluginError, UserError
from zoo.kinds import BY_GROUP, KINDS
from zoo.plugins import Plugins
from zoo.registry import FIRST_PARTY, LazyProvider


def names_of_group(group: str, plugins: Plugins, *, full: bool = False) -> list[str]:
    """What may be chosen in a group: names of components, and of options written as YAML.

    Args:
        group: Of the configuration.
        plugins: What is installed.
        full: With the namespace of each (`torch/sgd`).
    """
    kind = BY_GROUP.get(group)
    found = [] if kind is None else names_of_kind(kind.name, plugins, full=full)
    return sorted({*found, *_yaml_names(group, plugins)})


def names_of_kind(kind: str, plugins: Plugins, *, full: bool = False) -> list[str]:
    """Bare names, or full ones; where two third parties share a bare name the full ones, as the bare one is refused."""
    registry = plugins.registry
    offered = [(entry.origin.namespace, entry.name) for entry in registry.entries(kind)]
    for provider in registry.providers(kind):
        offered += [(provider.origin.namespace, name) for name in light_names(provider)]
    if full:
        return sorted({f"{namespace}/{name}" for namespace, name in offered})
    owners: dict[str, set[str]] = {}
    for namespace, name in offered:
        owners.setdefault(name, set()).add(namespace)
    found = []
    for name, namespaces in owners.items():
        unclear = len(namespaces) > 1 and not namespaces & set(FIRST_PARTY)
        found += [f"{namespace}/{name}" for namespace in namespaces] if unclear else [name]
    return sorted(found)


def light_names(provider: LazyProvider) -> list[str]:
    """A provider's names where they can be had without importing its library; else those that were left behind."""
    if provider.light_names is not None:
        try:
            named = pkgutil.resolve_name(provider.light_names)
            return list(named() if callable(named) else named)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"{provider.light_names!r} failed: {type(error).__name__}: {error}\n  plugin:  {provider.origin}"
            ) from error
    return _left_names(provider)


def left_file(provider: LazyProvider) -> Path:
    """Where a provider's names are left, for one version of its distribution."""
    origin = provider.origin
    return cache_root() / "completion" / f"{origin.plugin}-{provider.kind}-{origin.version}.json"


def _left_names(provider: LazyProvider) -> list[str]:
    try:
        left = json.loads(left_file(provider).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [name for name in left if isinstance(name, str)] if isinstance(left, list) else []


def leave_names(plugins: Plugins) -> list[Path]:
    """Leaves the names of providers that this process used anyway, for later completions; the files that were written.

    Nothing depends on them: where they cannot be written, names of that library are not completed.
    """
    written = []
    for kind in KINDS:
        for provider in plugins.registry.providers(kind.name):
            if provider.light_names is not None or provider.target.partition(":")[0] not in sys.modules:
                continue
            try:
                names = sorted(provider.names())
                if names != sorted(_left_names(provider)):
                    written.append(_write(left_file(provider), names))
            except (UserError, PluginError):
                continue
    return written


def _write(file: Path, names: list[str]) -> Path:
    from zoo.files import write_text

    return write_text(file, json.dumps(names))


def yaml_defaults() -> dict[str, str]:
    """Group to the component that zoo's own primary file chooses."""
    for folder in _yaml_folders(()):
        file = folder / "finetune.yaml"
        if file.is_file():
            chosen = re.findall(r"^  - (\w+): (\w[\w./-]*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            return {group: name for group, name in chosen if group in BY_GROUP}
    return {}


def _yaml_names(group: str, plugins: Plugins) -> list[str]:
    """Options of a group written as YAML, zoo's own and those of plugins; sub-folders included."""
    found: list[str] = []
    for folder in _yaml_folders(plugins.config_dirs):
        files = (folder / group).rglob("*.yaml")
        found += [file.relative_to(folder / group).with_suffix("").as_posix() for file in files]
    return found


def _yaml_folders(packages: Iterable[str]) -> list[Path]:
    folders = []
    for package in ("zoo.conf", *packages):
        spec = importlib.util.find_spec(package)
        folders += [Path(folder) for folder in (spec.submodule_search_locations if spec else None) or ()]
    beside = Path(__file__).resolve().parents[2] / "conf"  # a clone that shadows the installed package
    return folders if importlib.util.find_spec("zoo.conf") is not None else [*folders, beside]
