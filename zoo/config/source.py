"""The `zoo://` config source: every registered component is a Hydra option, with its signature as the schema.

Hydra builds a config source from its address alone, so the registry is handed over through the class: `bind` points
it at the latest. In a process that a launcher started, nothing was bound, and the installed plugins are loaded.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import ClassVar

from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins as HydraPlugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from zoo.config.schema import defaults
from zoo.config.words import short_key, without_copy
from zoo.kinds import BY_GROUP
from zoo.plugins import Plugins, load_plugins
from zoo.registry import Registry

USER = "hydra.searchpath"
"""Provider name of folders that the user added."""


class ZooSource(ConfigSource):
    """Answers `optimizer/lion` from the registry."""

    registry: ClassVar[Registry | None] = None

    @staticmethod
    def scheme() -> str:
        """`zoo://`."""
        return "zoo"

    @classmethod
    def known(cls) -> Registry:
        """The registry that was bound, or that of the installed plugins."""
        if cls.registry is None:
            cls.registry = load_plugins().registry
        return cls.registry

    def load_config(self, config_path: str) -> ConfigResult:
        """The options of one component, in the package of its group (`augmentations.flip` for a plural group)."""
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        kind = BY_GROUP[group]
        entry = self.known().get(kind.name, without_copy(name))
        return ConfigResult(
            provider=f"plugin {entry.origin.plugin}",
            path=f"zoo://{config_path}",
            config=OmegaConf.create(defaults(entry)),
            header={"package": f"{group}.{short_key(name)}" if kind.many else group},
        )

    def available(self) -> bool:
        """Always."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Whether this is a kind's config group."""
        return config_path.strip("/") in BY_GROUP

    def is_config(self, config_path: str) -> bool:
        """Whether a component has this name."""
        group, _, name = config_path.removesuffix(".yaml").partition("/")
        kind = BY_GROUP.get(group)
        return bool(kind and name and self.known().has(kind.name, without_copy(name)))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Groups at the top, names of components in a group."""
        path = config_path.strip("/")
        if not path:
            return [] if results_filter == ObjectType.CONFIG else sorted(BY_GROUP)
        kind = BY_GROUP.get(path)
        if kind is None or results_filter == ObjectType.GROUP:
            return []
        return self.known().names(kind.name)


def bind(plugins: Plugins) -> None:
    """Points the source at these plugins and makes its scheme known to Hydra (whose own discovery misses it)."""
    ZooSource.registry = plugins.registry
    HydraPlugins.instance().register(ZooSource)


def search_path(plugins: Plugins, folders: list[str]) -> ConfigSearchPath:
    """Where options are looked for, the first place that has one answers.

    zoo's own conf/, then the user's folders, then the registry, then YAML that plugins ship: so a user's file may
    stand in for a component of that name, and a plugin adds options but replaces none.
    """
    path = ConfigSearchPathImpl()
    path.append("hydra", "pkg://hydra.conf")
    path.append("main", conf_path())
    for folder in folders:
        path.append(USER, folder)
    path.append("zoo", "zoo://")
    for package in plugins.config_dirs:
        path.append(f"plugin {package}", f"pkg://{package}")
    for hydra_plugin in HydraPlugins.instance().discover(SearchPathPlugin):
        hydra_plugin().manipulate_search_path(path)
    path.append("schema", "structured://")
    return path


def conf_path() -> str:
    """Where zoo's own YAML lies: in the installed package, or beside a checkout that shadows it."""
    if importlib.util.find_spec("zoo.conf") is not None:
        return "pkg://zoo.conf"
    beside = Path(__file__).resolve().parents[2] / "conf"
    if (beside / "__init__.py").is_file():
        return f"file://{beside}"
    raise FileNotFoundError("zoo's configuration (the package zoo.conf) is not installed: run `pip install .` again")
