"""Callbacks: told what happens in a run, in its order; they look and change nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from zoo.assembly.telling import Listener, Told, check_methods
from zoo.contracts.callbacks import (
    Answers,
    BatchReady,
    CheckpointSaved,
    PhaseEnded,
    PhaseStarted,
    Reporting,
    RunBroken,
    RunEnded,
    RunStarted,
    StepEnded,
    ValidationEnded,
)
from zoo.contracts.data import DataFacts, Task
from zoo.contracts.training import Batch, Phase, Plan, StepView
from zoo.errors import PluginError
from zoo.testing.draws import drew_globally, global_seed, global_states
from zoo.testing.images import picture
from zoo.testing.kinds.tracker import CONFIG
from zoo.testing.results import BrokenError, NotApplicableError
from zoo.testing.subject import Subject

CLASSES = ("cat", "dog", "owl")
EPOCHS, STEPS = 3, 4
"""Of the one phase that is told; steps of an epoch."""

FACTS = DataFacts("kit", 3, Task.SINGLE_LABEL, 3, 24, 8, 8, 32)
PHASE = Phase("finetune", "train", epochs=EPOCHS)
VAL_LOSS = (0.9, 0.8, 0.85)


def _events(subject: Subject) -> Iterator[Any]:
    """All that happens in a small run, in its order; tensors are made anew for each time."""
    run = RunStarted(
        run_dir=subject.run_dir,
        config=CONFIG,
        classes=CLASSES,
        data=FACTS,
        plan=Plan("kit", (PHASE,), "a small run"),
        resumed=False,
        splits={"train": 24, "val": 6, "test": 6},
    )
    yield run
    yield PhaseStarted(PHASE, 0, 0, EPOCHS * STEPS)
    for epoch in range(EPOCHS):
        for step in range(epoch * STEPS, (epoch + 1) * STEPS):
            yield from _step(step)
        done = (epoch + 1) * STEPS
        yield ValidationEnded(_row(epoch, done), best=epoch != 2)
        yield CheckpointSaved("last", done, subject.run_dir / "checkpoints" / "last")
    yield PhaseEnded(PHASE, 0, EPOCHS * STEPS)
    scores = {split: {"accuracy": 0.67, "loss": 0.8, "count": 6} for split in ("val", "test")}
    report = subject.run_dir / "report"
    report.mkdir(exist_ok=True)
    yield Reporting(report, scores, {split: _answers() for split in scores}, CLASSES)
    yield RunEnded(subject.run_dir, scores, {"test_accuracy": 0.67})


def _step(step: int) -> Iterator[Any]:
    pixels = np.stack([picture(8 * step + i) for i in range(8)]).transpose(0, 3, 1, 2) / 255
    batch = Batch(torch.from_numpy((pixels.astype(np.float32) - 0.5) / 0.25), torch.arange(8) % 3)
    yield BatchReady(batch, step, PHASE.name, mean=(0.5,) * 3, std=(0.25,) * 3)
    done, epochs = step + 1, (step + 1) / STEPS
    view = StepView(PHASE.name, done, EPOCHS * STEPS, epochs, float(EPOCHS), 1 / done, 0.5, 200.0, 1.0)
    yield StepEnded(view, lr=0.01, seen=8 * (step % STEPS + 1))


def _row(epoch: int, step: int) -> dict[str, Any]:
    return {
        "phase": PHASE.name, "step": step, "epoch": float(epoch + 1), "train_loss": 0.9, "train_accuracy": 0.5,
        "val_loss": VAL_LOSS[epoch], "val_accuracy": (0.4, 0.6, 0.6)[epoch], "lr": 0.01, "seconds": 1.0,
    }  # fmt: skip


def _answers() -> Answers:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]] * 2, np.float64)
    return Answers(tuple(f"{i}.png" for i in range(6)), np.arange(6) % 3, probabilities, None, picture)


def _told(subject: Subject, callback: Any) -> Told:
    return Told([Listener(f"callbacks.{subject.entry.name}", callback, subject.entry)])


def builds(subject: Subject) -> None:
    """It has methods `on_*` of events that there are, and both of `state_dict` and `load_state_dict`, or none."""
    callback = subject.build()
    try:
        check_methods(callback, subject.entry)
    except PluginError as error:
        raise BrokenError(str(error)) from error
    parts = [name for name in ("state_dict", "load_state_dict") if hasattr(callback, name)]
    if len(parts) == 1:
        raise BrokenError(f"it has {parts[0]} alone", fix="state_dict and load_state_dict go together.")


def use(subject: Subject) -> None:
    """A whole run."""
    _tell(_told(subject, subject.build()), list(_events(subject)))


def _tell(told: Told, events: list[Any], *, states: Mapping[str, Any] | None = None) -> list[Any]:
    """What is answered to events; where a run's start is among them, `check` and saved states come first."""
    answers: list[Any] = []
    for event in events:
        if isinstance(event, RunStarted):
            told.start(event, states=states or {})
        else:
            answers += told.tell(event)
    return answers


