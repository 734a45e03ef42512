"""What crosses the doorways of the training stage: batches, phases, and what components must offer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from zoo.contracts.data import DataFacts, Task
    from zoo.contracts.model import Model, NetworkFacts


@dataclass(frozen=True)
class Batch:
    """What one step sees.

    Attributes:
        images: float32[B, C, S, S], normalised, on the training device.
        targets: int64[B] class numbers, or float32[B, classes] shares (soft or multi-label targets).
    """

    images: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class RawBatch:
    """What a loader hands over, still as it lies in memory.

    Attributes:
        images: uint8[B, S, S, C], this process's share of the batch; float32[B, S, S, C] where the data are arrays of
            numbers.
        targets: int64[B], or float32[B, classes].
        indices: int64[B] positions in the data bundle.
        total: Images in the whole batch, over all processes.
    """

    images: NDArray[Any]
    targets: NDArray[np.int64] | NDArray[np.float32]
    indices: NDArray[np.int64]
    total: int


class Feed(Protocol):
    """Batches of one split. What comes at (epoch, step) is a function of the seed and these two numbers alone."""

    @property
    def steps_per_epoch(self) -> int: ...

    def epoch(self, epoch: int, *, start_step: int = 0) -> Iterator[RawBatch]:
        """The batches of one pass, from `start_step` on."""


class Watcher(Protocol):
    """Who is told how training goes; drawing is its own business."""

    def stepped(self, step: StepView) -> None:
        """After every step, on the main process."""

    def validated(self, row: Mapping[str, Any]) -> None:
        """After every validation, with the row that goes into metrics.jsonl."""


@dataclass(frozen=True)
class StepView:
    """How far training is."""

    phase: str
    step: int
    steps: int
    epoch: float
    epochs: float
    loss: float
    accuracy: float
    images_per_s: float
    left_s: float


class Augmentation(Protocol):
    """What a component of kind `augmentation` builds.

    It may also have `check(channels: int) -> None`, asked once before training: raises UserError where an option
    could have no effect on images of so many channels.
    """

    def __call__(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """uint8[H, W, C] to uint8[H', W', C]; every draw comes from `rng`, which depends on seed, epoch and sample."""


class Schedule(Protocol):
    """What a component of kind `schedule` builds: a function of progress, so that resuming needs no replay.

    It may also have `momentum(progress: float) -> float | None`: the optimizer's momentum (SGD's `momentum`, Adam's
    first beta) at that point, None to leave it alone; and `warms_up = True` where it has a warm-up of its own, so
    that none is put before it.
    """

    def __call__(self, progress: float) -> float:
        """The factor on the learning rate at `progress` in [0, 1] of the phase; 1 is the full rate."""


class MetricSchedule(Schedule, Protocol):
    """A schedule that also watches validation. Its state is saved in checkpoints."""

    def observe(self, loss: float) -> None:
        """Called once after each validation with its loss."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class Setting:
    """What a regularizer, or a loss with a `check` of its own, may look at before training.

    It finds there that it can have no effect, or what it must know of the data.

    Attributes:
        trainable: `head` while the backbone is frozen and its features are cached, else `all`.
        loss_takes_soft_targets: Whether the chosen loss accepts float targets in a single-label task.
        pretrained: Whether the network holds pretrained values.
        freeze_norm: Whether BatchNorm stays in eval mode and keeps its statistics.
        parameters: What of the backbone is trained, in the stages that are not frozen; the head always is. `none` where
            every phase freezes all stages, so that images pass through a backbone that stays as it is.
        images: Training images.
        class_counts: Training images of each class; of each label, in a multi-label task.
    """

    task: Task
    classes: int
    trainable: Literal["head", "all"]
    loss_takes_soft_targets: bool
    pretrained: bool = True
    freeze_norm: bool = False
    parameters: Literal["all", "norm", "bias", "adapters", "none"] = "all"
    images: int = 0
    class_counts: tuple[int, ...] = ()

    @property
    def backbone_fixed(self) -> bool:
        """Whether nothing outside the head is trained: neither the network's own values nor adapters."""
        return self.trainable == "head" or self.parameters == "none"


@dataclass(frozen=True)
class Moment:
    """Which step of a phase it is, and the draws that belong to it.

    Attributes:
        step: Steps done before this one.
        steps: Steps of the phase as it is planned now; a time budget may shorten it on the way.
        generator: On the CPU, seeded by (seed, phase, step); the same on all processes.
    """

    step: int
    steps: int
    generator: torch.Generator

    @property
    def progress(self) -> float:
        """Share of the phase that is done, in [0, 1]."""
        return min(1.0, self.step / self.steps)


