"""What options mean is read from docstrings, and said of every option that a kind brings."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from zoo.config.meanings import explained, meanings, read_arguments
from zoo.kinds import KINDS
from zoo.plugins import load_plugins

REGISTRY = load_plugins(only=[]).registry

TEXT = """Steps.

    Args:
        lr: Rate,
            in (0, 1]: more is

            too much.
        betas (tuple[float, float], optional): Of the averages.
        empty:

    Source: nobody: x.

    Attributes:
        state: Kept.
    """


def test_sections_are_read_with_their_continuations_and_nothing_behind_them() -> None:
    assert read_arguments(inspect.cleandoc(TEXT)) == {
        "lr": "Rate, in (0, 1]: more is too much.",
        "betas": "Of the averages.",
        "empty": "",
        "state": "Kept.",
    }
    assert read_arguments("lr: no section") == {}


def test_a_class_says_more_than_its_base_and_its_constructor() -> None:
    class Base:
        """A base.

        Args:
            rate: Of the base.
            size: Of the base.
        """

    class Ours(Base):
        """Ours.

        Args:
            rate: Of ours.
        """

        def __init__(self, *, rate: float, size: int, more: int) -> None:
            """Makes one.

            Args:
                rate: Of the constructor.
                more: Of the constructor.
            """

    assert explained(Ours) == {"rate": "Of ours.", "size": "Of the base.", "more": "Of the constructor."}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.common], ids=lambda kind: kind.name)
def test_every_option_of_a_kind_is_explained(kind: Any) -> None:
    entry = REGISTRY.entries(kind.name)[0]
    said = meanings(entry)
    for name in set(kind.common) - entry.claimed:
        assert len(said[name]) > 10, name


def test_automatic_values_come_with_their_rule() -> None:
    said = meanings(REGISTRY.get("optimizer", "sgd"))
    assert "200 steps or more" in said["lr"]
    assert "`auto`: " in said["lr"]
    assert said["nesterov"] == "Look ahead along the momentum."
