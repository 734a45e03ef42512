"""What the page on using zoo promises is what there is."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import shlex
from pathlib import Path

import pytest
from support.e2e import TINY, run_here

import zoo
import zoo.api as zoo_api
from zoo.artifacts.predictions import Prediction

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "using.md").read_text(encoding="utf-8")
COMMANDS = [
    " ".join(command.split())
    for command in re.findall(
        r"python -m zoo ((?:finetune|predict|recommend|data|preview)[^`#]+?)(?:`|\n(?!   ')|#)", PAGE
    )
]


def test_the_page_holds_commands() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_use_words_that_exist(command: str, tmp_path: Path) -> None:
    """Each fails only because its photos, or its run, are not there."""
    done = run_here(*shlex.split(command), code=2, cwd=tmp_path)
    assert re.search("my/photos|RUN", done.stderr)
    for complaint in ("unknown", "has no effect", "Traceback"):
        assert complaint not in done.stderr


def test_every_variable_of_the_code_is_named() -> None:
    files = [*(ROOT / "zoo").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    read = {name for file in files for name in re.findall(r"\bZOO_[A-Z_]+\b", file.read_text(encoding="utf-8"))}
    assert {name for name in read if f"`{name}=" in PAGE} == read - {"ZOO_LION"}  # an example's


def test_python_of_the_page_names_what_is_there() -> None:
    tree = ast.parse(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL).group(1))
    used = {
        (n.value.id, n.attr) for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
    }
    assert {name for owner, name in used if owner == "zoo"} == set(zoo_api.__all__) - {"Run"}
    assert {name for owner, name in used if owner == "run"} == {field.name for field in dataclasses.fields(zoo.Run)}
    assert {name for owner, name in used if owner == "row"} <= {field.name for field in dataclasses.fields(Prediction)}
    published = next(n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "zoo.publish")
    assert {word.arg for word in published.keywords} <= set(inspect.signature(zoo.publish).parameters)


def test_what_lies_in_a_run_is_what_the_page_lists(tmp_path: Path) -> None:
    table = PAGE[PAGE.index("| file | what it is |") : PAGE.index("## Predicting")]
    named = [name for line in table.split("\n| ")[1:] for name in re.findall(r"`([\w./]+)`", line.split(" | ")[0])]
    words = ("finetune", "data=digits", *TINY, "train.epochs=1", f"run.dir={tmp_path / 'run'}", "--json")
    summary = json.loads(run_here(*words).stdout.splitlines()[-1])
    for name in set(named) - {"report/sections.md", "trackers/NAME/"}:  # where callbacks and trackers were listed
        path = tmp_path / "run" / name
        assert path.exists() or (tmp_path / "run" / "report" / "test" / name).exists(), name
    assert {path.name for path in (tmp_path / "run").iterdir()} <= {name.partition("/")[0] for name in named}
    keys = re.search(r"\| finetune \| (.+) \|", PAGE).group(1)
    assert set(summary) == {"run_dir", "classes", "model", "scores", "seconds"}
    assert all(f"`{key}`" in keys for key in summary)


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DOCS / link).exists(), link
