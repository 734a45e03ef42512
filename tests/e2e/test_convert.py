"""`zoo convert` as a user runs it, and what the saved model says of itself afterwards."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from support.e2e import run, run_here

from zoo.plugins import load_plugins


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Caffe's LeNet as ONNX, in a folder whose name no configuration grammar likes."""
    folder = tmp_path_factory.mktemp("weights (1), it's")
    torch.manual_seed(0)
    model = load_plugins().registry.get("model", "lenet").build(classes=3, channels=1, image_size=None)
    torch.onnx.export(model.module.eval(), (torch.zeros(1, 1, 28, 28),), folder / "lenet.onnx", dynamo=False)
    return folder / "lenet.onnx"


def test_convert_then_predict_then_show(source, tmp_path):
    (tmp_path / "names.txt").write_text("one\ntwo\nthree\n")
    words = (f"source={source}", "model=lenet", f"out={tmp_path / 'out'}", f"classes={tmp_path / 'names.txt'}")
    done = run("convert", *words, "preprocess=raw", "--json")
    told = json.loads(done.stdout)
    assert told["against"] == "onnxruntime"
    assert told["max_relative"] < 1e-4
    assert "parity  imported from onnx (lenet.onnx)" in done.stderr
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "a.png")
    said = run("predict", f"run={tmp_path / 'out'}", f"images={tmp_path / 'a.png'}").stdout
    assert "imported from onnx (lenet.onnx): logits differ by at most" in said
    assert "three 0." in said
    shown = run("models", "show", str(tmp_path / "out")).stdout
    assert "imported from onnx (lenet.onnx)" in shown
    assert "raw, as asked" in shown


def test_bad_input_exits_with_two_and_leaves_nothing(source, tmp_path):
    words = (f"source={source}", f"out={tmp_path / 'out'}", "model=lenet", "model.activation=cosine")
    done = run_here("convert", *words, code=2)
    assert "does not fit model.activation" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_key():
    said = run("convert", "--help").stdout
    assert all(f"{key}=" in said for key in ("source", "model", "out", "reference", "preprocess", "tolerance"))
