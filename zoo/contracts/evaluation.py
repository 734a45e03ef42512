"""What the evaluation stage hands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Outputs:
    """A network's answers over one split, in the order of `indices`.

    Attributes:
        logits: float32[N, classes].
        targets: int64[N], or float32[N, classes] in a multi-label task.
        indices: int64[N] positions in the data bundle.
        loss: Mean over the images; while training of the loss that is trained, without penalties and smoothing, for
            final scores minus the log of the probability of the truth, whatever was trained.
    """

    logits: NDArray[np.float32]
    targets: NDArray[np.int64] | NDArray[np.float32]
    indices: NDArray[np.int64]
    loss: float


@dataclass(frozen=True)
class Interval:
    """A measured share or mean with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ClassScore:
    """How one class fares. Precision is NaN where the class was never predicted, recall where it never occurs.

    Attributes:
        average_precision: In a multi-label task, how well the label's score ranks the images; NaN where it never
            occurs. None with one label an image.
        threshold: In a multi-label task, the probability from which on the label was given; None where each image was
            judged at thresholds of its own fold, or with one label an image.
    """

    name: str
    support: int
    precision: Interval
    recall: Interval
    f1: float
    average_precision: float | None = None
    threshold: float | None = None


@dataclass(frozen=True)
class LabelScores:
    """What depends on the thresholds in a multi-label task.

    Attributes:
        accuracy: Share of images with every label right.
        macro_f1: Mean over the labels.
        micro_f1: Over all labels of all images, pooled.
    """

    accuracy: Interval
    macro_f1: Interval
    micro_f1: Interval


@dataclass(frozen=True)
class Scores:
    """All scores of one split.

    Attributes:
        accuracy: Share of right answers; in a multi-label task, of images with every label right.
        top5: Only where there are more than five classes and one label an image.
        balanced_accuracy: Mean of the recalls of the classes that occur; with one label an image.
        micro_f1: F1 over all labels of all images, pooled; in a multi-label task.
        mean_average_precision: Mean of the labels' average precisions, which no threshold moves; multi-label.
        at_half: What 0.5 would give for all labels, where other thresholds were chosen.
        note: How labels were given, where it was not at 0.5.
        confusion: int64[classes, classes], rows the truth, columns the prediction; in a multi-label task
            int64[classes, 2, 2], for each label [[TN, FP], [FN, TP]].
    """

    split: str
    count: int
    accuracy: Interval
    top5: Interval | None
    macro_f1: Interval
    loss: float
    per_class: tuple[ClassScore, ...]
    confusion: NDArray[np.int64]
    balanced_accuracy: Interval | None = None
    micro_f1: Interval | None = None
    mean_average_precision: Interval | None = None
    at_half: LabelScores | None = None
    note: str = ""
