"""`zoo recommend` as a user runs it: on planted networks, on real weights, and on every kind of mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest
from support.e2e import TINY, command, hashes, run, run_here
from support.planted import DISTRIBUTION, make_photos, make_weights

QUIET = ("train.threads=1", "train.loader_threads=1", "train.precision=fp32")


@pytest.fixture
def planted(make_distribution, tmp_path, monkeypatch):
    """The planted plugin, seen by the processes that the test starts; the current folder is new."""
    site = make_distribution("planted", **DISTRIBUTION)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PLANTED_WEIGHTS", str(make_weights(tmp_path / "weights")))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def coloured(tmp_path):
    return make_photos(tmp_path / "it's, my [photos] (1)")


@pytest.mark.slow
def test_recommend_ranks_planted_networks_and_leaves_three_files(planted, coloured):
    before = hashes(coloured)
    done = run("recommend", f"data={coloured}", "models=[blind, 'squinter', s?er, torn]", "budget=10m", *QUIET)
    table = [line.split() for line in done.stdout.splitlines()]
    order = [words[0] for words in table if words and words[0] in ("seer", "squinter", "blind", "torn")]
    assert order == ["seer", "squinter", "blind", "torn"]
    assert "take seer: " in done.stdout
    assert "it can be told from all others: squinter, the next" in done.stdout
    assert "failed: these weights do not fit" in done.stdout
    (folder,) = (planted / "runs").glob("*/*")
    assert "-recommend-it-s-my-photos-1" in folder.name
    assert sorted(file.name for file in folder.iterdir()) == ["accuracy-latency.png", "table.csv", "table.json"]
    assert str(folder.relative_to(planted)) in done.stdout.splitlines()[-1]
    assert hashes(coloured) == before


@pytest.mark.slow
def test_recommend_json_is_one_object_on_stdout(planted, coloured):
    done = run("recommend", f"data={coloured}", "models=seer,squinter", "out=deep/new", "budget=null", *QUIET, "--json")
    answer = json.loads(done.stdout)
    assert answer["take"] == "seer"
    assert [row["name"] for row in answer["candidates"]] == ["seer", "squinter"]
    assert answer["run_dir"] == "deep/new"
    assert answer["asked"]["budget_s"] is None
    assert json.loads((planted / "deep" / "new" / "table.json").read_text())["candidates"] == answer["candidates"]
    assert "take seer" in done.stderr
    assert not (planted / "runs").exists()


def test_every_mistake_is_said_at_once_and_nothing_is_left(planted, coloured):
    words = ("models=[a,,b]", "budget=0", "max_params=lots", "max_ms=-1", "download=perhaps", "data.val_fraction=0.2")
    text = run_here("recommend", f"data={coloured}", *words, code=2).stderr
    for part in ("name in the list", "budget='0'", "max_params='lots'", "max_ms='-1'", "download='perhaps'"):
        assert part in text
    assert "data.val_fraction has no effect" in text
    assert "Traceback" not in text
    assert list(planted.iterdir()) == []


@pytest.mark.slow
def test_a_run_that_is_refused_leaves_no_folder(planted, coloured, tmp_path):
    for words in (
        (f"data={coloured}", "models=[seeer,squintr]"),
        (f"data={coloured}x", "models=seer", "out=a/b"),
        (f"data={coloured}", "models=[torn,bare]", *QUIET),
    ):
        text = run_here("recommend", *words, code=2).stderr
        assert "where:" in text
        assert "Traceback" not in text
        assert list(planted.iterdir()) == []
    assert "torn: failed" in text
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "mine.txt").write_text("mine")
    text = run_here("recommend", f"data={coloured}", "models=seer", f"out={kept}", code=2).stderr
    assert "nothing in it was changed" in text
    assert [file.name for file in kept.iterdir()] == ["mine.txt"]


def test_help_and_words_that_are_missing(planted):
    shown = run("recommend", "--help").stdout
    for key in ("data=", "models=", "budget=5m", "max_params=20M", "max_ms=10", "download=", "out="):
        assert key in shown
    assert "data= is missing" in run_here("recommend", "models=seer", code=2).stderr


@pytest.mark.slow
def test_interrupted_leaves_no_folder(planted, tmp_path):
    photos = make_photos(tmp_path / "many", each=400)
    process = subprocess.Popen(
        command("recommend", f"data={photos}", "models=[seer,squinter,blind]", "out=new", "budget=null", *QUIET),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
        # A shell's background jobs are started with Ctrl-C ignored, and hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("compare"):
            break
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 130, said
    assert not (planted / "new").exists()


@pytest.mark.slow
def test_recommend_of_what_is_at_hand_on_the_digits(planted, monkeypatch):
    monkeypatch.setenv("ZOO_PLUGINS", "")
    done = run("recommend", "data=digits", "models=[tf_efficientnet_lite0]", "budget=20s", "data.channels=3", "--json")
    answer = json.loads(done.stdout)
    assert answer["take"] == "tf_efficientnet_lite0"
    assert answer["candidates"][0]["score"]["value"] > 0.8


@pytest.mark.slow
def test_a_published_model_is_compared_by_its_own_weights_with_a_word_of_caution(planted, coloured, monkeypatch):
    run("finetune", f"data={coloured}", *TINY, "train.epochs=1", "run.dir=run")
    run("publish", "run=run", "to=zoo-of-mine", "name=tried")
    monkeypatch.setenv("ZOO_PATH", "zoo-of-mine")
    done = run("recommend", f"data={coloured}", "models=[tried,seer]", "data.channels=3", *QUIET, "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["candidates"]}
    assert rows["tried"]["status"] == "scored"
    assert rows["tried"]["weights"] == "at hand (published)"
    assert "fine-tuned on these very images" in rows["tried"]["reason"]
    assert rows["seer"]["reason"] == ""
