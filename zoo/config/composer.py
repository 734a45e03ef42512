"""Runs Hydra over zoo's conf/, the registry, and folders of YAML of the user and of plugins."""

from __future__ import annotations

import typing
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.default_element import ResultDefault
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.config_source import ConfigSource
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zoo.config import choices, keys, origins, plugin_defaults
from zoo.config.source import USER, bind, search_path
from zoo.config.words import SEARCHPATH, Word, Words
from zoo.errors import UserError, name_list
from zoo.plugins import Plugins
from zoo.registering import ConfigDefault
from zoo.registry import Registry

HYDRA_RULES = "1.3"
"""Hydra's behaviour is that of this version, whatever version is installed."""


@dataclass(frozen=True)
class Composed:
    """Plain values, the origin of each dotted leaf, and the errors (their words were left out).

    Attributes:
        acting: Defaults of plugins that act.
    """

    values: dict[str, Any]
    origins: dict[str, str]
    errors: list[UserError]
    acting: tuple[ConfigDefault, ...] = ()


class Composer:
    """Composes configurations from what is installed. Nothing of Hydra's global state is changed for others."""

    def __init__(self, plugins: Plugins, *, searchpath: str | None = None) -> None:
        """Looks for options in zoo's conf/, the registry, and the folders of `hydra.searchpath`.

        Raises:
            UserError: `searchpath` is no list of folders, or one of them is not there.
        """
        bind(plugins)
        self.registry: Registry = plugins.registry
        self.defaults = plugins.defaults
        with hydra_rules():
            self.loader = ConfigLoaderImpl(search_path(plugins, _folders(searchpath)))
        for source in self._sources(USER):
            if not source.available():
                raise UserError(
                    f"there is no folder of YAML at {source.path!r}",
                    where=f"{SEARCHPATH}={searchpath}",
                    allowed="existing folders: [/my/conf], [file:///my/conf], [pkg://my_package.conf]",
                )

    def has(self, group: str, name: str) -> bool:
        """Whether there is such an option, registered or written as YAML."""
        return any(source.is_config(f"{group}/{name}") for source in self.loader.repository.get_sources())

    def has_yaml(self, group: str, name: str) -> bool:
        """Whether a YAML file, zoo's or the user's, is this option.

        Raises:
            UserError: Both have a file of this name, so that the user's would have no effect.
        """
        main = [s for s in self._sources("main") if s.is_config(f"{group}/{name}")]
        own = [s for s in self._sources(USER) if s.is_config(f"{group}/{name}")]
        if main and own:
            raise UserError(
                f"{group}={name} is written twice, in zoo's own conf/ and in {own[0].path}",
                where=f"{own[0].path}/{group}/{name}.yaml",
                do="give your file another name",
            )
        return bool(main or own)

    def names(self, group: str) -> list[str]:
        """All options of a group, sub-folders included."""
        found = []
        for source in self.loader.repository.get_sources():
            found += _walk(source, group, "")
        return sorted(set(found))

    def compose(self, verb: str, given: Words) -> Composed:
        """Composes in two steps, so that one run shows every error.

        The first step takes the group choices alone; against its keys the other words are checked; the second
        takes all that passed.
        """
        asked = [word for word in given.plain if choices.is_choice(word)]
        groups, errors = choices.check_choices(asked, self)
        broken = given.refused | {word.key for word in asked} - {word.key for word in groups}
        with hydra_rules():
            try:
                config, found, acting = self._choose(
                    verb, groups, said=broken | {word.key for word in asked}, errors=errors
                )
                skeleton = _as_plain(config)
                settings = [word for word in given.plain if word not in asked]
                settings, more = keys.check_keys(settings, skeleton, broken=broken, has=self.has)
                settings, unread = _readable(settings)
                errors += more + unread
                values = self._set(config, settings, skeleton)
            except (HydraException, OmegaConfBaseException) as error:
                return Composed({}, {}, [*errors, self._explained(error, given.plain)])
        found |= origins.of_words(values, [*groups, *settings])
        errors += self._set_literal(values, given, found, broken)
        errors += _check_experiment(values)
        more_acting, disputed = plugin_defaults.set_values(self.defaults, values, origins=found)
        errors += disputed
        of_leaves = {key: found.get(key, origins.DEFAULT) for key, _ in keys.leaves(values)}
        return Composed(values, of_leaves, errors, (*acting, *more_acting))

    def _choose(
        self, verb: str, groups: Sequence[Word], *, said: Collection[str], errors: list[UserError]
    ) -> tuple[DictConfig, dict[str, str], list[ConfigDefault]]:
        """What the group choices alone compose to, the leaves that chosen files set, and the choices of plugins.

        A plugin's choice acts where neither the command line (`said`) nor a chosen file has one.
        `load_configuration` would do this twice, and read Hydra's own twenty files each time: 0.3 s.
        """
        repository = CachingConfigRepository(self.loader.repository)

        def listed(words: Sequence[Word]) -> list[ResultDefault]:
            parsed = [parse(word) for word in words]
            made = create_defaults_list(repository, verb, parsed, prepend_hydra=False, skip_missing=False)
            return list(made.defaults)

        found = listed(groups)
        in_files = plugin_defaults.chosen_in_files(repository, verb, composed=found)
        choice, disputed = plugin_defaults.acting_choices(self.defaults, self, said={*said, *in_files})
        errors += disputed
        if choice:
            found = listed([*groups, *(word for _, word in choice)])
        files = origins.of_files(repository, verb, composed=found)
        for default, word in choice:
            files |= plugin_defaults.origins_of(default, word)
        acting = [default for default, _ in choice]
        return self.loader._compose_config_from_defaults_list(found, repository), files, acting

    def _set(self, config: DictConfig, settings: Sequence[Word], skeleton: keys.Tree) -> dict[str, Any]:
        """The plain values of a configuration after single values were set in it."""
        OmegaConf.set_struct(config, True)
        parsed = [parse(word, free=keys.is_free(word.key, skeleton)) for word in settings]
        self.loader._apply_overrides_to_config(parsed, config)
        return _as_plain(config)

    def _set_literal(
        self, values: dict[str, Any], given: Words, found: dict[str, str], broken: frozenset[str]
    ) -> list[UserError]:
        """Sets what is taken to the letter, then what a saved model brings, and notes where each came from."""
        errors: list[UserError] = []
        for key, value in given.literal.items():
            unknown = keys.unknown_key(Word(key, str(value)), values, has=self.has)
            if unknown is None:
                keys.set_value(values, key, value=value)
                found[key] = origins.COMMAND_LINE
            elif key.partition(".")[0] not in broken:
                errors.append(unknown)
        for key, (value, file) in given.saved.items():
            if found.get(key) != origins.COMMAND_LINE:
                keys.set_value(values, key, value=value)
                found[key] = f"file {file}"
        return errors

    def _sources(self, provider: str) -> list[ConfigSource]:
        return [source for source in self.loader.repository.get_sources() if source.provider == provider]

    def _explained(self, error: Exception, given: Sequence[Word]) -> UserError:
        """Hydra's error as ours, without its hint to add a key that does not exist."""
        where = " ".join(str(word) for word in given) or "conf/"
        if isinstance(error, MissingConfigException) and error.missing_cfg_file:
            group, _, name = error.missing_cfg_file.partition("/")
            if name:
                known = self.names(group)
                return UserError(
                    f"a file asks for {group}={name}, which there is not", where=where, allowed=name_list(name, known)
                )
        cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) and not str(error) else error
        lines = str(cause).split("To append to your config")[0].strip().splitlines()
        return UserError(lines[0] if lines else type(cause).__name__, where=where)


