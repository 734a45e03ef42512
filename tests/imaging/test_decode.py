"""Every kind of file that people call an image, against pixels worked out by hand or by Pillow alone."""

import contextlib
import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from zoo.imaging import decode as module
from zoo.imaging.decode import MAX_PIXELS, SUFFIXES, BadImage, decode, image_mode_channels, image_size


def encode(image, fmt="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def noise(height=12, width=20, channels=3, seed=0, high=256):
    return np.random.default_rng(seed).integers(0, high, (height, width, channels), dtype=np.uint8)


def smooth(height, width, channels=3):
    """Pixels that JPEG keeps nearly unchanged."""
    y, x = np.mgrid[0:height, 0:width]
    plane = x * 200 // width + y * 50 // height
    return np.repeat(plane[:, :, None], channels, axis=2).astype(np.uint8)


# --- modes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF", "PPM"])
def test_decode_rgb_is_exact_in_lossless_formats(fmt):
    pixels = noise()
    assert np.array_equal(decode(encode(Image.fromarray(pixels), fmt), channels=3), pixels)


def test_decode_lossless_webp_is_exact():
    pixels = noise()
    assert np.array_equal(decode(encode(Image.fromarray(pixels), "WEBP", lossless=True), channels=3), pixels)


def test_decode_returns_contiguous_uint8_that_may_be_written():
    pixels = decode(encode(Image.fromarray(noise())), channels=3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_decode_gives_the_channels_asked_for_whatever_the_mode(mode, channels):
    if mode == "I;16":
        image = Image.fromarray(np.arange(240, dtype=np.uint16).reshape(12, 20) * 250)
    else:
        image = Image.fromarray(noise()).convert(mode)
    data = encode(image, "TIFF" if mode == "CMYK" else "PNG")
    pixels = decode(data, channels=channels)
    assert pixels.shape == (12, 20, channels)
    assert pixels.std() > 0


def test_decode_gray_becomes_three_equal_channels():
    gray = noise(channels=1)[:, :, 0]
    pixels = decode(encode(Image.fromarray(gray)), channels=3)
    assert all(np.array_equal(pixels[:, :, c], gray) for c in range(3))


def test_decode_colour_becomes_gray_by_the_luma_of_itu_r_601():
    pixels = noise()
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    gray = decode(encode(Image.fromarray(pixels)), channels=1)[:, :, 0]
    assert np.abs(gray - luma).max() <= 1


def test_decode_gray_to_four_channels_is_opaque():
    gray = noise(channels=1)[:, :, 0]
    assert (decode(encode(Image.fromarray(gray)), channels=4)[:, :, 3] == 255).all()


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "PPM"])
def test_decode_sixteen_bits_are_divided_and_not_cut_off(fmt):
    values = np.array([[0, 1, 128, 129, 255, 256, 257, 32767, 32768, 65406, 65407, 65535]], np.uint16)
    pixels = decode(encode(Image.fromarray(values), fmt), channels=1)[0, :, 0]
    assert pixels.tolist() == np.round(values[0] / 257).astype(int).tolist()
    assert pixels.max() == 255


def test_decode_sixteen_bits_keep_many_shades():
    """The trap: Pillow's own convert("L") cuts off at 255, and nearly everything is white."""
    values = np.linspace(0, 65535, 400).astype(np.uint16).reshape(20, 20)
    pixels = decode(encode(Image.fromarray(values)), channels=1)
    assert len(np.unique(pixels)) > 200
    assert 120 < pixels.mean() < 135


