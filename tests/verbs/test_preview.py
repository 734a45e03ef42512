"""The words of `zoo preview`, and what it writes and says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from support.coloured import colour_coded, sixes_and_nines

from zoo.errors import UserError
from zoo.evaluation.preview_picture import is_preview
from zoo.verbs.preview import MOST, main

TINY = (
    "model=lenet5",
    "weights=none",
    "train.threads=1",
    "train.loader_threads=1",
    "train.precision=fp32",
    "train.device=cpu",
)
UPSIDE_DOWN = ("augmentations=[flip]", "augmentations.flip.horizontal=false", "augmentations.flip.vertical=true")


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    return colour_coded(tmp_path_factory.mktemp("data") / "it's, my [photos] (1)", each=10)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return sixes_and_nines(tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path_factory, tmp_path, monkeypatch):
    """The current folder is new, and caches are the tests' own."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.getbasetemp() / "verb-cache"))
    monkeypatch.chdir(tmp_path)


def test_a_picture_is_written_and_nothing_else(colours, tmp_path, capsys):
    assert main([f"data={colours}", *TINY, "augmentations=[rotate]", "images=4", "draws=2"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["preview.png"]
    assert is_preview(tmp_path / "preview.png")
    said = capsys.readouterr().out
    assert "picture preview.png: 4 images, 2 draws of each" in said
    assert "rotate: limit_deg=15.0" in said
    assert "recipe of scratch: crops of 50 to 100 %" in said


def test_json_says_what_is_shown(colours, capsys):
    words = [f"data={colours}", *TINY, "augmentations=[rotate]", "images=3", "draws=1", "output=a.png", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["picture"] == "a.png"
    assert [image["class"] for image in told["images"]] == ["blue", "green", "red"]
    assert [image["key"] for image in told["images"]] == sorted(image["key"] for image in told["images"])
    assert (told["draws"], told["strategy"], told["warned"], told["check"]) == (1, "scratch", False, None)
    assert any(line.startswith("rotate:") for line in told["shown"])


def test_more_images_make_a_larger_picture(colours, tmp_path):
    sizes = []
    for images, draws in ((2, 2), (6, 2), (2, 5)):
        main([f"data={colours}", *TINY, "augmentations=[noise]", f"images={images}", f"draws={draws}"])
        sizes.append(Image.open(tmp_path / "preview.png").size)
    assert sizes[1][1] > 2 * sizes[0][1]
    assert sizes[2][0] > 1.5 * sizes[0][0]


def test_a_warning_ends_with_0_and_with_strict_with_2(digits, capsys):
    words = [f"data={digits}", *TINY, *UPSIDE_DOWN, "images=2", "draws=1", "check=yes"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "warning: flip (horizontal=false, vertical=true, p=1.0) moves classes into one another" in said
    assert "% of '6' is taken for '9'" in said
    assert "do: leave flip out, or weaken it" in said
    assert main([*words, "strict=yes"]) == 2
    harmless = [word for word in words if word not in UPSIDE_DOWN]
    assert main([*harmless, "augmentations=[noise]", "strict=yes"]) == 0
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["warned"]
    (look,) = [look for look in told["check"]["augmentations"] if look["augmentation"] == "flip"]
    assert (look["moves"][0]["source"], look["moves"][0]["target"]) == ("6", "9")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["strict=yes"], "strict=yes has no effect without the check"),
        (["check=perhaps"], "neither yes nor no"),
        (["images=0"], "no whole number"),
        ([f"images={MOST['images'] + 1}"], "more than a picture holds"),
        ([f"draws={MOST['draws'] + 1}"], "more than a picture holds"),
        (["output=a.jpg"], "does not end in .png"),
        (["output=folder.png"], "is a folder"),
        (["output=mine.png"], "no preview made it"),
        (["output=a.png", "output=b.png"], "given twice"),
        (["imges=3"], "imges"),
        (["augmentations=[rotat]"], "rotate"),
        (["augmentations=[rotate]", "augmentations.rotate.limit=3"], "limit_deg"),
        (["--fast"], "unknown flag '--fast'"),
        (["-m"], "unknown flag '-m'"),
    ],
)
def test_mistakes_are_said_and_nothing_is_written(colours, tmp_path, words, complaint):
    (tmp_path / "folder.png").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "mine.png")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    given = [] if any(word.startswith("augmentations=") for word in words) else ["augmentations=[noise]"]
    with pytest.raises(UserError) as caught:
        main([f"data={colours}", *TINY, *given, *words])
    assert complaint in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


def test_mistakes_of_both_kinds_of_words_are_said_together(colours):
    with pytest.raises(UserError) as caught:
        main([f"data={colours}", "optimizer=sdg", "images=x", "output=a.gif", "check=2"])
    for complaint in ("sdg", "images='x'", "does not end in .png", "check='2'"):
        assert complaint in str(caught.value)


def test_a_command_line_of_finetune_may_be_tried_as_it_is(colours, tmp_path):
    words = ["train.epochs=3", "optimizer=sgd", "optimizer.lr=0.1", "run.dir=some/run", "regularizers=[l2]"]
    assert main([f"data={colours}", *TINY, "augmentations=[noise]", "images=2", "draws=1", *words]) == 0
    assert not (tmp_path / "some").exists()


def test_a_picture_that_cannot_be_written_is_an_error(colours, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be written"):
        main([f"data={colours}", *TINY, "augmentations=[noise]", "images=2", "draws=1", "output=file/a.png"])


def test_help_names_every_key_and_imports_nothing_heavy(capsys):
    assert main(["--help", "data=nothing"]) == 0
    said = capsys.readouterr().out
    for key in ("output=", "images=", "draws=", "check=", "strict=", "--json", "augmentations="):
        assert key in said
