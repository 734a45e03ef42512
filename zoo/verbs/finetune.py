"""`zoo finetune`: from a configuration to a model that can be trusted. `run` tells the whole story."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError
from zoo.plugins import Plugins, load_plugins

if TYPE_CHECKING:
    from zoo.assembly.session import Session


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        dir: Its folder.
        classes: Label names in the order of the network's outputs.
        scores: Split (`val`, `test`) to its headline scores.
        summary: What `--json` prints.
    """

    dir: Path
    classes: tuple[str, ...]
    scores: dict[str, dict[str, Any]]
    summary: dict[str, Any]


def run(session: Session) -> Run:
    """Fine-tunes: data, network, plan, training, scores, and what is left behind. One line a stage."""
    from zoo.assembly.augmentation_check import warn_of_label_moves
    from zoo.assembly.data import open_data, pack_data
    from zoo.assembly.listening import begin, listen
    from zoo.assembly.network import build_backbone, finish_network
    from zoo.assembly.network_options import refuse_frozen_fresh_norms
    from zoo.assembly.pinned import record_wrappers
    from zoo.assembly.planning import make_plan
    from zoo.assembly.results import leave_results, say_results, score_splits, summary_of
    from zoo.assembly.training import Trainer
    from zoo.contracts.callbacks import RunEnded

    console, config = session.console, session.config
    session.told = listen(session)
    with console.stage("data"):
        source, listing, facts = open_data(session)
    with console.stage("model"):
        session.seed_everything()
        model, found = build_backbone(
            config, session.registry, facts=facts, say=console.say, weights=session.weights_choice
        )
    plan = make_plan(session, facts, model=model, pretrained=found is not None)
    refuse_frozen_fresh_norms(config, plan)
    console.say(f"plan    {plan.strategy}: {plan.reason}")
    record_wrappers(session, plan, task=facts.task)
    with console.stage("decode"):
        bundle = pack_data(session, source, listing=listing, preprocess=model.spec.preprocess)
    with console.stage("model"):
        model, report = finish_network(
            model, found, config=config, registry=session.registry, classes=len(bundle.classes), say=console.say
        )
        session.check_unchanged(bundle, report)
    trainer = Trainer(session, model, bundle=bundle, report=report)
    warn_of_label_moves(session, model, bundle=bundle, report=report, plan=plan)
    begin(session, plan, bundle=bundle)
    trainer.run(plan)
    with console.stage("scores"):
        scored = score_splits(session, trainer, bundle=bundle)
    with console.stage("save"):
        leave_results(session, model, bundle=bundle, scored=scored)
    say_results(session, scored.scores)
    summary = summary_of(session, scored.scores, classes=bundle.classes)
    session.told.tell(RunEnded(session.folder.path, summary["scores"], summary))
    return Run(session.folder.path, bundle.classes, summary["scores"], summary)


def main(argv: Sequence[str]) -> int:
    """The command line of the verb: `key=value` words, `-m`, `--json`, `--cfg job`, `--help`."""
    words = list(argv)
    flags = {word for word in words if word.startswith("-")}
    words = [word for word in words if word not in flags and not _is_cfg_word(argv, word)]
    unknown = flags - {"-h", "--help", "-m", "--multirun", "--json", "--cfg"}
    if unknown:
        raise UserError(
            f"unknown flag {sorted(unknown)[0]!r}",
            where="zoo finetune",
            allowed="--json, -m, --cfg job, --help; everything else is key=value",
        )
    plugins = load_plugins()
    if flags & {"-h", "--help"}:
        from zoo.assembly.usage import finetune_usage

        sys.stdout.write(finetune_usage(plugins))
        return 0
    if "--cfg" in flags:
        from zoo.config.compose import compose_text
        from zoo.data.shorthand import source_name_for

        sys.stdout.write(compose_text(words, plugins, source_for=source_name_for))
        return 0
    if flags & {"-m", "--multirun"}:
        return _sweep(words, plugins, as_json="--json" in flags)
    finetune(words, plugins=plugins, as_json="--json" in flags)
    return 0


def _is_cfg_word(argv: Sequence[str], word: str) -> bool:
    return word == "job" and "--cfg" in argv


def finetune(words: Sequence[str], *, plugins: Plugins, as_json: bool = False) -> Run:
    """Runs one command line; `resume=DIR` continues a run that was stopped."""
    from zoo.assembly.console import Console
    from zoo.assembly.finishing import closing
    from zoo.assembly.start import open_session, reopen_session
    from zoo.config.compose import configure
    from zoo.data.shorthand import source_name_for

    console = Console(as_json=as_json, speaks=_speaks())
    resume = _resume_path(words)
    if resume is not None:
        session = reopen_session(resume, plugins, console=console)
    else:
        config = configure(words, plugins, source_for=source_name_for)
        for note in config.notes:
            console.say(note)
        session = open_session(config, plugins, console=console)
    with closing(session):
        done = run(session)
    console.summary(done.summary)
    return done


def _resume_path(words: Sequence[str]) -> Path | None:
    """The folder of `resume=DIR`.

    Raises:
        UserError: Other words stand beside it: a resumed run keeps its own configuration.
    """
    given = [word for word in words if word.startswith("resume=")]
    if not given:
        return None
    others = [word for word in words if word not in given]
    if others or len(given) > 1:
        raise UserError(
            f"resume= stands beside {' '.join(others or given[1:])}",
            where="command line",
            allowed="resume=DIR alone: a resumed run keeps the configuration it began with",
            do="to train on from its weights with other settings: model=DIR",
        )
    return Path(given[0].partition("=")[2].strip("'\"")).expanduser()


def _speaks() -> bool:
    """Only the first of several processes speaks."""
    return os.environ.get("RANK", "0") == "0"


def _sweep(words: Sequence[str], plugins: Plugins, *, as_json: bool) -> int:
    """`-m`: one run for each combination of the values that are separated by commas."""
    from zoo.config.sweep import sweep
    from zoo.data.shorthand import source_name_for

    runs = sweep(
        words,
        plugins,
        source_for=source_name_for,
        job=partial(_run_job, as_json=as_json),
    )
    done = [run for run in runs if isinstance(run, Run)]
    for run in sorted(done, key=lambda run: -run.scores["val"]["accuracy"]):
        sys.stderr.write(f"validation accuracy {run.scores['val']['accuracy']:.3f}  {run.dir}\n")
    return 0


def _run_job(words: list[str], *, as_json: bool) -> Run:
    """One job of a sweep; a launcher may run it in another process, which loads its own plugins."""
    return finetune(words, plugins=load_plugins(), as_json=as_json)