def test_decode_big_endian_sixteen_bit_tiff():
    values = np.array([[0, 1000, 65535]], np.uint16)
    header = b"MM\x00\x2a" + struct.pack(">I", 8)
    entries = [
        (256, 3, 1, 3 << 16), (257, 3, 1, 1 << 16), (258, 3, 1, 16 << 16), (259, 3, 1, 1 << 16),
        (262, 3, 1, 1 << 16), (273, 4, 1, 8 + 2 + 8 * 12 + 4), (278, 3, 1, 1 << 16), (279, 4, 1, 6),
    ]  # fmt: skip
    ifd = struct.pack(">H", len(entries)) + b"".join(struct.pack(">HHII", *e) for e in entries) + struct.pack(">I", 0)
    data = header + ifd + values.astype(">u2").tobytes()
    assert decode(data, channels=1)[0, :, 0].tolist() == [0, 4, 255]


def test_decode_sixteen_bit_rgb_png_keeps_the_high_byte():
    values = np.array([[[0, 256 * 17, 65535]]], ">u2")
    raw = b"\x00" + values.tobytes()

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    assert decode(data, channels=3)[0, 0].tolist() == [0, 17, 255]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_decode_refuses_values_without_a_fixed_white(dtype):
    image = Image.fromarray(np.linspace(0, 1000, 20).reshape(4, 5).astype(dtype))
    with pytest.raises(BadImage, match="no fixed white"):
        decode(encode(image, "TIFF"), channels=3)


def test_decode_palette_takes_colours_and_not_indices():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    assert decode(encode(image), channels=3)[0].tolist() == [[200, 100, 50], [10, 20, 30]]


def test_decode_palette_with_transparency_lies_on_white_or_keeps_alpha():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    data = encode(image, transparency=0)
    assert decode(data, channels=3)[0].tolist() == [[200, 100, 50], [255, 255, 255]]
    assert decode(data, channels=4)[0, :, 3].tolist() == [255, 0]


def test_decode_gif_with_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    pixels = decode(encode(image, "GIF", transparency=0), channels=3)
    assert pixels[0].tolist() == [[200, 100, 50], [255, 255, 255]]


def test_decode_alpha_is_composited_on_white():
    pixels = np.array([[[0, 0, 0, 0], [100, 200, 50, 255], [0, 0, 0, 128]]], np.uint8)
    result = decode(encode(Image.fromarray(pixels)), channels=3)[0]
    assert result[0].tolist() == [255, 255, 255]
    assert result[1].tolist() == [100, 200, 50]
    assert np.abs(result[2].astype(int) - 127).max() <= 1


def test_decode_alpha_is_kept_for_four_channels():
    pixels = noise(channels=4)
    assert np.array_equal(decode(encode(Image.fromarray(pixels)), channels=4), pixels)


def test_decode_gray_with_alpha_lies_on_white():
    pixels = np.array([[[0, 0], [80, 255]]], np.uint8)
    data = encode(Image.fromarray(pixels))
    assert decode(data, channels=1)[0, :, 0].tolist() == [255, 80]
    assert decode(data, channels=4)[0].tolist() == [[0, 0, 0, 0], [80, 80, 80, 255]]


def test_decode_sixteen_bit_gray_with_a_transparent_value():
    values = np.array([[1000, 65535]], np.uint16)
    raw = b"\x00" + values.astype(">u2").tobytes()

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 0, 0, 0, 0))
        + chunk(b"tRNS", struct.pack(">H", 1000))
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )
    assert decode(data, channels=4)[0, :, 3].tolist() == [0, 255]


def test_decode_cmyk_tiff():
    cmyk = np.array([[[255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0]]], np.uint8)
    data = encode(Image.fromarray(cmyk, "CMYK"), "TIFF")
    assert decode(data, channels=3)[0].tolist() == [[0, 255, 255], [0, 0, 0], [255, 255, 255]]


def test_decode_cmyk_jpeg_is_not_inverted():
    """Pillow writes the Adobe marker, with which CMYK lies inverted in the file."""
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red
    red, green, blue = decode(encode(image, "JPEG", quality=95), channels=3).reshape(-1, 3).mean(axis=0)
    assert red > 200
    assert green < 60
    assert blue < 60


