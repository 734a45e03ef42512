"""Folders whose names are the classes, with or without train, val and test above them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoo_plugins.dataset_sources.trees import DiskTree, FileInfo, Tree

from zoo.contracts.data import Sample, Task
from zoo.errors import UserError
from zoo.imaging.decode import SUFFIXES

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Names of folders and words in tables that mean a split, in lower case."""

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


class Folder:
    """A folder of class folders, or of train/, val/ (valid/, validation/) and test/ with class folders inside.

    Whatever lies below a class folder, at any depth, belongs to the class. Dot files, and what operating systems
    leave behind (`__MACOSX`, `Thumbs.db`), are passed over; files without the ending of an image are counted in
    `notes`. Where a single folder wraps everything, its contents are taken.

    Args:
        path: The folder.
    """

    task = Task.SINGLE_LABEL
    classes: tuple[str, ...] = ()

    def __init__(self, *, path: str) -> None:
        root = Path(path).expanduser()
        if not root.is_dir():
            raise UserError(
                f"{str(root)!r} is not a folder",
                where="data.path",
                allowed="a folder of class folders",
                do="give a table with data/table, or an archive with data/archive" if root.is_file() else (),
            )
        self.location = str(root)
        self.name = root.resolve().name or "root"
        self._tree = DiskTree(root)
        self._found: FolderListing | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each thing that was left out or decided."""
        return self._listing().notes

    def samples(self) -> Sequence[Sample]:
        """All images below class folders, sorted by path."""
        return self._listing().samples

    def read(self, key: str) -> bytes:
        """The file's contents."""
        return self._tree.read(key)

    def _listing(self) -> FolderListing:
        if self._found is None:
            self._found = list_folders(self._tree)
        return self._found


@dataclass(frozen=True)
class FolderListing:
    """What the names of folders say."""

    samples: tuple[Sample, ...]
    notes: tuple[str, ...]


def list_folders(tree: Tree) -> FolderListing:
    """Reads classes and splits off the folders' names.

    Raises:
        UserError: There is no image, no class folder, one split has two folders, or a folder may be a split or a class.
    """
    images = [info for info in tree.files if PurePosixPath(info.path).suffix.lower() in SUFFIXES]
    if not images:
        raise _no_images(tree)
    notes = list(tree.notes) + _ignored_note(tree.files)
    prefix = _wrapper(images)
    if prefix:
        notes.append(f"took the contents of its only folder {'/'.join(prefix)!r}")
    depth = len(prefix)
    inside = _folders_inside(images, depth)
    split_of = _split_folders(inside)
    notes += [] if split_of else _class_named_train(inside)
    class_depth = depth + 1 if split_of else depth
    samples, loose, elsewhere = [], 0, Counter[str]()
    for info in images:
        parts = info.path.split("/")
        if split_of and parts[depth] not in split_of:
            elsewhere[parts[depth]] += 1
        elif len(parts) <= class_depth + 1:
            loose += 1
        else:
            split = split_of[parts[depth]] if split_of else None
            samples.append(
                Sample(info.path, (parts[class_depth],), split, size_bytes=info.size_bytes, mtime_ns=info.mtime_ns)
            )
    if not samples:
        raise _no_class_folders(tree, loose)
    if loose:
        notes.append(f"left out {loose} images that lie in no class folder")
    if elsewhere:
        named = ", ".join(f"{name!r} ({count})" for name, count in sorted(elsewhere.items()))
        notes.append(f"left out images outside train, val and test: {named}")
    return FolderListing(tuple(samples), (*notes, *_empty_class_notes(tree, samples, class_depth=class_depth)))


def _wrapper(images: Sequence[FileInfo]) -> list[str]:
    """Names of the folders, one in the other, that wrap all class folders (an archive often has one)."""
    paths = [info.path.split("/") for info in images]
    prefix: list[str] = []
    while True:
        depth = len(prefix)
        names = {parts[depth] for parts in paths if len(parts) > depth + 1}
        if len(names) != 1 or next(iter(names)).lower() in SPLIT_NAMES:
            return prefix
        only = names.pop()
        paths = [parts for parts in paths if len(parts) > depth + 1]
        below = {parts[depth + 1] for parts in paths if len(parts) > depth + 2}
        loose = any(len(parts) == depth + 2 for parts in paths)
        if not below or (loose and len(below) < 2):  # it is a class itself
            return prefix
        prefix.append(only)


