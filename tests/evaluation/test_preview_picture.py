"""The picture of a preview: every pixel where it belongs, every class named, and known again."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from zoo.evaluation import preview_picture
from zoo.evaluation.pictures import canvas, png
from zoo.evaluation.preview_picture import PreviewRow, draw_preview, is_preview

RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)


def plain(colour, side=48) -> np.ndarray:
    return np.full((side, side, len(colour)), colour, np.uint8)


def opened(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, to look at their texts."""
    kept = []
    to_png = preview_picture.png

    def keep(figure, **options):
        kept.append(figure)
        return to_png(figure, **options)

    monkeypatch.setattr(preview_picture, "png", keep)
    return kept


def test_originals_stand_left_of_their_draws_row_by_row():
    rows = [PreviewRow("a", plain(RED), (plain(GREEN), plain(BLUE))), PreviewRow("b", plain(BLUE), (plain(RED),) * 2)]
    pixels = opened(draw_preview(rows, title=["x"]))

    def middle(colour) -> list[tuple[int, int]]:
        """Centres of the squares of a colour, in reading order."""
        mask = (pixels == colour).all(axis=2)
        found = []
        for top in range(2):
            ys = np.flatnonzero(mask.any(axis=1))
            half = ys[ys < split] if top == 0 else ys[ys >= split]
            if len(half):
                found.append((int(half.mean()), int(np.flatnonzero(mask[half].any(axis=0)).mean())))
        return found

    coloured = (pixels != 255).any(axis=2) & (pixels.max(axis=2) - pixels.min(axis=2) > 100)
    ys = np.flatnonzero(coloured.any(axis=1))
    split = int(ys.mean())
    (green,), blues, reds = middle(GREEN), middle(BLUE), middle(RED)
    assert reds[0][0] == blues[0][0] == green[0] < blues[1][0]
    assert reds[0][1] < green[1] < blues[0][1]  # original, first draw, second draw
    assert blues[1][1] == pytest.approx(reds[0][1], abs=1)  # the second row's original, in the same column
    assert reds[1][1] > blues[1][1]


def test_small_images_are_enlarged_by_whole_pixels():
    checks = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None]
    page = preview_picture.framed(checks, cell=96, factor=12)
    assert page.shape == (96, 96, 3)
    for y, x in ((0, 0), (3, 5), (7, 7)):
        assert (page[12 * y : 12 * y + 12, 12 * x : 12 * x + 12] == checks[y, x]).all()


def test_a_smaller_draw_stands_in_the_middle_of_its_place():
    page = preview_picture.framed(plain(RED, 32), cell=64, factor=1)
    assert (page[16:48, 16:48] == RED).all()
    assert (page[:16] == 255).all()
    assert (page[:, 48:] == 255).all()


def test_alpha_is_seen_over_white():
    half = plain((0, 100, 200, 128), 4)
    assert preview_picture._as_colour(half)[0, 0].tolist() == [127, 177, 227]
    assert preview_picture._as_colour(plain((9,), 4))[0, 0].tolist() == [9, 9, 9]


def test_classes_epochs_and_title_are_written(figures):
    names = ["a_b $x^2$", "line\nbreak", "x" * 60]
    rows = [PreviewRow(name, plain(RED), (plain(GREEN),) * 2) for name in names]
    draw_preview(rows, title=["flip: p=0.5", "word " * 80])
    axes = figures[0].axes[0]
    written = [label.get_text() for label in axes.get_yticklabels()]
    assert written[:2] == ["a_b $x^2$", "line break"]
    assert len(written[2]) == 28
    assert [label.get_text() for label in axes.get_xticklabels()] == ["original", "epoch 1", "epoch 2"]
    title = axes.get_title(loc="left").splitlines()
    assert title[0] == "flip: p=0.5"
    assert len(title) > 2  # a long line is wrapped
    assert "".join(title[1:]).replace(" ", "") == "word" * 80


def test_large_images_are_drawn_smaller():
    rows = [PreviewRow("a", plain(RED, 600), (plain(GREEN, 600),) * 3)]
    height, width = opened(draw_preview(rows, title=["x"])).shape[:2]
    assert height < 400
    assert width < 1000


def test_a_picture_of_a_preview_is_known_again(tmp_path):
    ours, theirs, torn = (tmp_path / name for name in ("ours.png", "theirs.png", "torn.png"))
    ours.write_bytes(draw_preview([PreviewRow("a", plain(RED), (plain(GREEN),))], title=["x"]))
    theirs.write_bytes(png(canvas(1, 1)[0]))
    torn.write_bytes(ours.read_bytes()[:40])
    assert is_preview(ours)
    assert not is_preview(theirs)
    assert not is_preview(torn)
    assert not is_preview(tmp_path / "none.png")
