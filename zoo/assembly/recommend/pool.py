"""The images on which backbones are compared, in an order of which every beginning is a fair sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.contracts.data import DataSource, Sample
from zoo.data.listing import Listing
from zoo.errors import UserError
from zoo.features.crossval import FOLDS, assign_folds, balanced_order, label_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Pool:
    """The images that rank: those for training and for validation, never those for testing.

    Attributes:
        samples: In the order in which rounds take them.
        targets: int64[N] or float32[N, classes], in that order.
        groups: int64[N], or None where no images belong together.
    """

    def __init__(self, source: DataSource, listing: Listing, *, seed: int) -> None:
        """Orders the images so that every beginning is balanced by class.

        Raises:
            UserError: There are fewer images, or groups of them, than folds.
        """
        rank = np.array([i for i, sample in enumerate(listing.samples) if sample.split != "test"], np.int64)
        labels = label_numbers(listing.targets[rank])
        order = rank[balanced_order(labels, seed=seed)]
        self.source, self.listing, self.seed = source, listing, seed
        self.samples: tuple[Sample, ...] = tuple(listing.samples[i] for i in order)
        self.targets = listing.targets[order]
        self.places = {sample.key: place for place, sample in enumerate(self.samples)}
        self.groups = _group_numbers(self.samples)
        units = len(self.samples) if self.groups is None else len(np.unique(self.groups))
        if units < FOLDS:
            what = "images" if self.groups is None else "groups of images"
            raise UserError(
                f"{units} {what} for training and validation are too few to compare networks on",
                where=listing.location,
                allowed=f"at least {FOLDS}, one for each fold of the cross-validation",
                do="add images, or let them train: data.test_fraction=0",
            )

    def part(self, first: int, last: int) -> Listing:
        """A listing of the images from one place to before another, all of them for training."""
        chosen = (dataclasses.replace(sample, split="train") for sample in self.samples[first:last])
        return dataclasses.replace(self.listing, samples=tuple(sorted(chosen, key=lambda s: s.key)), notes=())

    def folds(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Fold of each of these images."""
        return assign_folds(label_numbers(self.targets[places]), seed=self.seed, groups=self.groups_of(places))

    def groups_of(self, places: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Group of each of these images, or None."""
        return None if self.groups is None else self.groups[places]


def _group_numbers(samples: Sequence[Sample]) -> NDArray[np.int64] | None:
    if all(sample.group is None for sample in samples):
        return None
    names = [f"image\0{s.key}" if s.group is None else f"group\0{s.group}" for s in samples]
    return np.unique(np.array(names), return_inverse=True)[1].reshape(-1).astype(np.int64)
