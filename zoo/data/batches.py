"""Batches in an order, and with draws, that are functions of (seed, epoch, image) and of nothing else.

Not of the number of threads, not of the number of processes, and not of where an epoch was taken up again: a run
that was stopped sees exactly what it would have seen.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from zoo.contracts.data import DataBundle
from zoo.contracts.training import RawBatch
from zoo.data.crops import random_crop, resize_to
from zoo.data.sampling import DRAWS, balanced, repeats, shuffled
from zoo.data.threads import thread_count
from zoo.errors import PluginError, ZooError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo.imaging.preprocess import Preprocess

Sampling = Literal["none", "shuffle", "balanced"]
"""In order, each image once an epoch in a new order, or each class equally often in an epoch of the same length."""

Pipeline = Callable[["NDArray[np.uint8]", np.random.Generator], "NDArray[np.uint8]"]
"""The user's augmentations in a row; an `Augmentation`, or several composed."""

_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class _Share:
    """What one process makes of one batch.

    Attributes:
        indices: int64[B] positions in the bundle.
        times: int64[B], how often each came in this epoch before.
        total: Images in the batch, over all processes.
    """

    indices: NDArray[np.int64]
    times: NDArray[np.int64]
    total: int


class Batches:
    """Batches of one split, read, cropped and augmented by threads while the network computes.

    An image's way: the stored pixels; the centre window of `preprocess`, or a random crop scaled to its size; the
    mirror; then the augmentations of `pipeline`. These act on the window, not on the stored image: it is smaller, so
    they cost less, and what they do is the same whatever the size of the user's files. One that changes the size
    has its result scaled back.

    Arrays of numbers go through as they are, float32[B, S, S, C]: there is nothing to crop, mirror or augment.

    The last batch may be smaller. One of a single image joins the batch before it: batch normalisation has no
    statistics of one.

    Args:
        bundle: The data.
        positions: int64[N] positions in the bundle, of one split.
        preprocess: Size of the window, and how the centre is cut; the bundle must have been packed with it.
        batch_size: Images a step, over all processes.
        seed: Of order and draws.
        sampling: `none` keeps the order of `positions`; `shuffle` takes a new one in every epoch; `balanced` shows each
            class equally often (`zoo.data.sampling.balanced`), and draws anew for an image each time it comes.
        crop_scale: Range of the area share of random crops; None cuts the centre.
        flip: Mirror half of the images left to right.
        side_at: Side of the window in each epoch, in pixels; None: that of `preprocess` in all.
        pipeline: Builds the augmentations; called once for each thread, since they may hold state.
        threads: Images prepared at once; 0 prepares them when they are asked for; `auto` takes the cores that this
            process may use.
        rank: Number of this process.
        world: Number of processes. Each gets a contiguous share of every batch; shares differ by one at most, and
            are empty where a batch has fewer images than there are processes.

    Raises:
        ValueError: A number is out of range; arrays are to be treated as images, or have another side than the network
            takes; `balanced` in a multi-label task.
    """

    def __init__(
        self,
        bundle: DataBundle,
        positions: NDArray[np.int64],
        *,
        preprocess: Preprocess,
        batch_size: int,
        seed: int = 0,
        sampling: Sampling = "none",
        crop_scale: tuple[float, float] | None = None,
        flip: bool = False,
        side_at: Callable[[int], int] | None = None,
        pipeline: Callable[[], Pipeline] | None = None,
        threads: int | Literal["auto"] = "auto",
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < 1 or seed < 0 or not 0 <= rank < world:
            raise ValueError(f"batch_size={batch_size}, seed={seed}, rank={rank} of {world}")
        if bundle.facts.arrays and (crop_scale is not None or flip or side_at or pipeline):
            raise ValueError("arrays of numbers are not cropped, mirrored, resized or augmented")
        if bundle.facts.arrays and bundle.facts.median_side_px != preprocess.size:
            raise ValueError(f"arrays of side {bundle.facts.median_side_px} for a network that takes {preprocess.size}")
        if sampling == "balanced" and bundle.targets.ndim != 1:
            raise ValueError("classes can be balanced where an image has one label")
        cv2.setNumThreads(0)  # our own threads work on whole images; OpenCV's inside them only get in the way
        self._bundle, self._positions, self._preprocess = bundle, positions, preprocess
        self._seed, self._sampling = seed, sampling
        self._crop_scale, self._flip = crop_scale, flip
        self._side_at = side_at or (lambda _: preprocess.size)
        self._threads = thread_count(threads)
        self._rank, self._world = rank, world
        self._make_pipeline = pipeline
        self._idle_pipelines: SimpleQueue[Pipeline] = SimpleQueue()
        self._bounds = batch_bounds(len(positions), batch_size)

    def __len__(self) -> int:
        """Images in an epoch, over all processes."""
        return len(self._positions)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""
        return len(self._bounds)

    def epoch(self, epoch: int, *, start_step: int = 0) -> Iterator[RawBatch]:
        """This process's shares of the batches of one pass, from `start_step` on.

        Args:
            epoch: Number of the pass, from 0.
            start_step: The first batch to make; those before it cost nothing.

        Raises:
            PluginError: An augmentation fails, or returns something that is no image.
        """
        shares = self._shares(epoch, start_step)
        if self._threads == 0 or self._bundle.facts.arrays:  # numbers are copied, which no thread makes faster
            for share in shares:
                batch = self._empty(share, side=self._side_at(epoch))
                self._fill(batch, epoch, part=(0, len(batch.indices)), times=share.times)
                yield batch
            return
        executor = ThreadPoolExecutor(self._threads, thread_name_prefix="batches")
        ahead: deque[tuple[RawBatch, list[Future[None]]]] = deque()
        try:
            for share in shares:
                batch = self._empty(share, side=self._side_at(epoch))
                ahead.append((batch, self._submit(executor, batch, epoch=epoch, times=share.times)))
                if len(ahead) > _BATCHES_AHEAD:
                    yield _finished(*ahead.popleft())
            while ahead:
                yield _finished(*ahead.popleft())
        finally:  # an exception, Ctrl-C, or a reader that stops early: no thread outlives the epoch
            executor.shutdown(wait=True, cancel_futures=True)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        if self._sampling == "none":
            return self._positions
        if self._sampling == "shuffle":
            return shuffled(self._positions, seed=self._seed, epoch=epoch)
        classes = np.asarray(self._bundle.targets[self._positions], np.int64)
        return balanced(self._positions, classes, seed=self._seed, epoch=epoch)

    def _shares(self, epoch: int, start_step: int) -> list[_Share]:
        """This process's part of each batch of an epoch, from `start_step` on."""
        order = self._order(epoch)
        times = repeats(order)
        shares = []
        for start, stop in self._bounds[start_step:]:
            total = stop - start
            first, last = total * self._rank // self._world, total * (self._rank + 1) // self._world
            part = slice(start + first, start + last)
            shares.append(_Share(order[part], times[part], total))
        return shares

    def _empty(self, share: _Share, *, side: int) -> RawBatch:
        kind = np.float32 if self._bundle.facts.arrays else np.uint8
        images = np.empty((len(share.indices), side, side, self._bundle.channels), kind)
        return RawBatch(images, self._bundle.targets[share.indices], share.indices, share.total)

    def _submit(
        self, executor: ThreadPoolExecutor, batch: RawBatch, *, epoch: int, times: NDArray[np.int64]
    ) -> list[Future[None]]:
        count = len(batch.indices)
        cuts = [count * i // self._threads for i in range(self._threads + 1)]
        parts = [part for part in itertools.pairwise(cuts) if part[1] > part[0]]
        return [executor.submit(self._fill, batch, epoch, part=part, times=times) for part in parts]

    def _fill(self, batch: RawBatch, epoch: int, *, part: tuple[int, int], times: NDArray[np.int64]) -> None:
        """Makes some images of a batch, from the first of `part` to before the second."""
        if self._bundle.facts.arrays:
            for i in range(*part):
                batch.images[i] = self._bundle.images[int(batch.indices[i])]
            return
        pipeline = self._take_pipeline()
        for i in range(*part):
            position = int(batch.indices[i])
            rng = sample_rng(self._seed, epoch, position=position + int(times[i]) * len(self._bundle.keys))
            batch.images[i] = self._window(position, rng, side=batch.images.shape[1], pipeline=pipeline)
        if pipeline is not None:
            self._idle_pipelines.put(pipeline)

    def _window(
        self, position: int, rng: np.random.Generator, *, side: int, pipeline: Pipeline | None
    ) -> NDArray[np.uint8]:
        """uint8[side, side, C] of one image."""
        stored, size = self._bundle.images[position], self._preprocess.size
        if self._crop_scale is not None:
            window = random_crop(stored, rng, size=side, scale=self._crop_scale, flip=self._flip)
        else:
            window = self._preprocess.crop(stored)
            if window.shape[:2] != (size, size):
                raise ValueError(f"image of {stored.shape[:2]} px stored for another size than {size} px")
            if self._flip and rng.random() < 0.5:
                window = window[:, ::-1]
            window = resize_to(window, side)
        if pipeline is None:
            return window
        return self._augmented(np.ascontiguousarray(window), rng, pipeline=pipeline, key=self._bundle.keys[position])

    def _augmented(
        self, window: NDArray[np.uint8], rng: np.random.Generator, *, pipeline: Pipeline, key: str
    ) -> NDArray[np.uint8]:
        if not window.flags.writeable:  # a view of the pack; an augmentation may work in place
            window = window.copy()
        try:
            changed = pipeline(window, rng)
        except ZooError:
            raise
        except Exception as error:
            raise PluginError(f"an augmentation failed on image {key!r}: {type(error).__name__}: {error}") from error
        if changed.dtype != np.uint8 or changed.ndim != 3 or changed.shape[2] != window.shape[2] or not changed.size:
            made, of = (f"{image.dtype}{list(image.shape)}" for image in (changed, window))
            raise PluginError(f"an augmentation made {made} of {of} (image {key!r})")
        return resize_to(changed, window.shape[0])

    def _take_pipeline(self) -> Pipeline | None:
        if self._make_pipeline is None:
            return None
        try:
            return self._idle_pipelines.get_nowait()
        except Empty:
            return self._make_pipeline()


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """First and last position (exclusive) of each batch; a last batch of one image joins the one before it."""
    starts = list(range(0, count, batch_size))
    if len(starts) > 1 and count - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], count], strict=True)) if starts else []


def sample_rng(seed: int, epoch: int, *, position: int) -> np.random.Generator:
    """The generator of one image in one epoch: Philox, keyed by (seed, epoch) and by the image's position.

    The k-th repetition of an image in an epoch has the position k * (images of the bundle) further.
    """
    key = np.random.SeedSequence([seed, epoch, DRAWS]).generate_state(1, np.uint64)[0]
    return np.random.Generator(np.random.Philox(key=np.array([key, position], np.uint64)))


def _finished(batch: RawBatch, parts: list[Future[None]]) -> RawBatch:
    for part in parts:
        part.result()
    return batch
