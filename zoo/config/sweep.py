"""Sweeps (`-m`): Hydra's sweepers and launchers, with zoo's own words, folders and errors.

Values that Hydra's grammar cannot carry (paths) travel through it as hexadecimal text and are turned back into
`key=value` words for each job. The folder of a sweep is its only output; Hydra's logging stays off.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins as HydraPlugins
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from zoo.config import choices, compose, words
from zoo.config.composer import Composer, hydra_rules
from zoo.config.words import PATH_KEYS, SEARCHPATH, SHORTHAND_KEYS, Word, Words
from zoo.errors import Interrupted, UserError, UserErrors, ZooError, raise_all
from zoo.files import write_error
from zoo.plugins import Plugins

CODED = "path-"
"""Begins a value that is coded for its way through Hydra."""

QUIET = (
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
    "hydra.output_subdir=null",
    "hydra.sweep.dir=.",
    "hydra.sweep.subdir=.",
    "hydra.job.chdir=false",
)
"""Hydra writes nothing of its own in a job and changes no folder."""

CHECKED_VALUES = 20
"""So many values of each swept key are checked before the first job starts; the others when their job starts."""

Job = Callable[[list[str]], object]
"""Runs one job from its `key=value` words."""


class JobFailed(ZooError):
    """One job of a sweep failed; the others of its batch were run."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[type[JobFailed], tuple[str, int]]:
        """Keeps the exit code when it is sent from another process."""
        return JobFailed, (str(self), self.exit_code)


def sweep(arguments: Sequence[str], plugins: Plugins, *, source_for: choices.SourceFor, job: Job) -> list[object]:
    """Runs one job for each combination of the values that are separated by commas.

    `hydra/launcher=NAME` runs them elsewhere (joblib, submitit), `hydra/sweeper=NAME` chooses the values in another
    way; then `job` must be picklable.

    Args:
        arguments: `key=value` words, those with several values included.
        plugins: What is installed.
        source_for: Says which dataset component reads a path.
        job: Runs one job; its words hold a `run.dir` of its own in `runs/<date>/<time>-sweep/`.

    Returns:
        What the jobs returned, in order; empty where the sweeper keeps that to itself.

    Raises:
        UserErrors: Something is wrong with the words; no job was run.
        JobFailed: The first job that failed.
        Interrupted: A job was stopped by the user; later jobs were not started.
    """
    given, errors = words.sort_out(arguments, sweep=True)
    raise_all(errors)
    composer = Composer(plugins, searchpath=given.searchpath)
    _check(given, composer, plugins, source_for)
    task = _Task(job, _folder(given), given.searchpath)
    with hydra_rules():
        return _launch(composer, given, task, source_for)


@dataclass(frozen=True)
class _Task:
    """What a launcher calls for one job, in this process or in another.

    Attributes:
        keeps_failures: Return a failure instead of raising it: Hydra's own sweeper would print the coded words.
    """

    job: Job
    folder: Path
    searchpath: str | None
    keeps_failures: bool = False

    def __call__(self, config: DictConfig) -> object:
        """Runs the job whose overrides Hydra holds."""
        hydra = HydraConfig.get()
        chosen = [_decode(words.split_word(text)) for text in hydra.overrides.task]
        number = int(hydra.job.num)
        own = [str(word) for word in chosen]
        own += [f"{SEARCHPATH}={self.searchpath}"] if self.searchpath is not None else []
        try:
            return self.job([*own, f"run.dir={self.folder / str(number)}"])
        except Interrupted as error:
            raise KeyboardInterrupt from error  # Hydra would take any other error for a reason to start the next job
        except ZooError as error:
            failed = JobFailed(f"job {number} ({' '.join(own)}) failed:\n{error}", error.exit_code)
            if self.keeps_failures:
                return failed
            raise failed from error


def _launch(composer: Composer, given: Words, task: _Task, source_for: choices.SourceFor) -> list[object]:
    overrides = [*QUIET, *(str(word) for word in given.launch)]
    overrides += [str(_encode(word, composer, source_for)) for word in (*given.plain, *_literal(given))]
    try:
        config = composer.loader.load_configuration(compose.VERB, overrides, RunMode.MULTIRUN, from_shell=False)
        config.hydra.sweep.dir = str(task.folder).replace("${", "\\${")
        context = HydraContext(config_loader=composer.loader, callbacks=_callbacks(config))
        task = dataclasses.replace(task, keeps_failures=config.hydra.sweeper._target_.endswith(".BasicSweeper"))
        sweeper = HydraPlugins.instance().instantiate_sweeper(config=config, hydra_context=context, task_function=task)
        batches = sweeper.sweep(arguments=[str(text) for text in config.hydra.overrides.task])
    except HydraException as error:
        raise UserError(str(error).splitlines()[0], where=" ".join(overrides)) from error
    except KeyboardInterrupt as error:
        if isinstance(error.__cause__, Interrupted):
            raise error.__cause__ from None
        raise
    if not isinstance(batches, list | tuple):
        return []
    return _unfailed([result.return_value for batch in batches for result in batch])


