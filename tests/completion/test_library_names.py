"""Names for completion are those that each library says once it is imported."""

from __future__ import annotations

import pytest

from zoo.completion.names import light_names
from zoo.kinds import KINDS
from zoo.plugins import load_plugins
from zoo.registry import LazyProvider

REGISTRY = load_plugins(only=[]).registry
PROVIDERS = [provider for kind in KINDS for provider in REGISTRY.providers(kind.name)]


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.origin.plugin)
def test_light_names_are_the_provider_s_own(provider: LazyProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZOO_PATH", raising=False)
    assert sorted(light_names(provider)) == sorted(provider.names())


def test_every_provider_of_zoo_s_own_has_them() -> None:
    assert len(PROVIDERS) >= 5
    assert all(provider.light_names for provider in PROVIDERS)
