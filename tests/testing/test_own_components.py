"""Every component of zoo's own keeps its contract, by the kit that authors of plugins use."""

from __future__ import annotations

import pytest

from zoo.kinds import KINDS
from zoo.plugins import load_plugins
from zoo.registry import Entry
from zoo.testing import Status
from zoo.testing.checking import look_at, look_at_all
from zoo.testing.properties import Property, chosen

PLUGINS = load_plugins(only=())
ENTRIES = [entry for kind in KINDS for entry in PLUGINS.registry.entries(kind.name)]
QUICK = ("described", "signature", "builds")
"""Looked at in each run of the tests; the rest takes a minute and a half."""

LARGE = [e for e in ENTRIES if e.kind == "model" and (e.facts.get("parameters") or 10**9) > 2_000_000]
"""Networks whose training runs of six steps take too long here; tests/models tries them in its own way."""

NOT_HERE = {
    "dataset zoo/mnist",
    "tracker zoo/mlflow",
    "tracker zoo/tensorboard",
    "tracker zoo/trackio",
    "tracker zoo/wandb",
}
"""Those that need the network, or a library that may not be installed."""


def named(entries: list[Entry]) -> list[object]:
    return [pytest.param(entry, id=f"{entry.kind} {entry.full_name}") for entry in entries]


@pytest.mark.parametrize("entry", named([entry for entry in ENTRIES if entry not in LARGE]))
def test_component_is_described_and_can_be_built(entry: Entry) -> None:
    found = list(look_at_all(entry, PLUGINS.registry, properties=chosen(entry.kind, QUICK)))
    assert [finding.text() for finding in found if finding.status is Status.FAILED] == []
    assert len(found) == len(QUICK)
    if f"{entry.kind} {entry.full_name}" not in NOT_HERE:
        assert {finding.status for finding in found} == {Status.OK}


@pytest.mark.slow
@pytest.mark.parametrize("entry", named([entry for entry in ENTRIES if entry not in LARGE]))
def test_component_keeps_its_contract(entry: Entry) -> None:
    found = list(look_at_all(entry, PLUGINS.registry, properties=chosen(entry.kind)))
    assert [finding.text() for finding in found if finding.status is Status.FAILED] == []
    if f"{entry.kind} {entry.full_name}" not in NOT_HERE:
        assert sum(finding.status is Status.OK for finding in found) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("entry", named(LARGE))
def test_large_network_is_built_as_it_is_described(entry: Entry) -> None:
    wanted = chosen("model", (*QUICK, "shapes", "inputs", "distinct"))
    assert [
        f.text() for f in look_at_all(entry, PLUGINS.registry, properties=wanted) if f.status is not Status.OK
    ] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"),
    [("model", "timm/resnet10t"), ("optimizer", "timm/lamb"), ("augmentation", "albumentations/Rotate")],
)
def test_components_of_libraries_keep_their_contract(kind: str, name: str) -> None:
    entry = PLUGINS.registry.get(kind, name)
    found = list(look_at_all(entry, PLUGINS.registry, properties=chosen(kind)))
    assert [finding.text() for finding in found if finding.status is Status.FAILED] == []


def test_what_fails_is_seen_here_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look itself is what decides: a contract that nobody could keep fails every component."""
    shapes = chosen("schedule", ["shapes"])[0]
    strict = Property("shapes", shapes.title, shapes.why, shapes.fix, {"schedule": "zoo.testing.kinds.strategy:builds"})
    entry = PLUGINS.registry.get("schedule", "cosine")
    assert look_at(entry, PLUGINS.registry, property=strict).status is Status.FAILED