# --- orientation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "WEBP"])
def test_decode_applies_the_exif_orientation(orientation, fmt):
    image = Image.fromarray(noise(6, 9))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if fmt == "WEBP" else {}
    data = encode(image, fmt, exif=exif, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(decode(data, channels=3), expected)
    assert image_size(data) == expected.shape[:2]


def test_decode_orientation_six_turns_the_left_edge_up():
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 0] = 255  # left edge white
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(encode(Image.fromarray(pixels), exif=exif), channels=3)
    assert turned.shape == (8, 4, 3)
    assert (turned[0] == 255).all()


def test_decode_ignores_a_damaged_exif_block():
    data = encode(Image.fromarray(smooth(16, 16)), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff\x00garbage")
    assert decode(data, channels=3).shape == (16, 16, 3)
    assert image_size(data) == (16, 16)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_decode_ignores_an_orientation_that_means_nothing(value):
    exif = Image.Exif()
    exif[0x0112] = value
    assert decode(encode(Image.fromarray(noise(5, 7)), exif=exif), channels=3).shape == (5, 7, 3)


# --- sizes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF"])
def test_decode_one_pixel(fmt):
    pixels = decode(encode(Image.new("RGB", (1, 1), (255, 255, 255)), fmt), channels=3)
    assert pixels.shape == (1, 1, 3)
    assert pixels.min() > 250


def test_decode_twenty_thousand_pixels_wide():
    assert decode(encode(Image.new("L", (20_000, 3), 7)), channels=1).shape == (3, 20_000, 1)


def test_decode_reads_beyond_pillows_own_limit_and_leaves_it_as_it_was(monkeypatch, recwarn):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    data = encode(Image.new("L", (50, 50), 7))
    assert decode(data, channels=1).shape == (50, 50, 1)
    assert Image.MAX_IMAGE_PIXELS == 100
    assert not recwarn.list


@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_decode_large_images_one_at_a_time(monkeypatch, fmt):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(module, "_LARGE_PIXELS", 1000)
    pixels = noise(60, 60)
    options = {"compression": "tiff_lzw"} if fmt == "TIFF" else {}
    data = encode(Image.fromarray(pixels), fmt, **options)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: decode(data, channels=3), range(8)))
    assert all(np.array_equal(result, pixels) for result in results)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_decode_refuses_more_pixels_than_the_limit():
    width, height = 20_001, 20_000
    assert width * height > MAX_PIXELS

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    for function in (lambda: decode(bomb, channels=3), lambda: image_size(bomb), lambda: image_mode_channels(bomb)):
        with pytest.raises(BadImage, match="400,000,000"):
            function()


@pytest.mark.slow
def test_decode_twenty_thousand_by_twenty_thousand():
    data = encode(Image.new("1", (20_000, 20_000)), compress_level=1)
    assert decode(data, channels=1).shape == (20_000, 20_000, 1)


# --- the resize hint -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "shape"),
    [(None, (400, 600)), (101, (400, 600)), (100, (200, 300)), (50, (100, 150)), (25, (50, 75)), (1, (50, 75))],
)
def test_decode_hint_halves_only_what_stays_twice_the_hint(hint, shape):
    data = encode(Image.fromarray(smooth(400, 600)), "JPEG", quality=95)
    assert decode(data, channels=3, resize_hint_px=hint).shape[:2] == shape


def test_decode_hint_keeps_the_picture():
    data = encode(Image.fromarray(smooth(400, 600)), "JPEG", quality=95)
    full = Image.fromarray(decode(data, channels=3)).resize((60, 40), Image.Resampling.BICUBIC)
    quick = Image.fromarray(decode(data, channels=3, resize_hint_px=40)).resize((60, 40), Image.Resampling.BICUBIC)
    assert np.abs(np.asarray(full, int) - np.asarray(quick, int)).mean() < 1.5


