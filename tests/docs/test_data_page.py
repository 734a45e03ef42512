"""What the page on data promises is what the sources do."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.e2e import run_here
from zoo_plugins.dataset_sources import columns, folder
from zoo_plugins.dataset_sources.table import Table

from zoo.data import cache, splits
from zoo.data.shorthand import source_name_for
from zoo.imaging.decode import SUFFIXES
from zoo.kinds import BY_NAME

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "data.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    python -m zoo (.+)$", PAGE, re.MULTILINE)


def test_endings_names_and_numbers_of_the_page_are_those_of_the_code() -> None:
    listed = re.search(r"^Read are `([^`]+)`", PAGE, re.MULTILINE).group(1)
    assert set(listed.split()) == SUFFIXES
    assert all(f"`{name}`" in PAGE for name in folder.SPLIT_NAMES)
    for names in ("_IMAGE_NAMES", "_LABEL_NAMES", "_SPLIT_COLUMN_NAMES", "_GROUP_COLUMN_NAMES"):
        (row,) = [
            line for line in PAGE.splitlines() if f"`{getattr(columns, names)[0]}`, `" in line and "|" in line[:2]
        ]
        assert set(getattr(columns, names)) <= set(re.findall(r"`(\w+)`", row.split("|")[2]))
    assert cache.LIMIT_BYTES == 50 * 2**30
    assert splits.DEFAULT_FRACTION == 0.15
    assert BY_NAME["dataset"].common["max_bad_fraction"] == 0.05
    assert len(COMMANDS) >= 4


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_use_words_that_exist(command: str, tmp_path: Path) -> None:
    """Each fails only because its photos are not there."""
    done = run_here(*shlex.split(command), code=2, cwd=tmp_path)
    assert "my/photos" in done.stderr
    for complaint in ("unknown", "has no effect", "Traceback"):
        assert complaint not in done.stderr


def test_table_of_the_page_is_read_by_itself(tmp_path: Path) -> None:
    text = re.search(r"```csv\n(.*?)```", PAGE, re.DOTALL).group(1)
    (tmp_path / "images").mkdir()
    for number in range(1, 5):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(tmp_path / f"images/{number}.jpg")
    (tmp_path / "photos.csv").write_text(text)
    assert source_name_for(tmp_path) == "table"
    samples = Table(path=str(tmp_path / "photos.csv")).samples()
    assert [(s.key, s.labels, s.split, s.group) for s in samples][2] == ("images/3.jpg", ("cat",), "test", "eve")
    other = text.replace("cat,", "cat;indoors,")
    (tmp_path / "photos.csv").write_text(other)
    found = Table(path=str(tmp_path / "photos.csv"), label_separator=";")
    assert found.samples()[0].labels == ("cat", "indoors")
    assert found.task.value == "multi_label"


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (DOCS / link).exists(), link
