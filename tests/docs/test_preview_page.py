"""What docs/preview.md shows is what happens."""

from __future__ import annotations

import re
import shlex
import textwrap
from pathlib import Path

import pytest
from support.e2e import run, run_here

from zoo.evaluation.preview_picture import is_preview

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "preview.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (?:\$ )?python -m zoo ((?:[^\n]*\\\n)*[^\n]+)", PAGE, re.MULTILINE)

NUMBER = re.compile(r"(?<![\w'])\d+(?:\.\d+)?(?![\w'])")


def words_of(command: str) -> list[str]:
    return shlex.split(command.replace("\\\n", " "))


def test_the_page_holds_commands_and_its_picture():
    assert len(COMMANDS) >= 4
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE)
    assert pictures == ["preview-digits.png"]
    assert is_preview(DOCS / pictures[0])


@pytest.mark.parametrize("command", [c for c in COMMANDS if "my/photos" in c])
def test_commands_use_words_that_exist(command, tmp_path):
    """Each is run on nothing: it fails only because its photos are not there."""
    done = run_here(*words_of(command), code=2, cwd=tmp_path)
    assert "my/photos" in done.stderr
    for complaint in ("unknown", "has no effect", "Traceback"):
        assert complaint not in done.stderr


@pytest.mark.slow
def test_the_warning_is_the_real_one(tmp_path):
    """Word for word; the numbers to within a few images, for the features may be computed in bfloat16 or not."""
    (command,) = [c for c in COMMANDS if "data=digits" in c]
    done = run(*words_of(command), cwd=tmp_path)
    shown = textwrap.dedent(PAGE[PAGE.index(command) + len(command) :].split("\n\n", 1)[0].strip("\n")).splitlines()
    real = {masked(line): numbers(line) for line in done.stdout.splitlines()}
    assert len(shown) == 7
    for line in shown:
        assert masked(line) in real, line
        for expected, found in zip(numbers(line), real[masked(line)], strict=True):
            assert found == pytest.approx(expected, rel=0.15), line
    assert is_preview(tmp_path / "digits.png")


def masked(line: str) -> str:
    """A line without its numbers; the classes, single digits in quotes, stay."""
    return NUMBER.sub("#", line).strip()


def numbers(line: str) -> list[float]:
    return [float(found) for found in NUMBER.findall(line)]