def test_decode_hint_with_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(smooth(400, 600)), "JPEG", quality=95, exif=exif)
    assert decode(data, channels=3, resize_hint_px=100).shape == (300, 200, 3)


def test_decode_hint_does_nothing_to_png():
    pixels = noise(40, 60)
    assert np.array_equal(decode(encode(Image.fromarray(pixels)), channels=3, resize_hint_px=2), pixels)


def test_decode_hint_with_gray_and_cmyk_jpeg():
    gray = encode(Image.new("L", (400, 400), 100), "JPEG")
    assert decode(gray, channels=1, resize_hint_px=50).shape == (100, 100, 1)
    cmyk = encode(Image.new("CMYK", (400, 400), (0, 255, 255, 0)), "JPEG")
    assert decode(cmyk, channels=3, resize_hint_px=50)[0, 0, 0] > 200


# --- bad files -----------------------------------------------------------------------------------------------------


def test_decode_empty_file():
    with pytest.raises(BadImage, match="0 bytes"):
        decode(b"", channels=3)


@pytest.mark.parametrize(
    "data", [b"hello, I am a text file\n" * 10, b"\x00" * 100, b"%PDF-1.4 ...", b"<svg></svg>", b"GIF"]
)
def test_decode_not_an_image(data):
    with pytest.raises(BadImage, match="not an image"):
        decode(data, channels=3)


@pytest.mark.parametrize("fmt", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_decode_truncated(fmt, share):
    options = {"compression": "tiff_lzw"} if fmt == "TIFF" else {}
    data = encode(Image.fromarray(noise(64, 64)), fmt, **options)
    with pytest.raises(BadImage):
        decode(data[: int(len(data) * share)], channels=3)


def test_decode_truncated_jpeg_though_another_library_allows_it_nowhere():
    """`LOAD_TRUNCATED_IMAGES` would fill the missing half with gray; nothing here may switch it on."""
    data = encode(Image.fromarray(noise(64, 64)), "JPEG")
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    with pytest.raises(BadImage, match="truncated"):
        decode(data[: len(data) // 2], channels=3)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_decode_png_with_a_wrong_checksum():
    data = bytearray(encode(Image.fromarray(noise(8, 8))))
    data[data.index(b"IDAT") + 8] ^= 0xFF
    with pytest.raises(BadImage):
        decode(bytes(data), channels=3)


def test_decode_does_not_start_another_program_for_postscript():
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    with pytest.raises(BadImage, match="not an image"):
        decode(postscript, channels=3)


def test_decode_reason_is_one_short_line():
    data = encode(Image.fromarray(noise(64, 64)))
    with pytest.raises(BadImage) as caught:
        decode(data[:200], channels=3)
    assert "\n" not in str(caught.value)
    assert 0 < len(str(caught.value)) <= 120


@given(st.binary(max_size=200))
@settings(max_examples=150)
def test_decode_any_bytes_give_pixels_or_bad_image(data):
    with contextlib.suppress(BadImage):
        assert decode(data, channels=3).dtype == np.uint8


@given(
    cut=st.integers(0, 400),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), max_size=4),
    fmt=st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"]),
)
@settings(max_examples=150)
@pytest.mark.filterwarnings("ignore")
def test_decode_damaged_files_give_pixels_or_bad_image(cut, flips, fmt):
    data = bytearray(encode(Image.fromarray(smooth(16, 16)), fmt))
    for place, value in flips:
        data[place % len(data)] ^= value
    try:
        pixels = decode(bytes(data[: max(0, len(data) - cut)]), channels=3)
        assert pixels.ndim == 3
    except BadImage:
        pass


@pytest.mark.parametrize("channels", [0, 2, 5, -1])
def test_decode_refuses_other_channel_counts(channels):
    with pytest.raises(ValueError, match="1, 3 or 4"):
        decode(encode(Image.fromarray(noise())), channels=channels)


def test_decode_lets_a_lack_of_memory_through(monkeypatch):
    """A full memory says nothing about the file: it must not land in quarantine."""

    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(MemoryError):
        decode(encode(Image.fromarray(noise())), channels=3)


# --- arrays --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("own", [1, 2, 3, 4])
def test_decode_arrays_as_if_they_were_files(own, channels):
    pixels = noise(channels=own)
    same = Image.fromarray(pixels[:, :, 0] if own == 1 else pixels)
    assert np.array_equal(decode(pixels, channels=channels), decode(encode(same), channels=channels))


def test_decode_array_without_channel_axis():
    assert decode(noise(channels=1)[:, :, 0], channels=3).shape == (12, 20, 3)


def test_decode_copies_arrays():
    pixels = noise()
    decode(pixels, channels=3)[:] = 0
    assert pixels.any()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((3, 3), np.float32),
        np.zeros((3, 3, 5), np.uint8),
        np.zeros((0, 3, 3), np.uint8),
        np.zeros(9, np.uint8),
        np.zeros((2, 2), np.uint16),
    ],
)
def test_decode_refuses_arrays_that_are_no_images(pixels):
    for function in (
        lambda: decode(pixels, channels=3),
        lambda: image_size(pixels),
        lambda: image_mode_channels(pixels),
    ):
        with pytest.raises(BadImage):
            function()


