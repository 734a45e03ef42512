"""What zoo asks of every component of its kind, property by property; the package must be installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.testing import check_component


@pytest.mark.parametrize(("kind", "name"), [("dataset", "hf/hf"), ("weights", "hf/hf-folder")])
def test_component_keeps_its_contract(kind: str, name: str) -> None:
    check_component(kind, name)


@pytest.mark.parametrize("network", ["resnet", "vit", "convnext"])
def test_network_keeps_its_contract(network: str, save_network: Callable[[str], Path]) -> None:
    check_component("model", f"hf_vision:{save_network(network)}")
