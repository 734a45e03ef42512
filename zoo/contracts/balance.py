"""How classes that are not equally common are made up for, told to what fits a head without the loss itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Balance:
    """What a loss multiplies and adds, by class; each part may be left out.

    A loss that balances has it as its attribute `balance` after `check`; what is fitted on cached features, where no
    loss module is called, counts its images by the same numbers.

    Attributes:
        weights: What an image of each class counts, above 0; in a multi-label task, what the presence of each label
            counts in that label's own yes-or-no question.
        absent: In a multi-label task, what the absence of each label counts.
        offsets: What is added to the logits while fitting, and not when the network answers.
    """

    weights: tuple[float, ...] | None = None
    absent: tuple[float, ...] | None = None
    offsets: tuple[float, ...] | None = None