def _unfailed(results: list[object]) -> list[object]:
    """The results, where no job failed; otherwise raises the first failure and says how many others there were."""
    failures = [result for result in results if isinstance(result, JobFailed)]
    if not failures:
        return results
    more = f"\n{len(failures)} of {len(results)} jobs failed" if len(failures) > 1 else ""
    raise JobFailed(f"{failures[0]}{more}", failures[0].exit_code)


def _callbacks(config: DictConfig) -> Any:
    from hydra._internal.callbacks import Callbacks

    return Callbacks(config)


def _folder(given: Words) -> Path:
    """The sweep's folder, new: `run.dir`, or `<root>/<date>/<time>-sweep`.

    Raises:
        UserError: It cannot be made.
    """
    named = given.literal.get("run.dir")
    if named is not None:
        try:
            Path(named).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(error, Path(named)) from error
        return Path(named)
    base = Path(given.literal.get("run.root") or "runs") / time.strftime("%Y-%m-%d")
    name = time.strftime("%H-%M-%S-sweep")
    for attempt in range(1, 1000):
        folder = base / (name if attempt == 1 else f"{name}-{attempt}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise write_error(error, folder, keys="run.dir=, run.root=") from error
    raise UserError("no free name for the sweep's folder", where=str(base), do="name one: run.dir=PATH")


def _literal(given: Words) -> list[Word]:
    """Literal words but the run's folder, which is the sweep's."""
    found = given.literal.items()
    return [Word(key, "null" if value is None else value) for key, value in found if key != "run.dir"]


def _encode(word: Word, composer: Composer, source_for: choices.SourceFor) -> Word:
    """A word as Hydra can carry it: each path in hexadecimal, behind the component that reads it."""
    if word.key not in PATH_KEYS | SHORTHAND_KEYS:
        return word
    return Word(word.key, ",".join(_encoded(word.key, value, composer, source_for) for value in _values(word)))


def _encoded(key: str, value: str, composer: Composer, source_for: choices.SourceFor) -> str:
    if key in PATH_KEYS:
        return CODED + value.encode().hex()
    found, errors = choices.resolve_shorthands(Words((Word(key, value),)), composer, source_for=source_for)
    raise_all(errors)
    option = found.plain[0].value
    return f"{option}@{CODED}{value.encode().hex()}" if found.literal else option


def _decode(word: Word) -> Word:
    """The inverse of `_encode` for one value."""
    coded = word.value.rpartition("@")[2] if word.key in SHORTHAND_KEYS else word.value
    if word.key in PATH_KEYS | SHORTHAND_KEYS and coded.startswith(CODED):
        return Word(word.key, bytes.fromhex(coded.removeprefix(CODED)).decode())
    return word


def _values(word: Word) -> list[str]:
    """The values of a word whose commas may belong to a file name: a path that exists is one value."""
    whole = words.unquote(word.value)
    if words.exists(whole):
        return [whole]
    return [words.unquote(value) for value in choices.split_values(word.value)]


def _check(given: Words, composer: Composer, plugins: Plugins, source_for: choices.SourceFor) -> None:
    """Configures every value once, before anything runs, and shows all errors.

    One key at a time is varied, so the number of checks is the sum of the values and not their product.
    """
    every = [*given.plain, *_literal(given)]
    values = [_swept(word, composer) for word in every]
    first = [Word(word.key, found[0]) for word, found in zip(every, values, strict=True)]
    searchpath = [f"{SEARCHPATH}={given.searchpath}"] if given.searchpath is not None else []
    errors: list[UserError] = []
    for chosen in _one_at_a_time(first, values):
        try:
            compose.configure([*searchpath, *map(str, chosen)], plugins, source_for=source_for)
        except UserErrors as error:
            errors += error.errors
        except UserError as error:
            errors.append(error)
    raise_all(errors)


def _one_at_a_time(first: list[Word], values: list[list[str]]) -> Iterator[list[Word]]:
    """The first values together, then each other value in place of the first."""
    yield first
    for place, found in enumerate(values):
        for value in found[1:CHECKED_VALUES]:
            yield [*first[:place], Word(first[place].key, value), *first[place + 1 :]]


def _swept(word: Word, composer: Composer) -> list[str]:
    """The values that a word sweeps over; the lower end of an interval, which has no list of values."""
    if word.key in PATH_KEYS | SHORTHAND_KEYS:
        return _values(word)
    try:
        with hydra_rules():
            override: Override = OverridesParser.create(composer.loader).parse_override(str(word))
            if not override.is_sweep_override():
                return [word.value]
            if override.is_discrete_sweep():
                return [str(value) for value in override.sweep_string_iterator()] or [word.value]
            return [str(override.value().start)]
    except HydraException:
        return [word.value]  # `configure` says what is wrong with it
