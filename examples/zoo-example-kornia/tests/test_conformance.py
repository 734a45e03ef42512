"""What zoo asks of every component of its kind, property by property; the package must be installed."""

from __future__ import annotations

import pytest

from zoo.testing import check_component


@pytest.mark.parametrize("name", ["kornia/affine", "kornia/color"])
def test_component_keeps_its_contract(name: str) -> None:
    check_component("regularizer", name)
