"""Opens a session: processes, threads, memory, the run's folder and its record."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from zoo.artifacts.record import ComponentUse, Environment, RunRecord
from zoo.artifacts.run_folder import RunFolder
from zoo.assembly.console import Console
from zoo.assembly.full_paths import with_full_paths
from zoo.assembly.pinned import check_installed, check_wrappers
from zoo.assembly.session import Session, seconds_of
from zoo.config.compose import from_plain, to_plain
from zoo.config.run_config import FinetuneConfig
from zoo.errors import UserError
from zoo.plugins import Plugins
from zoo.training.devices import all_agree, keep_freed_memory, make_accelerator, set_threads


def open_session(config: FinetuneConfig, plugins: Plugins, *, console: Console) -> Session:
    """A new run: makes its folder and writes down what was asked for."""
    if config.train.max_time is not None:
        seconds_of(config.train.max_time)
    config = with_full_paths(config, plugins.registry)
    keep_freed_memory()
    accelerator = make_accelerator(config.train.device)
    threads = set_threads(config.train.threads)
    folder = _make_folder(config) if accelerator.is_main_process else None
    (path,) = all_agree([str(folder.path) if folder else ""], accelerator)
    record = RunRecord(
        status="running",
        started=now(),
        environment=_environment(accelerator, plugins, config=config),
        model=config.model.name,
        seed=config.train.seed,
        components=tuple(ComponentUse.of(plugins.registry.get(c.kind, c.name)) for c in config.components()),
        config=to_plain(config),
        origins=dict(config.origins),
        overrides=config.overrides,
    )
    session = Session(config, plugins, console, accelerator, RunFolder(Path(path)), record, {"threads": threads})
    if session.main:
        session.folder.write_text("config.yaml", as_yaml(to_plain(config)))
        session.folder.write_text("overrides.yaml", as_yaml(list(config.overrides)))
    session.update()
    return session


def open_scratch(
    config: FinetuneConfig, plugins: Plugins, *, console: Console, folder: RunFolder, verb: str
) -> Session:
    """A session that trains nothing and writes no record: for verbs that look at data or networks.

    Raises:
        UserError: Several processes were started.
    """
    keep_freed_memory()
    accelerator = make_accelerator(config.train.device)
    if accelerator.num_processes > 1:
        raise UserError(
            f"{verb} runs in one process, and {accelerator.num_processes} were started",
            do="start it without torchrun",
        )
    threads = set_threads(config.train.threads)
    record = RunRecord(
        status="running",
        started=now(),
        environment=Environment.here(device=str(accelerator.device)),
        model="",
        seed=config.train.seed,
        components=(ComponentUse.of(plugins.registry.get("dataset", config.data.name)),),
        config=to_plain(config),
        origins=dict(config.origins),
        overrides=config.overrides,
    )
    return Session(config, plugins, console, accelerator, folder, record, {"threads": threads})


def reopen_session(path: Path, plugins: Plugins, *, console: Console) -> Session:
    """A run that was stopped, with its own configuration and measured choices.

    Raises:
        UserError: There is no run, it is finished, a component that it used is not installed, or other wrappers would
            act than when it began.
        PluginError: A plugin that it used failed to load.
    """
    folder = RunFolder.open(path)
    record = RunRecord.load(folder.record)
    if record.status == "finished":
        raise UserError(
            "this run is finished; there is nothing left to continue",
            where=str(path),
            do=[f"to train on from its weights: model={path}", f"to score it: python -m zoo evaluate run={path}"],
        )
    check_installed((*record.components, *(record.wrappers or ())), plugins, made="the run", say=console.say)
    config = from_plain(record.config, plugins, origins=record.origins)
    check_wrappers(record, config, registry=plugins.registry)
    measured = dict(record.choices)
    keep_freed_memory()
    accelerator = make_accelerator(config.train.device)
    set_threads(measured["threads"])
    measured["seconds_before"] = sum(record.timings.values())
    console.seconds.update(record.timings)  # what is timed from here on is added
    session = Session(config, plugins, console, accelerator, folder, record, measured, resumed=True)
    if session.main:
        _cut_metrics(session)
    return session


def _cut_metrics(session: Session) -> None:
    """Drops rows that lie behind the checkpoint; the run will write them again."""
    from zoo.training.checkpoints import Checkpoints

    state = Checkpoints(session.folder.checkpoints).state("last")
    if state is None:
        session.folder.metrics.cut_back(-1)
        return
    phase = state.get("phase_name")
    session.folder.metrics.cut_back(int(state["counters"]["step"]), phase=phase)


def _make_folder(config: FinetuneConfig) -> RunFolder:
    if config.run.dir is not None:
        return RunFolder.at(Path(config.run.dir).expanduser())
    data = str(config.data.options.get("path") or config.data.name)
    return RunFolder.create(model=config.model.name, data=data, root=Path(config.run.root).expanduser())


def _environment(accelerator: Any, plugins: Plugins, *, config: FinetuneConfig) -> Environment:
    entries = [plugins.registry.get(component.kind, component.name) for component in config.components()]
    origins = [origin for entry in entries for origin in (entry.origin, *(w.origin for w in entry.wrappers))]
    also = sorted({origin.distribution for origin in origins} - {"zoo"})
    return Environment.here(device=str(accelerator.device), processes=accelerator.num_processes, also=also)


def now() -> str:
    """Local time with its offset, ISO 8601."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def as_yaml(value: object) -> str:
    """Plain YAML."""
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
