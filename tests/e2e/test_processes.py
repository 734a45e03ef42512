"""Two processes give the scores of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from support.e2e import TINY, run

pytestmark = pytest.mark.slow


def torchrun(*words: str) -> subprocess.CompletedProcess[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "zoo"]
    return subprocess.run([*launch, *words], capture_output=True, text=True, env=dict(os.environ), check=False)


def test_two_processes_give_the_scores_of_one(tmp_path, photos):
    words = ("finetune", f"data={photos}", *TINY, "train.epochs=8", "train.device=cpu")
    run(*words, f"run.dir={tmp_path}/one")
    done = torchrun(*words, f"run.dir={tmp_path}/two")
    assert done.returncode == 0, done.stdout + done.stderr
    one, two = (json.loads((tmp_path / name / "record.json").read_text()) for name in ("one", "two"))
    assert two["environment"]["processes"] == 2
    for split in ("val", "test"):
        assert abs(one["scores"][split]["loss"] - two["scores"][split]["loss"]) < 0.02
        assert abs(one["scores"][split]["accuracy"]["value"] - two["scores"][split]["accuracy"]["value"]) <= 1 / 6
    assert done.stdout.count("run         ") == 1  # one process speaks


def test_two_processes_fit_a_probe_on_features_of_both(tmp_path):
    words = ("finetune", "strategy=probe", "train.device=cpu", "train.threads=1", "data.cache=none")
    run(*words, f"run.dir={tmp_path}/one")
    done = torchrun(*words, f"run.dir={tmp_path}/two")
    assert done.returncode == 0, done.stdout + done.stderr
    one, two = (json.loads((tmp_path / name / "record.json").read_text()) for name in ("one", "two"))
    assert abs(one["scores"]["test"]["accuracy"]["value"] - two["scores"]["test"]["accuracy"]["value"]) < 0.02


def test_processes_that_cannot_find_each_other_are_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    done = run("finetune", "strategy=probe", f"run.dir={tmp_path}/run", code=2)
    assert "3 processes" in done.stderr
    assert "torchrun" in done.stderr
