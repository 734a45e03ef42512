"""The conformance kit: does a component keep its contract? For authors of plugins; imports no torch.

    from zoo.testing import check_component

    def test_lion() -> None:
        check_component("optimizer", "acme/lion")

`python -m zoo plugins check acme.optimizers` does the same from the command line, and the pytest plugin
(`zoo.testing.pytest_plugin`) collects one case for each component and property.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.testing.checking import check_component, findings
    from zoo.testing.properties import PROPERTIES, Property
    from zoo.testing.results import Finding, NotConforming, Status

__all__ = ["PROPERTIES", "Finding", "NotConforming", "Property", "Status", "check_component", "findings"]

_PLACES = {
    "check_component": "checking",
    "findings": "checking",
    "PROPERTIES": "properties",
    "Property": "properties",
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for: every run of pytest imports this package, for the pytest plugin in it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'results')}"), name)
