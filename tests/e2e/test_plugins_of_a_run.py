"""A run whose parts come from plugins: their versions, what is wrapped around them, what to install if one is gone."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from support.e2e import TINY, run_here

import zoo
from zoo.errors import UserError

pytestmark = pytest.mark.slow

HEADS = """
from zoo.hookspecs import hookimpl

@hookimpl
def register_heads(register):
    register("plain", "acme_parts:Plain", summary="One layer", source="a test")

@hookimpl
def register_regularizers(register):
    register("shaky", "acme_parts:Shaky", summary="Breaks at a step", source="a test")

@hookimpl
def register_config_defaults(register):
    register("train.batch_size", 48, reason="whole numbers of something")
"""
PARTS = """
import os

from torch import nn


class Plain(nn.Linear):
    def __init__(self, *, features, classes):
        super().__init__(features, classes)


class Shaky:
    def change_batch(self, batch, generator, classes):
        self.steps = getattr(self, "steps", -1) + 1
        if self.steps == 3 and not os.environ.get("MENDED"):
            raise ValueError("too shaky")
        return batch
"""
WRAPS = """
from zoo.hookspecs import hookimpl

@hookimpl
def register_wrappers(register):
    register("head", "acme/plain", "{name}_around:Twice", summary="Doubles the logits")
    register("schedule", "*", "{name}_around:half", summary="Halves the rate")
"""
AROUND = """
from torch import nn

class Twice(nn.Module):
    def __init__(self, inner, *, name):
        super().__init__()
        self.inner = inner
    def forward(self, features):
        return 2 * self.inner(features)

def half(schedule, *, name):
    return lambda progress: 0.5 * schedule(progress)
"""


@pytest.fixture
def site(make_distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The distributions acme (parts and a default) and bell (wrappers)."""
    monkeypatch.setenv("ZOO_KEEP_MEMORY", "0")
    make_distribution("acme", points={"acme.heads": "acme_hooks"}, modules={"acme_hooks": HEADS, "acme_parts": PARTS})
    return add_wrappers(make_distribution, "bell")


def add_wrappers(make_distribution: Callable[..., Path], name: str) -> Path:
    modules = {f"{name}_hooks": WRAPS.format(name=name), f"{name}_around": AROUND}
    return make_distribution(name, points={f"{name}.wraps": f"{name}_hooks"}, modules=modules)


