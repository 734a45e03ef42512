"""Image data sets that the library datasets reads: those of the hub, and folders in one of its forms."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.contracts.data import Sample, Task
from zoo.errors import UserError, name_list
from zoo_example_hf.loading import from_folder, from_hub, known_splits

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset

UNLABELLED = -1
"""Class number of images whose label is kept secret, as in the test splits of competitions."""

_ROWS = 1000


class HubDataset:
    """Images and labels of a data set of the hub, with its own splits and its own order of classes.

    It is downloaded once into the cache of the library datasets, and read from there, image by image; nothing is
    streamed. Columns are told by their types.

    Source: https://huggingface.co/docs/datasets

    Args:
        path: `NAME` or `ORG/NAME` on the hub, or a folder: what `save_to_disk` left, parquet files, or class folders.
        config: Which of a data set's configurations, for those that have several.
        revision: Branch, tag or commit on the hub; null takes the newest.
        image_column: Column of the images; null takes the only one of type `Image`.
        label_column: Column of the labels; null takes the only one of type `ClassLabel`, or the one named `label`.
    """

    def __init__(
        self,
        *,
        path: str,
        config: str | None = None,
        revision: str | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
    ) -> None:
        folder = Path(path).expanduser()
        local = folder.is_dir()
        self.location = str(folder) if local else f"hf:{path}"
        self.name = folder.name if local else path.rpartition("/")[2]
        if local and revision is not None:
            raise UserError("data.revision has no effect on a folder", where="data.revision", do="leave it out")
        found = from_folder(folder, config) if local else from_hub(path, config, revision=revision)
        splits, self._notes = known_splits(found, self.location)
        self._columns = _Columns.of(splits, image=image_column, label=label_column)
        self._splits = {split: _encoded(rows, self._columns) for split, rows in splits.items()}

    @property
    def task(self) -> Task:
        """One label an image, or any number of them where the labels are lists."""
        return Task.MULTI_LABEL if self._columns.several else Task.SINGLE_LABEL

    @property
    def classes(self) -> tuple[str, ...]:
        """The data set's own names in its own order; empty where its labels are words."""
        return self._columns.names

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out."""
        return (*self._notes, *self._listed[1])

    def samples(self) -> Sequence[Sample]:
        """All images that have a label; their keys are `SPLIT/ROW`."""
        return self._listed[0]

    def read(self, key: str) -> bytes:
        """The encoded bytes of an image.

        Raises:
            OSError: Its file cannot be read, or the data set has none for it.
        """
        split, _, row = key.partition("/")
        image = self._splits[split][int(row)][self._columns.image] or {}
        content: bytes | None = image.get("bytes")
        if content is None and not image.get("path"):
            raise OSError(f"row {row} of split {split!r} has no image")
        return Path(image["path"]).read_bytes() if content is None else content

    @functools.cached_property
    def _listed(self) -> tuple[list[Sample], tuple[str, ...]]:
        samples: list[Sample] = []
        notes = []
        for split, rows in self._splits.items():
            width, unlabelled = len(str(len(rows))), 0
            for number, (label, size, mtime_ns) in enumerate(_rows(rows, self._columns)):
                labels = self._columns.labels(label)
                if labels is None:
                    unlabelled += 1
                    continue
                own = split if len(self._splits) > 1 else None  # a single split says nothing
                key = f"{split}/{number:0{width}d}"
                samples.append(Sample(key, labels, own, size_bytes=size, mtime_ns=mtime_ns))
            if unlabelled:
                notes.append(f"left out {unlabelled} images of split {split!r} that have no label")
        return samples, tuple(notes)


@dataclass(frozen=True)
class _Columns:
    """Where images and labels are.

    Attributes:
        names: Of the classes, by number; empty where the labels are words.
        several: Whether the labels are lists.
    """

    image: str
    label: str
    names: tuple[str, ...]
    several: bool

    @classmethod
    def of(cls, splits: Mapping[str, Dataset], *, image: str | None, label: str | None) -> _Columns:
        """The columns that were named, or that their types tell.

        Raises:
            UserError: They are not there, or several could be meant.
        """
        from datasets import ClassLabel, Image

        features = next(iter(splits.values())).features
        images = [name for name, kind in features.items() if isinstance(kind, Image)]
        classes = [name for name, kind in features.items() if isinstance(_inner(kind), ClassLabel)]
        words = [name for name in ("label", "labels") if name in features]
        image = _chosen(image, images, features=features, key="data.image_column", what="of type Image")
        label = _chosen(label, classes or words[:1], features=features, key="data.label_column", what="of labels")
        if image not in images:
            raise UserError(
                f"column {image!r} holds no images", where="data.image_column", allowed=name_list(image, images)
            )
        kind = features[label]
        names = tuple(_inner(kind).names) if isinstance(_inner(kind), ClassLabel) else ()
        return cls(image, label, names, several=_inner(kind) is not kind)

    def labels(self, value: Any) -> tuple[str, ...] | None:
        """Names of a row's labels; None where it has none."""
        if self.several:
            return tuple(sorted({self._name(each) for each in value or ()}))
        return None if value is None or (self.names and value == UNLABELLED) else (self._name(value),)

    def _name(self, value: Any) -> str:
        return self.names[value] if self.names else str(value)


def _inner(kind: Any) -> Any:
    """The type of a list's items; any other type is itself."""
    return getattr(kind, "feature", kind)


def _chosen(given: str | None, found: Sequence[str], *, features: Mapping[str, Any], key: str, what: str) -> str:
    if given is not None and given not in features:
        raise UserError(f"there is no column {given!r}", where=key, allowed=name_list(given, features))
    if given is None and len(found) != 1:
        raise UserError(
            f"{len(found)} columns are {what}" + (f": {', '.join(found)}" if found else ""),
            where=key,
            allowed=name_list("", found or features),
            do=f"name it: {key}=COLUMN",
        )
    return given or found[0]


def _encoded(rows: Dataset, columns: _Columns) -> Dataset:
    """Only the two columns, with images as they were encoded: zoo decodes them itself."""
    from datasets import Image

    return rows.select_columns([columns.image, columns.label]).cast_column(columns.image, Image(decode=False))


def _rows(rows: Dataset, columns: _Columns) -> Iterator[tuple[Any, int, int]]:
    """Label, size in bytes and time of change of each row; images themselves are not read."""
    changed = [os.stat(file["filename"]).st_mtime_ns for file in rows.cache_files]
    newest = max(changed, default=0)
    for table in rows.with_format("arrow").iter(batch_size=_ROWS):
        labels = table.column(columns.label).to_pylist()
        yield from zip(labels, *_sizes(table, columns.image, newest=newest), strict=True)


def _sizes(table: pa.Table, column: str, *, newest: int) -> tuple[list[int], list[int]]:
    """Size in bytes and time of change of each image: of its bytes in the table, or of its file."""
    import pyarrow.compute as pc

    images = table.column(column)
    inside = pc.binary_length(pc.struct_field(images, "bytes")).to_pylist()
    paths = pc.struct_field(images, "path").to_pylist()
    sizes, times = [], []
    for size, path in zip(inside, paths, strict=True):
        beside = os.stat(path) if size is None and path and os.path.isfile(path) else None
        sizes.append(beside.st_size if beside else size or 0)
        times.append(beside.st_mtime_ns if beside else newest)
    return sizes, times
