"""Decodes every image once, at the size at which it is used, and keeps the pixels."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import PIL

from zoo.contracts.data import BadFile, DataBundle, DataSource, Sample
from zoo.data.arrays import read_arrays
from zoo.data.cache import cache_root, cache_write_errors, lock, prune
from zoo.data.listing import Listing, data_facts, encode_targets, positions_by_split
from zoo.data.packfile import IndexedStore, PackedStore, PackIndex, PackWriter, open_pack
from zoo.data.threads import ordered_map, thread_count
from zoo.errors import UserError
from zoo.imaging.decode import BadImage, decode, image_size
from zoo.imaging.preprocess import GENERATION

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from zoo.imaging.preprocess import Preprocess

FORMAT = 1
"""Raised when the same file would be decoded to other pixels than before, so that old packs are not used."""

Progress = Callable[[int, int], None]
"""Called with images done and images in all."""


def pack(
    listing: Listing,
    source: DataSource,
    *,
    preprocess: Preprocess,
    cache: Literal["packed", "none"] = "packed",
    cache_dir: str | os.PathLike[str] | None = None,
    max_bad_fraction: float = 0.05,
    threads: int | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> DataBundle:
    """Decodes all images of a listing, or finds them decoded, and puts bad files into quarantine.

    Args:
        listing: The samples, with their splits.
        source: Where they are read; never written to.
        preprocess: Size and channels of what is kept: the image after `preprocess.fit`, not cropped.
        cache: `packed` keeps the pixels in a file that later runs find (beyond 50 GB in all, the packs that were not
            used for longest go); `none` decodes again at every read.
        cache_dir: Folder of the cache; None takes the usual one (`zoo.data.cache.cache_root`).
        max_bad_fraction: Share of bad files above which the run stops.
        threads: Images decoded at once; `auto` takes the cores that this process may use.
        progress: Called after each image while they are decoded.

    Raises:
        UserError: Too many bad files; a class or split that is left with none; a disk that is full.
    """
    store = read_images(
        listing, source, preprocess=preprocess, cache=cache, cache_dir=cache_dir, threads=threads, progress=progress
    )
    return make_bundle(listing, store, channels=preprocess.channels, max_bad_fraction=max_bad_fraction)


def read_images(
    listing: Listing,
    source: DataSource,
    *,
    preprocess: Preprocess,
    cache: Literal["packed", "none"] = "packed",
    cache_dir: str | os.PathLike[str] | None = None,
    threads: int | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> IndexedStore:
    """The pixels of a listing's good images, in the order of their keys; see `pack` for the arguments.

    Arrays of numbers are neither decoded nor kept in the cache.

    Raises:
        UserError: The cache cannot be written.
    """
    if listing.arrays:
        return read_arrays(listing, source)
    workers = thread_count(threads)
    if cache == "none":
        index = _index(
            _decode_all(listing.samples, source, preprocess=preprocess, threads=workers, progress=progress), keep=None
        )
        return DecodingStore(source, index, preprocess=preprocess)
    root = cache_root(cache_dir)
    path = root / "packs" / f"{pack_key(listing, preprocess)}.pack"
    store = _usable(path, listing)
    if store is not None:
        return store
    with cache_write_errors(root):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".lock").touch()
    with lock(path.with_suffix(".lock")):
        store = _usable(path, listing)  # another run may have built it while this one waited
        if store is None:
            with PackWriter(path, root=root) as writer:
                decoded = _decode_all(
                    listing.samples, source, preprocess=preprocess, threads=workers, progress=progress
                )
                writer.finish(_index(decoded, keep=writer))
            store = open_pack(path)
            prune(root, keep=path)
    if store is None:
        raise UserError(
            "a cache that was just written cannot be read", where=str(path), do="data.cache_dir=PATH on another disk"
        )
    return store


def pack_key(listing: Listing, preprocess: Preprocess) -> str:
    """Hash over where the images lie, who reads them, their keys, sizes and times, and all that decides the pixels."""
    settings = {
        "format": FORMAT,
        "pixels": GENERATION,
        "pillow": PIL.__version__,
        "channels": preprocess.channels,
        "resize": preprocess.resize,
        "resize_px": preprocess.resize_px,
        "interpolation": preprocess.interpolation,
    }
    whole = [os.path.abspath(listing.location), listing.read_by, settings]
    digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode())
    for sample in listing.samples:
        digest.update(json.dumps([sample.key, sample.size_bytes, sample.mtime_ns]).encode("ascii"))
    return digest.hexdigest()[:32]


class DecodingStore:
    """Pixels that are decoded at every read: slow, and without a cache on the disk."""

    def __init__(self, source: DataSource, index: PackIndex, *, preprocess: Preprocess) -> None:
        self.index = index
        self._source, self._preprocess = source, preprocess

    def __len__(self) -> int:
        return len(self.index.keys)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        key = self.index.keys[index]
        try:
            return _fit(self._source.read(key), self._preprocess)
        except (OSError, BadImage) as error:
            raise UserError(
                f"image {key!r} could be read when the run started, and now cannot: {error}",
                where=self._source.name,
                do="leave the data alone while a run reads them, or use data.cache=packed",
            ) from error


def make_bundle(listing: Listing, store: IndexedStore, *, channels: int, max_bad_fraction: float = 0.05) -> DataBundle:
    """Puts samples and pixels together, without the bad files.

    Raises:
        UserError: More bad files than `max_bad_fraction`; a class without a good training image; no good
            validation image.
    """
    index = store.index
    _check_bad(listing, index.bad, max_bad_fraction=max_bad_fraction)
    by_key = {sample.key: sample for sample in listing.samples}
    samples = [by_key[key] for key in index.keys]
    splits = positions_by_split([sample.split for sample in samples])
    counts = Counter(label for sample in samples if sample.split == "train" for label in sample.labels)
    _check_emptied(listing, index.bad, splits=splits, train_counts=counts)
    notes = [*listing.notes]
    if index.bad:
        first = index.bad[0]
        notes.append(f"quarantined {len(index.bad)} bad files (first: {first.key!r}: {first.reason})")
    return DataBundle(
        name=listing.name,
        location=listing.location,
        task=listing.task,
        classes=listing.classes,
        channels=channels,
        images=store,
        keys=index.keys,
        targets=encode_targets(samples, listing.classes, task=listing.task),
        splits=splits,
        quarantined=index.bad,
        fingerprint=fingerprint(samples, index.sha256),
        facts=data_facts(listing, samples, channels=channels),
        notes=tuple(notes),
    )


def fingerprint(samples: Sequence[Sample], sha256: Sequence[str]) -> str:
    """SHA-256 over key, contents, labels and split of every good image, whatever their order."""
    digest = hashlib.sha256()
    rows = [(s.key, sha, sorted(s.labels), s.split) for s, sha in zip(samples, sha256, strict=True)]
    for row in sorted(rows, key=lambda row: row[0]):
        digest.update(json.dumps(row).encode("ascii") + b"\n")
    return digest.hexdigest()


@dataclass(frozen=True)
class _Decoded:
    """One image, or why it is none."""

    key: str
    sha256: str = ""
    size: tuple[int, int] = (0, 0)
    pixels: NDArray[np.uint8] | None = None
    reason: str = ""
    unreadable: bool = False


def _decode_all(
    samples: Sequence[Sample],
    source: DataSource,
    *,
    preprocess: Preprocess,
    threads: int,
    progress: Progress | None,
) -> Iterator[_Decoded]:
    def decode_one(sample: Sample) -> _Decoded:
        return _decode_one(sample.key, source, preprocess=preprocess)

    for done, decoded in enumerate(ordered_map(decode_one, samples, threads=threads), start=1):
        yield decoded
        if progress is not None:
            progress(done, len(samples))


def _decode_one(key: str, source: DataSource, *, preprocess: Preprocess) -> _Decoded:
    try:
        data = source.read(key)
    except OSError as error:
        return _Decoded(key, reason=error.strerror or str(error), unreadable=True)
    contents = data if isinstance(data, bytes) else str(data.shape).encode() + np.ascontiguousarray(data).tobytes()
    try:
        pixels = _fit(data, preprocess)
        return _Decoded(key, hashlib.sha256(contents).hexdigest(), image_size(data), pixels)
    except BadImage as error:
        return _Decoded(key, reason=str(error))


def _fit(data: bytes | NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.uint8]:
    return preprocess.fit(decode(data, channels=preprocess.channels, resize_hint_px=preprocess.resize_px))


def _index(decoded: Iterable[_Decoded], *, keep: PackWriter | None) -> PackIndex:
    """Collects what is known of each image, handing its pixels to `keep`."""
    keys, hashes, sizes, offsets, shapes = [], [], [], [], []
    bad: list[BadFile] = []
    unreadable: set[str] = set()
    for image in decoded:
        if image.pixels is None:
            bad.append(BadFile(image.key, image.reason))
            if image.unreadable:
                unreadable.add(image.key)
            continue
        keys.append(image.key)
        hashes.append(image.sha256)
        sizes.append(image.size)
        shapes.append(image.pixels.shape)
        if keep is not None:
            offsets.append(keep.add(image.pixels))
    return PackIndex(
        keys=tuple(keys),
        sha256=tuple(hashes),
        sizes=np.array(sizes, np.int64).reshape(-1, 2),
        offsets=np.array(offsets, np.int64),
        shapes=np.array(shapes, np.int64).reshape(-1, 3),
        bad=tuple(bad),
        unreadable=frozenset(unreadable),
    )


def _usable(path: Path, listing: Listing) -> PackedStore | None:
    """The pack, unless it is torn, or holds what a second look may change.

    A file that could not be read (no permission, a network disk away) may be readable now without having changed;
    one that was not there has size 0 in the listing and would have another now. A source without any sizes and times
    gives nothing by which a change would show.
    """
    store = open_pack(path)
    if store is None or len(store) + len(store.index.bad) != len(listing.samples):
        return None
    there = {sample.key for sample in listing.samples if sample.size_bytes or sample.mtime_ns}
    return store if there and not store.index.unreadable & there else None


def _check_bad(listing: Listing, bad: Sequence[BadFile], *, max_bad_fraction: float) -> None:
    total = len(listing.samples)
    if len(bad) <= max_bad_fraction * total:
        return
    shown = "; ".join(f"{file.key!r}: {file.reason}" for file in bad[:5])
    raise UserError(
        f"{len(bad)} of {total} files are bad, more than {max_bad_fraction:.0%}: {shown}"
        + (f"; and {len(bad) - 5} more" if len(bad) > 5 else ""),
        where=listing.location,
        do=[
            "repair or remove them (`python -m zoo data check PATH` lists all)",
            "data.max_bad_fraction=FRACTION, to train without them",
        ],
    )


def _check_emptied(
    listing: Listing, bad: Sequence[BadFile], *, splits: dict[str, NDArray[np.int64]], train_counts: Counter[str]
) -> None:
    """Raises UserError for a class that lost all its training images, and for a validation split that lost all."""
    first = "; ".join(f"{file.key!r}: {file.reason}" for file in bad[:3])
    trained = {label for sample in listing.samples if sample.split == "train" for label in sample.labels}
    emptied = [name for name in listing.classes if name in trained and not train_counts[name]]
    if emptied:
        raise UserError(
            f"all training images of {len(emptied)} classes are bad files: {', '.join(map(repr, emptied[:10]))}",
            where=first,
            do="repair the files, or remove the class",
        )
    if not splits or ("val" in listing.splits and "val" not in splits):
        raise UserError(
            "all validation images are bad files" if splits else "all images are bad files",
            where=first,
            do="repair the files",
        )
