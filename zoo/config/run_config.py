"""The typed configuration of a run: what verbs hand to the stages, one part each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from zoo.kinds import BY_NAME

Positive = Annotated[float, Gt(0)]
Count = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class Component:
    """A chosen component: which, and with what options.

    Attributes:
        kind: Its kind.
        key: Where it stands in the configuration: `optimizer`, `augmentations.rotate`.
        name: Full name, `torch/adamw`.
        options: Checked values of all its options, those of its kind included.
        claimed: Common options of its kind on which it acts itself.
    """

    kind: str
    key: str
    name: str
    options: Mapping[str, Any]
    claimed: frozenset[str] = frozenset()

    @property
    def own(self) -> dict[str, Any]:
        """Options that the component itself takes."""
        common = set(BY_NAME[self.kind].common) - self.claimed
        return {key: value for key, value in self.options.items() if key not in common}

    @property
    def common(self) -> dict[str, Any]:
        """Options on which the framework acts."""
        own = self.own
        return {key: value for key, value in self.options.items() if key not in own}


@dataclass(frozen=True)
class TrainConfig:
    """How to train, whatever is trained.

    Attributes:
        epochs: Passes over the training images; `auto` leaves it to the strategy.
        batch_size: Images a step, over all processes.
        precision: `bf16` computes in bfloat16 where it is safe; `auto` measures both on this network and machine.
        device: `auto` takes a GPU where there is one.
        seed: Everything random follows from it.
        sampling: `shuffle` shows each training image once an epoch; `balanced` shows each class equally often, in an
            epoch of the same length, so that images of rare classes come again.
        max_time: Time for the whole run: seconds, or `90s`, `10m`, `2h`. Training is fitted to end in it.
        validate_every: Epochs from one validation to the next; the last epoch is always validated.
        patience: Stop after this many validations without a better loss; null never stops early.
        threads: Threads that compute on a CPU; `auto` takes all cores.
        loader_threads: Threads that read and augment images.
        save_every_s: Seconds between checkpoints within an epoch (one is always written at its end).
        save_every_steps: Steps between checkpoints, instead of seconds.
        check_augmentations: Before training, look whether an augmentation moves one class into another, and warn.
    """

    epochs: Positive | Literal["auto"] = "auto"
    batch_size: Count | Literal["auto"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    seed: Annotated[int, Ge(0)] = 0
    sampling: Literal["shuffle", "balanced"] = "shuffle"
    max_time: str | Positive | None = None
    validate_every: Count = 1
    patience: Count | None = None
    threads: Count | Literal["auto"] = "auto"
    loader_threads: Count | Literal["auto"] = "auto"
    save_every_s: Positive = 120.0
    save_every_steps: Count | None = None
    check_augmentations: bool = False


@dataclass(frozen=True)
class RunConfig:
    """Where results go: `dir` names the folder, else one is made under `root`."""

    root: str = "runs"
    dir: str | None = None


@dataclass(frozen=True)
class FinetuneConfig:
    """Everything `zoo finetune` was asked to do.

    Attributes:
        weights: `auto`, `none`, the name of a weight source (`hub`, `starter`...), or a path.
        origins: Dotted key to where its value came from: `default`, `command line`, `file X`, or `rule: ...`.
        overrides: The command line as it was given.
        notes: What was decided about shorthands, for the user to read.
    """

    data: Component
    model: Component
    head: Component
    optimizer: Component
    schedule: Component
    loss: Component | None
    strategy: Component
    augmentations: tuple[Component, ...]
    regularizers: tuple[Component, ...]
    callbacks: tuple[Component, ...] = ()
    trackers: tuple[Component, ...] = ()
    weights: str = "auto"
    train: TrainConfig = field(default_factory=TrainConfig)
    run: RunConfig = field(default_factory=RunConfig)
    origins: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def asked(self, key: str) -> bool:
        """Whether the user gave this value (command line or own file), rather than a default or a rule."""
        return self.origins.get(key, "default").startswith(("command line", "file", "python"))

    def components(self) -> tuple[Component, ...]:
        """All chosen components."""
        single = (self.data, self.model, self.head, self.optimizer, self.schedule, self.strategy)
        loss = () if self.loss is None else (self.loss,)
        return single + loss + self.augmentations + self.regularizers + self.callbacks + self.trackers
