"""Points of two features from the command line to a saved model that answers."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
from PIL import Image
from support.e2e import assert_same, run, run_here, start, wait_for_step

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
    said = run_here("predict", f"run={trained}", f"images={tmp_path / 'a.png'}", code=2).stderr
    assert "trained on arrays of numbers, and no images" in said
    assert "each float32 of 2 x 1 x 1" in said


def test_run_is_scored_again_and_trained_on(trained, tmp_path):
    again = json.loads(run("evaluate", f"run={trained}", f"out={tmp_path / 'again'}", "--json").stdout)
    record = json.loads((trained / "record.json").read_text())
    assert again["accuracy"] == record["scores"]["test"]["accuracy"]
    assert again["loss"] == pytest.approx(record["scores"]["test"]["loss"], rel=1e-5)
    more = ("train.epochs=1", "train.precision=fp32", "train.threads=1", f"run.dir={tmp_path / 'more'}")
    run("finetune", "data=xor", f"model={trained}", *more)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("data=moons", "model=lenet5"), "pretrained networks"),
        (("data=moons", "model=mlp", "weights=none", "augmentations=[flip]"), "has no effect"),
    ],
)
def test_what_is_for_images_is_refused(words, said, tmp_path):
    folder = tmp_path / "run"
    done = run_here("finetune", *words, f"run.dir={folder}", code=2)
    assert said in done.stderr
    assert not folder.exists()


def test_images_are_no_data_for_a_network_of_numbers(trained, tmp_path):
    for name in ("0", "1"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / name / "a.png")
    said = run_here("evaluate", f"run={trained}", "data=xor", "data.n=50", "data.seed=9", f"out={tmp_path}/r").stdout
    assert "50 test images of xor" in said
    said = run_here("evaluate", f"run={trained}", f"data={tmp_path / 'photos'}", code=2).stderr
    assert "the data are images; the run was trained on arrays of numbers" in said


@pytest.mark.slow
def test_stopped_run_goes_on_to_the_same_bits(tmp_path):
    words = ("data=blobs", "data.n=101", "data.clouds=3", "model=mlp", "model.hidden=[8]", *WORDS)
    words += ("train.epochs=8", "train.batch_size=8", "train.sampling=balanced")
    run("finetune", *words, f"run.dir={tmp_path}/whole")
    process = start("finetune", *words, "train.save_every_steps=1", f"run.dir={tmp_path}/run")
    wait_for_step(process, tmp_path / "run", 11)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    run("finetune", f"resume={tmp_path}/run")
    assert_same(tmp_path / "run", tmp_path / "whole")
