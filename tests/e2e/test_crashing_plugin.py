"""A plugin that crashes in the middle of a run: who it was is said, the code is 3, and the run goes on without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.e2e import TINY, run

MODULE = '''
import os

from zoo.hookspecs import hookimpl


@hookimpl
def register_regularizers(register):
    register("shaky", "acme_shaky:Shaky", summary="Breaks at a step", source="a test")


@hookimpl
def register_augmentations(register):
    register("cracked", "acme_shaky:Cracked", summary="Breaks at an image", source="a test")


class Shaky:
    """Does nothing until it breaks."""

    def change_batch(self, batch, generator, classes):
        self.steps = getattr(self, "steps", -1) + 1
        if self.steps == 5 and not os.environ.get("MENDED"):
            raise ValueError("too shaky")
        return batch


class Cracked:
    """Breaks at once, in a loader's thread."""

    def __call__(self, image, rng):
        return image[:, :, 7]
'''


@pytest.fixture
def acme(make_distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    site = make_distribution(
        "acme-shaky", version="2.5", points={"acme.shaky": "acme_shaky"}, modules={"acme_shaky": MODULE}
    )
    monkeypatch.setenv("PYTHONPATH", str(site))
    return site


def test_crash_in_the_loop_names_the_plugin_and_the_run_can_go_on(acme, tmp_path, monkeypatch):
    words = (
        "finetune",
        "data=digits",
        *TINY,
        "train.epochs=0.3",
        "regularizers=[shaky]",
        f"run.dir={tmp_path / 'run'}",
    )
    done = run(*words, code=3)
    assert "regularizer 'acme/shaky' crashed: ValueError: too shaky" in done.stderr
    assert "acme.shaky (acme-shaky 2.5)" in done.stderr
    assert "acme_shaky.py, line 23, in change_batch" in done.stderr
    assert "Traceback" not in done.stderr
    state = json.loads((tmp_path / "run" / "checkpoints" / "last" / "state.json").read_text())
    assert state["counters"]["step"] == 5
    assert json.loads((tmp_path / "run" / "record.json").read_text())["status"] == "failed"
    monkeypatch.setenv("MENDED", "1")
    run("finetune", f"resume={tmp_path / 'run'}")
    assert json.loads((tmp_path / "run" / "record.json").read_text())["status"] == "finished"


def test_crash_in_a_loader_thread_names_the_plugin(acme, tmp_path):
    words = (
        "finetune",
        "data=digits",
        *TINY,
        "train.epochs=0.3",
        "augmentations=[cracked]",
        f"run.dir={tmp_path / 'r'}",
    )
    done = run(*words, code=3)
    assert "augmentation 'acme/cracked' crashed: an augmentation failed on image 'digits/" in done.stderr
    assert "IndexError" in done.stderr
    assert "acme-shaky 2.5" in done.stderr
