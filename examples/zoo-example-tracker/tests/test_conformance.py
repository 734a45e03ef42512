"""What zoo asks of every component of its kind, property by property; the package must be installed."""

from __future__ import annotations

from zoo.testing import check_component


def test_component_keeps_its_contract() -> None:
    check_component("tracker", "dvc/dvclive")