def parse(word: Word, *, free: bool = False) -> Override:
    """One word as Hydra understands it; a free one may add its key.

    Raises:
        UserError: It does not parse.
    """
    try:
        with hydra_rules():
            return OverridesParser.create().parse_override(f"++{word}" if free else str(word))
    except HydraException as error:
        raise UserError(
            f"the value of {word.key} cannot be read: {str(error).splitlines()[0]}",
            where=str(word),
            do=f"quote it once for the shell and once more for the value: '{word.key}=\"...\"'",
        ) from error


@contextmanager
def hydra_rules() -> Iterator[None]:
    """Within it, Hydra behaves as `HYDRA_RULES`; a program around zoo that uses Hydra itself keeps its own choice."""
    before = version.getbase()
    version.setbase(HYDRA_RULES)
    setup_globals()
    try:
        yield
    finally:
        version.VersionBase.instance().version_base = before


def _as_plain(config: DictConfig) -> dict[str, Any]:
    return typing.cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))


def _readable(words: Sequence[Word]) -> tuple[list[Word], list[UserError]]:
    """Words that hold one value that parses, and errors for the others."""
    good: list[Word] = []
    errors: list[UserError] = []
    for word in words:
        try:
            if parse(word).is_sweep_override():
                raise UserError(
                    f"{word} gives several values",
                    where="command line",
                    do=[
                        "add -m to run one after the other",
                        f"write '{word.key}=[{word.value}]' for a list, '{word.key}=\"{word.value}\"' for text",
                    ],
                )
            good.append(word)
        except UserError as error:
            errors.append(error)
    return good, errors


def _folders(searchpath: str | None) -> list[str]:
    """Folders in the value of `hydra.searchpath`: a list as Hydra takes it, or one bare path."""
    if searchpath is None:
        return []
    if not searchpath.startswith("["):
        return [searchpath]
    found = parse(Word(SEARCHPATH, searchpath)).value()
    if not isinstance(found, list) or not all(isinstance(folder, str) for folder in found):
        raise UserError(f"{SEARCHPATH} is no list of folders", where=f"{SEARCHPATH}={searchpath}", allowed="[/my/conf]")
    return [str(folder) for folder in found]


def _walk(source: ConfigSource, group: str, below: str) -> list[str]:
    path = f"{group}/{below}".rstrip("/")
    if not source.is_group(path):
        return []
    found = [f"{below}{name}" for name in source.list(path, ObjectType.CONFIG)]
    for folder in source.list(path, ObjectType.GROUP):
        found += _walk(source, group, f"{below}{folder}/")
    return found


def _check_experiment(values: dict[str, Any]) -> list[UserError]:
    """Takes the empty experiment node away; values in it would have had no effect."""
    left = values.pop("experiment", None)
    if not left:
        return []
    return [
        UserError(
            "an experiment file sets values below `experiment`, where they have no effect",
            where=", ".join(f"experiment.{key}" for key, _ in keys.leaves(left)),
            do="make `# @package _global_` the first line of the file",
        )
    ]
