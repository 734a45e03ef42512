"""The table in docs/conformance.md is that of the registry; `python tests/testing/test_page.py` prints it."""

from __future__ import annotations

from pathlib import Path

from zoo.kinds import KINDS
from zoo.testing.properties import PROPERTIES

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


def table() -> list[str]:
    lines = ["| property | key | kinds | why it matters |", "|---|---|---|---|"]
    for one in PROPERTIES:
        missing = [kind.name for kind in KINDS if kind.name not in one.kinds]
        kinds = "all" if not missing else f"all but {missing[0]}" if len(missing) == 1 else ", ".join(one.kinds)
        slow = " (slow)" if one.slow else ""
        lines.append(f"| {one.title}{slow} | `{one.key}` | {kinds} | {one.why} |")
    return lines


def test_the_table_is_that_of_the_registry():
    text = PAGE.read_text(encoding="utf-8").splitlines()
    start = text.index(table()[0])
    assert text[start : start + len(table())] == table()


def test_the_page_names_what_an_author_can_use():
    text = PAGE.read_text(encoding="utf-8")
    for words in ("check_component", "zoo_plugins", "--zoo-plugin", "zoo_slow", "plugins check", "example=", "sample="):
        assert words in text, words


if __name__ == "__main__":
    print("\n".join(table()))
