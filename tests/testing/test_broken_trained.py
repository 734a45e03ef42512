"""Deliberately broken plugins for what takes part in training: each is caught by one property, and by no other."""

from __future__ import annotations

import pytest
from support.broken_trained import BROKEN, GOOD

from zoo.testing import Status, check_component, findings
from zoo.testing.properties import BY_KEY, chosen

SLOW = {"processes", "lazy", "import_time", "no_network", "no_writes", "no_prints"}
"""Properties that start processes."""


@pytest.mark.parametrize("broken", [one for one in BROKEN if one.property not in SLOW], ids=str)
def test_each_fault_is_found_by_its_property(install, broken):
    install(broken.kind, broken.source, details=broken.details)
    (found,) = findings(broken.kind, "thing", properties=[broken.property])
    assert found.status is Status.FAILED, found
    assert broken.says in found.text()
    assert f"  why:   {BY_KEY[broken.property].why}" in found.text()
    assert len(found.fix) > 5


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_each_fault_is_found_by_its_property_alone(install, broken):
    install(broken.kind, broken.source, details=broken.details)
    found = findings(broken.kind, "thing", quick=broken.property != "processes")
    failed = {finding.property: finding for finding in found if finding.status is Status.FAILED}
    assert broken.property in failed, [finding.what for finding in found]
    assert broken.says in failed[broken.property].text()
    assert set(failed) <= {broken.property, *broken.also}, [finding.text() for finding in failed.values()]


@pytest.mark.parametrize("name", GOOD)
def test_good_counterparts_pass(install, name):
    source, details = GOOD[name]
    kind = name.partition("-")[0]
    install(kind, source, details=details)
    check_component(kind, "thing", properties=[one.key for one in chosen(kind) if one.key not in SLOW])


@pytest.mark.slow
@pytest.mark.parametrize("name", GOOD)
def test_good_counterparts_pass_in_processes_too(install, name):
    source, details = GOOD[name]
    kind = name.partition("-")[0]
    install(kind, source, details=details)
    check_component(kind, "acme/thing", properties=[one.key for one in chosen(kind) if one.key in SLOW])
