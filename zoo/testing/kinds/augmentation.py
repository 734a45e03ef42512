"""Augmentations: uint8 in and out, and no draw but from the generator that is passed."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np

from zoo.errors import UserError
from zoo.testing.draws import global_seed, own_generators
from zoo.testing.images import CHANNELS, picture
from zoo.testing.results import BrokenError, NotApplicableError
from zoo.testing.subject import NotBuiltError, Subject

SEEDS = range(24)
"""Draws of an image that are looked at: one that acts on a tenth of all images is missed once in thirteen such looks
on one image, and once in two thousand on three."""

SIDES = (32, 17)


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, 7]))


def _channels(augmentation: Any) -> list[int]:
    """Numbers of channels that it takes: those for which its `check` raises nothing.

    Raises:
        NotBuiltError: It takes none.
    """
    check = getattr(augmentation, "check", None)
    taken, said = [], ""
    for channels in CHANNELS:
        try:
            if check is not None:
                check(channels)
            taken.append(channels)
        except UserError as error:
            said = error.what
    if not taken:
        raise NotBuiltError(f"its check refuses images of 1, 3 and 4 channels: {said}")
    return taken


def builds(subject: Subject) -> None:
    """It can be called."""
    augmentation = subject.build()
    if not callable(augmentation):
        raise BrokenError(f"{type(augmentation).__name__} cannot be called", fix="Define __call__(self, image, rng).")
    _channels(augmentation)


def use(subject: Subject) -> None:
    """A few images."""
    augmentation = subject.build()
    for number, channels in enumerate(_channels(augmentation)):
        for seed in SEEDS[:8]:
            augmentation(picture(number, channels=channels), _generator(seed))


def _trials(augmentation: Any) -> Iterator[tuple[int, int, int]]:
    """Channels, number of the image, and seed."""
    return itertools.product(_channels(augmentation)[:2], range(2), SEEDS[:12])


def shapes(subject: Subject) -> None:
    """uint8[H', W', C] of at least one pixel, for each number of channels and side."""
    augmentation = subject.build(acting=True)
    for channels, side, seed in itertools.product(_channels(augmentation), SIDES, SEEDS[:6]):
        image = picture(seed, side=side, channels=channels)
        made = augmentation(image, _generator(seed))
        if not isinstance(made, np.ndarray):
            raise BrokenError(f"it returned a {type(made).__name__} instead of an array")
        if made.dtype != np.uint8:
            raise BrokenError(
                f"it made {made.dtype} of uint8", fix="End with .astype(np.uint8), after np.clip(..., 0, 255)."
            )
        if made.ndim != 3 or made.shape[2] != channels or not made.size:
            raise BrokenError(f"it made {list(made.shape)} of {[side, side, channels]}: the channels must stay")


def repeatable(subject: Subject) -> None:
    """Two objects, other global seeds and the reverse order give the same images."""
    first, second = subject.build(), subject.build()
    trials = list(_trials(first))
    with global_seed(1):
        made = [first(picture(n, channels=c), _generator(seed)).copy() for c, n, seed in trials]
    with global_seed(2):
        again = [second(picture(n, channels=c), _generator(seed)).copy() for c, n, seed in reversed(trials)][::-1]
    for (channels, number, seed), one, other in zip(trials, made, again, strict=True):
        if not np.array_equal(one, other):
            raise BrokenError(
                f"the same image ({channels} channels, number {number}) with the same generator (seed {seed}) came out "
                "in two ways: something is drawn from elsewhere, or kept from one image to the next"
            )


def distinct(subject: Subject) -> None:
    """Other generators make other images, where anything is drawn."""
    drew, differ, made = False, False, list[str]()
    for acting in (True, False):  # one that always mirrors, say, draws nothing that matters but whether it acts
        augmentation = subject.build(acting=acting)
        channels, images = _channels(augmentation)[0], []
        with own_generators() as own:
            for seed in SEEDS:
                rng = _generator(seed)
                before = rng.bit_generator.state
                images.append(augmentation(picture(channels=channels), rng).copy())
                drew = drew or rng.bit_generator.state != before
        made += own
        differ = differ or any(not np.array_equal(images[0], image) for image in images[1:])
    if drew and not differ:
        raise BrokenError(f"it draws from the generator, and {len(SEEDS)} generators made the same image")
    if not drew and (made or differ):
        from_where = f" ({made[0]})" if made else ""
        raise BrokenError(
            f"it never draws from the generator that it is passed, but from one of its own{from_where}: every worker, "
            "image and epoch would get the same draws"
        )
    if not drew:
        raise NotApplicableError("it draws nothing")


def picklable(subject: Subject) -> None:
    """A copy that was sent makes the same image."""
    augmentation = subject.build()
    try:
        copy = pickle.loads(pickle.dumps(augmentation))
    except Exception as error:
        raise BrokenError(f"it cannot be pickled: {type(error).__name__}: {error}") from error
    trials = list(_trials(augmentation))
    with global_seed(1):
        made = [augmentation(picture(n, channels=c), _generator(seed)).copy() for c, n, seed in trials]
    with global_seed(1):
        again = [copy(picture(n, channels=c), _generator(seed)).copy() for c, n, seed in trials]
    if any(not np.array_equal(one, other) for one, other in zip(made, again, strict=True)):
        raise BrokenError("the copy that a worker gets makes another image from the same generator")


def acts(subject: Subject) -> None:
    """Some image changes."""
    augmentation = subject.build(acting=True)
    for channels in _channels(augmentation):
        for number, seed in itertools.product(range(3), SEEDS):
            image = picture(number, channels=channels)
            if not np.array_equal(augmentation(image.copy(), _generator(seed)), image):
                return
    raise BrokenError(f"none of {3 * len(SEEDS)} images came out changed")
