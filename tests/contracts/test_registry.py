"""What holds for every component of zoo's own, whatever it does: described, readable, loadable, with sane defaults."""

from __future__ import annotations

import inspect

import pytest

from zoo.config import schema
from zoo.config.meanings import meanings
from zoo.kinds import BY_NAME, KINDS
from zoo.plugins import DISTRIBUTION, load_plugins
from zoo.registry import FIRST_PARTY, Entry

AT_LEAST = {
    "dataset": 4,
    "augmentation": 12,
    "model": 1,
    "weights": 3,
    "head": 3,
    "regularizer": 6,
    "optimizer": 6,
    "schedule": 5,
    "loss": 3,
    "strategy": 5,
    "callback": 3,
    "tracker": 6,
    "importer": 2,
    "command": 6,
}
"""Components of zoo's own that there were when this was written: fewer means that some were lost."""

REGISTRY = load_plugins(only=[]).registry
ENTRIES = [entry for kind in KINDS for entry in REGISTRY.entries(kind.name)]
NO_PAPER = {"command", "weights", "dataset"}
"""Kinds whose components are tools rather than methods: they follow no paper."""


def named(entries: list[Entry]) -> list[object]:
    return [pytest.param(entry, id=f"{entry.kind}:{entry.full_name}") for entry in entries]


def test_nothing_was_lost() -> None:
    seen = {kind.name: len([e for e in ENTRIES if e.kind == kind.name]) for kind in KINDS}
    assert set(seen) == set(AT_LEAST)
    assert {kind: count for kind, count in seen.items() if count < AT_LEAST[kind]} == {}
    assert {p.origin.namespace for p in REGISTRY.providers("model")} == {"timm", "torchvision", "published"}
    assert {p.origin.namespace for p in REGISTRY.providers("optimizer")} == {"timm"}
    assert {p.origin.namespace for p in REGISTRY.providers("augmentation")} == {"albumentations"}


def test_kind_exists_only_where_two_implementations_use_it() -> None:
    for kind in KINDS:
        assert len(REGISTRY.entries(kind.name)) + len(REGISTRY.providers(kind.name)) >= 2, kind.name


@pytest.mark.parametrize("entry", named(ENTRIES))
def test_component_is_described(entry: Entry) -> None:
    assert 8 <= len(entry.summary) <= 100
    assert not entry.summary.endswith(".")
    assert entry.summary == entry.summary.strip()
    assert "\n" not in entry.summary
    assert entry.origin.distribution == DISTRIBUTION
    assert entry.origin.namespace in FIRST_PARTY
    assert entry.name == entry.name.lower()
    if entry.kind not in NO_PAPER:
        assert entry.source, "a paper or page that it follows, or the reason why there is none"


@pytest.mark.parametrize("entry", named(ENTRIES))
def test_component_loads_and_its_options_fit_their_own_types(entry: Entry) -> None:
    assert callable(entry.load())
    if entry.kind == "command":
        assert list(inspect.signature(entry.load()).parameters) == ["argv"]
        assert entry.facts["usage"].startswith(entry.name)
        return
    supplied = BY_NAME[entry.kind].supplied
    for option in schema.options(entry):
        assert option.name not in supplied or option.name in BY_NAME[entry.kind].common
        assert option.annotation is not inspect.Parameter.empty, f"{option.name} has no type"
        if not option.required:
            assert schema.convert(schema.plain(option.default), option.annotation) == option.default, option.name
    assert schema.defaults(entry)["name"] == entry.full_name


@pytest.mark.parametrize("entry", named([e for e in ENTRIES if e.kind != "command"]))
def test_component_takes_what_the_framework_supplies(entry: Entry) -> None:
    parameters = inspect.signature(entry.load()).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    assert takes_any or set(parameters) >= BY_NAME[entry.kind].supplied


@pytest.mark.parametrize("entry", named([e for e in ENTRIES if e.kind != "command"]))
def test_every_option_is_explained(entry: Entry) -> None:
    said = meanings(entry)
    for option in schema.options(entry):
        assert said.get(option.name), f"{option.name} is not among the Args of {entry.offer.target}"


@pytest.mark.parametrize(
    "entry", named([e for e in ENTRIES if e.kind in ("optimizer", "weights", "loss", "dataset", "model")])
)
def test_component_states_the_facts_of_its_kind(entry: Entry) -> None:
    facts = entry.facts
    if entry.kind == "optimizer":
        assert 0 < facts["lr"] < 10
    if entry.kind == "weights":
        assert isinstance(facts["rank"], int)
    if entry.kind == "loss":
        assert set(facts["tasks"]) <= {"single_label", "multi_label"}
        assert facts["tasks"]
        assert isinstance(facts["soft_targets"], bool)


def test_weights_sources_have_places_of_their_own_in_the_order() -> None:
    ranks = [entry.facts["rank"] for entry in REGISTRY.entries("weights")]
    assert len(set(ranks)) == len(ranks)


def test_full_names_are_unique() -> None:
    names = [(entry.kind, entry.full_name) for entry in ENTRIES]
    assert len(set(names)) == len(names)
