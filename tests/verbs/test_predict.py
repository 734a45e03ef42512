"""`zoo predict` says how far it is: plain lines now and then, a live bar on a terminal."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from zoo.artifacts.predictor import Predictor
from zoo.contracts.model import Model, ModelSpec
from zoo.imaging.preprocess import Preprocess
from zoo.verbs.predict import main

PREPROCESS = Preprocess(size=8, mean=(0.5,), std=(0.5,))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (9, 9)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def tiny_run(monkeypatch) -> None:
    """Instead of a saved run: a network of one layer."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    model = Model(module, ModelSpec("test/tiny", "zoo", "tiny", "1", 64, (), PREPROCESS))
    predictor = Predictor(model, classes=("a", "b"), preprocess=PREPROCESS, threads=1)
    monkeypatch.setattr("zoo.assembly.using.load_predictor", lambda folder, plugins, device, say: predictor)


def test_predict_says_how_many_of_how_many_are_done(images, monkeypatch, capsys):
    monkeypatch.setattr("zoo.assembly.console.PLAIN_LINE_EVERY_S", 0.0)
    assert main(["run=x", f"images={images}", "batch_size=2"]) == 0
    said = capsys.readouterr().out
    assert re.findall(r"predict: (\d+/\d+ images)", said) == ["2/5 images", "4/5 images", "5/5 images"]


def test_predict_writes_below_the_home_folder(images, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(images)
    assert main(["run=x", f"images={images}", "output=~/p.csv", "--json"]) == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 6
    assert json.loads(capsys.readouterr().out)["output"] == str(tmp_path / "p.csv")


def test_predict_is_silent_where_it_is_quick(images, capsys):
    assert main(["run=x", f"images={images}", "batch_size=2"]) == 0
    assert "images  " not in capsys.readouterr().out


def test_predict_draws_a_bar_on_a_terminal_that_goes_away(images, monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    assert main(["run=x", f"images={images}", "batch_size=2"]) == 0
    drawn = screen.getvalue()
    assert "5/5 images" in drawn
    rows = drawn.rpartition("\x1b[2K")[2]  # what stays after the bar was wiped
    assert rows.count(".png: ") == 5
    assert "5/5" not in rows
