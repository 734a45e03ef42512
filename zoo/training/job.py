"""What one phase of training needs, when it saves and stops, and what it counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from accelerate import Accelerator
from torch import nn

from zoo.contracts.callbacks import BatchReady, CheckpointSaved, StepEnded, ValidationEnded
from zoo.contracts.model import Model
from zoo.contracts.training import Feed, Phase, Regularizer, Schedule, Watcher
from zoo.training.checkpoints import Checkpoints
from zoo.training.inference import Normalise


def planned_steps(phase: Phase, feed: Feed) -> int:
    """Steps of a phase before a time budget shortens it, at least one."""
    return max(1, math.ceil(phase.epochs * feed.steps_per_epoch))


class Validation(NamedTuple):
    """What the validation images say of the network.

    Attributes:
        loss: Mean over the images.
        accuracy: Share of right answers.
        measure: Name of what chooses between epochs in place of the accuracy, or "".
        value: Its value; the higher the better.
    """

    loss: float
    accuracy: float
    measure: str = ""
    value: float = math.nan


Validate = Callable[[], Validation | tuple[float, float]]
"""Runs the network over the validation images: (mean loss, accuracy), and what else may choose."""


InLoop = BatchReady | StepEnded | ValidationEnded | CheckpointSaved
"""What happens within the loop."""


class Told(Protocol):
    """Who is told what happens, on the main process; on the others nobody is."""

    def hears(self, event: type[Any]) -> bool:
        """Whether anyone is told of such events; where not, none is made."""

    def tell(self, event: InLoop) -> list[Any]:
        """Tells all of an event, and returns what they answered."""

    def state_dict(self) -> Mapping[str, Any]:
        """What they remember, as plain JSON."""


class Nobody:
    """Nobody listens."""

    def hears(self, event: type[Any]) -> bool:
        """Never."""
        return False

    def tell(self, event: InLoop) -> list[Any]:
        """Goes unheard."""
        return []

    def state_dict(self) -> Mapping[str, Any]:
        """Nothing is remembered."""
        return {}


@dataclass(frozen=True)
class Limits:
    """When to save and when to stop.

    Attributes:
        validate_every: Epochs from one validation to the next.
        patience: Validations without a better loss before stopping; None never stops early.
        save_every_s: Seconds between checkpoints within an epoch.
        save_every_steps: Steps between checkpoints, instead of seconds.
        deadline: Value of `time.monotonic()` at which training should be over; None: no limit.
    """

    validate_every: int = 1
    patience: int | None = None
    save_every_s: float = 120.0
    save_every_steps: int | None = None
    deadline: float | None = None


@dataclass(frozen=True)
class Job:
    """Everything one phase needs, built by the verb.

    Attributes:
        regularizers: By the names under which a checkpoint keeps their states, in the order in which they act.
        start_is_candidate: The weights at the start are validated too, and kept where nothing later is better: an
            earlier phase made them.
        settles: Whether the phase ends with the best weights. Else it hands its last ones on to the next phase, and the
            best of both are kept.
        pretrained: Whether the network started from pretrained values.
        told: The callbacks.
    """

    model: Model
    phase: Phase
    feed: Feed
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    loss: nn.Module
    regularizers: Mapping[str, Regularizer]
    normalise: Normalise
    validate: Validate
    accelerator: Accelerator
    checkpoints: Checkpoints
    watcher: Watcher
    log: Callable[[Mapping[str, Any]], None]
    set_train: Callable[[], None]
    seed: int
    classes: int
    bf16: bool = False
    limits: Limits = field(default_factory=Limits)
    index: int = 0
    start_is_candidate: bool = False
    settles: bool = True
    pretrained: bool = True
    told: Told = field(default_factory=Nobody)

    def having(self, method: str) -> list[tuple[str, Any]]:
        """Names and regularizers of those that have a method."""
        return [(name, regularizer) for name, regularizer in self.regularizers.items() if hasattr(regularizer, method)]

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer moves."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


@dataclass
class Counters:
    """What a checkpoint remembers beside tensors; plain values, exact through JSON.

    Attributes:
        unvalidated: Something crashed where an epoch was over and its validation was not: that comes first on resuming.
        stopped: Why a callback ended the phase, "" where none did.
    """

    phase: int
    step: int = 0
    planned_steps: int = 0
    epoch_loss: float = 0.0
    epoch_right: float = 0.0
    epoch_seen: int = 0
    best_loss: float = math.inf
    best_accuracy: float = -1.0
    best_step: int = -1
    since_best: int = 0
    seconds: float = 0.0
    finished: bool = False
    unvalidated: bool = False
    stopped: str = ""
