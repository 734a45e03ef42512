"""In which order an epoch shows its images: a function of the seed and the epoch's number alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHUFFLE, DRAWS, TURNS = 0, 1, 2
"""Streams of the seed: the order of an epoch, the draws of an image, the turns of a class's images."""


def shuffled(positions: NDArray[np.int64], *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Each position once, int64[N]."""
    return positions[_permutation(len(positions), seed, epoch, SHUFFLE)]


def balanced(positions: NDArray[np.int64], classes: NDArray[np.int64], *, seed: int, epoch: int) -> NDArray[np.int64]:
    """As many positions as there are, each class equally often, int64[N].

    With K classes among N positions a class comes floor(N / K) times; the N mod K that are left go to other classes in
    every epoch, in turns. The images of a class take turns too: a rare class shows all before one comes again, and a
    common class of n shows all within ceil(n / floor(N / K)) epochs, none twice in one epoch.

    Args:
        positions: int64[N], at least one.
        classes: int64[N], the class of each.
        seed: Of the order.
        epoch: Number of the pass, from 0.
    """
    present = np.unique(classes)
    base, left = divmod(len(positions), len(present))
    turn = (np.arange(len(present)) - epoch * left) % len(present)
    chosen = [
        _turns(
            positions[classes == number],
            base + int(turn[place] < left),
            base=base,
            key=(seed, int(number)),
            epoch=epoch,
        )
        for place, number in enumerate(present)
    ]
    return shuffled(np.concatenate(chosen), seed=seed, epoch=epoch)


def _turns(members: NDArray[np.int64], count: int, *, base: int, key: tuple[int, int], epoch: int) -> NDArray[np.int64]:
    """`count` members of a class: the next ones of a permutation that lasts until all had their turn."""
    lasts = -(-len(members) // base)
    lap, place = divmod(epoch, lasts)
    order = _permutation(len(members), *key, lap, TURNS)
    return members[order[(place * base + np.arange(count)) % len(members)]]


def repeats(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each entry stood in the order before, int64[N]: 0 for the first time."""
    by_value = np.argsort(order, kind="stable")
    ordered = order[by_value]
    starts = np.r_[True, ordered[1:] != ordered[:-1]] if len(order) else np.empty(0, bool)
    first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    found = np.empty(len(order), np.int64)
    found[by_value] = np.arange(len(order)) - first
    return found


def _permutation(count: int, *key: int) -> NDArray[np.int64]:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(list(key)))).permutation(count)
