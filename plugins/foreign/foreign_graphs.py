"""What readers of graphs share: following a tensor through operators that hold no values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from zoo.contracts.importing import ForeignPool
from zoo.errors import UserError

Pads = tuple[int, ...]


@dataclass(frozen=True)
class Trail:
    """What is known of a tensor on its way through a graph.

    Attributes:
        after: The layers with values that it comes from, through what has none; () is the image.
        pads: What (top, left, bottom, right) was put around it that no convolution or pooling has taken yet.
        fill: What was put there: zeros, or minus infinity for a pooling by the largest.
        direct: It is a layer's result itself.
        channels_last: Its map is [H, W, C].
        pools: (name of the call, pooling) since the layers that it comes from.
    """

    after: tuple[str, ...] = ()
    pads: Pads = (0, 0, 0, 0)
    fill: float = 0.0
    direct: bool = False
    channels_last: bool = False
    pools: tuple[tuple[str, ForeignPool], ...] = ()

    @property
    def pool_fact(self) -> tuple[ForeignPool, ...]:
        """The poolings, for a layer's facts."""
        return tuple(pool for _, pool in self.pools)


def start_trail(*, channels_last: bool = False) -> Trail:
    """The image."""
    return Trail(channels_last=channels_last)


def pass_on(trails: Sequence[Trail]) -> Trail:
    """The result of an operator without values."""
    after = tuple(dict.fromkeys(itertools.chain.from_iterable(trail.after for trail in trails)))
    pools = tuple(dict.fromkeys(itertools.chain.from_iterable(trail.pools for trail in trails)))
    return Trail(after, channels_last=any(trail.channels_last for trail in trails), pools=pools)


def missing_library(name: str, what: str) -> UserError:
    """That a library is not installed which a reader needs."""
    return UserError(
        f"{what} are read with {name}, which is not installed", where="source", do="pip install 'zoo[convert]'"
    )
