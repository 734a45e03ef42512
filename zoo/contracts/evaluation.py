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
        loss: Mean of the loss that was trained, without penalties and smoothing.
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
    """How one class fares. Precision is NaN where the class was never predicted, recall where it never occurs."""

    name: str
    support: int
    precision: Interval
    recall: Interval
    f1: float


@dataclass(frozen=True)
class Scores:
    """All scores of one split.

    Attributes:
        accuracy: Share of right answers; in a multi-label task, of images with every label right.
        top5: Only where there are more than five classes and one label an image.
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
