"""What regularizers leave behind at the command line: a plain network that zoo and timm load, with the same answers."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from safetensors.torch import load_file
from support.e2e import run

import zoo

WORDS = ("data=digits", "strategy=full", "train.threads=1", "train.precision=fp32", "model.image_size=32")


@pytest.mark.slow
def test_network_is_plain_once_it_is_saved(tmp_path):
    done = run(
        "finetune",
        "model=timm/resnet18",
        *WORDS,
        "train.epochs=0.2",
        "strategy.freeze_norm=false",
        "regularizers=[stochastic_norm,drop_path,delta,bss,l2sp,max_norm,sam,swa]",
        f"run.dir={tmp_path}/run",
        "--json",
    )
    scores = json.loads(done.stdout.splitlines()[-1])["scores"]
    again = json.loads(run("evaluate", f"run={tmp_path}/run", "split=val", "--json").stdout.splitlines()[-1])
    assert again["accuracy"]["value"] == pytest.approx(scores["val"]["accuracy"], abs=1e-9)
    folder = tmp_path / "run" / "model"
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert load_file(folder / "model.safetensors").keys() == theirs.state_dict().keys()
    plain = timm.create_model("resnet18", num_classes=10, in_chans=theirs.conv1.in_channels)
    plain.load_state_dict(load_file(folder / "model.safetensors"))
    assert [type(m) for m in plain.modules()] == [type(m) for m in theirs.modules()]
    images = torch.randn(2, theirs.conv1.in_channels, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(zoo.load(folder).model.module.eval()(images), theirs(images))
        torch.testing.assert_close(plain.eval()(images), theirs(images))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "what"),
    [
        ("ema,swa", "ema and swa each want to keep the weights"),
        ("sam,sam@2", "one alone can"),
        ("drop_path", "no residual blocks"),
        ("stochastic_norm", "no BatchNorm layers"),
        ("l2sp", "starts from random ones"),
        ("delta", "starts from random ones"),
    ],
)
def test_sets_that_cannot_act_are_refused_and_leave_nothing(tmp_path, names, what):
    words = ("model=lenet5", "weights=none", "data=digits", f"regularizers=[{names}]", f"run.dir={tmp_path}/run")
    done = run("finetune", *words, code=2)
    assert what in done.stderr
    assert not (tmp_path / "run").exists()
