"""docs/callbacks.md: its example runs, and its tables are those of the code."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from support.e2e import TINY, run_here

from zoo.contracts.callbacks import ANSWERS, METHODS
from zoo.kinds import BY_NAME
from zoo.plugins import load_plugins

PAGE = (Path(__file__).parents[2] / "docs" / "callbacks.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^    python -m zoo (finetune [^\n]+)", PAGE, re.MULTILINE)
ROWS = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*\|$", PAGE, re.MULTILINE)]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_table_of_events_is_the_contract():
    rows = {row[0].strip("`"): row for row in ROWS if row[0].startswith("`on_")}
    assert list(rows) == list(METHODS.values())
    for event, method in METHODS.items():
        _, name, _, fields, answer = rows[method]
        assert code(name) == [event.__name__]
        assert code(fields) == [field.name for field in dataclasses.fields(event)]
        assert [text.partition("(")[0] for text in code(answer)] == [
            answered.__name__ for answered in [ANSWERS.get(event)] if answered is not None
        ]


@pytest.mark.parametrize("kind", ["callback", "tracker"])
def test_tables_name_all_that_is_built_in_with_their_options_and_defaults(kind):
    entries = {entry.name: entry for entry in load_plugins(only=[]).registry.entries(kind)}
    rows = {row[0].strip("`"): row[-1] for row in ROWS if row[0].strip("`") in entries and len(row) == 3}
    assert set(rows) == set(entries)
    for name, entry in entries.items():
        shown = {text.partition("=")[0]: text.partition("=")[2] for text in code(rows[name])}
        options = {p.name: p.default for p in inspect.signature(entry.load()).parameters.values()}
        assert shown.keys() == options.keys(), name
        assert shown == {
            key: "" if default is None else f"{default:g}" if isinstance(default, float) else str(default)
            for key, default in options.items()
        }


def test_the_rate_of_logging_is_what_the_page_says():
    assert f"`every_steps` ({BY_NAME['tracker'].common['every_steps']})" in PAGE


def test_the_example_has_fifteen_lines_or_so_and_runs(make_distribution: Callable[..., Path], tmp_path):
    assert len(EXAMPLE.splitlines()) <= 18
    make_distribution("my-watch", points={"my.watch": "my_watch"}, modules={"my_watch": EXAMPLE})
    words = ("finetune", "data=digits", *TINY, "train.epochs=2", "train.batch_size=256", f"run.dir={tmp_path / 'run'}")
    done = run_here(*words, "callbacks=[slowpoke]", "callbacks.slowpoke.seconds=0.001")
    assert re.search(r"stopped after step 5: \d+ s are enough", done.stdout)
    text = (tmp_path / "run" / "report" / "sections.md").read_text()
    assert re.fullmatch(r"## Pace\n\nThe last validation came after \d+ s\.\n", text)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_use_words_that_exist(command, tmp_path, make_distribution, monkeypatch):
    """Each is run on nothing: it fails only because its photos are not there, or a library is not."""
    make_distribution("my-watch", points={"my.watch": "my_watch"}, modules={"my_watch": EXAMPLE})
    done = run_here(*shlex.split(command), code=2, cwd=tmp_path)
    assert "my/photos" in done.stderr
    for complaint in ("unknown", "has no effect", "Traceback"):
        assert complaint not in done.stderr


def test_there_are_commands():
    assert len(COMMANDS) >= 4
