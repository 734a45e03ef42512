"""What the page on training shows was measured, and its commands exist."""

from __future__ import annotations

import json
import re
import shlex
import statistics
from pathlib import Path

import pytest
from support.e2e import run_here

from zoo.assembly.rates import FEWEST_STEPS, SHARE, UNKNOWN_LR
from zoo.plugins import load_plugins
from zoo.training.range_test import HIGHEST, LOWEST, STEPS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    python -m zoo (.+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_use_words_that_exist(command: str, tmp_path: Path) -> None:
    """Each fails only because its photos are not there; a lesson before anything is trained."""
    words = shlex.split(command)
    done = run_here(*words, *(["seeds=0"] if words[0] == "lesson" else []), code=2, cwd=tmp_path)
    assert ("seeds=0" if words[0] == "lesson" else "my/photos") in done.stderr
    for complaint in ("unknown", "has no effect", "Traceback"):
        assert complaint not in done.stderr


def test_each_regularizer_is_shown_with_what_was_measured() -> None:
    kept = json.loads((ROOT / "benchmarks" / "results" / "regularizers.json").read_text(encoding="utf-8"))
    scores = {(row["job"], row["side"], row["seed"]): row for row in kept["rows"]}
    shown = dict(re.findall(r"^\| `?(\w+)`? \|((?: [+-]?[\d.]* \|){6})$", PAGE, re.MULTILINE))
    offered = {entry.name for entry in load_plugins(only=[]).registry.entries("regularizer")}
    assert set(shown) == {side for _, side, _ in scores} == offered | {"none"}
    for side, text in shown.items():
        cells = [float(cell) if cell.strip() else None for cell in text.split("|")[:-1]]
        for job, (train, test, against) in {"scratch": cells[:3], "transfer": cells[3:]}.items():
            own = [row for row in scores.values() if (row["job"], row["side"]) == (job, side)]
            assert (train is None) == (not own)
            if own:
                assert train == pytest.approx(statistics.mean(row["train"] for row in own), abs=6e-4)
                assert test == pytest.approx(statistics.mean(row["test"] for row in own), abs=6e-4)
                gains = [row["test"] - scores[job, "none", row["seed"]]["test"] for row in own]
                assert (against or 0) == pytest.approx(statistics.mean(gains), abs=6e-4)


def test_numbers_of_the_range_test_are_those_of_the_code() -> None:
    assert f"phases of {FEWEST_STEPS / SHARE:.0f} steps or more" in PAGE
    assert f"or {UNKNOWN_LR:g} where there is none" in PAGE
    assert f"{FEWEST_STEPS} at least and {STEPS} at most, at rates that rise from {LOWEST:g} to\n{HIGHEST:g}" in (
        PAGE.replace("1e-6", f"{LOWEST:g}")
    )