def shapes(subject: Subject) -> None:
    """Every event is answered as it may be, a break too."""
    try:
        use(subject)
        broken = _told(subject, subject.build())
        events = list(_events(subject))
        _tell(broken, events[:6])
        for listener in broken.listeners:
            if hasattr(listener.callback, "on_break"):
                listener.callback.on_break(RunBroken(RuntimeError("the run broke")))
    except PluginError as error:
        raise BrokenError(str(error).partition("\n  plugin:")[0]) from error


def inputs(subject: Subject) -> None:
    """Batches, rows and settings stay as they were, and nobody else's chance moves."""
    told = _told(subject, subject.build())
    with global_seed(1):
        events = list(_events(subject))
        before = global_states()
        for event in events:
            seen, row = _batch_of(event), copy.deepcopy(dict(getattr(event, "row", {})))
            _tell(told, [event])
            now = _batch_of(event)
            if (
                seen is not None
                and now is not None
                and not all(torch.equal(a, b) for a, b in zip(seen, now, strict=True))
            ):
                raise BrokenError(f"it changed the batch of step {event.step}, on which the network is trained")
            if row != dict(getattr(event, "row", {})):
                raise BrokenError("it changed the row that goes into metrics.jsonl")
        drew = drew_globally(before)
    if drew:
        raise BrokenError(f"it draws from {drew}, on which the run's own chance depends")


def _batch_of(event: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    if not isinstance(event, BatchReady):
        return None
    return event.batch.images.clone(), event.batch.targets.clone()


def state(subject: Subject) -> None:
    """Stopped at any checkpoint and resumed, it ends with the same answers and the same state."""
    if not hasattr(subject.build(), "state_dict"):
        _remembers_nothing(subject)
        return
    whole = _told(subject, subject.build())
    answers = _tell(whole, list(_events(subject)))
    end = whole.state_dict()
    saves = [place for place, event in enumerate(_events(subject)) if isinstance(event, CheckpointSaved)]
    for place in saves:
        first = _told(subject, subject.build())
        said = _tell(first, list(_events(subject))[:place])
        kept = json.loads(json.dumps(first.state_dict()))
        second = _told(subject, subject.build())
        said += _tell(second, _resumed(subject, place), states=kept)
        if second.state_dict() != end:
            raise BrokenError(f"resumed at its checkpoint, it ends with the state {second.state_dict()}, not {end}")
        if said != answers:
            raise BrokenError(f"resumed at its checkpoint, it answers {said} in place of {answers}")


def _resumed(subject: Subject, place: int) -> list[Any]:
    """What a run is told that goes on from the checkpoint at this place among the events."""
    start, begun, *_ = events = list(_events(subject))
    return [replace(start, resumed=True), replace(begun, step=events[place].step), *events[place:]]


def _remembers_nothing(subject: Subject) -> None:
    """Without a state, a resumed run must answer as one that was never stopped.

    Raises:
        BrokenError: It answers otherwise: it remembers something that it does not save.
        NotApplicableError: It does not.
    """
    answers = _tell(_told(subject, subject.build()), list(_events(subject)))
    events = list(_events(subject))
    place = next(place for place, event in enumerate(events) if isinstance(event, CheckpointSaved))
    said = _tell(_told(subject, subject.build()), events[:place])
    said += _tell(_told(subject, subject.build()), _resumed(subject, place))
    if said != answers:
        raise BrokenError(
            f"it remembers what it does not save: resumed, it answers {said} in place of {answers}",
            fix="Add state_dict and load_state_dict, with plain JSON.",
        )
    raise NotApplicableError("it remembers nothing")
