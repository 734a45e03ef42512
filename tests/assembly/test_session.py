"""What a session knows of the run that it continues."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from zoo.assembly.session import Session, seconds_of
from zoo.errors import UserError


def session(*, asked: str, began_with: str | None, resumed: bool) -> Session:
    weights = None if began_with is None else SimpleNamespace(source=began_with)
    parts: dict[str, Any] = dict.fromkeys(("plugins", "console", "accelerator", "folder"))
    return Session(
        config=SimpleNamespace(weights=asked), record=SimpleNamespace(weights=weights), resumed=resumed, **parts
    )


@pytest.mark.parametrize(
    ("asked", "began_with", "resumed", "expected"),
    [
        ("auto", None, False, "auto"),
        ("auto", "starter", True, "starter"),  # the hub may be reachable by now: the run keeps what it began with
        ("auto", "hub", True, "hub"),
        ("auto", None, True, "auto"),  # stopped before the weights were found
        ("none", "none", True, "none"),
        ("some/path", "file", True, "some/path"),
    ],
)
def test_a_resumed_run_asks_the_source_it_began_with(asked, began_with, resumed, expected):
    assert session(asked=asked, began_with=began_with, resumed=resumed).weights_choice == expected


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1.5h", 5400), ("10m", 600), (2.5, 2.5)])
def test_times(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-3m", "soon", "5 d"])
def test_no_times(text):
    with pytest.raises(UserError, match="is no time"):
        seconds_of(text)
