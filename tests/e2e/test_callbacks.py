"""Callbacks and trackers in whole runs: the order of events, stopping, crashing, reporting, going on."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.test_processes import torchrun
from support.e2e import TINY, assert_same, hashes, run, run_here, start, wait_for_step
from support.watching import RECORDER, told

LENET = ("finetune", "data=digits", "model=lenet5", "train.threads=1", "train.loader_threads=1", "train.precision=fp32")
BRIEF = ("finetune", "data=digits", *TINY)


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process draw no confusion matrices and curves: these take most of a short run's time."""
    monkeypatch.setattr("zoo.assembly.results.write_report", lambda *arguments, **more: ())
    monkeypatch.setattr("zoo.assembly.results.write_curves", lambda *arguments, **more: None)


@pytest.fixture
def acme(make_distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    site = make_distribution(
        "acme-watch", version="2.5", points={"acme.watch": "acme_watch"}, modules={"acme_watch": RECORDER}
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    return site


def record(folder: Path) -> dict:
    return json.loads((folder / "record.json").read_text())


def test_events_of_a_run_come_in_the_order_of_the_contract(acme, tmp_path):
    """A head fitted on features, then four steps of gradient descent."""
    words = ("strategy=lpft", "train.epochs=0.1", "callbacks=[recorder,second]", "trackers=[notes]")
    run_here(*LENET, *words, f"run.dir={tmp_path / 'run'}")
    lines = told(tmp_path / "run")
    found = [line for line in lines if line["who"] == "recorder"]
    steps, better = 4, [line["best"] for line in found if line["event"] == "on_validation_end"][-1]
    assert [line["event"] for line in found] == [
        *("on_run_start", "on_phase_start", "on_validation_end", "on_phase_end"),
        *("on_phase_start", "on_checkpoint"),
        *(["on_batch", "on_step_end"] * steps),
        *("on_validation_end", *["on_checkpoint"] * (1 + better), "on_phase_end", "on_report", "on_run_end"),
    ]
    begun, head, scored, fitted, phase, first, batch, step = found[:8]
    assert (begun["classes"], begun["plan"], begun["resumed"], begun["epochs"]) == (10, "lpft", False, 0.1)
    assert set(begun["splits"]) == {"train", "val", "test"}
    assert (head["index"], head["step"], head["steps"]) == (0, 0, 0)
    assert (scored["step"], scored["best"]) == (0, True)
    assert fitted["steps"] == 0
    assert (phase["index"], phase["step"], phase["steps"]) == (1, 0, steps)
    assert (first["name"], first["step"], first["there"]) == ("best", 0, True)
    assert (batch["step"], batch["images"], batch["targets"], batch["mean"]) == (0, [32, 1, 32, 32], 32, 1)
    assert (step["step"], step["steps"], step["seen"]) == (1, steps, 32)
    report, last = found[-2:]
    assert report["folder"] == "report"
    assert report["shape"] == [32, 32, 1]
    assert report["images"] == begun["splits"]["test"]
    assert report["right"] == pytest.approx(report["accuracy"])
    assert last["accuracy"] == report["accuracy"]
    assert found[-3]["steps"] == steps

    others = [line["event"] for line in lines if line["who"] == "second"]
    assert others == [line["event"] for line in found]
    rest = [line for line in lines if line["who"] == "notes"]
    assert [line["who"] for line in lines[:3]] == ["recorder", "second", "notes"]
    assert [line["event"] for line in rest] == ["start", "log", "log", "log", "finish"]
    assert [line["step"] for line in rest[1:4]] == [0, steps, steps]
    assert rest[0]["folder"] == "trackers/notes"
    assert rest[2]["names"] == ["train/accuracy", "train/images_per_s", "train/loss", "train/lr"]
    assert "test/accuracy" in rest[-1]["names"]

    used = {
        (use["kind"], use["name"], use["distribution"], use["version"])
        for use in record(tmp_path / "run")["components"]
    }
    assert ("callback", "acme/recorder", "acme-watch", "2.5") in used
    assert ("tracker", "acme/notes", "acme-watch", "2.5") in used

    text = (tmp_path / "run" / "report" / "sections.md").read_text()
    assert text == "## What recorder heard\n\n4 steps.\n\n## What second heard\n\n4 steps.\n"
    before = hashes(tmp_path / "run")
    run_here("evaluate", f"run={tmp_path / 'run'}", f"out={tmp_path / 'scores'}")
    assert hashes(tmp_path / "run") == before  # nobody was told, nothing was reported again
    assert not (tmp_path / "scores" / "sections.md").exists()


def test_without_callbacks_nothing_is_left_of_them(tmp_path):
    run_here(*BRIEF, "train.epochs=0.05", f"run.dir={tmp_path / 'run'}")
    names = {file.name for file in (tmp_path / "run").rglob("*")}
    assert not names & {"trackers", "sections.md", "told.jsonl"}
    state = json.loads((tmp_path / "run" / "checkpoints" / "last" / "state.json").read_text())
    assert state["callbacks"] == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("callbacks=[mistyped]",), r"no such event\n  allowed: on_validation_end"),
        (("callbacks=[deaf]",), r"no method that is told anything"),
        (("trackers=[half]",), r"tracker 'acme/half' has no method log"),
    ],
)
def test_what_waits_for_nothing_is_an_error_before_anything_is_read(acme, tmp_path, words, said):
    import re

    done = run_here(*BRIEF, *words, f"run.dir={tmp_path / 'run'}", code=3)
    assert re.search(said, done.stderr)
    assert "acme.watch (acme-watch 2.5)" in done.stderr
    assert "images" not in done.stdout  # the data were not opened


