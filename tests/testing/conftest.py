"""Plugins of one component, installed for a test as a fake distribution."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from zoo.kinds import BY_NAME

HOOKS = """\
from zoo.hookspecs import hookimpl
{top}

@hookimpl
def register_{hook}(register):
    register("thing", "acme_parts:{target}", {details})
"""

Installed = Callable[..., None]


@pytest.fixture
def install(make_distribution) -> Installed:
    """`install("schedule", source, target="Thing", details='summary="..."', top="import torch")`."""

    def made(
        kind: str,
        source: str,
        *,
        target: str = "Thing",
        details: str = "",
        top: str = "",
        summary: str = "A thing for tests",
        origin: str | None = "arXiv:0000.00000",
    ) -> None:
        text = f"summary={summary!r}, source={origin!r}, {details}"
        hooks = HOOKS.format(hook=BY_NAME[kind].hook, target=target, details=text, top=top)
        make_distribution(
            "zoo-acme", points={"acme.things": "acme_hooks"}, modules={"acme_hooks": hooks, "acme_parts": source}
        )

    return made
