"""What a run leaves can be used: evaluate, predict, check."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from support.e2e import TINY, run, run_here


@pytest.fixture(scope="module")
def trained(tmp_path_factory, photos) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    run("finetune", f"data={photos}", *TINY, "train.epochs=10", f"run.dir={folder}")
    return folder


def test_evaluate_gives_the_scores_of_the_run_again(trained):
    answer = json.loads(run("evaluate", f"run={trained}", "--json").stdout)
    recorded = json.loads((trained / "record.json").read_text())["scores"]["test"]
    assert answer["accuracy"] == recorded["accuracy"]
    assert answer["confusion"] == recorded["confusion"]
    assert (trained / "report" / "evaluate" / "confusion.png").is_file()


def test_evaluate_on_other_images_and_splits(trained, photos, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(photos / "red", other / "red")
    shutil.copytree(photos / "blue", other / "blue")
    answer = json.loads(run("evaluate", f"run={trained}", f"data={other}", f"out={tmp_path}/r", "--json").stdout)
    assert answer["count"] == 28
    assert (
        json.loads(run("evaluate", f"run={trained}", "split=val", f"out={tmp_path}/v", "--json").stdout)["count"] == 6
    )
    (other / "red").rename(other / "purple")
    assert "purple" in run_here("evaluate", f"run={trained}", f"data={other}", code=2).stderr


def test_evaluate_from_another_folder_and_of_classes_that_changed(photos, tmp_path, monkeypatch):
    shutil.copytree(photos, tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    run_here("finetune", "data=own", *TINY, "train.epochs=1", "run.dir=run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    asked = ("evaluate", f"run={tmp_path}/run")
    assert f"images of {tmp_path}/own" in run_here(*asked).stdout
    (tmp_path / "own" / "red").rename(tmp_path / "own" / "violet")
    said = run_here(*asked, code=2).stderr
    assert "1 labels that the run does not know: violet" in said
    assert f"where:   {tmp_path}/own" in said


def test_evaluate_reads_other_data_in_the_words_of_finetune(trained, photos, tmp_path):
    rows = [f"{photos}/{colour}/{number}.png,{colour}" for colour in ("red", "blue") for number in range(3)]
    (tmp_path / "new.csv").write_text("file,species\n" + "\n".join(rows) + "\n")
    asked = ("evaluate", f"run={trained}", f"out={tmp_path}/r", "--json")
    columns = ("data.image_column=file", "data.label_column=species")
    answer = run_here(*asked, f"data={tmp_path}/new.csv", *columns)
    assert json.loads(answer.stdout)["count"] == 6
    assert "warning" not in answer.stderr
    assert "the run was trained on some of these images" in run_here(*asked, f"data={photos}").stderr
    said = run_here(*asked, *columns, code=2).stderr
    assert "data.image_column=file has no effect: the run's own data are read as they were" in said
    said = run_here(*asked, f"data={tmp_path}/new.csv", *columns, "data.val_fraction=0.5", code=2).stderr
    assert "data.val_fraction has no effect: all images are scored" in said
    said = run_here(*asked, f"data={tmp_path}/new.csv", "data.colunm=species", code=2).stderr
    assert "data.colunm" in said
    assert "labels that the run does not know: 0" in run_here(*asked, "data=digits", code=2).stderr


def test_predict_writes_a_row_for_every_file_a_bad_one_too(trained, photos, tmp_path):
    folder = tmp_path / "it's, [odd] año"
    shutil.copytree(photos / "green", folder)
    (folder / "7.png").write_bytes(b"no image")
    out = tmp_path / "preds.csv"
    run("predict", f"run={trained}", f"images={folder}", f"output={out}")
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 14
    bad = [row for row in rows if row["ok"] != "true"]
    assert [Path(row["file"]).name for row in bad] == ["7.png"]
    assert all(row["label"] for row in rows if row["ok"] == "true")


def test_predict_with_a_pretrained_network_knows_imagenet(photos):
    done = run("predict", "model=tf_efficientnet_lite0", f"images={photos}/red/0.png", "top=3")
    assert "0.png: " in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["images=x"], "run=DIR"),
        (["run=nowhere", "images=x"], "nowhere"),
        (["run={run}", "images=nowhere"], "nowhere"),
        (["run={run}", "images={photos}", "output=p.xlsx"], ".csv"),
        (["run={run}", "image={photos}"], "images"),
    ],
)
def test_predict_refuses_with_one_clear_message(trained, photos, words, said):
    done = run_here("predict", *[word.format(run=trained, photos=photos) for word in words], code=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_tampered_model_is_refused(trained, photos, tmp_path):
    copied = tmp_path / "copied"
    shutil.copytree(trained, copied)
    file = copied / "model" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    done = run_here("predict", f"run={copied}", f"images={photos}", code=2)
    assert "model.safetensors" in done.stderr


def test_data_check_reports_and_judges(photos, tmp_path):
    good = run("data", "check", str(photos))
    assert "ready to train on" in good.stdout
    mixed = tmp_path / "mixed"
    for split in ("train", "test"):
        for name in ("red", "blue"):
            shutil.copytree(photos / name, mixed / split / name)
    leaking = run_here("data", "check", str(mixed), code=2)
    assert "same contents" in leaking.stdout
    assert json.loads(run_here("data", "check", str(mixed), "--json", code=2).stdout)["ready"] is False


def test_data_check_takes_the_words_of_a_run_about_its_data(photos, tmp_path, monkeypatch):
    rows = [f"{photos}/{colour}/{number}.png,{colour},x" for colour in ("red", "blue") for number in range(10)]
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("file,klasse,note\n" + "\n".join(rows) + "\n")
    words = ("data", "check", "data.csv", "data.image_column=file", "data.label_column=klasse")
    asked = ("data.val_fraction=0.4", "data.test_fraction=0", "data.max_bad_fraction=0.1")
    answer = json.loads(run_here(*words, *asked, "--json").stdout)
    assert [(row["name"], row["train"], row["val"], row["test"]) for row in answer["classes"]] == [
        ("blue", 6, 4, 0),
        ("red", 6, 4, 0),
    ]
    said = run_here(*words, "data.cache=none", "data.threads=2", "data.cache_dir=x", code=2).stderr
    assert [f"data.{key} has no effect" in said for key in ("cache", "threads", "cache_dir")] == [True] * 3
    assert "data.colunm" in run_here(*words, "data.colunm=klasse", code=2).stderr
    assert "label_separator is empty" in run_here(*words, "data.label_separator=", code=2).stderr


def test_data_check_of_a_registered_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("digits").mkdir()
    checked = run_here("data", "check", "digits", "data.split_seed=3").stdout
    assert "digits (scikit-learn): 1797 images, 10 classes" in checked
    assert "seed 3" in checked
    assert "write data=./digits for the path" in checked
    assert "no image in 'digits'" in run_here("data", "check", "./digits", code=2).stderr
    assert "a registered name such as digits" in run_here("data", "check", "--help").stdout


def test_evaluate_writes_below_the_home_folder(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    run_here("evaluate", f"run={trained}", "out=~/scores", "--json")
    assert (tmp_path / "scores" / "confusion.png").is_file()