def test_unknown_callbacks_and_options_are_refused_with_the_nearest(tmp_path):
    done = run_here(*BRIEF, "callbacks=[stop_wen]", "trackers=[cvs]", f"run.dir={tmp_path / 'run'}", code=2)
    assert "stop_when" in done.stderr
    assert "csv" in done.stderr
    done = run_here(*BRIEF, "trackers=[csv]", "trackers.csv.every_steps=0", f"run.dir={tmp_path / 'run'}", code=2)
    assert "of at least 1" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_stop_ends_the_phase_and_is_said_and_recorded(acme, tmp_path):
    words = ("train.epochs=2", "train.batch_size=256", "callbacks=[stopper,recorder]")
    done = run_here(*BRIEF, *words, f"run.dir={tmp_path / 'run'}")
    assert "stopped after step 5: enough" in done.stdout
    (reason,) = record(tmp_path / "run")["choices"]["stopped"].values()
    assert reason == "enough"
    assert told(tmp_path / "run")[-1]["event"] == "on_run_end"
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 1


def test_what_listens_to_training_alone_is_refused_where_only_a_head_is_fitted(acme, tmp_path):
    words = (*LENET, "strategy=probe", f"run.dir={tmp_path / 'run'}")
    listed = "callbacks=[stop_when,sleeper,worst]"
    done = run_here(*words, listed, "callbacks.stop_when.target=0.9", "trackers=[csv]", code=2)
    assert "callbacks=[stop_when] has no effect: strategy 'probe'" in done.stderr
    assert "callbacks=[sleeper] has no effect" in done.stderr
    assert "worst" not in done.stderr
    assert "trackers.csv.name" not in done.stderr
    done = run_here(*words, "trackers=[csv]", "trackers.csv.every_steps=3", code=2)
    assert "trackers.csv.every_steps has no effect" in done.stderr
    assert not (tmp_path / "run").exists()
    run_here(*words, "callbacks=[worst]", "trackers=[csv]")
    table = list(csv.DictReader((tmp_path / "run" / "trackers" / "csv" / "curves.csv").open()))
    assert [row["step"] for row in table] == ["0"]
    assert {"val/accuracy", "val/loss", "test/accuracy"} <= set(table[0])


def test_auto_trains_where_a_callback_listens_to_training(tmp_path, photos):
    """Eight training images a class would be fitted by a head alone."""
    words = ("finetune", f"data={photos}", *LENET[2:], "data.channels=1", "data.val_fraction=0.4")
    done = run_here(*words, f"run.dir={tmp_path / 'run'}", "callbacks=[stop_when]", "callbacks.stop_when.target=0.1")
    assert "has reached the target of 0.1" in done.stdout


def shaky(tmp_path: Path, at: str, step: int) -> tuple[str, ...]:
    words = (f"callbacks.shaky.at={at}", f"callbacks.shaky.step={step}", "train.epochs=2", "train.batch_size=256")
    return (*BRIEF, "callbacks=[recorder,shaky]", "trackers=[csv]", "trackers.csv.every_steps=1", *words)


@pytest.mark.parametrize(
    ("at", "times", "saved_at"),
    [
        ("on_step_end", 5, 5),
        ("on_validation_end", 1, 5),
        pytest.param("on_batch", 4, 3, marks=pytest.mark.slow),
        pytest.param("on_checkpoint", 1, 5, marks=pytest.mark.slow),
        pytest.param("on_step_end", 7, 7, marks=pytest.mark.slow),
    ],
)
def test_a_crash_saves_names_the_plugin_and_the_run_goes_on(acme, tmp_path, monkeypatch, at, times, saved_at):
    """Five steps an epoch: a crash behind the last one must not leave the epoch's validation out."""
    whole, part = tmp_path / "whole", tmp_path / "part"
    words = shaky(tmp_path, at, times)
    done = run_here(*words, f"run.dir={part}", code=3)
    assert "callback 'acme/shaky' crashed: ValueError: too shaky" in done.stderr
    assert "acme.watch (acme-watch 2.5)" in done.stderr
    assert "Traceback" not in done.stderr
    state = json.loads((part / "checkpoints" / "last" / "state.json").read_text())
    assert state["counters"]["step"] == saved_at
    assert record(part)["status"] == "failed"
    assert told(part)[-1] == {**told(part)[-1], "event": "on_break", "error": "PluginError"}
    monkeypatch.setenv("MENDED", "1")
    run_here("finetune", f"resume={part}")
    run_here(*words, f"run.dir={whole}")
    assert_same(part, whole)
    files = [(folder / "trackers" / "csv" / "curves.csv").open() for folder in (part, whole)]
    tables = [[{k: v for k, v in row.items() if k != "train/images_per_s"} for row in csv.DictReader(f)] for f in files]
    assert tables[0] == tables[1]


