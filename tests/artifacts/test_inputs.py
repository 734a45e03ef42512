from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from zoo.artifacts.inputs import list_images
from zoo.errors import UserError
from zoo.imaging.decode import BadImage, decode

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def picture(path: Path, pixels: np.ndarray = PIXELS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG")
    return path


def names(images) -> list[str]:
    return [item.name for item in list_images(images)]


def test_a_folder_stands_for_its_image_files_sorted(tmp_path):
    for name in ("b.jpg", "a.PNG", "sub/c.webp", "sub/deep/d.TIFF", "Z.jpeg"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".hidden.jpg").write_bytes(b"")
    picture(tmp_path / ".ipynb_checkpoints" / "b.jpg")
    expected = sorted(str(tmp_path / name) for name in ("b.jpg", "a.PNG", "sub/c.webp", "sub/deep/d.TIFF", "Z.jpeg"))
    assert names(tmp_path) == names(str(tmp_path)) == expected


def test_a_folder_keeps_files_that_only_look_like_images(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    assert names(tmp_path) == [str(tmp_path / "empty.jpg")]


def test_a_folder_with_a_loop_of_links_ends(tmp_path):
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    picture(tmp_path / "other" / "b.png")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "other")
    found = names(tmp_path / "in")
    assert [Path(name).name for name in found].count("a.png") == 1
    assert [Path(name).name for name in found].count("b.png") == 1


def test_a_folder_lists_a_dangling_link_as_a_row(tmp_path):
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    assert names(tmp_path) == [str(tmp_path / "gone.jpg")]


def test_a_folder_lists_a_link_to_itself_as_a_row(tmp_path):
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    assert names(tmp_path) == [str(tmp_path / "self.jpg")]


def test_a_folder_with_one_that_cannot_be_listed_is_a_user_error(tmp_path, unlistable):
    picture(tmp_path / "a.png")
    picture(tmp_path / "closed" / "b.png")
    unlistable("closed")
    with pytest.raises(UserError, match="closed' cannot be listed: Permission denied"):
        names(tmp_path)


@pytest.mark.parametrize("others", [0, 3])
def test_a_folder_without_images_is_a_user_error(tmp_path, others):
    for number in range(others):
        (tmp_path / f"{number}.txt").write_text("")
    with pytest.raises(UserError, match=rf"no image files in the folder .* \({others} other files\)"):
        list_images(tmp_path)


def test_a_file_that_is_named_is_taken_whatever_its_ending(tmp_path):
    path = tmp_path / "photo.dat"
    path.write_bytes(b"x")
    (item,) = list_images(path)
    assert item.name == str(path)
    assert item.read() == b"x"


def test_a_pattern_stands_for_the_files_that_match_sorted(tmp_path):
    for name in ("b1.png", "a1.png", "c2.png", "sub/a1.png"):
        picture(tmp_path / name)
    assert names(f"{tmp_path}/*1.png") == [str(tmp_path / "a1.png"), str(tmp_path / "b1.png")]
    assert str(tmp_path / "sub" / "a1.png") in names(f"{tmp_path}/**/*1.png")


def test_a_path_that_exists_is_no_pattern(tmp_path):
    picture(tmp_path / "photo[1].png")
    picture(tmp_path / "photo1.png")
    assert names(tmp_path / "photo[1].png") == [str(tmp_path / "photo[1].png")]
    picture(tmp_path / "set[ab]" / "x.png")
    assert names(tmp_path / "set[ab]") == [str(tmp_path / "set[ab]" / "x.png")]


@pytest.mark.parametrize(("images", "message"), [("nothing.jpg", "does not exist"), ("*.nothing", "no file matches")])
def test_what_is_not_there_is_a_user_error(tmp_path, monkeypatch, images, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        list_images(images)


def test_a_pattern_that_matches_folders_only_says_so(tmp_path):
    (tmp_path / "one").mkdir()
    with pytest.raises(UserError, match="it matches 1 folders"):
        list_images(f"{tmp_path}/o*")


def test_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    picture(tmp_path / "a.png")
    assert names("~/a.png") == names(["~/a.png"]) == [str(tmp_path / "a.png")]


def test_a_list_keeps_its_order_and_what_is_missing(tmp_path):
    a, b = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    items = list_images([b, str(tmp_path / "gone.png"), a])
    assert [Path(item.name).name for item in items] == ["b.png", "gone.png", "a.png"]
    with pytest.raises(OSError, match="No such file"):
        items[1].read()


def test_an_empty_list_is_empty():
    assert list_images([]) == []


def test_arrays_and_open_images_are_named_by_place_or_file(tmp_path):
    path = picture(tmp_path / "a.png")
    with Image.open(path) as opened:
        assert names([PIXELS, opened, Image.fromarray(PIXELS)]) == ["images[0]", str(path), "images[2]"]
    assert names(PIXELS) == ["images[0]"]


@pytest.mark.parametrize("value", [3, None, b"bytes", {"a": 1}, [PIXELS, 3.5]])
def test_what_is_no_image_is_a_user_error(value):
    with pytest.raises(UserError, match=r"images\[\d\] is a (int|NoneType|bytes|dict|float)"):
        list_images(value)


MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"]


def readable(path) -> bool:
    try:
        with Image.open(path) as opened:
            opened.load()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_open_image_gives_the_pixels_of_its_file(tmp_path, mode, channels):
    image = Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 200) if mode == "I;16" else None
    image = image or Image.fromarray(PIXELS).convert(mode)
    if mode == "P":
        image.info["transparency"] = 0
    path = tmp_path / ("x.tif" if mode in ("CMYK", "YCbCr") else "x.png")
    image.save(path)
    if mode == "YCbCr" and not readable(path):
        pytest.skip("this Pillow cannot read the YCbCr that it writes")
    with Image.open(path) as opened:
        assert opened.mode == mode or mode == "YCbCr"
        (item,) = list_images(opened)
        found = decode(item.read(), channels=channels)
    np.testing.assert_array_equal(found, decode(path.read_bytes(), channels=channels))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_an_open_image_is_turned_as_its_file_would_be(tmp_path, suffix, turn):
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = turn
    path = tmp_path / f"x.{suffix}"
    image.save(path, exif=exif)
    with Image.open(path) as opened:
        (item,) = list_images(opened)
        found = decode(item.read(), channels=3)
    np.testing.assert_array_equal(found, decode(path.read_bytes(), channels=3))


def test_a_torn_open_image_is_a_bad_image(tmp_path):
    path = picture(tmp_path / "x.png", np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:5000])
    with Image.open(path) as opened, pytest.raises(BadImage, match="truncated"):
        list_images(opened)[0].read()


