"""Events of a run made by hand, and a plugin whose callbacks write down what they are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zoo.contracts.callbacks import PhaseEnded, PhaseStarted, RunEnded, RunStarted, StepEnded, ValidationEnded
from zoo.contracts.data import DataFacts, Task
from zoo.contracts.training import Phase, Plan, StepView

FACTS = DataFacts("x", 2, Task.SINGLE_LABEL, 3, 30, 15, 15, 40)
PHASE = Phase("tune", "train", epochs=2)


def started(run_dir: Path = Path("run"), **parts: Any) -> RunStarted:
    given = {
        "config": {"train.epochs": 2},
        "classes": ("cat", "dog"),
        "data": FACTS,
        "plan": Plan("full", (PHASE,), ""),
        "resumed": False,
        "splits": {"train": 30, "val": 10, "test": 10},
    }
    return RunStarted(run_dir, **(given | parts))


def phase_started(step: int = 0, *, steps: int = 8) -> PhaseStarted:
    return PhaseStarted(PHASE, 0, step, steps)


def step_ended(step: int, *, loss: float = 1.0, accuracy: float = 0.5, seen: int = 0, steps: int = 8) -> StepEnded:
    view = StepView("tune", step, steps, step / 4, 2.0, loss, accuracy, 100.0, 1.0)
    return StepEnded(view, lr=0.1, seen=seen)


def validated(step: int = 4, *, best: bool = True, **values: float) -> ValidationEnded:
    return ValidationEnded({"phase": "tune", "step": step, "epoch": step / 4, **values}, best)


def phase_ended(steps: int = 8) -> PhaseEnded:
    return PhaseEnded(PHASE, 0, steps)


def ended(**test: float) -> RunEnded:
    scores = {"val": {"accuracy": 0.5}, **({"test": test} if test else {})}
    return RunEnded(Path("run"), scores, {})


RECORDER = '''
import json
import os
from pathlib import Path

from zoo.contracts.callbacks import Section, Stop
from zoo.hookspecs import hookimpl


@hookimpl
def register_callbacks(register):
    register("recorder", "acme_watch:Recorder", summary="Writes down what it is told", source="a test")
    register("second", "acme_watch:Second", summary="The same under another name", source="a test")
    register("stopper", "acme_watch:Stopper", summary="Stops at the first validation", source="a test")
    register("shaky", "acme_watch:Shaky", summary="Breaks where it is told to", source="a test")
    register("sleeper", "acme_watch:Sleeper", summary="Listens to batches alone", source="a test")
    register("mistyped", "acme_watch:Mistyped", summary="Waits for what never comes", source="a test")
    register("deaf", "acme_watch:Deaf", summary="Has no event", source="a test")


@hookimpl
def register_trackers(register):
    register("notes", "acme_watch:Notes", summary="A tracker of lines", source="a test")
    register("half", "acme_watch:Half", summary="A tracker that cannot log", source="a test")


def write(run_dir, **line):
    with (Path(run_dir) / "told.jsonl").open("a") as stream:
        stream.write(json.dumps(line) + "\\n")


class Recorder:
    """Writes down what it is told."""

    name = "recorder"
    count = 0

    def on_run_start(self, event):
        self.run_dir = event.run_dir
        self.note("on_run_start", classes=len(event.classes), plan=event.plan.strategy, resumed=event.resumed,
                  splits=dict(event.splits), epochs=event.config["train.epochs"])

    def note(self, event, **more):
        write(self.run_dir, who=self.name, event=event, count=self.count, **more)

    def on_phase_start(self, event):
        self.note("on_phase_start", phase=event.phase.name, index=event.index, step=event.step, steps=event.steps)

    def on_batch(self, event):
        images, targets = event.batch.images, event.batch.targets
        self.note("on_batch", step=event.step, images=list(images.shape), targets=len(targets), mean=len(event.mean))

    def on_step_end(self, event):
        self.count += 1
        self.note("on_step_end", step=event.view.step, steps=event.view.steps, lr=event.lr, seen=event.seen)

    def on_validation_end(self, event):
        self.note("on_validation_end", step=event.row["step"], best=event.best, accuracy=event.row["val_accuracy"])

    def on_checkpoint(self, event):
        self.note("on_checkpoint", name=event.name, step=event.step, there=(event.folder / "state.json").is_file())

    def on_phase_end(self, event):
        self.note("on_phase_end", phase=event.phase.name, steps=event.steps)

    def on_report(self, event):
        answers = event.answers["test"]
        self.note("on_report", folder=event.folder.name, images=len(answers.keys), shape=list(answers.image(0).shape),
                  accuracy=event.scores["test"]["accuracy"],
                  right=float((answers.probabilities.argmax(1) == answers.targets).mean()))
        return Section("What " + self.name + " heard", f"{self.count} steps.")

    def on_run_end(self, event):
        self.note("on_run_end", accuracy=event.summary["scores"]["test"]["accuracy"])

    def on_break(self, event):
        self.note("on_break", error=type(event.error).__name__)

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


class Second(Recorder):
    """The same under another name."""

    name = "second"


class Stopper:
    """Stops at the first validation of training."""

    def on_validation_end(self, event):
        return Stop("enough") if event.row["step"] else None


class Shaky:
    """Breaks where it is told to.

    Args:
        at: Name of the method.
        step: Which time.
    """

    def __init__(self, *, at: str = "on_step_end", step: int = 3):
        self.at, self.step, self.times = at, step, 0

    def said(self, method):
        self.times += method == self.at
        if method == self.at and self.times == self.step and not os.environ.get("MENDED"):
            raise ValueError("too shaky")

    def on_run_start(self, event):
        self.said("on_run_start")

    def on_batch(self, event):
        self.said("on_batch")

    def on_step_end(self, event):
        self.said("on_step_end")

    def on_validation_end(self, event):
        self.said("on_validation_end")

    def on_checkpoint(self, event):
        self.said("on_checkpoint")

    def on_report(self, event):
        self.said("on_report")

    def on_break(self, event):
        self.said("on_break")


class Sleeper:
    """Listens to batches alone."""

    def on_batch(self, event):
        pass


class Mistyped:
    """Waits for what never comes."""

    def on_validation_ended(self, event):
        pass


class Deaf:
    """Has no event."""

    def validate(self):
        pass


class Notes:
    """A tracker of lines."""

    def start(self, run):
        self.run_dir = run.run_dir
        write(run.run_dir, who="notes", event="start", step=run.step, folder=str(run.folder.relative_to(run.run_dir)),
              seed=run.config["train.seed"], resumed=run.resumed)

    def log(self, values, step):
        write(self.run_dir, who="notes", event="log", step=step, names=sorted(values))

    def finish(self, scores, error=None):
        write(self.run_dir, who="notes", event="finish", names=sorted(scores), error=error and type(error).__name__)


class Half:
    """A tracker that cannot log."""

    def start(self, run):
        pass

    def finish(self, scores, error=None):
        pass
'''
"""Source of a plugin of callbacks."""


def told(run_dir: Path, *, who: str | None = None) -> list[dict[str, Any]]:
    """What was written down, of one of them where one is named."""
    lines = [json.loads(line) for line in (run_dir / "told.jsonl").read_text().splitlines()]
    return [line for line in lines if who in (None, line["who"])]
