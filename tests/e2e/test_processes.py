"""Two processes give the scores of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from support.e2e import TINY, metrics, run

pytestmark = pytest.mark.slow


def torchrun(*words: str, processes: int = 2, script: tuple[str, ...] = ("-m", "zoo")) -> CompletedProcess[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    env = dict(os.environ)
    return subprocess.run([*launch, *script, *words], capture_output=True, text=True, env=env, check=False)


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


@pytest.mark.parametrize("regularizers", ["", "mixup"])
def test_three_processes_share_a_last_batch_of_two(tmp_path, photos, regularizers):
    """30 training images in batches of 7: of the fifth batch one process has no image.

    Mixup mixes within a process's share, so that other images meet, and the scores differ by more.
    """
    words = ("finetune", f"data={photos}", *TINY, "train.epochs=6", "train.batch_size=7", "train.device=cpu")
    words = (*words, f"regularizers=[{regularizers}]")
    tolerance = 0.2 if regularizers else 0.005
    run(*words, f"run.dir={tmp_path}/one")
    done = torchrun(*words, f"run.dir={tmp_path}/three", processes=3)
    assert done.returncode == 0, done.stdout + done.stderr
    one, three = (json.loads((tmp_path / name / "record.json").read_text()) for name in ("one", "three"))
    assert three["environment"]["processes"] == 3
    assert one["data"]["splits"]["train"] % 7 == 2
    for split in ("val", "test"):
        assert abs(one["scores"][split]["loss"] - three["scores"][split]["loss"]) < tolerance
        assert one["scores"][split]["count"] == three["scores"][split]["count"]
    pairs = zip(metrics(tmp_path / "one"), metrics(tmp_path / "three"), strict=True)
    assert all(abs(a["val_loss"] - b["val_loss"]) < tolerance for a, b in pairs)


def test_a_bank_that_one_process_alone_finds_leaves_no_process_waiting(tmp_path):
    """Each process has a cache of its own, as on two machines; one of them has been filled by an earlier run."""
    words = ("finetune", "strategy=probe", "train.device=cpu", "train.threads=1", "model.image_size=32")
    run(*words, f"run.dir={tmp_path}/first", f"data.cache_dir={tmp_path}/cache1")
    (tmp_path / "cache0").mkdir()
    starter = tmp_path / "start.py"
    starter.write_text(
        "import os, runpy, sys\n"
        "sys.argv = ['zoo', *(word.replace('RANK', os.environ['RANK']) for word in sys.argv[1:])]\n"
        "runpy.run_module('zoo', run_name='__main__')\n"
    )
    words = (*words, f"data.cache_dir={tmp_path}/cacheRANK", f"run.dir={tmp_path}/two")
    done = torchrun(*words, script=(str(starter),))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "read from the cache" not in done.stdout
    assert list(Path(tmp_path / "cache0" / "features").glob("*.npy"))


def test_processes_that_cannot_find_each_other_are_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    done = run("finetune", "strategy=probe", f"run.dir={tmp_path}/run", code=2)
    assert "3 processes" in done.stderr
    assert "torchrun" in done.stderr