def test_an_image_listed_twice_is_never_decoded_twice_at_once(tmp_path, monkeypatch):
    import threading
    import time
    from concurrent.futures import ThreadPoolExecutor

    from PIL.PngImagePlugin import PngImageFile

    inside, most, guard, load = 0, 0, threading.Lock(), PngImageFile.load

    def slow_load(self):
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        time.sleep(0.005)
        try:
            return load(self)
        finally:
            with guard:
                inside -= 1

    path = picture(tmp_path / "x.png")
    monkeypatch.setattr(PngImageFile, "load", slow_load)
    with Image.open(path) as opened, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda item: item.read(), list_images([opened] * 8)))
    assert len(set(found)) == 1
    assert most == 1


file_names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=40
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200 and not name.startswith((".", "~")))


@settings(max_examples=80)
@given(name=file_names)
def test_any_file_name_is_found_by_path_and_in_its_folder(name, tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    path = folder / f"{name}.png"
    path.write_bytes(b"content")
    for images in (path, str(path), folder, [path]):
        (item,) = list_images(images)
        assert item.name == str(path)
        assert item.read() == b"content"


def test_a_name_that_is_no_unicode_is_found(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")
    try:
        with open(path, "wb") as stream:
            stream.write(b"content")
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    (item,) = list_images(tmp_path)
    assert item.name == os.fsdecode(path)
    assert item.read() == b"content"
