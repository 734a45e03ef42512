"""What training steps came to, read from the device a few steps at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zoo.contracts.training import RawBatch

LOOK_EVERY = 10
"""Steps from one look to the next on an accelerator. Each look waits for all that the device still has to do; the step
times of the last 20 steps, which a time budget is fitted to, always hold two of them."""


@dataclass(frozen=True)
class Step:
    """One training step.

    Attributes:
        number: Steps of the phase before it.
        raw: Its images as the feed made them, from which its batch can be made again.
        loss: What is minimised, penalties included.
        summed: Sum of the losses of this process's images.
        right: Number of right answers among them.
    """

    number: int
    raw: RawBatch
    loss: float
    summed: float
    right: float


class Tally:
    """Holds values on the device until they are looked at, with the images that they came from.

    On a CPU they are looked at at once. The values that a look gives are the same, in the same order, whenever it
    comes; so sums over them have the same bits in a run that was stopped and resumed.
    """

    def __init__(self, device: torch.device) -> None:
        self.every = 1 if device.type == "cpu" else LOOK_EVERY
        self._waiting: list[tuple[int, RawBatch, torch.Tensor]] = []

    def add(self, number: int, raw: RawBatch, *, values: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> bool:
        """Takes the loss, the summed losses and the right answers of one step; says whether a look is due."""
        self._waiting.append((number, raw, torch.stack([value.detach().float() for value in values])))
        return len(self._waiting) >= self.every

    def look(self) -> list[Step]:
        """All steps since the last look, in their order. It waits for the device once."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return []
        rows = torch.stack([values for _, _, values in waiting]).tolist()
        return [Step(number, raw, *row) for (number, raw, _), row in zip(waiting, rows, strict=True)]
