"""Points of two features, drawn from a seed: what shows which decisions a network can make, in a second.

They are arrays float32[N, 2, 1, 1] and go to the network as they are; `model=mlp weights=none` learns them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Lt

from zoo.contracts.data import Sample, Task
from zoo.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FEWEST = 8
"""Points from which on every class has some to train on, to validate and to test."""

Count = Annotated[int, Ge(FEWEST)]
Noise = Annotated[float, Ge(0)]
Seed = Annotated[int, Ge(0)]


class Points:
    """What the sets of points share; a set says how `n` points with their classes are drawn."""

    name = "points"
    task = Task.SINGLE_LABEL
    classes: tuple[str, ...] = ("0", "1")
    notes: tuple[str, ...] = ()

    def __init__(self, *, n: int, noise: float, seed: int) -> None:
        for key, value, least in (("n", n, FEWEST), ("noise", noise, 0), ("seed", seed, 0)):
            if not least <= value < float("inf"):
                raise UserError(f"data.{key}={value}", where=f"data={self.name}", allowed=f"{least} or more")
        self._n, self._noise, self._seed = n, noise, seed
        self.location = f"{self.name} ({n} points, noise {noise:g}, seed {seed})"

    def samples(self) -> Sequence[Sample]:
        """All points in the order in which they were drawn; `size_bytes` is that of the two numbers."""
        labels = self._drawn[1].tolist()
        width = len(str(len(labels) - 1))
        return [
            Sample(f"{self.name}/{i:0{width}d}", (self.classes[label],), size_bytes=8) for i, label in enumerate(labels)
        ]

    def arrays(self) -> NDArray[np.float32]:
        """float32[N, 2, 1, 1]."""
        import numpy as np

        return self._drawn[0].astype(np.float32).reshape(-1, 2, 1, 1)

    @functools.cached_property
    def _drawn(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return self.draw()

    def draw(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """float64[N, 2] and int64[N] class numbers.

        Raises:
            NotImplementedError: A set of points that says nothing.
        """
        raise NotImplementedError


class Xor(Points):
    """The four points of exclusive or, each n / 4 times with noise around it; class 1 where the two signs differ.

    The points are (-1, -1), (1, 1) of class 0 and (-1, 1), (1, -1) of class 1. No line has more than three of them on
    their right sides. Without noise the same four points are in all splits: training is then the whole truth, and
    validation and test repeat it.

    Source: Minsky and Papert, Perceptrons, 1969; here with -1 and 1 in place of 0 and 1.

    Args:
        n: Points in all, 8 or more; the four places get equal shares, to within one.
        noise: Standard deviation of the normal noise on each coordinate; 0 repeats the four points exactly.
        seed: Of the noise.
    """

    name = "xor"

    def __init__(self, *, n: Count = 400, noise: Noise = 0.1, seed: Seed = 0) -> None:
        super().__init__(n=n, noise=noise, seed=seed)
        if not noise:
            self.notes = ("without noise the same four points train, validate and test",)

    def draw(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The four places in turns."""
        import numpy as np

        places = np.array([(-1.0, -1.0), (-1.0, 1.0), (1.0, 1.0), (1.0, -1.0)])
        turn = np.arange(self._n) % 4
        noise = np.random.default_rng(self._seed).normal(0.0, self._noise, (self._n, 2))
        return places[turn] + noise, turn % 2


class Moons(Points):
    """Two half circles that reach into one another.

    Source: scikit-learn, `sklearn.datasets.make_moons`, unchanged.

    Args:
        n: Points in all, 8 or more.
        noise: Standard deviation of the normal noise on each coordinate.
        seed: Of the points.
    """

    name = "moons"

    def __init__(self, *, n: Count = 1000, noise: Noise = 0.2, seed: Seed = 0) -> None:
        super().__init__(n=n, noise=noise, seed=seed)

    def draw(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """scikit-learn's own."""
        from sklearn.datasets import make_moons

        points, labels = make_moons(n_samples=self._n, noise=self._noise, random_state=self._seed)
        return points, labels


class Rings(Points):
    """A small circle inside a large one.

    Source: scikit-learn, `sklearn.datasets.make_circles`, unchanged.

    Args:
        n: Points in all, 8 or more.
        noise: Standard deviation of the normal noise on each coordinate.
        factor: Radius of the inner circle; the outer one has 1.
        seed: Of the points.
    """

    name = "rings"

    def __init__(
        self, *, n: Count = 1000, noise: Noise = 0.1, factor: Annotated[float, Ge(0), Lt(1)] = 0.5, seed: Seed = 0
    ) -> None:
        super().__init__(n=n, noise=noise, seed=seed)
        if not 0 <= factor < 1:
            raise UserError(f"data.factor={factor}", where="data=rings", allowed="0 <= factor < 1")
        self._factor = factor

    def draw(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """scikit-learn's own."""
        from sklearn.datasets import make_circles

        points, labels = make_circles(
            n_samples=self._n, noise=self._noise, factor=self._factor, random_state=self._seed
        )
        return points, labels


class Blobs(Points):
    """Round clouds of points, one a class.

    Source: scikit-learn, `sklearn.datasets.make_blobs`, unchanged.

    Args:
        n: Points in all, 8 or more.
        clouds: Classes, 2 or more; at most a quarter of the points.
        noise: Standard deviation of a cloud on each coordinate.
        seed: Of the centres, which lie within [-10, 10], and of the points.
    """

    name = "blobs"

    def __init__(
        self, *, n: Count = 1000, clouds: Annotated[int, Ge(2)] = 3, noise: Noise = 1.0, seed: Seed = 0
    ) -> None:
        super().__init__(n=n, noise=noise, seed=seed)
        if not 2 <= clouds <= n // 4:
            raise UserError(f"data.clouds={clouds}", where=f"data=blobs data.n={n}", allowed=f"2 to {n // 4}")
        self.classes = tuple(str(number) for number in range(clouds))

    def draw(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """scikit-learn's own."""
        from sklearn.datasets import make_blobs

        points, labels = make_blobs(
            n_samples=self._n, centers=len(self.classes), cluster_std=self._noise, random_state=self._seed
        )
        return points, labels
