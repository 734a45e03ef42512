"""What a user names to be predicted: a file, a folder, a pattern, a list, open images, arrays."""

from __future__ import annotations

import glob
import io
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from zoo.errors import UserError
from zoo.files import listing_error
from zoo.imaging.decode import SUFFIXES, BadImage

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

ImageLike = Union[str, os.PathLike[str], "Image.Image", "NDArray[np.uint8]"]
"""One image: a path, an open PIL image, or uint8[H, W] or uint8[H, W, C]."""


@dataclass(frozen=True)
class ImageInput:
    """One image to come.

    Attributes:
        name: How its row is called: the path as it was found, or `images[3]` for what has no path.
        read: Fetches the encoded bytes or the pixels; may raise OSError, ValueError (an impossible path) or BadImage.
    """

    name: str
    read: Callable[[], bytes | NDArray[np.uint8]]


def list_images(images: ImageLike | Sequence[ImageLike]) -> list[ImageInput]:
    """All images that were named, in order.

    A folder stands for the image files below it (by their endings; hidden ones are left out), a pattern for the files
    that match it; both are sorted. A path that exists is never read as a pattern, so `photo[1].jpg` is safe. A list
    keeps its order, and its paths are not looked up here: what is missing gets a row that says so.

    Raises:
        UserError: A path that is not there, a folder that cannot be listed, a folder or a pattern without images, or
            a value that is no image.
    """
    if isinstance(images, str | os.PathLike):
        return [_from_path(path) for path in _expand(os.fspath(images))]
    if isinstance(images, Sequence) and not isinstance(images, bytes):
        one_at_a_time = threading.Lock()
        return [_from_item(item, number, one_at_a_time=one_at_a_time) for number, item in enumerate(images)]
    return [_from_item(images, 0, one_at_a_time=threading.Lock())]


def _from_item(item: Any, number: int, *, one_at_a_time: threading.Lock) -> ImageInput:
    from PIL import Image

    if isinstance(item, str | os.PathLike):
        return _from_path(os.path.expanduser(os.fspath(item)))
    if isinstance(item, np.ndarray):
        return ImageInput(f"images[{number}]", lambda: item)
    if isinstance(item, Image.Image):
        name = str(getattr(item, "filename", "") or f"images[{number}]")
        return ImageInput(name, lambda: _encode(item, one_at_a_time))
    raise UserError(
        f"images[{number}] is a {type(item).__name__}",
        where="images",
        allowed="a path, a folder, a pattern, a PIL image, a numpy array uint8[H, W, C], or a list of them",
    )


def _from_path(path: str) -> ImageInput:
    return ImageInput(path, Path(path).read_bytes)


def _encode(image: Image.Image, one_at_a_time: threading.Lock) -> bytes:
    """A PIL image as a file without loss, so that orientation, palettes and depth take the one path there is.

    One at a time, as the same image may be listed twice, and Pillow decodes it when it is first used.
    """
    with one_at_a_time:
        return _encoded(image)


def _encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    try:
        image.load()
        if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
            image.save(stream, "PNG", exif=image.getexif(), compress_level=1)
        else:
            image.save(stream, "TIFF", exif=image.getexif())
    except MemoryError:
        raise
    except Exception as error:  # an image is decoded when it is first used, and Pillow's readers raise a dozen kinds
        raise BadImage(" ".join(str(error).split())[:120] or type(error).__name__) from error
    return stream.getvalue()


def _expand(text: str) -> list[str]:
    """Paths that a file, folder or pattern stands for."""
    text = os.path.expanduser(text)
    if os.path.isdir(text):
        return _in_folder(text)
    if os.path.lexists(text):
        return [text]
    if not glob.has_magic(text):
        raise UserError(
            f"{text!r} does not exist", where="images", allowed="a file, a folder, or a pattern such as 'photos/*.jpg'"
        )
    found = sorted(glob.glob(text, recursive=True))
    paths = [path for path in found if not os.path.isdir(path)]
    if not paths:
        folders = f"; it matches {len(found)} folders" if found else ""
        raise UserError(f"no file matches the pattern {text!r}{folders}", where="images")
    return paths


def _in_folder(folder: str) -> list[str]:
    """Image files below a folder, sorted by path; links to folders are followed once each."""
    every = list(_walk(folder, set()))
    found = sorted(path for path in every if os.path.splitext(path)[1].lower() in SUFFIXES)
    if not found:
        raise UserError(
            f"no image files in the folder {folder!r} ({len(every)} other files)",
            where="images",
            allowed=", ".join(sorted(SUFFIXES)),
            do="a file with another ending is read when it is named itself or by a pattern",
        )
    return found


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise listing_error(error, folder) from error
    for entry in listed:
        if entry.name.startswith("."):
            continue
        if os.path.isdir(entry.path):  # which a link to itself is not, while `entry.is_dir()` would fail at it
            yield from _walk(entry.path, seen)
        else:
            yield entry.path
