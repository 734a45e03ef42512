"""What the data stage hands on: samples, splits, and pixels that are decoded once."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPLITS = ("train", "val", "test")


class Task(enum.StrEnum):
    """Whether an image has exactly one label or any number of them."""

    SINGLE_LABEL = "single_label"
    MULTI_LABEL = "multi_label"


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image as a source lists it, not yet opened.

    Attributes:
        key: Names the image within its source for good: a relative path, `file.parquet#17`, `a.tar!x/y.png`.
        labels: Label names; exactly one in a single-label task, any number (none, too) in a multi-label one.
        split: `train`, `val`, `test`, or None where the source does not say.
        group: Images of one group (a patient, a video) must not be torn apart by a split. None: no groups.
        size_bytes: Size of the encoded image, or of the file it lies in. Part of the manifest.
        mtime_ns: Time of the last change of the file it lies in. Part of the manifest.
    """

    key: str
    labels: tuple[str, ...]
    split: str | None = None
    group: str | None = None
    size_bytes: int = 0
    mtime_ns: int = 0


class DataSource(Protocol):
    """What a component of kind `dataset` builds: it lists samples and reads one; it never writes.

    `location` is a path, or a name such as `digits`, for messages. `classes` fixes the order of the label names
    where the source knows it (a hub's label list); empty means sorted by name. A source may also have `notes`, a
    tuple with a sentence for each thing that it left out or decided for the user.

    A source of numbers instead of images (`ArraySource`) has `arrays` in place of `read`.
    """

    @property
    def name(self) -> str: ...
    @property
    def location(self) -> str: ...
    @property
    def task(self) -> Task: ...
    @property
    def classes(self) -> tuple[str, ...]: ...

    def samples(self) -> Sequence[Sample]:
        """All samples, in an order that depends on the source's content alone."""

    def read(self, key: str) -> bytes | NDArray[np.uint8]:
        """The encoded bytes of one image, or its pixels uint8[H, W, C] where the source holds arrays.

        Raises:
            OSError: It cannot be read; the caller puts the file into quarantine.
        """


class ArraySource(Protocol):
    """What a component of kind `dataset` builds whose samples are numbers that no decoder makes: measured features,
    points, spectra.

    They go to the network as they are: not scaled, cropped, mirrored or kept in the cache. A row with a number that is
    not finite is put into quarantine, as a bad file is.
    """

    @property
    def name(self) -> str: ...
    @property
    def location(self) -> str: ...
    @property
    def task(self) -> Task: ...
    @property
    def classes(self) -> tuple[str, ...]: ...

    def samples(self) -> Sequence[Sample]:
        """All samples, in an order that depends on the source's content alone."""

    def arrays(self) -> NDArray[np.float32]:
        """float32[N, C, S, S], row i for sample i of `samples()`; [N, 2, 1, 1] for points of two features."""


class ImageStore(Protocol):
    """Pixels by position: already decoded and resized for one preprocessing, never yet cropped."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> NDArray[Any]:
        """uint8[H, W, C]; H and W vary between images. float32[S, S, C] where the source holds arrays."""


@dataclass(frozen=True, slots=True)
class BadFile:
    """A file in quarantine: it is listed and counted, and takes no part in anything."""

    key: str
    reason: str


@dataclass(frozen=True)
class DataFacts:
    """What automatic rules may look at: counts and sizes, no pixels.

    Attributes:
        arrays: The data are arrays of numbers, `channels` x `median_side_px` x `median_side_px`, and no images.
    """

    name: str
    classes: int
    task: Task
    channels: int
    train_images: int
    smallest_class: int
    median_class: int
    median_side_px: int
    arrays: bool = False


@dataclass(frozen=True)
class DataBundle:
    """Everything later stages know of the data.

    Attributes:
        classes: Label names in the order of the network's outputs.
        images: Pixels of all good images of all splits, by position.
        keys: The sample key of each position.
        targets: int64[N] class numbers, or float32[N, classes] of 0 and 1 in a multi-label task.
        splits: Split name to int64 positions; `train` and `val` always, `test` where there is one.
        fingerprint: Hash over contents, labels and splits.
        notes: One sentence for each thing that was decided for the user (splits made, files left out).
    """

    name: str
    location: str
    task: Task
    classes: tuple[str, ...]
    channels: int
    images: ImageStore
    keys: tuple[str, ...]
    targets: NDArray[np.int64] | NDArray[np.float32]
    splits: Mapping[str, NDArray[np.int64]]
    quarantined: tuple[BadFile, ...]
    fingerprint: str
    facts: DataFacts
    notes: tuple[str, ...] = field(default=())
