"""Sweeps make one run for each combination; a machine without a network is told so at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from support.e2e import TINY, run, run_here


def test_sweep_runs_every_combination_in_folders_of_its_own(tmp_path, photos):
    words = ("finetune", "-m", f"data={photos}", *TINY, "train.epochs=1", "optimizer=sgd,adamw", f"run.root={tmp_path}")
    done = run(*words, cwd=tmp_path)
    records = [json.loads(file.read_text()) for file in tmp_path.rglob("record.json")]
    assert {record["config"]["optimizer"]["name"] for record in records} == {"torch/sgd", "torch/adamw"}
    assert all(record["status"] == "finished" for record in records)
    assert done.stderr.count("validation accuracy") == 2
    assert not {"outputs", "multirun"} & {path.name for path in tmp_path.iterdir()}


def test_values_with_commas_need_m(tmp_path, photos):
    done = run_here("finetune", f"data={photos}", *TINY, "optimizer.lr=0.1,0.2", f"run.dir={tmp_path}/run", code=2)
    assert "-m" in done.stderr


@pytest.fixture
def no_network(tmp_path, monkeypatch):
    """No network is faked here by an address at which nobody listens."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("words", [("model=resnet34",), ("model=resnet18", "weights=hub"), ("model=resnet18.a1_in1k",)])
def test_pretrained_weights_that_cannot_be_had_end_at_once_with_three_ways_on(tmp_path, photos, words):
    """No seconds are asserted but a generous bound."""
    start = time.monotonic()
    done = run("finetune", f"data={photos}", *words, f"run.dir={tmp_path}/run", code=2)
    assert time.monotonic() - start < 60
    for word in ("torch-cache", "hf-cache", "hub", "weights=PATH", "weights=none", str(tmp_path)):
        assert word in done.stderr, word
    assert not (tmp_path / "run").exists()  # refused before anything was computed: nothing is left behind


@pytest.mark.usefixtures("no_network")
def test_resnet18_starts_from_starter_weights_where_no_hub_is_reached(tmp_path, photos):
    words = (f"data={photos}", "model=resnet18", "strategy=probe", "train.threads=1", "train.precision=fp32")
    done = run("finetune", *words, f"run.dir={tmp_path}/run", "--json")
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["weights"]["source"] == "starter"
    assert record["weights"]["tag"] == "starter"
    assert "warning: starter weights: ResNet-18" in done.stderr


def test_cfg_prints_the_configuration_and_trains_nothing(tmp_path, photos):
    done = run("finetune", "--cfg", "job", f"data={photos}", "optimizer=lamb", cwd=tmp_path)
    assert "timm/lamb" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_listing_commands_import_no_torch():
    for words in (["--help"], ["plugins"], ["finetune", "--help"], ["predict", "--help"], ["data", "--help"]):
        shown = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "zoo", *words], capture_output=True, text=True, check=True
        )
        imported = {line.rsplit("|", 1)[-1].strip() for line in shown.stderr.splitlines()}
        assert not {"torch", "timm", "albumentations", "numpy"} & imported, words
