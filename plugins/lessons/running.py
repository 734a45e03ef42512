"""Runs the rows of a lesson, each in a run folder of its own, and scores them on training and test images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from zoo_plugins.lessons.lesson import Lesson, Outcome, Outcomes

from zoo.errors import UserError
from zoo.plugins import Plugins

Say = Callable[[str], None]


def run_lesson(
    lesson: Lesson, plugins: Plugins, *, folder: Path, seeds: Sequence[int], words: Sequence[str] = (), say: Say
) -> Outcomes:
    """All rows, seed by seed.

    Args:
        lesson: The table.
        plugins: All components.
        folder: Gets one run folder for each row and seed.
        seeds: Of the runs; all rows have the same.
        words: The user's own `key=value` words, for all rows.
        say: Told of each finished run.
    """
    outcomes: dict[str, Outcome] = {}
    for number, row in enumerate(lesson.rows, start=1):
        found = []
        for seed in seeds:
            own = (*lesson.base, *row.words, *words, f"train.seed={seed}", f"run.dir={folder / f'{number:02d}-{seed}'}")
            found.append(_run(own, plugins))
            say(f"{row.label}, seed {seed}: {_said(found[-1])}")
        outcomes[row.label] = _joined(found)
    return outcomes


def _run(words: Sequence[str], plugins: Plugins) -> Outcome:
    """One run; a loss that is not finite is a result here: chance."""
    from zoo.assembly.console import Console
    from zoo.assembly.evaluating import evaluate_run
    from zoo.assembly.finishing import closing
    from zoo.assembly.start import open_session
    from zoo.config.compose import configure
    from zoo.data.shorthand import source_name_for
    from zoo.verbs.finetune import run

    silent = Console(as_json=True, speaks=False)
    session = open_session(configure(list(words), plugins, source_for=source_name_for), plugins, console=silent)
    try:
        with closing(session):
            done = run(session)
    except UserError as error:
        if not error.what.startswith("the loss is "):
            raise
        return Outcome((math.nan,), (math.nan,), (math.nan,), broken=1)
    train = evaluate_run(done.dir, plugins, console=silent, data=None, split="train", device="cpu")
    test = done.scores["test"]
    return Outcome((train.accuracy.value,), (float(test["accuracy"]),), (float(test["loss"]),))


def _joined(found: Sequence[Outcome]) -> Outcome:
    """Several seeds as one; a broken run counts as chance would, with no right answer known to be better."""
    return Outcome(
        train=tuple(0.0 if math.isnan(one.train[0]) else one.train[0] for one in found),
        test=tuple(0.0 if math.isnan(one.test[0]) else one.test[0] for one in found),
        loss=tuple(one.loss[0] for one in found),
        broken=sum(one.broken for one in found),
    )


def _said(outcome: Outcome) -> str:
    return "the loss broke" if outcome.broken else f"test accuracy {outcome.test[0]:.3f}"