def _folders_inside(images: Sequence[FileInfo], depth: int) -> dict[str, set[str]]:
    """Folder name to the names of the folders in it, for the folders that hold images."""
    inside: dict[str, set[str]] = {}
    for info in images:
        parts = info.path.split("/")
        if len(parts) > depth + 1:
            inside.setdefault(parts[depth], set()).update(parts[depth + 1 : -1][:1])
    return inside


def _split_folders(inside: Mapping[str, set[str]]) -> dict[str, str]:
    """Folder name to split, or nothing where the folders are classes.

    A class may well be called `train`: it is a split only if it holds folders and stands alone, or beside val or test.

    Raises:
        UserError: One split has two folders, or `train` stands beside a folder that is divided as it is.
    """
    splits = {name: SPLIT_NAMES[name.lower()] for name in inside if name.lower() in SPLIT_NAMES}
    trains = [name for name, split in splits.items() if split == "train" and inside[name]]
    if not trains:
        return {}
    if len(inside) > len(splits) == 1:
        _refuse_unknown_split(inside, train=trains[0])
        return {}
    twice = [split for split, count in Counter(splits.values()).items() if count > 1]
    if twice:
        named = ", ".join(repr(name) for name in sorted(splits) if splits[name] == twice[0])
        raise UserError(f"the folders {named} all mean the split {twice[0]!r}", do="merge them, or move one away")
    return splits


def _refuse_unknown_split(inside: Mapping[str, set[str]], *, train: str) -> None:
    """Raises UserError where a folder beside `train` holds the same folders: both would become classes."""
    for name in sorted(set(inside) - {train}):
        both = inside[train] & inside[name]
        if len(both) > 1 or (both and both in (inside[train], inside[name])):
            shared = ", ".join(map(repr, sorted(both)[:5]))
            raise UserError(
                f"the folders {train!r} and {name!r} hold folders of the same names ({shared}): is {name!r} a split?",
                where="data.path",
                allowed=f"splits: {', '.join(SPLIT_NAMES)}",
                do=[
                    f"rename {name!r} to val or test, or move it away",
                    f"or give {train!r} another name, if it is a class",
                ],
            )


def _class_named_train(inside: Mapping[str, set[str]]) -> list[str]:
    """A note where a class looks like a split: it is called `train` and holds folders."""
    named = [name for name, inner in inside.items() if SPLIT_NAMES.get(name.lower()) == "train" and inner]
    others = ", ".join(map(repr, sorted(set(inside) - set(named))[:5]))
    return [f"took {name!r} as a class, and not as a split: beside it lie {others}" for name in named]


def _ignored_note(files: Iterable[FileInfo]) -> list[str]:
    endings = Counter(PurePosixPath(info.path).suffix.lower() or "none" for info in files)
    ignored = {ending: count for ending, count in endings.items() if ending not in SUFFIXES}
    if not ignored:
        return []
    named = ", ".join(f"{ending} ({count})" for ending, count in sorted(ignored.items(), key=lambda x: (-x[1], x[0])))
    return [f"left out {sum(ignored.values())} files without the ending of an image: {named}"]


def _empty_class_notes(tree: Tree, samples: Sequence[Sample], *, class_depth: int) -> list[str]:
    """Names class folders without an image; such a class does not exist for training."""
    filled = {"/".join(sample.key.split("/")[: class_depth + 1]) for sample in samples}
    parents = {name.rpartition("/")[0] for name in filled}
    empty = [
        folder
        for folder in tree.folders
        if folder.count("/") == class_depth and folder.rpartition("/")[0] in parents and folder not in filled
    ]
    return [f"left out class folders without an image: {', '.join(map(repr, empty))}"] if empty else []


def _no_images(tree: Tree) -> UserError:
    found = _ignored_note(tree.files)
    return UserError(
        f"no image in {tree.location!r}" + (f" ({found[0]})" if found else " (no files at all)"),
        where="data.path",
        allowed="files ending in " + ", ".join(sorted(SUFFIXES)),
        do="give the folder that holds one folder for each class",
    )


def _no_class_folders(tree: Tree, loose: int) -> UserError:
    tables = [info.path for info in tree.files if PurePosixPath(info.path).suffix.lower() in TABLE_SUFFIXES]
    ways = ["make one folder for each class and put its images inside"]
    if tables:
        ways.insert(0, f"give the table that says their labels: data={tree.location}/{tables[0]}")
    return UserError(f"{loose} images in {tree.location!r}, and none in a class folder", where="data.path", do=ways)