# --- headers -------------------------------------------------------------------------------------------------------


def test_image_size_is_height_then_width():
    assert image_size(encode(Image.new("RGB", (31, 17)))) == (17, 31)
    assert image_size(np.zeros((17, 31), np.uint8)) == (17, 31)


def test_image_size_needs_the_header_only():
    data = encode(Image.fromarray(noise(64, 64)))
    assert image_size(data[:200]) == (64, 64)


@pytest.mark.parametrize(
    ("mode", "fmt", "kind"),
    [
        ("1", "PNG", 1),
        ("L", "JPEG", 1),
        ("L", "PNG", 1),
        ("LA", "PNG", 4),
        ("RGB", "JPEG", 3),
        ("RGBA", "PNG", 4),
        ("P", "PNG", 3),
        ("CMYK", "JPEG", 3),
    ],
)
def test_image_mode_channels(mode, fmt, kind):
    assert image_mode_channels(encode(Image.fromarray(noise()).convert(mode), fmt)) == kind


def test_image_mode_channels_of_sixteen_bits_and_transparent_palettes():
    assert image_mode_channels(encode(Image.fromarray(np.zeros((2, 2), np.uint16)))) == 1
    assert image_mode_channels(encode(Image.new("P", (2, 2)), transparency=0)) == 4


@pytest.mark.parametrize(("own", "kind"), [(1, 1), (2, 4), (3, 3), (4, 4)])
def test_image_mode_channels_of_arrays(own, kind):
    assert image_mode_channels(noise(channels=own)) == kind


def test_headers_of_bad_files():
    for function in (image_size, image_mode_channels):
        with pytest.raises(BadImage):
            function(b"no image")


# --- surroundings --------------------------------------------------------------------------------------------------


def test_decode_in_many_threads_gives_the_same_pixels():
    images = [encode(Image.fromarray(noise(seed=i)), fmt) for i in range(12) for fmt in ("PNG", "GIF", "TIFF")]
    alone = [decode(data, channels=3) for data in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: decode(data, channels=3), images * 4))
    assert all(np.array_equal(a, b) for a, b in zip(alone * 4, together, strict=True))
    assert Image.MAX_IMAGE_PIXELS is not None
    assert threading.active_count() < 50


def test_suffixes_are_lower_case_and_readable():
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)
    Image.init()
    assert all(suffix in Image.EXTENSION for suffix in SUFFIXES)


def test_importing_decode_changes_nothing_in_pillow_and_brings_no_torch():
    code = (
        "import sys; from PIL import Image, ImageFile;"
        "before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES;"
        "import zoo.imaging.decode; assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES);"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
