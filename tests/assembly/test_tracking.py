"""Curves: one count of steps over all phases, means over what is new, and a resume that goes on exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.watching import ended, phase_ended, phase_started, started, step_ended, validated

from zoo.assembly.tracking import Curves
from zoo.contracts.callbacks import METHODS, RunBroken


class Notes:
    def __init__(self) -> None:
        self.run: Any = None
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished: list[tuple[dict[str, float], BaseException | None]] = []

    def start(self, run: Any) -> None:
        self.run = run

    def log(self, values: dict[str, float], step: int) -> None:
        self.logged.append((step, dict(values)))

    def finish(self, scores: dict[str, float], error: BaseException | None = None) -> None:
        self.finished.append((dict(scores), error))


def curves(every: int = 2) -> tuple[Curves, Notes]:
    notes = Notes()
    return Curves(notes, key="notes", every_steps=every), notes


def tell(callback: Curves, *events: object) -> None:
    for event in events:
        getattr(callback, METHODS[type(event)])(event)


def test_the_tracker_learns_which_run_it_is_and_has_a_folder_of_its_own():
    callback, notes = curves()
    tell(callback, started(Path("/runs/a")))
    assert (notes.run.name, notes.run.run_dir, notes.run.folder) == (
        "a",
        Path("/runs/a"),
        Path("/runs/a/trackers/notes"),
    )
    assert (notes.run.resumed, notes.run.step) == (False, -1)
    assert notes.run.config == {"train.epochs": 2}


def test_training_is_logged_every_few_steps_and_at_the_last_step_of_a_phase():
    callback, notes = curves(every=3)
    tell(callback, started(), phase_started(), *(step_ended(n, seen=4 * n) for n in range(1, 9)))
    assert [step for step, _ in notes.logged] == [3, 6, 8]
    assert set(notes.logged[0][1]) == {"train/loss", "train/accuracy", "train/lr", "train/images_per_s"}


def test_losses_are_means_over_the_images_since_the_last_log():
    callback, notes = curves(every=2)
    # means over the epoch's images so far: 4 images of loss 2, then 4 of loss 1, 4 of 0, 4 of 0
    steps = [(1, 2.0, 4), (2, 1.5, 8), (3, 1.0, 12), (4, 0.75, 16)]
    tell(callback, started(), phase_started(), *(step_ended(n, loss=loss, seen=seen) for n, loss, seen in steps))
    assert [values["train/loss"] for _, values in notes.logged] == pytest.approx([1.5, 0.0])


def test_a_new_epoch_begins_its_means_anew():
    callback, notes = curves(every=2)
    tell(callback, started(), phase_started(), *(step_ended(n, loss=1.0, seen=4 * n) for n in range(1, 5)))
    tell(callback, step_ended(5, loss=9.0, seen=4), step_ended(6, loss=5.0, accuracy=1.0, seen=8))
    assert notes.logged[-1][1]["train/loss"] == pytest.approx(5.0)
    assert notes.logged[-1][1]["train/accuracy"] == pytest.approx(1.0)


def test_an_epoch_that_shows_as_many_images_as_the_last_one_is_a_new_one():
    """Logged once in a while, and where an epoch is one step."""
    callback, notes = curves(every=5)
    seen = [4, 8, 12, 16, 4, 8, 12, 16]
    losses = [1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0]
    tell(callback, started(), phase_started())
    tell(callback, *(step_ended(n + 1, loss=losses[n], seen=seen[n]) for n in range(8)))
    assert [(step, values["train/loss"]) for step, values in notes.logged] == [(5, 3.0), (8, 3.0)]
    callback, notes = curves(every=1)
    tell(callback, started(), phase_started())
    for n in (4, 8):
        tell(callback, step_ended(n, loss=float(n), seen=16))
    assert [values["train/loss"] for _, values in notes.logged] == [4.0, 8.0]


def test_what_no_device_has_told_yet_is_left_out():
    callback, notes = curves(every=1)
    tell(callback, started(), phase_started(), step_ended(1, seen=0))
    assert set(notes.logged[0][1]) == {"train/lr", "train/images_per_s"}


def test_steps_are_counted_over_all_phases():
    callback, notes = curves(every=4)
    head = [phase_started(steps=0), validated(0, val_loss=2.0, val_accuracy=0.1), phase_ended(0)]
    first = [phase_started(), step_ended(4, seen=16), validated(4, val_loss=1.0), phase_ended(8)]
    second = [phase_started(), step_ended(4, seen=16), validated(8, val_loss=0.5, val_balanced_accuracy=0.7)]
    tell(callback, started(), *head, *first, *second)
    assert [(step, sorted(values)[0]) for step, values in notes.logged] == [
        (0, "val/accuracy"),
        (4, "train/accuracy"),
        (4, "val/loss"),
        (12, "train/accuracy"),
        (16, "val/balanced_accuracy"),
    ]


def test_the_end_hands_over_the_scores_on_test_images_as_numbers():
    callback, notes = curves()
    tell(callback, started(), ended(accuracy=0.9, count=10, accuracy_interval=[0.8, 1.0]))
    assert notes.finished == [({"test/accuracy": 0.9, "test/count": 10.0}, None)]
    tell(callback, ended())
    assert notes.finished[-1] == ({}, None)


def test_a_break_is_handed_on():
    callback, notes = curves()
    error = ValueError("x")
    tell(callback, started(), RunBroken(error))
    assert notes.finished == [({}, error)]


@pytest.mark.parametrize("stop", range(1, 16))
def test_a_resumed_run_logs_what_the_whole_one_would_have(stop):
    """Two phases of eight steps in epochs of four; stopped behind any step, before or behind a validation."""

    def events(phase: int) -> list[Any]:
        made: list[Any] = []
        for n in range(1, 9):
            in_epoch = (n - 1) % 4 + 1
            made.append(step_ended(n, loss=1 / (phase + n), accuracy=1 / (3 + n), seen=4 * in_epoch))
            made += [validated(n, val_loss=1 / n)] if in_epoch == 4 else []
        return made

    whole, expected = curves(every=3)
    for phase in range(2):
        tell(whole, *([started()] if not phase else []), phase_started(), *events(phase), phase_ended())

    first, before = curves(every=3)
    phase, step = divmod(stop, 8)
    tell(first, started())
    for k in range(phase):
        tell(first, phase_started(), *events(k), phase_ended())
    done = [e for e in events(phase) if (e.view.step if hasattr(e, "view") else e.row["step"]) <= step]
    tell(first, phase_started(), *done)
    state = json.loads(json.dumps(first.state_dict()))

    second, after = curves(every=3)
    second.load_state_dict(state)
    tell(second, started(resumed=True))
    assert after.run.step == stop
    tell(second, phase_started(step), *[e for e in events(phase) if e not in done], phase_ended())
    for k in range(phase + 1, 2):
        tell(second, phase_started(), *events(k), phase_ended())
    assert before.logged + after.logged == expected.logged
