"""Encoded bytes to pixels: every file that people call an image, or a clear reason why it is none.

Pillow reads the file; what it leaves to its caller is settled here: orientation, palettes, transparency, 16 bits,
and how large an image may be. Only formats that Pillow reads without starting another program are allowed.
"""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_PIXELS = 400_000_000
"""Largest image that is read, 20,000 x 20,000 px (1.6 GB in Pillow); Pillow's own limit warns at 89 million."""

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif"),
        *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k"),
    )
)
"""File endings, in lower case, by which a folder's images are told from other files."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF")
_LARGE_PIXELS = 50_000_000  # from here on images are decoded one at a time, or a thread pool would fill the memory
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PILLOW_LIMIT = threading.Lock()
_ONE_LARGE_IMAGE = threading.Lock()


class BadImage(Exception):
    """Not an image that can be read; the message is the reason, short enough for a table."""


def decode(data: bytes | NDArray[np.uint8], *, channels: int, resize_hint_px: int | None = None) -> NDArray[np.uint8]:
    """Decodes one image; of an animation or a document of many pages the first one. Safe in many threads at once.

    The EXIF orientation is applied. 16-bit gray is divided by 257. Transparent pixels lie on white, unless all four
    channels are asked for. Colour becomes gray by the luma of ITU-R 601. CMYK becomes RGB without a colour profile.

    Args:
        data: The file's contents, or pixels uint8[H, W] or uint8[H, W, C] with 1 (gray), 2 (gray and alpha),
            3 (RGB) or 4 (RGBA) channels.
        channels: Channels of the result: 1, 3 or 4.
        resize_hint_px: The caller will scale the short side down to about this; a JPEG of four times the size or
            more is then decoded at a half, a quarter or an eighth of it, never below twice the hint.

    Returns:
        uint8[H, W, channels], contiguous.

    Raises:
        BadImage: It is empty, truncated, no image, too large, or has values without a fixed scale (float, 32 bits).
        ValueError: `channels` is not 1, 3 or 4.
    """
    if channels not in (1, 3, 4):
        raise ValueError(f"channels must be 1, 3 or 4, not {channels}")
    if isinstance(data, np.ndarray):
        pixels = _checked(data)
        return np.array(pixels) if pixels.shape[2] == channels else _convert(_from_array(pixels), channels)
    with _pillow_errors_as_bad_images():
        image = _open(data)
        if resize_hint_px and image.format in ("JPEG", "MPO"):
            # A gap of two before the resize: its filter then hides that the decoder has shrunk the image.
            image.draft(None, (2 * resize_hint_px, 2 * resize_hint_px))
        if image.width * image.height <= _LARGE_PIXELS:
            return _convert(_upright(image), channels)
        with _ONE_LARGE_IMAGE, _no_pillow_limit():
            return _convert(_upright(image), channels)


def image_size(data: bytes | NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width in pixels of what `decode` would return without a hint, from the header alone.

    Raises:
        BadImage: The header cannot be read, or the image is too large.
    """
    if isinstance(data, np.ndarray):
        pixels = _checked(data)
        return pixels.shape[0], pixels.shape[1]
    with _pillow_errors_as_bad_images():
        image = _open(data)
        turned = image.format != "TIFF" and _orientation(image) >= 5  # Pillow's TIFF reader swaps them itself
        return (image.width, image.height) if turned else (image.height, image.width)


def image_mode_channels(data: bytes | NDArray[np.uint8]) -> int:
    """What kind of image it is, from the header alone: 1 gray, 3 colour, 4 with transparency (gray or colour).

    Raises:
        BadImage: The header cannot be read, or the image is too large.
    """
    if isinstance(data, np.ndarray):
        channels = _checked(data).shape[2]
        return 4 if channels == 2 else channels
    with _pillow_errors_as_bad_images():
        image = _open(data)
        if image.has_transparency_data:
            return 4
        return 1 if image.mode in ("1", "L", "I", "F") or image.mode.startswith("I;16") else 3


@contextmanager
def _pillow_errors_as_bad_images() -> Iterator[None]:
    """Gives every failure of a decoder one type: Pillow's readers raise a dozen kinds on damaged files."""
    try:
        yield
    except (BadImage, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise BadImage("not an image in a format that is read here") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise BadImage(reason or type(error).__name__) from error


@contextmanager
def _no_pillow_limit() -> Iterator[None]:
    """Takes Pillow's limit on the size of images away for a moment; ours has been or is checked instead."""
    with _PILLOW_LIMIT:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _open(data: bytes) -> Image.Image:
    """Reads the header and checks the size."""
    if not data:
        raise BadImage("empty file (0 bytes)")
    with _no_pillow_limit():
        image = Image.open(io.BytesIO(data), formats=_formats())
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(f"{image.width} x {image.height} px is more than the {MAX_PIXELS:,} pixels that are read")
    if image.width * image.height == 0:
        raise BadImage("an image without pixels")
    return image


@functools.cache
def _formats() -> tuple[str, ...]:
    """The formats of ours that this build of Pillow knows; `Image.open` fails on a name that it does not."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none or the EXIF block is damaged."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # the pixels may well be whole, and Pillow's EXIF reader raises many kinds
        return 1


def _upright(image: Image.Image) -> Image.Image:
    """Decodes the pixels and turns them as the EXIF orientation says."""
    image.load()
    # Pillow's TIFF reader has turned the pixels while loading and removed the tag.
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _checked(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8[H, W] or uint8[H, W, C] to uint8[H, W, C]."""
    if pixels.dtype != np.uint8:
        raise BadImage(f"pixels of type {pixels.dtype}; only uint8 has a fixed scale")
    shaped = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if shaped.ndim != 3 or shaped.shape[2] not in (1, 2, 3, 4) or shaped.size == 0:
        raise BadImage(f"pixels of shape {pixels.shape}, not [H, W, 1 to 4]")
    if shaped.shape[0] * shaped.shape[1] > MAX_PIXELS:
        raise BadImage(f"{shaped.shape[1]} x {shaped.shape[0]} px is more than the {MAX_PIXELS:,} pixels that are read")
    return shaped


def _from_array(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))


def _convert(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    """A decoded image of any mode to uint8[H, W, channels]."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
    if image.mode == "RGBA" and channels != 4:
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB")
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    return pixels[:, :, None] if channels == 1 else pixels


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Gray of 16 bits to 8 (with its transparent value, if it has one), by division and not by cutting off at 255.

    Raises:
        BadImage: Float or 32-bit values: nothing in the file says which of them is white.
    """
    # Pillow opens a PGM of 16 bits as 32-bit integers in the range of 16.
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
        kind = "float" if image.mode == "F" else "32-bit or signed"
        raise BadImage(f"{kind} pixel values have no fixed white; save the image with 8 or 16 bits")
    values = np.asarray(image).astype(np.uint32)
    gray = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    clear = image.info.get("transparency")
    if clear is None:
        return gray
    return Image.merge("LA", (gray, Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8))))
