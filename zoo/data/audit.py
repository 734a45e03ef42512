"""What is wrong with a data set, before any training: bad files, duplicates, thin classes."""

from __future__ import annotations

import enum
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.contracts.data import SPLITS, BadFile, DataBundle, Sample, Task
from zoo.data.listing import Listing
from zoo.data.packfile import PackIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEW_IMAGES = 10
_STRONG_IMBALANCE = 50


class Severity(enum.StrEnum):
    """An error makes training wrong; a warning makes it worse than it could be."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in a sentence, with the keys of the images that it is about."""

    severity: Severity
    message: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Duplicate:
    """Images of byte-identical contents.

    Attributes:
        sha256: Hash of the contents.
        keys: At least two, sorted.
        splits: The splits in which they lie, in the order train, val, test.
        labels: The different label sets that they have; more than one is a contradiction.
    """

    sha256: str
    keys: tuple[str, ...]
    splits: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]

    @property
    def leaks(self) -> bool:
        """Whether one copy is trained on and another one scored."""
        return len(self.splits) > 1

    @property
    def contradicts(self) -> bool:
        """Whether the copies have different labels."""
        return len(self.labels) > 1


@dataclass(frozen=True)
class ClassRow:
    """Good images of one class in each split."""

    name: str
    train: int
    val: int
    test: int


@dataclass(frozen=True)
class SizeStatistics:
    """Sizes of the good images as the user has them, in pixels: smallest, median and largest."""

    height: tuple[int, int, int]
    width: tuple[int, int, int]
    short_side: tuple[int, int, int]


