"""Pictures of batches and of wrong answers: the right pixels, the right words, the right order."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.watching import FACTS, started
from zoo_plugins.watching import batch_picture, grid, worst
from zoo_plugins.watching.batch_picture import BatchPicture
from zoo_plugins.watching.grid import draw_grid
from zoo_plugins.watching.worst import Worst, mistakes

from zoo.contracts.callbacks import Answers, BatchReady, Reporting
from zoo.contracts.training import Batch
from zoo.errors import UserError

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
RED, BLUE = (200, 30, 30), (20, 30, 220)


def plain(colour: tuple[int, ...], side: int = 16) -> np.ndarray:
    return np.full((side, side, len(colour)), colour, np.uint8)


def batch_of(*images: np.ndarray, targets: torch.Tensor, step: int = 0) -> BatchReady:
    shares = torch.from_numpy(np.stack(images)).float() / 255
    normalised = ((shares - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    return BatchReady(Batch(normalised, targets), step, "tune", MEAN, STD)


def colours_in(picture: bytes | Path) -> set[tuple[int, ...]]:
    """Colours that fill at least a hundredth of a picture."""
    opened = Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture).convert("RGB")
    found = opened.getcolors(opened.width * opened.height)
    return {colour for count, colour in found if count > opened.width * opened.height / 100}


@pytest.fixture
def captions(monkeypatch) -> list[tuple[list[str], str, list[np.ndarray]]]:
    """What pictures are asked for: captions, title, images."""
    asked = []
    drawn = grid.draw_grid

    def keep(images, *, captions, title):
        asked.append((list(captions), title, list(images)))
        return drawn(images, captions=captions, title=title)

    monkeypatch.setattr(grid, "draw_grid", keep)
    return asked


def test_grid_shows_each_image_and_grows_with_them():
    one = draw_grid([plain(RED)], captions=["cat"], title="t")
    assert {RED, (255, 255, 255)} <= colours_in(one)
    many = draw_grid([plain(RED), plain(BLUE)] * 10, captions=["a\nb"] * 20, title="t")
    assert {RED, BLUE} <= colours_in(many)
    small, large = (Image.open(io.BytesIO(picture)).size for picture in (one, many))
    assert large[0] > 3 * small[0]
    assert large[1] > 3 * small[1]


def test_grid_takes_gray_alpha_large_images_and_names_that_are_no_text():
    names = ["$x_1$", "a" * 200, "\udcff\x07", "日本"]
    images = [plain((90,)), plain((1, 2, 3, 255)), plain(RED, 300), plain(BLUE, 300)]
    picture = Image.open(io.BytesIO(draw_grid(images, captions=names, title="\x00 t")))
    assert picture.size[0] < 1000


def test_first_batches_are_drawn_as_they_were_before_they_were_normalised(tmp_path, captions):
    callback = BatchPicture(batches=2, images=3)
    callback.on_run_start(started(tmp_path))
    images = [plain(RED), plain(BLUE), plain((0, 255, 0)), plain((9, 9, 9))]
    for step in range(4):
        callback.on_batch(batch_of(*images, targets=torch.tensor([0, 1, 1, 0]), step=step))
    assert sorted(file.name for file in (tmp_path / "report").iterdir()) == ["train_batch0.png", "train_batch1.png"]
    names, title, drawn = captions[0]
    assert names == ["cat", "dog", "dog"]
    assert title == "phase tune, step 1, 3 of 4 images"
    assert captions[1][1].startswith("phase tune, step 2")
    assert all(np.array_equal(one, two) for one, two in zip(drawn, images[:3], strict=True))
    assert {RED, BLUE, (0, 255, 0)} <= colours_in(tmp_path / "report" / "train_batch0.png")


def test_shares_of_labels_are_written_with_them(tmp_path, captions):
    callback = BatchPicture(batches=1)
    callback.on_run_start(started(tmp_path, classes=("cat", "dog", "owl")))
    targets = torch.tensor([[0.3, 0.7, 0.0], [0.93, 0.03, 0.03], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    callback.on_batch(batch_of(*[plain(RED)] * 4, targets=targets))
    assert captions[0][0] == ["0.70 dog\n0.30 cat", "0.93 cat", "cat\ndog", "(no label)"]


def test_pixels_beyond_black_and_white_are_cut(tmp_path, captions):
    callback = BatchPicture(batches=1)
    callback.on_run_start(started(tmp_path))
    event = batch_of(plain((255, 0, 255)), targets=torch.tensor([0]))
    callback.on_batch(dataclasses.replace(event, batch=Batch(event.batch.images * 100, event.batch.targets)))
    assert set(np.unique(captions[0][2][0])) <= {0, 255}


def test_batches_of_a_resumed_run_are_not_drawn_again(tmp_path, captions):
    first, second = BatchPicture(batches=2), BatchPicture(batches=2)
    first.on_run_start(started(tmp_path))
    first.on_batch(batch_of(plain(RED), targets=torch.tensor([0])))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second.on_run_start(started(tmp_path, resumed=True))
    for _ in range(3):
        second.on_batch(batch_of(plain(BLUE), targets=torch.tensor([0])))
    assert RED in colours_in(tmp_path / "report" / "train_batch0.png")
    assert BLUE in colours_in(tmp_path / "report" / "train_batch1.png")
    assert len(captions) == 2
    section = second.on_report(Reporting(tmp_path / "report", {}))
    assert "![train_batch0.png](train_batch0.png)" in section.text
    assert "![train_batch1.png](train_batch1.png)" in section.text
    assert BatchPicture().on_report(Reporting(tmp_path, {})) is None


def test_arrays_of_numbers_have_no_picture():
    with pytest.raises(UserError, match="arrays of numbers"):
        BatchPicture().check(started(data=dataclasses.replace(FACTS, arrays=True)))
    BatchPicture().check(started())


def answers(probabilities: list[list[float]], targets: list, *, thresholds=None, numbers: bool = False) -> Answers:
    several = isinstance(targets[0], list)
    images = [plain(RED), plain(BLUE)] * len(targets)
    return Answers(
        keys=tuple(f"a/{k}|.png" for k in range(len(targets))),
        targets=np.array(targets, np.float32 if several else np.int64),
        probabilities=np.array(probabilities),
        thresholds=thresholds,
        image=lambda place: images[place].astype(np.float32) if numbers else images[place],
    )


SINGLE = answers([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.9, 0.1]], [1, 1, 1, 0, 0])
CLASSES = ("cat", "dog")


def test_mistakes_come_with_the_most_confident_first():
    found = mistakes(SINGLE, CLASSES)
    assert [(one.place, one.truth, one.answer, one.confidence) for one in found] == [
        (1, "dog", "cat", 0.9),
        (3, "cat", "dog", 0.7),
        (0, "dog", "cat", 0.6),
    ]


def test_with_several_labels_each_is_judged_at_its_threshold():
    several = answers([[0.95, 0.1], [0.2, 0.35], [0.6, 0.25]], [[0, 0], [1, 1], [1, 0]], thresholds=(0.5, 0.3))
    found = [(one.place, one.truth, one.answer, round(one.confidence, 2)) for one in mistakes(several, CLASSES)]
    assert found == [(0, "no cat", "cat", 0.95), (1, "cat", "no cat", 0.8)]
    at_half = dataclasses.replace(several, thresholds=None)
    assert (1, "dog", "no dog") in [(one.place, one.truth, one.answer) for one in mistakes(at_half, CLASSES)]


def test_worst_draws_and_lists_the_mistakes_on_test_images(tmp_path, captions):
    event = Reporting(tmp_path, {}, {"val": answers([[1.0, 0.0]], [0]), "test": SINGLE}, CLASSES)
    section = Worst(images=2).on_report(event)
    assert section.title == "Most confidently wrong: test"
    assert section.text.splitlines()[0] == "2 of 3 images that are answered wrongly, of 5 images."
    assert "![worst-test.png](worst-test.png)" in section.text
    assert section.text.splitlines()[-2:] == [
        "| a/1\\|.png | dog | cat | 0.900 |",
        "| a/3\\|.png | cat | dog | 0.700 |",
    ]
    assert captions[0][0] == ["dog\n0.90 cat", "cat\n0.70 dog"]
    assert BLUE in colours_in(tmp_path / "worst-test.png")
    assert RED not in colours_in(tmp_path / "worst-test.png")  # images 1 and 3 are blue


def test_worst_says_where_nothing_is_wrong_and_takes_validation_where_asked(tmp_path):
    event = Reporting(tmp_path, {}, {"val": answers([[1.0, 0.0]], [0]), "test": SINGLE}, CLASSES)
    section = Worst(split="val").on_report(event)
    assert (section.title, section.text) == (
        "Most confidently wrong: validation",
        "None of 1 images is answered wrongly.",
    )
    assert list(tmp_path.iterdir()) == []


def test_worst_lists_arrays_of_numbers_without_a_picture(tmp_path):
    wrong = answers([[0.9, 0.1]], [1], numbers=True)
    section = Worst().on_report(Reporting(tmp_path, {}, {"val": wrong}, CLASSES))
    assert "| dog | cat | 0.900 |" in section.text
    assert "png](" not in section.text
    assert list(tmp_path.iterdir()) == []


def test_worst_refuses_a_split_that_there_is_not():
    with pytest.raises(UserError, match="no test images") as error:
        Worst(split="test").check(started(splits={"train": 10, "val": 5}))
    assert error.value.allowed == "auto, val"
    Worst(split="test").check(started())


def test_hooks_stay_light():
    assert batch_picture.BatchPicture.__module__ == "zoo_plugins.watching.batch_picture"
    assert not hasattr(worst, "draw_grid")  # matplotlib is imported when something is drawn