def test_a_crash_in_the_report_names_the_plugin_and_keeps_the_model(acme, tmp_path):
    words = (*BRIEF, "callbacks=[shaky]", "callbacks.shaky.at=on_report", "callbacks.shaky.step=1", "train.epochs=0.05")
    done = run_here(*words, f"run.dir={tmp_path / 'run'}", code=3)
    assert "callback 'acme/shaky' crashed" in done.stderr
    assert (tmp_path / "run" / "model" / "zoo.json").is_file()
    assert record(tmp_path / "run")["status"] == "failed"


def test_a_crash_while_the_end_is_told_does_not_hide_why_it_ended(acme, tmp_path):
    words = ("callbacks=[shaky,shaky@2]", "callbacks.shaky.at=on_break", "callbacks.shaky.step=1")
    more = ("callbacks.shaky_2.at=on_step_end", "callbacks.shaky_2.step=2", "train.epochs=0.1")
    done = run_here(*BRIEF, *words, *more, f"run.dir={tmp_path / 'run'}", code=3)
    assert "warning: callback acme/shaky could not be told of the end" in done.stdout
    assert "callback 'acme/shaky' crashed" in done.stderr
    assert "could not be told" not in done.stderr


KILLED = ("train.epochs=6", "train.batch_size=8", "regularizers=[dropout]")
STOPS = (
    "callbacks=[recorder,stop_when]",
    "callbacks.stop_when.measure=train_accuracy",
    "callbacks.stop_when.patience=2",
)
TRACKED = ("trackers=[csv,jsonl]", "trackers.csv.every_steps=1", "trackers.jsonl.every_steps=3")


@pytest.mark.slow
@pytest.mark.parametrize("after_step", [2, 9, 15])
def test_a_stateful_callback_goes_on_to_the_same_bits_after_a_kill(acme, tmp_path, photos, after_step):
    words = ("finetune", f"data={photos}", *TINY, *KILLED, *STOPS, *TRACKED)
    whole, part = tmp_path / "whole", tmp_path / "part"
    run(*words, f"run.dir={whole}")
    process = start(*words, "train.save_every_steps=2", f"run.dir={part}")
    wait_for_step(process, part, after_step)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    run("finetune", f"resume={part}")
    assert_same(part, whole)
    assert told(part)[-1]["count"] == told(whole)[-1]["count"] > 0
    stopped = [record(folder)["choices"].get("stopped") for folder in (part, whole)]
    assert stopped[0] == stopped[1]
    for name in ("csv/curves.csv", "jsonl/curves.jsonl"):
        texts = [(folder / "trackers" / name).read_text().splitlines() for folder in (part, whole)]
        assert len(texts[0]) == len(texts[1])
    rows = [
        [
            line
            for line in map(json.loads, (folder / "trackers/jsonl/curves.jsonl").read_text().splitlines())
            if line["name"] != "train/images_per_s"
        ]
        for folder in (part, whole)
    ]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_two_processes_stop_together_and_one_of_them_is_told(acme, tmp_path, photos):
    words = ("finetune", f"data={photos}", *TINY, "train.epochs=20", "train.device=cpu", "callbacks=[stopper,recorder]")
    done = torchrun(*words, "trackers=[csv]", f"run.dir={tmp_path / 'two'}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": enough") == 1
    events = [line["event"] for line in told(tmp_path / "two", who="recorder")]
    assert events.count("on_run_start") == events.count("on_run_end") == events.count("on_validation_end") == 1
    assert len((tmp_path / "two" / "metrics.jsonl").read_text().splitlines()) == 1


@pytest.mark.slow
def test_a_crash_in_two_processes_saves_and_the_run_goes_on_in_two(acme, tmp_path, photos, monkeypatch):
    words = ("finetune", f"data={photos}", *TINY, "train.epochs=3", "train.device=cpu", "callbacks=[shaky]")
    words = (*words, "callbacks.shaky.at=on_step_end", "callbacks.shaky.step=1", f"run.dir={tmp_path / 'two'}")
    done = torchrun(*words)
    assert done.returncode != 0
    assert "callback 'acme/shaky' crashed" in done.stderr
    state = json.loads((tmp_path / "two" / "checkpoints" / "last" / "state.json").read_text())
    assert state["counters"]["step"] == 1
    monkeypatch.setenv("MENDED", "1")
    done = torchrun("finetune", f"resume={tmp_path / 'two'}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert record(tmp_path / "two")["status"] == "finished"