@dataclass(frozen=True)
class Audit:
    """All that `zoo data check` has to say.

    Attributes:
        images: Good images.
        sizes: None where there is no good image, or the data are arrays of numbers.
        problems: Errors first.
    """

    name: str
    location: str
    task: Task
    channels: int
    images: int
    classes: tuple[ClassRow, ...]
    sizes: SizeStatistics | None
    bad: tuple[BadFile, ...]
    duplicates: tuple[Duplicate, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    arrays: bool = False

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What makes training wrong."""
        return tuple(problem for problem in self.problems if problem.severity is Severity.ERROR)


def audit(listing: Listing, index: PackIndex, *, max_bad_fraction: float = 0.05) -> Audit:
    """Judges a listing whose files have all been looked at (`zoo.data.pack.read_images`, with any cache).

    Args:
        listing: Samples and splits.
        index: What was found when they were decoded.
        max_bad_fraction: Share of bad files above which training would stop.
    """
    by_key = {sample.key: sample for sample in listing.samples}
    good = [by_key[key] for key in index.keys]
    found = duplicates(listing, index)
    rows = _class_table(good, listing.classes)
    problems = [
        *_bad_problems(listing, index, max_bad_fraction=max_bad_fraction),
        *_class_problems(rows),
        *(_repeated_numbers(found) if listing.arrays else _duplicate_problems(found)),
    ]
    return Audit(
        name=listing.name,
        location=listing.location,
        task=listing.task,
        channels=listing.channels,
        images=len(good),
        classes=rows,
        sizes=None if listing.arrays else _sizes(index.sizes),
        arrays=listing.arrays,
        bad=index.bad,
        duplicates=found,
        problems=tuple(sorted(problems, key=lambda problem: problem.severity is not Severity.ERROR)),
        notes=listing.notes,
    )


def duplicates(listing: Listing, index: PackIndex) -> tuple[Duplicate, ...]:
    """Images of byte-identical contents, within and across splits, by the hashes taken when they were decoded."""
    by_key = {sample.key: sample for sample in listing.samples}
    same: dict[str, list[Sample]] = defaultdict(list)
    for key, sha256 in zip(index.keys, index.sha256, strict=True):
        same[sha256].append(by_key[key])
    return tuple(
        Duplicate(
            sha256,
            tuple(sorted(sample.key for sample in samples)),
            tuple(split for split in SPLITS if any(sample.split == split for sample in samples)),
            tuple(sorted({tuple(sorted(sample.labels)) for sample in samples})),
        )
        for sha256, samples in sorted(same.items(), key=lambda item: min(sample.key for sample in item[1]))
        if len(samples) > 1
    )


def content_index(bundle: DataBundle) -> PackIndex:
    """What is known of each image of a bundle that `zoo.data.pack` made.

    Raises:
        TypeError: The bundle's pixels come from somewhere else.
    """
    index = getattr(bundle.images, "index", None)
    if not isinstance(index, PackIndex):
        raise TypeError(f"{type(bundle.images).__name__} keeps no content hashes")
    return index


def _class_table(samples: Sequence[Sample], classes: Sequence[str]) -> tuple[ClassRow, ...]:
    counts = Counter((label, sample.split) for sample in samples for label in sample.labels)
    return tuple(ClassRow(name, *(counts[name, split] for split in SPLITS)) for name in classes)


def _sizes(sizes: NDArray[np.int64]) -> SizeStatistics | None:
    if not len(sizes):
        return None

    def three(values: NDArray[np.int64]) -> tuple[int, int, int]:
        return int(values.min()), round(float(np.median(values))), int(values.max())

    return SizeStatistics(three(sizes[:, 0]), three(sizes[:, 1]), three(sizes.min(axis=1)))


def _bad_problems(listing: Listing, index: PackIndex, *, max_bad_fraction: float) -> list[Problem]:
    if not index.bad:
        return []
    total = len(listing.samples)
    too_many = len(index.bad) > max_bad_fraction * total
    share = f"{len(index.bad) / total:.1%}"
    message = f"{len(index.bad)} of {total} files cannot be read ({share})" + (
        f", more than {max_bad_fraction:.0%}" if too_many else "; they are left out"
    )
    return [Problem(Severity.ERROR if too_many else Severity.WARNING, message, tuple(bad.key for bad in index.bad))]


def _class_problems(rows: Sequence[ClassRow]) -> list[Problem]:
    problems = []
    for split, severity, why in (
        ("train", Severity.ERROR, "cannot be learned"),
        ("val", Severity.WARNING, "are not validated"),
    ):
        without = [row.name for row in rows if getattr(row, split) == 0]
        if without:
            named = ", ".join(map(repr, without[:10])) + (f" and {len(without) - 10} more" if len(without) > 10 else "")
            problems.append(Problem(severity, f"{len(without)} classes have no {split} image and {why}: {named}"))
    if sum(row.val for row in rows) == 0:
        problems.append(Problem(Severity.ERROR, "no validation image can be read"))
    counts = [row.train for row in rows if row.train]
    thin = [f"{row.name!r} ({row.train})" for row in rows if 0 < row.train < _FEW_IMAGES]
    if thin:
        named = ", ".join(thin[:10]) + (f" and {len(thin) - 10} more" if len(thin) > 10 else "")
        problems.append(
            Problem(Severity.WARNING, f"{len(thin)} classes have fewer than {_FEW_IMAGES} training images: {named}")
        )
    if counts and max(counts) > _STRONG_IMBALANCE * min(counts):
        problems.append(
            Problem(Severity.WARNING, f"the largest class has {max(counts) / min(counts):.0f} times the smallest")
        )
    return problems


def _repeated_numbers(found: Sequence[Duplicate]) -> list[Problem]:
    """Rows of few possible values coincide by nature; whether these are copies, the user knows."""
    torn = [duplicate for duplicate in found if duplicate.leaks or duplicate.contradicts]
    if not torn:
        return []
    message = f"{len(torn)} rows of numbers lie in more than one split, or have more than one label"
    return [Problem(Severity.WARNING, f"{message} (first: {torn[0].keys[0]!r})", torn[0].keys)]


def _duplicate_problems(found: Sequence[Duplicate]) -> list[Problem]:
    problems = []
    for severity, chosen, message in (
        (
            Severity.ERROR,
            [d for d in found if d.leaks],
            "images lie in more than one split, so that scores come out too good",
        ),
        (Severity.ERROR, [d for d in found if d.contradicts], "images have different labels in different places"),
        (
            Severity.WARNING,
            [d for d in found if not d.leaks and not d.contradicts],
            "images lie more than once in the same split",
        ),
    ):
        if chosen:
            keys = tuple(key for duplicate in chosen for key in duplicate.keys)
            shown = " = ".join(map(repr, chosen[0].keys[:3]))
            problems.append(Problem(severity, f"{len(chosen)} {message} (first: {shown})", keys))
    return problems
