"""Points of two features from the command line to a saved model that answers."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from support.e2e import run

import zoo

WORDS = ("weights=none", "train.precision=fp32", "train.threads=1")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("numbers") / "run"
    run("finetune", "data=xor", "model=mlp", "model.hidden=[8]", "train.epochs=5", *WORDS, f"run.dir={folder}")
    return folder


def test_saved_model_answers_to_arrays_and_refuses_images(trained, tmp_path):
    model = zoo.load(str(trained))
    rows = model.predict([np.full((2, 1, 1), 1.0), np.full((2, 1, 1), np.nan), np.zeros((3, 1, 1))])
    assert [row.ok for row in rows] == [True, False, False]
    assert "2 x 1 x 1" in rows[1].error
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    said = run("predict", f"run={trained}", f"images={tmp_path / 'a.png'}")
    assert "and no images" in said.stdout + said.stderr


def test_run_is_scored_again_and_trained_on(trained, tmp_path):
    run("evaluate", f"run={trained}")
    more = ("train.epochs=1", "train.precision=fp32", "train.threads=1", f"run.dir={tmp_path / 'more'}")
    run("finetune", "data=xor", f"model={trained}", *more)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data=moons",), "pretrained networks"),
        (("data=moons", "model=resnet18", "weights=none"), "is made for images"),
        (("data=moons", "model=mlp", "weights=none", "augmentations=[flip]"), "has no effect"),
        (("data=moons", "model=mlp", "weights=none", "train.sampling=balanced"), "has no effect"),
    ],
)
def test_what_is_for_images_is_refused(words, said, tmp_path):
    folder = tmp_path / "run"
    done = run("finetune", *words, f"run.dir={folder}", code=2)
    assert said in done.stderr
    assert not folder.exists()
