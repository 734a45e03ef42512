"""Deliberately broken plugins that need no torch: each is caught by one property, and by no other."""

from __future__ import annotations

import pytest
from support.broken_plugins import BROKEN, GOOD, Broken, schedule

from zoo.testing import NotConforming, Status, check_component, findings
from zoo.testing.properties import BY_KEY, chosen

FRESH_PROCESS = {"lazy", "import_time", "no_network", "no_writes", "no_prints"}
"""Properties that start a process to look."""


CHEAP = [broken for broken in BROKEN if broken.property not in FRESH_PROCESS]


def installed(install, broken: Broken) -> None:
    install(broken.kind, broken.source, **broken.hook)


def keys(broken: Broken, *, within: set[str]) -> list[str]:
    return [
        one.key for one in chosen(broken.kind, quick=True) if one.key in within and _torch_free(broken.kind, one.key)
    ]


def _torch_free(kind: str, key: str) -> bool:
    return not BY_KEY[key].looks[kind].startswith("zoo.testing.trained")


@pytest.mark.parametrize("broken", CHEAP, ids=str)
def test_each_fault_is_found_by_its_property_alone(install, broken):
    installed(install, broken)
    found = findings(broken.kind, "thing", properties=keys(broken, within={*BY_KEY} - FRESH_PROCESS))
    failed = {finding.property: finding for finding in found if finding.status is Status.FAILED}
    assert broken.property in failed, [finding.what for finding in found]
    assert set(failed) <= {broken.property, *broken.also}
    text = failed[broken.property].text()
    assert broken.says in text
    assert f"{broken.kind} acme/thing: {BY_KEY[broken.property].title}" in text
    assert "  what:  " in text
    assert f"  why:   {BY_KEY[broken.property].why}" in text
    assert len(failed[broken.property].fix) > 10


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_each_fault_is_found_by_its_property_alone_in_processes_too(install, broken, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what a faulty plugin writes must not lie in the checkout
    installed(install, broken)
    found = findings(broken.kind, "thing", quick=True)
    failed = {finding.property: finding for finding in found if finding.status is Status.FAILED}
    assert broken.property in failed, [finding.what for finding in found]
    assert set(failed) <= {broken.property, *broken.also}
    assert broken.says in failed[broken.property].text()


@pytest.mark.parametrize("kind", GOOD)
def test_good_counterparts_pass(install, kind):
    source, details = GOOD[kind]
    install(kind, source, details=details)
    wanted = [one.key for one in chosen(kind) if one.key not in FRESH_PROCESS and _torch_free(kind, one.key)]
    found = findings(kind, "acme/thing", properties=wanted)
    assert [(f.property, f.what) for f in found if f.status is Status.FAILED] == []
    assert sum(f.status is Status.OK for f in found) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", GOOD)
def test_good_counterparts_pass_everything(install, kind):
    source, details = GOOD[kind]
    install(kind, source, details=details)
    check_component(kind, "thing")


def test_a_fault_raises_an_assertion_with_everything_in_it(install):
    install("schedule", schedule("return -1.0"))
    with pytest.raises(
        NotConforming, match=r"(?s)schedule acme/thing: 2 properties do not hold.*what:.*why:.*fix:"
    ) as e:
        check_component("schedule", "thing", properties=["shapes", "acts"])
    assert isinstance(e.value, AssertionError)
    assert [finding.property for finding in e.value.findings] == ["shapes", "acts"]


def test_every_property_has_a_broken_plugin_somewhere():
    from support.broken_trained import BROKEN as trained

    assert {broken.property for broken in [*BROKEN, *trained]} == set(BY_KEY)