def as_version(site: Path, name: str, version: str) -> None:
    """What installing another version leaves."""
    (info,) = site.glob(f"{name}-*.dist-info")
    moved = site / f"{name}-{version}.dist-info"
    info.rename(moved)
    (moved / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


class Away:
    """A distribution that is not installed, for a while."""

    def __init__(self, site: Path, name: str) -> None:
        (self.info,) = site.glob(f"{name}-*.dist-info")

    def __enter__(self) -> None:
        self.info.rename(self.info.with_suffix(".away"))

    def __exit__(self, *_: object) -> None:
        self.info.with_suffix(".away").rename(self.info)


def said_by(*words: str, code: int = 0) -> str:
    """All that a command says."""
    done = run_here(*words, code=code)
    return done.stdout + done.stderr


WORDS = ("finetune", "data=digits", *TINY, "train.epochs=0.3", "head=plain", "strategy=full", "regularizers=[shaky]")


def test_versions_wrappers_and_defaults_from_the_first_run_to_its_use(
    site: Path, make_distribution: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "run"
    broken = said_by(*WORDS, f"run.dir={place}", code=3)
    assert "wrapper head acme/plain: bell_around:Twice of bell.wraps (bell 1.0)" in broken
    assert "wrapper schedule zoo/cosine: bell_around:half of bell.wraps (bell 1.0)" in broken
    assert "train.batch_size=48: default of acme.heads (acme 1.0): whole numbers of something" in broken
    record = json.loads((place / "record.json").read_text())
    assert [(use["kind"], use["version"]) for use in record["wrappers"]] == [("head", "1.0"), ("schedule", "1.0")]
    assert record["config"]["train"]["batch_size"] == 48
    assert {record["environment"]["versions"][name] for name in ("acme", "bell")} == {"1.0"}

    _resume_is_refused_where_plugins_differ(site, make_distribution, place)
    monkeypatch.setenv("MENDED", "1")
    as_version(site, "acme", "1.5")
    (site / "acme_hooks.py").write_text(HEADS.replace("48", "7"))
    sys.modules.pop("acme_hooks")
    resumed = said_by("finetune", f"resume={place}")
    assert "made with acme 1.0 (plugin acme.heads), and now acme 1.5 is installed" in resumed
    record = json.loads((place / "record.json").read_text())
    assert (record["status"], record["config"]["train"]["batch_size"]) == ("finished", 48)
    assert "batch_size" not in resumed  # a resumed run keeps what it began with, whatever a plugin says now
    _use_is_the_same_whatever_is_wrapped_now(site, make_distribution, place, tmp_path)


def _resume_is_refused_where_plugins_differ(site: Path, make: Callable[..., Path], place: Path) -> None:
    before = (place / "record.json").read_bytes()
    for name in ("acme", "bell"):
        with Away(site, name):
            assert f"pip install {name}==1.0" in run_here("finetune", f"resume={place}", code=2).stderr
    add_wrappers(make, "cats")
    refused = run_here("finetune", f"resume={place}", code=2).stderr
    assert "new: wrapper 'cats_around:Twice' around head 'acme/plain'" in refused
    assert "zoo plugins disable cats.wraps" in refused
    assert (place / "record.json").read_bytes() == before
    run_here("plugins", "disable", "cats")


def _use_is_the_same_whatever_is_wrapped_now(
    site: Path, make: Callable[..., Path], place: Path, tmp_path: Path
) -> None:
    image = tmp_path / "one.png"
    from PIL import Image

    Image.new("L", (8, 8), 90).save(image)
    asked = ("predict", f"run={place}", f"images={image}", f"output={tmp_path / 'p.csv'}")
    run_here(*asked)
    first = (tmp_path / "p.csv").read_bytes()
    run_here("plugins", "enable", "cats")  # wraps the head too, and was not there when the model was trained
    run_here(*asked)
    assert (tmp_path / "p.csv").read_bytes() == first

    as_version(site, "bell", "4.0")
    said = "made with bell 1.0 (plugin bell.wraps), and now bell 4.0 is installed"
    assert said in said_by("evaluate", f"run={place}", f"out={tmp_path / 'scores'}")
    assert said in said_by(*asked)
    with pytest.warns(UserWarning, match="now bell 4.0 is installed"):
        zoo.load(place)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_version(site, "bell", "1.0")
        zoo.load(place)

    for name, version in (("acme", "1.5"), ("bell", "1.0")):  # as it was when the model was saved
        with Away(site, name):
            wanted = f"pip install {name}=={version}"
            assert wanted in run_here("evaluate", f"run={place}", code=2).stderr
            assert wanted in run_here(*asked, code=2).stderr
            with pytest.raises(UserError, match=wanted):
                zoo.load(place)


def test_crash_in_a_wrapper_names_its_plugin(
    site: Path, make_distribution: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENDED", "1")
    around = AROUND.replace("return 2 * self.inner(features)", "return self.innner(features)")
    (site / "bell_around.py").write_text(around)
    done = run_here(*WORDS, f"run.dir={tmp_path / 'run'}", code=3)
    assert "wrapper 'bell_around:Twice' of head 'acme/plain' crashed" in done.stderr
    assert "plugin:  bell.wraps (bell 1.0)" in done.stderr
    assert "acme.heads" not in done.stderr.partition("crashed")[2]


def test_preview_and_recommend_say_what_is_wrapped(
    make_distribution: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_KEEP_MEMORY", "0")
    hooks = (
        "from zoo.hookspecs import hookimpl\n\n@hookimpl\ndef register_wrappers(register):\n"
        "    register('dataset', 'zoo/digits', 'calm_around:same', summary='Changes nothing')\n"
        "    register('model', 'zoo/lenet5', 'calm_around:same', summary='Changes nothing')\n"
    )
    around = "def same(component, *, name):\n    return component\n"
    make_distribution("calm", points={"calm": "calm_hooks"}, modules={"calm_hooks": hooks, "calm_around": around})
    drawn = said_by("preview", "data=digits", "model=lenet5", "augmentations=[flip]", f"output={tmp_path / 'p.png'}")
    ranked = said_by("recommend", "data=digits", "models=lenet5", "budget=20s", f"out={tmp_path / 'ranked'}")
    for name in ("dataset zoo/digits", "model zoo/lenet5"):
        line = f"wrapper {name}: calm_around:same of calm (calm 1.0)"
        assert (line in drawn, line in ranked) == (True, True), name
