"""What the page on many plugins promises in commands and variables is what there is."""

from __future__ import annotations

import re
from pathlib import Path

from zoo.completion.scripts import SCRIPTS
from zoo.load_times import SLOW_S
from zoo.verbs.plugins import SUBCOMMANDS, USAGE

PAGE = (Path(__file__).parents[2] / "docs" / "living-with-plugins.md").read_text(encoding="utf-8")


def test_commands_of_the_page_exist() -> None:
    named = set(re.findall(r"zoo plugins ([a-z]+)", PAGE))
    assert {"show", "disable", "enable"} <= named <= set(SUBCOMMANDS)
    assert set(re.findall(r"zoo completion (\w+)", PAGE)) == set(SCRIPTS)


def test_variables_and_numbers_of_the_page_are_those_of_the_code() -> None:
    for name in ("ZOO_PLUGINS", "ZOO_STRICT", "ZOO_CONFIG"):
        assert name in PAGE
        assert name in USAGE
    assert f"takes {SLOW_S} s or more" in PAGE
