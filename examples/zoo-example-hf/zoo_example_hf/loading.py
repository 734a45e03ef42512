"""Loads data sets with the library datasets: from its cache, from the hub, or from a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError
from zoo_example_hf.repository import why_unreachable

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

SPLITS: Mapping[str, str] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}
"""What the splits of the hub are called here."""


def known_splits(found: DatasetDict, location: str) -> tuple[dict[str, Dataset], tuple[str, ...]]:
    """Splits by their names here, and what was left out."""
    splits: dict[str, Any] = {}
    notes = []
    for name, rows in found.items():
        split = SPLITS.get(str(name).lower())
        if split is None or split in splits:
            notes.append(f"left out split {str(name)!r} of {len(rows)} rows: it neither trains, validates nor tests")
        else:
            splits[split] = rows
    if not splits:
        raise UserError(
            f"no split of this data set is known by its name: {', '.join(map(str, found))}",
            where=location,
            allowed=", ".join(SPLITS),
            do="download it, and save what you want by `DatasetDict.save_to_disk`",
        )
    return splits, tuple(notes)


def from_folder(folder: Path, config: str | None) -> DatasetDict:
    """What a folder holds.

    Raises:
        UserError: Nothing that the library reads.
    """
    import datasets

    saved = any((folder / file).is_file() for file in ("dataset_dict.json", "state.json"))
    if saved and config is not None:
        raise UserError("data.config has no effect on a saved data set", where="data.config", do="leave it out")
    try:
        with _quietly(datasets.config, offline=True):
            found = datasets.load_from_disk(str(folder)) if saved else datasets.load_dataset(str(folder), config)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise _unreadable(str(folder), error, why="") from error
    return _as_dict(found)


def from_hub(path: str, config: str | None, *, revision: str | None) -> DatasetDict:
    """A data set of the hub; without a network the version that the cache holds.

    Raises:
        UserError: It is not to be had.
    """
    import datasets

    why = why_unreachable()
    try:
        with _quietly(datasets.config, offline=bool(why)):
            found = datasets.load_dataset(path, config, revision=revision)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise _unreadable(f"hf:{path}", error, why=why) from error
    return _as_dict(found)


@contextmanager
def _quietly(settings: Any, *, offline: bool) -> Iterator[None]:
    """Inside, the library tells the hub of no download, and does not wait for a hub that cannot be reached."""
    kept = settings.HF_HUB_OFFLINE, settings.HF_UPDATE_DOWNLOAD_COUNTS
    settings.HF_HUB_OFFLINE, settings.HF_UPDATE_DOWNLOAD_COUNTS = kept[0] or offline, False
    try:
        yield
    finally:
        settings.HF_HUB_OFFLINE, settings.HF_UPDATE_DOWNLOAD_COUNTS = kept


def _as_dict(found: Any) -> DatasetDict:
    import datasets

    return found if isinstance(found, datasets.DatasetDict) else datasets.DatasetDict({"train": found})


def _unreadable(location: str, error: Exception, *, why: str) -> UserError:
    import datasets

    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    ways = ["where there is a network: load it once, and copy its folder of the cache here"] if why else []
    return UserError(
        f"the data set cannot be had: {why or reason}",
        where=location + (f"; nor is it in {datasets.config.HF_DATASETS_CACHE}" if why else ""),
        do=[*ways, "data=DIR, for images in class folders or a table; data=hf data.path=DIR, for a saved data set"],
    )