class Regularizer(Protocol):
    """What a component of kind `regularizer` builds: a class with any of these methods, at least one.

    The loop calls only what a class has, so what is left out costs nothing. Order within a step: `change_batch`,
    forward pass, `penalty`, backward pass, `look_ahead` (then a second forward and backward pass, and `step_back`),
    `change_gradients`, the optimizer's step, `after_step`. Several are called in the order in which they are listed,
    those of the strategy's recipe first.
    """

    def check(self, setting: Setting) -> None:
        """Raises UserError where this regularizer could have no effect."""

    def change_model(self, model: Model) -> None:
        """Once, before the first training phase: adds hooks or changes modules, keeping all parameter names.

        A regularizer that keeps an average is built anew for each phase, and asked each time.

        The network holds the values that training starts from, pretrained ones too, in resumed runs as well.
        """

    def restore_model(self, model: Model) -> None:
        """Once, after the last phase: puts back what `change_model` changed; what was learned stays."""

    def change_batch(self, batch: Batch, generator: torch.Generator, classes: int) -> Batch:
        """Every training step; draws come from `generator` (on the CPU), seeded by (seed, phase, step) and common to
        all regularizers of the step: each goes on where the last one stopped."""

    def penalty(self, model: Model) -> torch.Tensor:
        """Every training step, after the forward pass: a scalar that is added to the loss."""

    def look_ahead(self, parameters: Sequence[nn.Parameter]) -> None:
        """Every step, after the backward pass: moves the weights to where the step's gradient is to be taken.

        A second forward and backward pass follows on the same batch with the same draws; it leaves the statistics of
        normalisation layers alone. One regularizer of a run at most has this method.
        """

    def step_back(self, parameters: Sequence[nn.Parameter]) -> None:
        """After the second backward pass: the weights as they were before `look_ahead`, the gradients kept."""

    def change_gradients(self, parameters: Sequence[nn.Parameter], moment: Moment) -> None:
        """Every step, between the backward pass and the optimizer's step."""

    def after_step(self, model: Model, moment: Moment) -> None:
        """Every step, after the optimizer's step."""

    def swapped_in(self, model: Model) -> AbstractContextManager[None]:
        """Inside, the network carries other weights (an average): these are validated, and kept where they are best.

        One regularizer of a run at most has this method.
        """

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        """What a resumed run must know, as tensors; saved in every checkpoint."""

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Takes a saved state, after `change_model`."""


@dataclass(frozen=True)
class LowRank:
    """Low-rank adapters: each adapted layer computes W x + alpha / rank * B A x, of which A and B alone are trained.

    Attributes:
        rank: Rows of A and columns of B, from 1 on.
        alpha: Size of what is added, above 0.
        dropout: Share of an adapter's inputs that are set to zero while it is trained, in [0, 1).
        layers: Kinds of layers that are adapted; of convolutions those without groups and dilation.
        targets: Ends of the names of the layers (`attn.qkv`); None takes all outside the head.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    layers: Literal["linear", "conv", "all"] = "linear"
    targets: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Phase:
    """One stretch of training, as a strategy plans it. The head is always trained.

    Attributes:
        kind: `fit_head` fits the head on cached features of the frozen backbone; `train` is gradient descent
            through the network.
        epochs: Passes over the training images; 0 for `fit_head`, which runs to convergence.
        lr_factor: Multiplies the optimizer's own learning rate.
        stage_decay: Each stage further from the head has its rate multiplied by this once more.
        frozen: Numbers of the stages, from 0 at the input, that are frozen: no gradients, no optimizer state, and
            everything in them (BatchNorm, dropout) in eval mode.
        parameters: What is trained in the other stages: everything, the scales and shifts of norms, or the biases.
        adapters: Instead of the stages' own parameters these are trained; merged into the layers when the phase ends.
        freeze_norm: BatchNorm stays in eval mode and keeps the pretrained statistics.
        regularizers: Regularizers of the recipe, full name to options; one that the user lists replaces it, as one
            that keeps an average of the weights replaces another.
        crop_scale: Range of the area share of random crops; None: the centre, as in validation.
        flip: Mirror half of the images left to right.
        start_px: Side of the training images in the first epochs; it grows to the network's own. None: always that.
    """

    name: str
    kind: Literal["fit_head", "train"]
    epochs: float = 0
    lr_factor: float = 1.0
    stage_decay: float = 1.0
    frozen: tuple[int, ...] = ()
    parameters: Literal["all", "norm", "bias"] = "all"
    adapters: LowRank | None = None
    freeze_norm: bool = False
    regularizers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    crop_scale: tuple[float, float] | None = None
    flip: bool = False
    start_px: int | None = None


@dataclass(frozen=True)
class Plan:
    """What a strategy decided, and why, in a sentence that is printed and recorded."""

    strategy: str
    phases: tuple[Phase, ...]
    reason: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class Strategy(Protocol):
    """What a component of kind `strategy` builds."""

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool) -> Plan:
        """The phases for these data; pure, so that the same facts give the same plan.

        Args:
            facts: Counts and sizes of the data.
            network: Size, stages and layers of the network.
            pretrained: Whether there are pretrained values to start from.
            must_train: Something was asked for that acts only in gradient descent. A strategy that chooses takes one in
                which it acts; one that never trains may plan as ever, and the run is refused.
        """
