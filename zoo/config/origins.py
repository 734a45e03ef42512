"""Where each value of a configuration came from: the default, a file, or the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hydra._internal.config_repository import IConfigRepository
from hydra.core.default_element import GroupDefault, ResultDefault
from omegaconf import OmegaConf

from zoo.config import keys
from zoo.config.words import Word
from zoo.kinds import BY_GROUP

DEFAULT = "default"
COMMAND_LINE = "command line"


def of_words(values: keys.Tree, words: Sequence[Word]) -> dict[str, str]:
    """The leaves that words of the command line set: a choice sets names, any other word its own key."""
    found: dict[str, str] = {}
    for word in words:
        kind = BY_GROUP.get(word.key)
        if kind is not None and kind.many:
            found |= {f"{word.key}.{item}.name": COMMAND_LINE for item in values.get(word.key) or {}}
        elif kind is not None:
            found[f"{word.key}.name"] = COMMAND_LINE
        else:
            inside = [key for key, _ in keys.leaves(values) if key.startswith(f"{word.key}.")]
            found |= dict.fromkeys([word.key, *inside], COMMAND_LINE)
    return found


def of_files(repository: IConfigRepository, verb: str, *, composed: Sequence[ResultDefault]) -> dict[str, str]:
    """The leaves that files set which were chosen: an experiment, or an option written as YAML.

    Files that are there by default, and the defaults of components, are left out.
    """
    usual = _usual(repository, verb)
    files: dict[str, str] = {}
    found: dict[str, str] = {}
    chosen = []
    for item in composed:
        path = str(item.config_path)
        if path in usual or item.parent in usual - {verb}:
            usual.add(path)
            continue
        chosen.append(item)
        loaded = repository.load_config(path)
        if loaded is not None and not loaded.path.startswith("zoo://"):
            files[path] = f"file {path}.yaml"
            values = OmegaConf.to_container(loaded.config, resolve=False)
            prefix = f"{item.package}." if item.package else ""
            found |= {key: files[path] for key, _ in keys.leaves(_own(values), prefix)}
    for item in chosen:
        if str(item.config_path) not in files:
            chooser = files.get(str(item.parent)) or _chooser(repository, files, str(item.config_path))
            found |= {f"{item.package}.name": chooser} if chooser else {}
    return found


def _usual(repository: IConfigRepository, verb: str) -> set[str]:
    """The primary file, and the options in its defaults list."""
    loaded = repository.load_config(verb)
    items = (loaded.defaults_list if loaded else None) or []
    return {verb} | {f"{item.group}/{item.value}" for item in items if isinstance(item, GroupDefault)}


def _own(values: Any) -> dict[str, Any]:
    """A file's values without its defaults list."""
    return {key: value for key, value in values.items() if key != "defaults"} if isinstance(values, dict) else {}


def _chooser(repository: IConfigRepository, files: Mapping[str, str], config_path: str) -> str:
    """The chosen file whose `override /optimizer: sgd` picked a component, "" for none."""
    group, _, name = config_path.partition("/")
    for path in files:
        loaded = repository.load_config(path)
        for item in (loaded.defaults_list if loaded else None) or []:
            if isinstance(item, GroupDefault) and str(item.group).strip("/") == group:
                chosen = item.value if isinstance(item.value, list) else [item.value]
                if name in chosen:
                    return files[path]
    return ""
