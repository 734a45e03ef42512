"""The whole of `recommend` on photos and networks whose order is known."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from support.planted import COLOURS, DISTRIBUTION, make_photos, make_weights

from zoo.artifacts.run_folder import RunFolder
from zoo.assembly.console import Console
from zoo.assembly.recommend.pool import Pool
from zoo.assembly.recommend.recommendation import plain_recommendation, write_recommendation
from zoo.assembly.recommending import Asked, recommend
from zoo.contracts.data import Sample, Task
from zoo.data.listing import Listing
from zoo.errors import UserError
from zoo.plugins import load_plugins

QUIET = ("train.threads=1", "train.loader_threads=1", "train.precision=fp32", "train.device=cpu")


@pytest.fixture
def plugins(make_distribution, tmp_path, monkeypatch):
    make_distribution("planted", **DISTRIBUTION)
    monkeypatch.setenv("PLANTED_WEIGHTS", str(make_weights(tmp_path / "weights")))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return load_plugins()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("data") / "photos")


class Listening(Console):
    def __init__(self):
        super().__init__()
        self.lines = []

    def say(self, text):
        self.lines.append(text)


def run(plugins, data, *words, models, folder="out", **limits):
    console = Listening()
    asked = Asked((f"data={data}", *QUIET, *words), tuple(models), **limits)
    found = recommend(asked, plugins, console=console, folder=RunFolder(data.parent / folder))
    return found, {row.name: row for row in found.rows}, console.lines


def test_planted_networks_come_in_their_order_by_every_score(plugins, photos, tmp_path):
    found, rows, lines = run(plugins, photos, models=["blind", "seer", "squinter"])
    assert [row.name for row in found.rows] == ["seer", "squinter", "blind"]
    assert found.advice.take == "seer"
    assert found.advice.apart
    assert rows["seer"].score.value > 0.95
    assert 0.5 < rows["squinter"].score.value < 0.8  # two classes of three are one to it
    assert rows["blind"].score.value < 0.45
    for of in (lambda row: row.neighbours, lambda row: row.log_evidence, lambda row: row.h_score):
        assert of(rows["seer"]) > of(rows["squinter"]) > of(rows["blind"])
    assert rows["seer"].chance > 0.99
    # 20 a class, of which 3 test: their images are left out of everything.
    assert {row.images for row in found.rows} == {51}
    assert any("9 test images are left alone" in line for line in lines)
    for row in found.rows:
        assert row.score.low <= row.score.value <= row.score.high
        assert row.latency_ms > 0
        assert (row.weights, row.input_px, row.feature_dim) == ("at hand (planted)", 32, 6)
        assert row.parameters == 10_000 + len(row.name)


def test_test_images_change_nothing(plugins, tmp_path):
    rng = np.random.default_rng(0)
    data = tmp_path / "split"
    make_photos(data / "train", each=12)
    for name in COLOURS:
        (data / "test" / name).mkdir(parents=True)
        for number in range(8):  # noise under wrong names
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(data / "test" / name / f"{number}.png")
    with_test, _, _ = run(plugins, data, models=["seer", "squinter"])
    alone = make_photos(tmp_path / "alone", each=12)
    without, _, _ = run(plugins, alone, "data.test_fraction=0", models=["seer", "squinter"])
    assert [row.score for row in with_test.rows] == [row.score for row in without.rows]
    assert [row.log_evidence for row in with_test.rows] == [row.log_evidence for row in without.rows]


def test_the_same_again_comes_from_the_bank_and_is_the_same(plugins, photos, tmp_path):
    first, _, _ = run(plugins, photos, models=["seer", "squinter"])
    bank = sorted((tmp_path / "cache" / "features").iterdir())
    assert len(bank) == 2
    again, _, _ = run(plugins, photos, models=["seer", "squinter"])
    assert sorted((tmp_path / "cache" / "features").iterdir()) == bank
    still = [dataclasses.replace(row, latency_ms=0.0) for row in first.rows]
    assert still == [dataclasses.replace(row, latency_ms=0.0) for row in again.rows]
    assert first.advice.comparison == again.advice.comparison


def test_what_fails_is_a_row_that_says_so(plugins, photos):
    models = ["seer", "torn", "broken", "picky", "endless", "bare"]
    found, rows, _ = run(plugins, photos, models=models)
    assert found.rows[0].name == "seer"
    assert sorted(rows) == sorted(models)
    assert rows["seer"].status == "scored"
    assert (rows["torn"].status, "do not fit" in rows["torn"].reason) == ("failed", True)
    assert (rows["broken"].status, "80 GiB" in rows["broken"].reason) == ("failed", True)
    assert (rows["picky"].status, rows["picky"].reason) == ("failed", "picky takes two classes")
    assert (rows["endless"].status, "finite" in rows["endless"].reason) == ("failed", True)
    assert (rows["bare"].status, "no pretrained weights" in rows["bare"].reason) == ("refused", True)
    assert all(row.score is None for row in found.rows[1:])
    assert found.advice.take == "seer"
    assert "no other candidate" in found.advice.lines[0]


def test_limits_are_rows_that_say_so(plugins, photos):
    _, rows, _ = run(plugins, photos, models=["seer", "squinter"], max_parameters=10_005)
    assert rows["squinter"].reason == "over the limit: 10,008 parameters, max_params=10,005"
    assert rows["seer"].status == "scored"
    with pytest.raises(UserError, match="no candidate could be scored") as caught:
        run(plugins, photos, models=["seer", "squinter"], max_ms=1e-6)
    assert "seer: refused: over the limit" in str(caught.value)
    assert "squinter: refused" in str(caught.value)


def test_without_names_everything_at_hand_is_compared(plugins, photos):
    found, rows, _ = run(plugins, photos, models=[], max_parameters=20_000)
    assert {"seer", "squinter", "blind", "torn"} <= set(rows)
    assert not {"bare", "tf_efficientnet_lite0"} & set(rows)
    assert any("have no weights on this machine" in note for note in found.notes)
    assert any("larger than max_params" in note and "tf_efficientnet_lite0" in note for note in found.notes)


def test_budget_goes_in_rounds_of_nested_images(plugins, tmp_path):
    data = make_photos(tmp_path / "many", each=150)
    found, _, lines = run(plugins, data, "data.test_fraction=0", models=["seer", "squinter", "blind"], budget_s=600)
    assert [entry.images for entry in found.rounds] == [300, 450]
    assert all(len(entry.scores) == 3 for entry in found.rounds)
    whole, _, _ = run(plugins, data, "data.test_fraction=0", models=["seer", "squinter", "blind"])
    assert [entry.images for entry in whole.rounds] == [450]
    for row, other in zip(found.rows, whole.rows, strict=True):
        assert (row.name, row.images) == (other.name, 450)
        assert row.score.value == pytest.approx(other.score.value, abs=1e-9)
    assert sum(line.startswith("round ") for line in lines) == 2


def test_budget_that_is_spent_at_once_still_scores_one_and_says_so(plugins, photos):
    found, _, _ = run(plugins, photos, models=["seer", "squinter", "blind"], budget_s=1e-9)
    assert sorted(row.status for row in found.rows) == ["no time", "no time", "scored"]
    assert "was spent before its turn" in found.rows[1].reason
    assert "no other candidate" in found.advice.lines[0]


def test_bad_files_are_left_out_for_all_alike(plugins, tmp_path):
    data = make_photos(tmp_path / "bad")
    for name in COLOURS:
        (data / name / "3.png").write_bytes(b"no image")
    found, _, _ = run(plugins, data, "data.test_fraction=0", models=["seer", "squinter"])
    assert {row.images for row in found.rows} == {57}
    with pytest.raises(UserError, match="files are bad"):
        run(plugins, data, "data.test_fraction=0", "data.max_bad_fraction=0.01", models=["seer"])


def test_several_labels_an_image(plugins, tmp_path):
    rng = np.random.default_rng(0)
    data = tmp_path / "labels"
    data.mkdir()
    lines = ["path,labels"]
    for number in range(60):
        red, green = rng.random(2) < 0.5
        pixels = np.array([200 * red + 20, 180 * green + 20, 40]) + rng.normal(0, 10, (16, 16, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(data / f"{number}.png")
        lines.append(f"{number}.png,{';'.join(n for n, has in (('red', red), ('green', green)) if has)}")
    (data / "labels.csv").write_text("\n".join(lines) + "\n")
    found, rows, _ = run(plugins, data / "labels.csv", "data.multi_label=true", models=["seer", "squinter", "blind"])
    assert found.task is Task.MULTI_LABEL
    assert [row.name for row in found.rows] == ["seer", "squinter", "blind"]
    assert rows["seer"].score.value > 0.95
    assert rows["seer"].log_evidence > rows["squinter"].log_evidence
    assert all(np.isnan(row.h_score) for row in found.rows)
    assert plain_recommendation(found)["candidates"][0]["h_score"] is None


def test_what_is_written_says_the_same(plugins, photos, tmp_path):
    found, _, _ = run(plugins, photos, models=["seer", "squinter", "torn"])
    files = write_recommendation(tmp_path / "written", found)
    assert [file.name for file in files] == ["table.csv", "table.json", "accuracy-latency.png"]
    table = list(csv.DictReader((tmp_path / "written" / "table.csv").open()))
    assert [(line["rank"], line["name"]) for line in table] == [("1", "seer"), ("2", "squinter"), ("", "torn")]
    assert float(table[0]["score"]) == pytest.approx(found.rows[0].score.value)
    assert table[2]["score"] == ""
    plain = json.loads((tmp_path / "written" / "table.json").read_text())
    assert plain["take"] == "seer"
    assert plain["comparison"]["images"] == 51
    assert plain["candidates"][1]["score"]["low"] == pytest.approx(found.rows[1].score.low)
    assert plain["data"]["classes"] == ["blue", "green", "red"]
    assert plain["machine"]
    with Image.open(tmp_path / "written" / "accuracy-latency.png") as picture:
        assert min(picture.size) > 200


def test_all_that_is_wrong_is_said_together(plugins, photos):
    with pytest.raises(UserError) as caught:
        run(plugins, photos.with_name("photo"), "data.channels=7", models=["seeer", "seer", "squintr"])
    text = str(caught.value)
    assert "does not exist" in text
    assert "unknown model 'seeer'" in text
    assert "allowed: seer" in text
    assert "allowed: squinter" in text


def test_one_class_and_too_few_images_are_refused(plugins, photos, tmp_path):
    shutil.copytree(photos / "red", tmp_path / "one" / "red")
    with pytest.raises(UserError, match="one class only"):
        run(plugins, tmp_path / "one", models=["seer"])
    few = make_photos(tmp_path / "few", each=2, colours={"red": (9, 9, 9), "blue": (1, 2, 3)})
    with pytest.raises(UserError, match="too few") as caught:
        run(plugins, few, "data.test_fraction=0", models=["seer"])
    assert "at least 5" in str(caught.value)


def samples(*rows):
    return tuple(Sample(key, (label,), split, group) for key, label, split, group in rows)


def listing(rows):
    names = tuple(sorted({row[1] for row in rows}))
    return Listing("x", "x", Task.SINGLE_LABEL, samples(*rows), names, 3, 32)


def test_pool_keeps_groups_together_and_counts_them():
    rows = [(f"{i:03}", "ab"[i % 2], ("train", "val", "test")[i % 3], f"g{i // 10}") for i in range(90)]
    pool = Pool(None, listing(rows), seed=0)
    assert len(pool.samples) == 60
    assert not any(sample.split == "test" for sample in pool.samples)
    places = np.arange(60)
    folds = pool.folds(places)
    for group in set(pool.groups):
        assert len(set(folds[pool.groups == group])) == 1
    with pytest.raises(UserError, match="3 groups of images"):
        Pool(None, listing([(f"{i}", "ab"[i % 2], "train", f"g{i % 3}") for i in range(30)]), seed=0)


def test_pool_parts_are_disjoint_and_all_for_training():
    rows = [(f"{i:03}", "ab"[i % 2], "val" if i % 5 == 0 else "train", None) for i in range(40)]
    pool = Pool(None, listing(rows), seed=0)
    first, second = pool.part(0, 15), pool.part(15, 40)
    keys = [sample.key for part in (first, second) for sample in part.samples]
    assert sorted(keys) == [row[0] for row in rows]
    assert {sample.split for sample in first.samples} == {"train"}
    assert [sample.key for sample in first.samples] == sorted(sample.key for sample in first.samples)
