"""Plugins for which every command waits are named with their time; quick ones never are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo import load_times
from zoo.cli import main
from zoo.load_times import SLOW_S, LoadCost, watched
from zoo.plugins import LoadedPlugin, load_plugins
from zoo.registry import Origin

MakeDistribution = Callable[..., Path]

HEADS = """
from zoo.hookspecs import hookimpl

@hookimpl
def register_heads(register):
    {body}
    register("{name}", "acme_none:Head", summary="A head")
"""
SLEEP = "import time; time.sleep(0.25)"


def plugin_named(name: str) -> LoadedPlugin:
    return next(plugin for plugin in load_plugins().plugins if plugin.origin.plugin == name)


@pytest.mark.parametrize("place", ["at import", "in a hook"])
def test_slow_plugin_is_named_with_its_time(
    place: str, make_distribution: MakeDistribution, capsys: pytest.CaptureFixture[str]
) -> None:
    source = HEADS.format(name="sloth", body=SLEEP if place == "in a hook" else "pass")
    source = f"{SLEEP}\n{source}" if place == "at import" else source
    make_distribution("acme", points={"acme.heads": "acme_heads"}, modules={"acme_heads": source})

    assert main(["plugins"]) == 0
    shown = capsys.readouterr()
    (note,) = [line for line in shown.out.splitlines() if line.startswith("note: plugin acme.heads (acme 1.0)")]
    assert 0.25 <= float(note.partition("takes ")[2].partition(" s")[0]) < 5
    assert "import inside the target" in note
    assert shown.err == ""  # the list says it, so no warning beside it

    assert main(["plugins", "--json"]) == 0  # a second time in this process: the module is imported already
    row = {row["plugin"]: row for row in json.loads(capsys.readouterr().out)}["acme.heads"]
    assert row["seconds"] >= 0.25


def test_other_commands_warn_in_one_line(
    make_distribution: MakeDistribution, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"{SLEEP}\n{HEADS.format(name='sloth', body='pass')}"
    make_distribution("acme", points={"acme.heads": "acme_heads"}, modules={"acme_heads": source})

    for words in (["--help"], ["finetune", "--help"]):
        assert main(words) == 0
        (warning,) = capsys.readouterr().err.splitlines()
        assert warning.startswith("warning: plugin acme.heads (acme 1.0) takes 0.")
        assert "import inside the target" in warning
        assert "zoo plugins disable acme.heads" in warning
    monkeypatch.setenv("RANK", "1")
    assert main(["finetune", "--help"]) == 0
    assert capsys.readouterr().err == ""


def test_quick_plugin_is_not_named(make_distribution: MakeDistribution, capsys: pytest.CaptureFixture[str]) -> None:
    make_distribution(
        "acme", points={"acme.heads": "acme_heads"}, modules={"acme_heads": HEADS.format(name="hare", body="pass")}
    )
    assert main(["finetune", "--help"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["plugins"]) == 0
    assert "note:" not in capsys.readouterr().out
    assert 0 < plugin_named("acme.heads").cost.seconds < SLOW_S


def test_heavy_import_is_named_however_quick_and_only_of_the_first(
    make_distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_times, "HEAVY", frozenset({"acme_heavy"}))
    source = HEADS.format(name="{name}", body="pass") + "\nimport acme_heavy\n"
    make_distribution(
        "acme",
        points={"acme.one": "acme_one", "acme.two": "acme_two"},
        modules={
            "acme_one": source.replace("{name}", "ox"),
            "acme_two": source.replace("{name}", "yak"),
            "acme_heavy": "",
        },
    )
    one, two = plugin_named("acme.one"), plugin_named("acme.two")
    assert one.cost.heavy == ("acme_heavy",)
    assert one.slows
    assert "imports acme_heavy" in str(one.cost)
    assert two.cost.heavy == ()  # another had imported it before
    assert not two.slows


def test_built_in_plugins_are_never_named() -> None:
    slow = LoadedPlugin(Origin("zoo.heads", "zoo", "0.1"), "ok", cost=LoadCost(9.0, ("torch",)))
    assert slow.cost.noteworthy
    assert not slow.slows


def test_what_loading_cost_is_that_of_the_first_time() -> None:
    thing = object()
    first = watched("test.thing", lambda: thing)[1]
    assert watched("test.thing", lambda: thing) == (thing, first)
    other, cost = watched("test.thing", lambda: [thing])  # another module of the name was imported since
    assert other == [thing]
    assert cost is not first


def test_heavy_libraries_are_those_that_no_hook_module_may_import() -> None:
    assert {"torch", "timm", "torchvision", "albumentations", "numpy", "pandas", "PIL"} <= load_times.HEAVY
    assert "zoo" not in load_times.HEAVY
