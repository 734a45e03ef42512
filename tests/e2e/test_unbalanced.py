"""Several labels an image, and rare classes, from the command line to the saved model."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from support.e2e import TINY, metrics, run, run_here

SHARES = np.array([0.3, 0.3, 0.25, 0.15])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two digits side by side, labelled by the set of both; 3 is rare."""
    pixels, truth = load_digits(return_X_y=True)
    pixels = (15.9 * pixels.reshape(-1, 8, 8)).astype(np.uint8)
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    rows = [("image", "label", "split")]
    for number in range(240):
        digits = rng.choice(4, 2, p=SHARES)
        both = [pixels[rng.choice(np.flatnonzero(truth == digit))] for digit in digits]
        Image.fromarray(np.concatenate(both, axis=1)).resize((32, 32)).save(folder / f"{number}.png")
        split = "train" if number < 120 else "val" if number < 180 else "test"
        rows.append((f"{number}.png", "|".join(sorted({str(digit) for digit in digits})), split))
    with (folder / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return folder


WORDS = ("strategy=scratch", "strategy.crop_scale=null", "optimizer=adam", "optimizer.lr=0.003", "train.epochs=3")


@pytest.mark.slow
def test_thresholds_go_from_validation_into_the_model_and_into_every_use(pairs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = run(
        "finetune", f"data={pairs / 'labels.csv'}", *TINY[1:], "model=zoo/lenet", *WORDS, "loss=binary_cross_entropy",
        "loss.class_weight=inverse", f"run.dir={folder}", "--json",
    )  # fmt: skip
    scores = json.loads(done.stdout)["scores"]["test"]
    card = json.loads((folder / "model" / "zoo.json").read_text())
    report = json.loads((folder / "report" / "test" / "scores.json").read_text())
    kept = json.loads((folder / "record.json").read_text())["scores"]["test"]
    assert {"macro_f1", "micro_f1", "mean_average_precision"} <= set(scores)
    assert kept == report
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all("val_mean_average_precision" in row for row in rows)
    if card["thresholds"] is not None:
        assert [entry["threshold"] for entry in report["classes"]] == card["thresholds"]
        assert set(report["at_half"]) == {"accuracy", "macro_f1", "micro_f1"}
    again = json.loads(run("evaluate", f"run={folder}", f"out={tmp_path / 'again'}", "--json").stdout)
    assert again["macro_f1"]["value"] == pytest.approx(scores["macro_f1"])
    assert again["loss"] == pytest.approx(scores["loss"], rel=1e-5)
    run("predict", f"run={folder}", f"images={pairs}/20*.png", f"output={tmp_path / 'p.csv'}")
    with (tmp_path / "p.csv").open() as stream:
        found = list(csv.DictReader(stream))
    assert len(found) == 11
    limits = dict(zip(card["classes"], card["thresholds"] or [0.5] * 4, strict=True))
    for row in found:
        shares = {row["label"]: row["confidence"]} | {row[f"label_{k}"]: row[f"probability_{k}"] for k in (2, 3, 4)}
        given = [name for name in card["classes"] if float(shares[name]) >= limits[name] - 1e-6]
        assert row["labels"] == "|".join(given)


def test_class_weights_on_even_classes_are_refused_before_anything_is_kept(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 32, 32), np.uint8)
    for number, image in enumerate(pixels):
        place = tmp_path / "data" / ("train" if number < 12 else "val") / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")
    words = ("loss=cross_entropy", "loss.class_weight=inverse", f"run.dir={tmp_path / 'run'}")
    done = run_here("finetune", f"data={tmp_path / 'data'}", *TINY, *words, code=2)
    assert "every class has 6 training images, so it has no effect" in done.stderr
    assert not (tmp_path / "run").exists()


def test_balanced_accuracy_chooses_where_classes_are_shown_equally_often(tmp_path):
    words = ("train.sampling=balanced", "train.epochs=0.1", f"run.dir={tmp_path / 'run'}")
    run_here("finetune", "data=digits", *TINY, *words)
    assert all("val_balanced_accuracy" in row for row in metrics(tmp_path / "run"))


def test_rare_classes_are_not_made_up_for_twice(tmp_path):
    words = ("data=digits", *TINY, "loss=logit_adjusted", "train.sampling=balanced", f"run.dir={tmp_path / 'run'}")
    said = run_here("finetune", *words, code=2).stderr
    assert "made up for twice" in said
