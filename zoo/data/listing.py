"""All images of a source, checked and split, before any is decoded."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from zoo.contracts.data import SPLITS, DataFacts, DataSource, Sample, Task
from zoo.data.arrays import arrays_of, holds_arrays
from zoo.data.splits import assign_splits
from zoo.errors import PluginError, UserError
from zoo.imaging.decode import BadImage, image_mode_channels, image_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HEADERS_READ = 200
"""So many images, spread evenly over the list, say how large and of how many channels the images are."""


@dataclass(frozen=True)
class Listing:
    """What is known of the data before decoding.

    Attributes:
        samples: Sorted by key, each with a split.
        classes: Label names in the order of the network's outputs.
        channels: Channels to decode to: 1, 3 or 4.
        median_side_px: Median of the images' short sides, by the headers of some of them; the side of arrays.
        notes: One sentence for each thing that was decided for the user.
        arrays: The samples are arrays of numbers, and no images.
        read_by: What decides which pixels a key stands for, beside the location: it tells caches apart.
    """

    name: str
    location: str
    task: Task
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    channels: int
    median_side_px: int
    notes: tuple[str, ...] = ()
    arrays: bool = False
    read_by: str = ""

    @property
    def splits(self) -> Mapping[str, NDArray[np.int64]]:
        """Split name to int64 positions in `samples`, in the order train, val, test; empty ones left out."""
        return positions_by_split([sample.split for sample in self.samples])

    @property
    def facts(self) -> DataFacts:
        """What automatic rules may look at before any image is decoded; bad files are still counted."""
        return data_facts(self, self.samples, channels=self.channels)

    @property
    def targets(self) -> NDArray[np.int64] | NDArray[np.float32]:
        """int64[N] class numbers, or float32[N, classes] of 0 and 1 in a multi-label task."""
        return encode_targets(self.samples, self.classes, task=self.task)


def data_facts(listing: Listing, samples: Sequence[Sample], *, channels: int) -> DataFacts:
    """What automatic rules may look at, of the samples given (all of a listing, or those found good)."""
    counts = Counter(label for sample in samples if sample.split == "train" for label in sample.labels)
    return DataFacts(
        name=listing.name,
        classes=len(listing.classes),
        task=listing.task,
        channels=channels,
        train_images=sum(sample.split == "train" for sample in samples),
        smallest_class=min(counts.values(), default=0),
        median_class=round(statistics.median(counts.values())) if counts else 0,
        median_side_px=listing.median_side_px,
        arrays=listing.arrays,
    )


def positions_by_split(splits: Sequence[str | None]) -> dict[str, NDArray[np.int64]]:
    """Split name to int64 positions, in the order train, val, test; empty ones left out."""
    import numpy as np

    of = {split: np.array([i for i, name in enumerate(splits) if name == split], np.int64) for split in SPLITS}
    return {split: positions for split, positions in of.items() if len(positions)}


def encode_targets(
    samples: Sequence[Sample], classes: Sequence[str], *, task: Task
) -> NDArray[np.int64] | NDArray[np.float32]:
    """int64[N] class numbers, or float32[N, classes] of 0 and 1 in a multi-label task."""
    import numpy as np

    number = {name: i for i, name in enumerate(classes)}
    if task is Task.SINGLE_LABEL:
        return np.array([number[sample.labels[0]] for sample in samples], np.int64)
    targets = np.zeros((len(samples), len(classes)), np.float32)
    for row, sample in enumerate(samples):
        targets[row, [number[label] for label in sample.labels]] = 1
    return targets


def list_images(
    source: DataSource,
    *,
    seed: int = 0,
    val_fraction: float | Literal["auto"] = "auto",
    test_fraction: float | Literal["auto"] = "auto",
    channels: int | Literal["auto"] = "auto",
) -> Listing:
    """Lists a source, makes the splits that it lacks, and reads some headers.

    Args:
        source: Where the images lie.
        seed: Of the splits that are made.
        val_fraction: Share of the images that validate, where the source has no validation images; 0.15 for `auto`.
        test_fraction: The same for testing; `auto` makes no test split where only validation images are given.
        channels: 1, 3 or 4; `auto` takes 1 where all images looked at are gray, else 3. Transparency is read only
            when 4 channels are asked for; otherwise transparent pixels lie on white.

    Raises:
        UserError: No images, one class, a class without training images, or splits that cannot be made or believed.
        PluginError: The source breaks its contract.
    """
    if holds_arrays(source) and channels != "auto":
        raise UserError(
            f"data.channels={channels} has no effect: {source.location} holds arrays of numbers, and no images",
            where="data.channels",
            do="leave it out",
        )
    if channels not in ("auto", 1, 3, 4):
        raise UserError(f"data.channels={channels}", allowed="auto, 1 (gray), 3 (colour), 4 (colour and transparency)")
    samples = sorted(source.samples(), key=lambda sample: sample.key)
    notes = list(getattr(source, "notes", ()))
    if not samples:
        raise UserError(f"no images in {source.location}", do="give a folder or table that has some")
    _check_contract(samples, source)
    assigned = assign_splits(
        samples, task=source.task, seed=seed, val_fraction=val_fraction, test_fraction=test_fraction
    )
    classes, class_notes = _classes(assigned.samples, source, notes=notes)
    side, found_channels, header_notes = _headers(assigned.samples, source, channels=channels)
    return Listing(
        name=source.name,
        location=source.location,
        task=source.task,
        samples=assigned.samples,
        classes=classes,
        channels=found_channels,
        median_side_px=side,
        notes=(*notes, *assigned.notes, *class_notes, *header_notes),
        arrays=holds_arrays(source),
    )


def _check_contract(samples: Sequence[Sample], source: DataSource) -> None:
    """Raises PluginError for what no user can mend."""
    twice = [key for key, count in Counter(sample.key for sample in samples).items() if count > 1]
    if twice:
        raise PluginError(f"data source {source.name!r} lists the key {twice[0]!r} more than once")
    for sample in samples:
        if sample.split is not None and sample.split not in SPLITS:
            raise PluginError(f"data source {source.name!r} has the split {sample.split!r} for {sample.key!r}")
        if source.task is Task.SINGLE_LABEL and len(sample.labels) != 1:
            raise PluginError(
                f"data source {source.name!r} has {len(sample.labels)} labels for {sample.key!r}, not one"
            )


def _classes(
    samples: Sequence[Sample], source: DataSource, *, notes: Sequence[str]
) -> tuple[tuple[str, ...], list[str]]:
    """Label names in order, and what there is to say of them."""
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        for label in sample.labels:
            seen[label][str(sample.split)] += 1
    unknown = set(seen) - set(source.classes)
    if source.classes and unknown:
        raise PluginError(f"data source {source.name!r} uses the label {min(unknown)!r}, which its classes do not list")
    classes = tuple(name for name in source.classes if name in seen) or tuple(sorted(seen, key=_label_order))
    if len(classes) < 2 and not (source.task is Task.MULTI_LABEL and classes):
        named = repr(classes[0]) if classes else "none"
        raise UserError(
            f"one class only ({named}) in {source.location}" if classes else f"no labels in {source.location}",
            where="; ".join(notes) or None,
            allowed="two classes or more",
            do="add images of what is not in this class",
        )
    untrained = [name for name in classes if not seen[name]["train"]]
    if untrained:
        named = ", ".join(
            f"{name!r} ({', '.join(f'{n} in {split}' for split, n in sorted(seen[name].items()))})"
            for name in untrained[:10]
        )
        raise UserError(
            f"{len(untrained)} of {len(classes)} classes have no training image: {named}",
            where=source.location,
            allowed="at least one training image of every class",
            do="add training images, correct a misspelt name, or remove the class from the other splits",
        )
    return classes, _class_notes(classes, seen, named=source.classes)


def _class_notes(classes: Sequence[str], seen: Mapping[str, Counter[str]], *, named: Sequence[str]) -> list[str]:
    notes = []
    absent = len(named) - len(classes)
    if absent > 0:
        notes.append(f"{absent} of the {len(named)} classes that the data name have no image; left out")
    alone = [name for name in classes if seen[name].total() == 1]
    if alone:
        more = f" and {len(alone) - 5} more" if len(alone) > 5 else ""
        notes.append(f"a single image, kept for training: class {', '.join(map(repr, alone[:5]))}{more}")
    alike: dict[str, list[str]] = defaultdict(list)
    for name in classes:
        alike[" ".join(name.casefold().replace("_", " ").replace("-", " ").split())].append(name)
    for names in alike.values():
        if len(names) > 1:
            notes.append(f"classes that may be one: {', '.join(map(repr, names))}")
    return notes


def _label_order(name: str) -> tuple[int, int, str]:
    """Numbers by value and before words: 2 before 10."""
    return (0, int(name), name) if name.isascii() and name.isdigit() else (1, 0, name)


def _headers(
    samples: Sequence[Sample], source: DataSource, *, channels: int | Literal["auto"]
) -> tuple[int, int, list[str]]:
    """Median short side, channels, and what was decided about them."""
    if holds_arrays(source):
        _, depth, side, _ = arrays_of(source).shape
        return side, depth, []
    count = min(_HEADERS_READ, len(samples))
    sides, kinds = [], []
    for sample in [samples[i * len(samples) // count] for i in range(count)]:
        try:
            data = source.read(sample.key)
            sides.append(min(image_size(data)))
            kinds.append(image_mode_channels(data))
        except (OSError, BadImage):
            continue  # the build looks at every file and says which are bad
    side = max(1, round(statistics.median(sides))) if sides else 1
    if channels != "auto":
        return side, channels, []
    if kinds and set(kinds) == {1}:
        return side, 1, ["all images are gray: one channel"]
    notes = []
    if 4 in kinds:
        notes.append("some images have transparency; transparent pixels lie on white (data.channels=4 keeps them)")
    if 1 in kinds:
        notes.append("some images are gray; they are read as three equal channels")
    return side, 3, notes
