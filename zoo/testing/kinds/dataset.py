"""Data sources: samples that are listed the same each time, and pixels that can be read from anywhere."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from zoo.contracts.data import SPLITS, Sample, Task
from zoo.testing.building import needs
from zoo.testing.draws import global_seed
from zoo.testing.results import BrokenError, NotApplicableError
from zoo.testing.subject import Subject

MOST = 40
"""Samples whose pixels are read, spread over all."""


def builds(subject: Subject) -> None:
    """It has a name, a location, a task, classes, samples, and pixels or numbers."""
    source = subject.build()
    for name in ("name", "location", "task", "classes"):
        if not hasattr(source, name):
            raise BrokenError(f"{type(source).__name__} has no {name!r}", fix=f"Give it a class attribute {name}.")
    if not isinstance(source.task, Task):
        raise BrokenError(f"its task is {source.task!r}", fix="Set task = Task.SINGLE_LABEL or Task.MULTI_LABEL.")
    needs(source, "samples")
    if not callable(getattr(source, "read", None)) and not callable(getattr(source, "arrays", None)):
        raise BrokenError("it has neither `read` nor `arrays`", fix="Images need read(key), numbers arrays().")


def use(subject: Subject) -> None:
    """Lists, and reads some."""
    _pixels(subject.build())


def _some(samples: Any) -> list[Sample]:
    step = max(1, -(-len(samples) // MOST))
    return list(samples[::step])


def _pixels(source: Any) -> list[bytes]:
    """Everything that is read of some samples, as bytes."""
    samples = source.samples()
    if hasattr(source, "arrays"):
        return [np.ascontiguousarray(row).tobytes() for row in source.arrays()]
    return [_bytes(source.read(sample.key)) for sample in _some(samples)]


def _bytes(read: Any) -> bytes:
    return read if isinstance(read, bytes) else np.ascontiguousarray(read).tobytes()


def shapes(subject: Subject) -> None:
    """Samples and pixels as zoo.contracts.data has them."""
    source = subject.build()
    samples = source.samples()
    if not len(samples):
        raise BrokenError("it lists no samples")
    keys = {sample.key for sample in samples}
    if len(keys) != len(samples):
        raise BrokenError(f"{len(samples) - len(keys)} samples share their key with another one")
    known = set(source.classes)
    for sample in samples:
        _check_sample(sample, source.task, known)
    if hasattr(source, "arrays"):
        _check_arrays(source.arrays(), len(samples))
        return
    for sample in _some(samples):
        _check_image(source.read(sample.key), sample.key)


def _check_sample(sample: Any, task: Task, known: set[str]) -> None:
    if not isinstance(sample, Sample):
        raise BrokenError(f"samples() lists a {type(sample).__name__}", fix="List zoo.contracts.data.Sample.")
    if not isinstance(sample.labels, tuple) or not all(isinstance(label, str) for label in sample.labels):
        raise BrokenError(f"the labels of {sample.key!r} are {sample.labels!r}", fix="labels is a tuple of texts.")
    if task is Task.SINGLE_LABEL and len(sample.labels) != 1:
        raise BrokenError(f"{sample.key!r} has {len(sample.labels)} labels in a single-label task")
    if known and not known >= set(sample.labels):
        raise BrokenError(f"{sample.key!r} has labels that are none of its classes: {sorted({*sample.labels} - known)}")
    if sample.split not in (None, *SPLITS):
        raise BrokenError(
            f"{sample.key!r} is in the split {sample.split!r}", fix=f"Allowed: {', '.join(SPLITS)}, None."
        )


def _check_arrays(arrays: Any, count: int) -> None:
    if not isinstance(arrays, np.ndarray) or arrays.dtype != np.float32 or arrays.ndim != 4:
        shape = f"{getattr(arrays, 'dtype', type(arrays).__name__)}{list(getattr(arrays, 'shape', ()))}"
        raise BrokenError(f"arrays() gave {shape}", fix="Return float32[N, C, S, S].")
    if len(arrays) != count or arrays.shape[2] != arrays.shape[3]:
        raise BrokenError(f"arrays() gave {list(arrays.shape)} for {count} samples: one square row a sample is wanted")


def _check_image(read: Any, key: str) -> None:
    if isinstance(read, bytes):
        from PIL import Image

        try:
            with Image.open(io.BytesIO(read)) as image:
                image.load()
        except Exception as error:
            raise BrokenError(f"the bytes of {key!r} are no image that Pillow reads: {error}") from error
        return
    if not isinstance(read, np.ndarray) or read.dtype != np.uint8:
        got = f"{read.dtype} values" if isinstance(read, np.ndarray) else f"a {type(read).__name__}"
        raise BrokenError(f"read({key!r}) gave {got}", fix="Return the bytes of the file, or uint8[H, W, C].")
    if read.ndim != 3 or read.shape[2] not in (1, 3, 4) or not read.size:
        raise BrokenError(f"read({key!r}) gave uint8{list(read.shape)}", fix="Return uint8[H, W, C], C of 1, 3 or 4.")


def repeatable(subject: Subject) -> None:
    """Two objects list and read the same, whatever global seeds there are."""
    with global_seed(1):
        first = subject.build()
        listed, pixels = list(first.samples()), _pixels(first)
    with global_seed(2):
        second = subject.build()
        again = list(second.samples())
        if listed != again or list(first.samples()) != listed:
            raise BrokenError("samples() lists other samples, or in another order, the second time")
        if pixels != _pixels(second) or pixels != _pixels(first):
            raise BrokenError("the pixels of a sample are others the second time")


def threads(subject: Subject) -> None:
    """Eight threads read what one reads."""
    source = subject.build()
    if hasattr(source, "arrays"):
        raise NotApplicableError("its numbers are read once, by one thread")
    keys = [sample.key for sample in _some(source.samples())] * 4
    alone = {key: _bytes(source.read(key)) for key in dict.fromkeys(keys)}
    read: Callable[[str], bytes] = lambda key: _bytes(source.read(key))  # noqa: E731 (typed in one line)
    with ThreadPoolExecutor(8) as pool:
        for key, pixels in zip(keys, pool.map(read, keys), strict=True):
            if pixels != alone[key]:
                raise BrokenError(f"read by several threads at once, {key!r} has other pixels than read alone")


def picklable(subject: Subject) -> None:
    """A copy that was sent reads the same."""
    source = subject.build()
    with global_seed(1):
        before = _pixels(source)
    try:
        copy = pickle.loads(pickle.dumps(source))
    except Exception as error:
        raise BrokenError(f"it cannot be pickled: {type(error).__name__}: {error}") from error
    with global_seed(1):
        again = _pixels(copy)
    if again != before:
        raise BrokenError("the copy that a worker gets reads other pixels")


def acts(subject: Subject) -> None:
    """Samples differ: in their pixels, and in their labels."""
    source = subject.build()
    labels = {label for sample in source.samples() for label in sample.labels}
    if len(labels) < 2:
        raise BrokenError(f"all samples have the same label: {', '.join(labels) or 'none'}")
    pixels = _pixels(source)
    if len(pixels) > 1 and len(set(pixels)) == 1:
        raise BrokenError(f"{len(pixels)} samples all have the same pixels")
