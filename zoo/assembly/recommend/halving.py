"""Successive halving: which candidates go on to how many images, so that a time budget is kept. No clock in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FIRST_IMAGES = 300
FIRST_IMAGES_A_CLASS = 10

RULE = (
    f"The first round takes {FIRST_IMAGES} images, or {FIRST_IMAGES_A_CLASS} a class where that is more. After a "
    "round, all candidates go on to all images if what is left of the budget suffices for that, by the seconds that "
    "each of them took for an image so far; otherwise the better half goes on (never fewer than two), to all images "
    "or at least to twice as many; where the time is too short for that, the better two; and where it is too short "
    "for those, the round was the last."
)


@dataclass(frozen=True)
class Standing:
    """A candidate after a round.

    Attributes:
        feature_s: Seconds for reading an image and computing its features; paid once for each new image.
        scoring_s: Seconds of scoring, over the number of images; paid again in each round for all images.
    """

    name: str
    score: float
    feature_s: float
    scoring_s: float

    def cost_s(self, done: int, images: int) -> float:
        """Seconds for going on from `done` images to `images`."""
        return self.feature_s * (images - done) + self.scoring_s * images


@dataclass(frozen=True)
class Round:
    """What is done next: these candidates, the best first, on this many images."""

    images: int
    names: tuple[str, ...]


def first_images(total: int, *, classes: int, budget: bool) -> int:
    """Images of the first round: all without a budget."""
    return total if not budget else min(total, max(FIRST_IMAGES, FIRST_IMAGES_A_CLASS * classes))


def next_round(standings: Sequence[Standing], *, done: int, total: int, left_s: float) -> Round | None:
    """The round after one on `done` images, by `RULE`; None where that was the last.

    Args:
        standings: The candidates that were scored in it.
        done: Images of that round.
        total: All images there are.
        left_s: Seconds left of the budget.
    """
    if done >= total or not standings:
        return None
    ranked = sorted(standings, key=lambda standing: -standing.score)
    half, two = ranked[: max(2, -(-len(ranked) // 2))], ranked[:2]
    more = min(total, 2 * done)
    for chosen, images in ((ranked, total), (half, total), (half, more), (two, more)):
        if sum(standing.cost_s(done, images) for standing in chosen) <= left_s:
            return Round(images, tuple(standing.name for standing in chosen))
    return None
