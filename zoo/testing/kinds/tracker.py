"""Trackers: told a run's settings, curves and scores; they write into the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.contracts.tracking import TrackedRun
from zoo.testing.building import needs
from zoo.testing.draws import drew_globally, global_seed, global_states
from zoo.testing.results import BrokenError, NotApplicableError
from zoo.testing.subject import Subject

CONFIG: Mapping[str, Any] = {
    "model.name": "zoo/lenet", "optimizer.lr": 0.01, "train.epochs": "auto", "data.path": None,
    "train.check_augmentations": False, "strategy.crop_scale": [0.5, 1.0],
}  # fmt: skip
SCORES: Mapping[str, float] = {"test/accuracy": 0.9, "test/loss": 0.3}
STEPS = 6


def _run(subject: Subject, *, run_dir: Path | None = None, resumed: bool = False, step: int = -1) -> TrackedRun:
    run_dir = run_dir or subject.run_dir
    return TrackedRun("kit", run_dir, CONFIG, resumed=resumed, folder=run_dir / "trackers" / "kit", step=step)


def _values(step: int) -> dict[str, float]:
    return {"train/lr": 0.01, "train/images_per_s": 200.0 + step, "train/loss": 1 / (1 + step), "train/accuracy": 0.5}


def _log(tracker: Any, first: int, last: int) -> None:
    for step in range(first, last + 1):
        tracker.log(_values(step), step)
        if step % 3 == 0:
            tracker.log({"val/loss": 1.0, "val/accuracy": 0.6}, step)


def builds(subject: Subject) -> None:
    """It has `start`, `log` and `finish`."""
    needs(subject.build(), "start", "log", "finish")


def use(subject: Subject) -> None:
    """A whole run."""
    tracker = subject.build()
    tracker.start(_run(subject))
    _log(tracker, 1, STEPS)
    tracker.finish(SCORES)


def _files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def acts(subject: Subject) -> None:
    """Something is written."""
    use(subject)
    if not any(_files(subject.run_dir).values()):
        if subject.says_network:
            raise NotApplicableError("what it writes goes over the network")
        raise BrokenError("after a run of six steps the run's folder holds nothing of it")


def inputs(subject: Subject) -> None:
    """The numbers that it is handed stay as they are, and nobody else's chance moves."""
    tracker = subject.build()
    with global_seed(1):
        before = global_states()
        tracker.start(_run(subject))
        for step in range(1, STEPS + 1):
            values = _values(step)
            tracker.log(values, step)
            if values != _values(step):
                raise BrokenError(f"log() changed the values that it was handed: {values}")
        scores = dict(SCORES)
        tracker.finish(scores)
        drew = drew_globally(before)
    if scores != SCORES:
        raise BrokenError(f"finish() changed the scores that it was handed: {scores}")
    if drew:
        raise BrokenError(f"it draws from {drew}, on which the run's own chance depends")


KEPT = 0.95
"""Share of the bytes of a run that was not stopped which a resumed one holds at least: times in them vary in length."""


def state(subject: Subject) -> None:
    """A run that broke and was resumed logs its last steps again, and holds as much as one that did not break."""
    plain, broken = subject.run_dir / "whole", subject.run_dir / "broken"
    whole = subject.build()
    whole.start(_run(subject, run_dir=plain))
    _log(whole, 1, STEPS)
    whole.finish(SCORES)
    first = subject.build()
    first.start(_run(subject, run_dir=broken))
    _log(first, 1, 4)
    first.finish({}, RuntimeError("the run broke"))
    second = subject.build()
    second.start(_run(subject, run_dir=broken, resumed=True, step=2))
    _log(second, 3, STEPS)
    second.finish(SCORES)
    wanted, held = (sum(_files(folder).values()) for folder in (plain, broken))
    if held < KEPT * wanted:
        raise BrokenError(
            f"resumed after a break, the run's folder holds {held} bytes of it; of a run that was not stopped {wanted}",
            fix="Where run.resumed is true, go on from what is there; cut off what is later than run.step.",
        )
