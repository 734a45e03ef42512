"""What a run tells while it goes: typed events in the order in which they happen, and what may be answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from zoo.contracts.data import DataFacts
    from zoo.contracts.training import Batch, Phase, Plan, StepView


@dataclass(frozen=True)
class RunStarted:
    """Before anything is trained.

    Attributes:
        run_dir: The run's folder; the only place where a callback may write.
        config: Dotted key to its value, as config.yaml holds it: `auto` where a rule decides on the way.
        classes: Label names in the order of the network's outputs.
        splits: Split (`train`, `val`, and `test` where there is one) to its number of images.
        resumed: Whether a run that was stopped goes on.
    """

    run_dir: Path
    config: Mapping[str, Any]
    classes: tuple[str, ...]
    data: DataFacts
    plan: Plan
    resumed: bool
    splits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PhaseStarted:
    """A phase of the plan begins (or goes on, at `step` above 0).

    Attributes:
        index: Its place in the plan, from 0.
        step: Steps that a resumed phase has behind it.
        steps: Steps that are planned; 0 for a head that is fitted on features.
    """

    phase: Phase
    index: int
    step: int
    steps: int


@dataclass(frozen=True)
class BatchReady:
    """A training batch as the network is about to see it. It must not be changed.

    Attributes:
        batch: Of several processes that of the main one alone.
        step: Steps of this phase before it.
        mean, std: What the images were normalised by, one number a channel: `images * std + mean` is in [0, 1].
    """

    batch: Batch
    step: int
    phase: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class StepEnded:
    """A step was made.

    Attributes:
        view: How far the phase is; its loss and accuracy are means over this epoch's images up to now.
        lr: Largest rate of the step's parameter groups.
        seen: Images of this epoch over which these means go; on a GPU a few steps behind.
    """

    view: StepView
    lr: float
    seen: int = 0


@dataclass(frozen=True)
class ValidationEnded:
    """The validation images were scored.

    Attributes:
        row: The line that goes into metrics.jsonl: `phase`, `step`, `epoch`, `train_loss`, `val_accuracy`...
        best: Whether these weights are the best so far.
    """

    row: Mapping[str, Any]
    best: bool


@dataclass(frozen=True)
class CheckpointSaved:
    """A checkpoint is on the disk.

    Attributes:
        name: `last`, or `best`.
    """

    name: str
    step: int
    folder: Path


@dataclass(frozen=True)
class PhaseEnded:
    """A phase is over; the network holds the weights that it leaves."""

    phase: Phase
    index: int
    steps: int


@dataclass(frozen=True)
class Answers:
    """What the network that is saved says of the images of one split, in the order of `keys`.

    Attributes:
        keys: The sample key of each image.
        targets: int64[N] class numbers, or float32[N, classes] of 0 and 1 where an image has several labels.
        probabilities: float64[N, classes], calibrated; rows sum to 1 where an image has one label.
        thresholds: Of each label, the probability from which on it is given; None where that is 0.5 for all, or an
            image has one label.
        image: Place in `keys` to the image as the network sees it, uint8[S, S, C]; float32[S, S, C] where the data are
            arrays of numbers.
    """

    keys: tuple[str, ...]
    targets: NDArray[np.int64] | NDArray[np.float32]
    probabilities: NDArray[np.float64]
    thresholds: tuple[float, ...] | None
    image: Callable[[int], NDArray[Any]]


@dataclass(frozen=True)
class Reporting:
    """The report is being written.

    Attributes:
        folder: Where it lies; pictures go here.
        scores: Split (`val`, `test`) to its headline scores.
        answers: Split to what the network says of each of its images.
        classes: Label names in the order of the network's outputs.
    """

    folder: Path
    scores: Mapping[str, Mapping[str, Any]]
    answers: Mapping[str, Answers] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunEnded:
    """Scores, model and report are written.

    Attributes:
        scores: Split (`val`, `test`) to its headline scores.
        summary: What `--json` prints.
    """

    run_dir: Path
    scores: Mapping[str, Mapping[str, Any]]
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class RunBroken:
    """The run ends early: an error, or Ctrl-C (`zoo.errors.Interrupted`). It goes on its way after this."""

    error: BaseException


@dataclass(frozen=True)
class Stop:
    """Answer of `on_validation_end`: train no further in this phase. The reason is said and recorded.

    After a head was fitted on features the phase is over anyway: that is said, and the next phase goes on.
    """

    reason: str


@dataclass(frozen=True)
class Section:
    """Answer of `on_report`: a part of the run's report.

    Attributes:
        title: Its heading.
        text: Markdown. Pictures lie in the run's report folder and are named relative to it.
    """

    title: str
    text: str


METHODS: Mapping[type[Any], str] = {
    RunStarted: "on_run_start",
    PhaseStarted: "on_phase_start",
    BatchReady: "on_batch",
    StepEnded: "on_step_end",
    ValidationEnded: "on_validation_end",
    CheckpointSaved: "on_checkpoint",
    PhaseEnded: "on_phase_end",
    Reporting: "on_report",
    RunEnded: "on_run_end",
    RunBroken: "on_break",
}
"""Event to the method that is told of it, in the order of a run."""

ANSWERS: Mapping[type[Any], type[Any]] = {ValidationEnded: Stop, Reporting: Section}
"""Event to what may be answered to it; nothing may be to the others."""

IN_TRAINING = frozenset({"on_batch", "on_step_end", "on_checkpoint"})
"""Methods that are told of gradient descent alone: nothing calls them where only a head is fitted on features."""


class Callback(Protocol):
    """What a component of kind `callback` builds: a class with any of these methods, at least one `on_*`.

    In the order of a run: `on_run_start`; for each phase `on_phase_start`, for each of its steps `on_batch` and
    `on_step_end`, now and then `on_validation_end` and `on_checkpoint`, at its end `on_phase_end`; `on_report`, then
    `on_run_end`. A run that breaks ends with `on_break` instead. Several callbacks are told in the order in which they
    are listed, trackers after them. All is told on the main process, where nothing else runs meanwhile, so be quick. A
    method `on_*` of another name is an error before the run starts, and so is an answer that an event does not take.

    One that can act only in gradient descent says so by the fact `needs_training=True` where it is registered: a
    strategy that chooses then chooses one that trains, and where none does, the run is refused.
    """

    def check(self, event: RunStarted) -> None:
        """Before any `on_run_start`: raises UserError where this callback could have no effect in this run."""

    def on_run_start(self, event: RunStarted) -> None: ...
    def on_phase_start(self, event: PhaseStarted) -> None: ...
    def on_batch(self, event: BatchReady) -> None: ...
    def on_step_end(self, event: StepEnded) -> None: ...
    def on_validation_end(self, event: ValidationEnded) -> Stop | None: ...
    def on_checkpoint(self, event: CheckpointSaved) -> None: ...
    def on_phase_end(self, event: PhaseEnded) -> None: ...
    def on_report(self, event: Reporting) -> Section | None: ...
    def on_run_end(self, event: RunEnded) -> None: ...
    def on_break(self, event: RunBroken) -> None: ...

    def state_dict(self) -> Mapping[str, Any]:
        """What a resumed run must know, as plain JSON; saved in every checkpoint, before `on_checkpoint` tells of it.

        A resumed run tells all that followed the checkpoint anew; what was done then must bear being done again.
        """

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes a saved state, before `on_run_start` of the resumed run; not called where nothing was saved yet."""
