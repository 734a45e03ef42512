"""What is advised, and how sure it sounds."""

from __future__ import annotations

import csv
import json
import math

import pytest

from zoo.assembly.recommend.recommendation import (
    COLUMNS,
    Recommendation,
    RoundLog,
    Row,
    advise,
    cells_of,
    plain_recommendation,
    write_recommendation,
)
from zoo.contracts.data import Task
from zoo.contracts.evaluation import Interval
from zoo.evaluation.comparison import Comparison


def around(value: float, half: float = 0.02) -> Interval:
    return Interval(value, value - half, value + half)


def advised(scores, gaps, latencies, *, chance=None):
    """Advice on networks a, b, c...; the first is the best, `gaps` its lead over each with the interval."""
    names = "abcdefgh"[: len(scores)]
    shares = chance or [1.0] + [0.0] * (len(scores) - 1)
    comparison = Comparison(0, (around(0, 0), *gaps), tuple(shares))
    return advise(list(names), [around(s) for s in scores], latencies=latencies, comparison=comparison, images=300)


def test_the_best_is_taken_where_it_can_be_told_from_all():
    advice = advised([0.9, 0.8, 0.85], [Interval(0.1, 0.05, 0.15), Interval(0.05, 0.01, 0.09)], [50.0, 1.0, 1.0])
    assert advice.take == "a"
    assert advice.apart
    first, second = advice.lines
    assert first == "take a: 90.0 % (95 % interval 88.0 to 92.0) on 300 images"
    assert second.startswith("it can be told from all others: c, the next, is 5.0 points (95 % interval 1.0 to 9.0) ")


def test_a_quicker_one_is_taken_where_it_cannot_be_told_apart_and_is_near():
    advice = advised([0.9, 0.895], [Interval(0.005, -0.01, 0.02)], [30.0, 10.0], chance=[0.7, 0.3])
    assert advice.take == "b"
    assert not advice.apart
    text = "\n".join(advice.lines)
    assert "take b: 89.5 % (95 % interval 87.5 to 91.5); 3.0 times quicker than a, the best" in text
    assert "a and b cannot be told apart: 0.5 points (95 % interval -1.0 to 2.0) between them" in text
    assert "a is the best of them in 70% of the resamples" in text
    assert "measured on 300 images" in text


def test_a_quicker_one_that_lies_further_behind_is_named_and_not_taken():
    advice = advised([0.9, 0.86], [Interval(0.04, -0.01, 0.09)], [30.0, 10.0])
    assert advice.take == "a"
    assert any("cannot be told apart" in line and "b is 3.0 times quicker" in line for line in advice.lines)


@pytest.mark.parametrize("latency", [30.0, 26.0])
def test_a_little_quicker_is_not_enough(latency):
    advice = advised([0.9, 0.895], [Interval(0.005, -0.01, 0.02)], [30.0, latency])
    assert advice.take == "a"
    assert not any("times quicker" in line for line in advice.lines)


def test_the_quickest_of_several_is_taken():
    gaps = [Interval(0.004, -0.01, 0.02), Interval(0.008, -0.01, 0.02), Interval(0.3, 0.2, 0.4)]
    assert advised([0.9, 0.896, 0.892, 0.6], gaps, [30.0, 20.0, 5.0, 1.0]).take == "c"


def test_one_alone_is_taken_with_a_word_of_it():
    advice = advised([0.9], [], [3.0])
    assert advice.take == "a"
    assert advice.lines == (
        "take a: 90.0 % (95 % interval 88.0 to 92.0) on 300 images; no other candidate was scored on as many",
    )


def rows():
    return (
        Row(
            "good",
            "x/good",
            "scored",
            "",
            "at hand (package)",
            11_000_000,
            around(0.9),
            300,
            0.5,
            7.25,
            0.8,
            0.9,
            12.5,
            224,
            512,
        ),
        Row(
            "bad",
            "x/bad",
            "scored",
            "starter weights",
            "downloaded",
            None,
            around(0.5),
            300,
            -0.5,
            math.nan,
            0.4,
            0.1,
            3.0,
            32,
            8,
        ),
        Row("odd, one", "x/odd", "failed", "OutOfMemoryError: 80 GiB", "at hand (hf-cache)", 7),
    )


@pytest.fixture
def found():
    comparison = Comparison(0, (around(0, 0), Interval(0.4, 0.3, 0.5)), (0.9, 0.1))
    scored = rows()[:2]
    advice = advise(
        [row.name for row in scored],
        [row.score for row in scored],
        latencies=[row.latency_ms for row in scored],
        comparison=comparison,
        images=300,
    )
    log = (RoundLog(300, {"good": 0.9, "bad": 0.5}, 1.5),)
    return Recommendation(Task.SINGLE_LABEL, rows(), advice, log, ("a note",), "a CPU, 2 threads", {"seed": 0})


def test_cells_show_dashes_for_what_is_not_known_and_the_reason_of_a_failure():
    good, bad, odd = (cells_of(row, "11 M") for row in rows())
    assert len(good) == len(COLUMNS)
    assert good == (
        "good",
        "90.0",
        "88.0-92.0",
        "300",
        "0.500",
        "7.25",
        "80.0",
        "12.5",
        "11 M",
        "224 px",
        "at hand (package)",
    )
    assert bad[5] == "-"
    assert odd[1:8] == ("-",) * 7
    assert odd[-1] == "failed: OutOfMemoryError: 80 GiB"


def test_written_files_hold_every_row(found, tmp_path):
    write_recommendation(tmp_path / "new", found)
    lines = list(csv.DictReader((tmp_path / "new" / "table.csv").open()))
    assert [line["name"] for line in lines] == ["good", "bad", "odd, one"]
    assert [line["rank"] for line in lines] == ["1", "2", ""]
    assert lines[1]["h_score"] == ""
    assert lines[2]["latency_ms"] == ""
    plain = json.loads((tmp_path / "new" / "table.json").read_text())
    assert plain == plain_recommendation(found)
    assert plain["take"] == "good"
    assert plain["apart"] is True
    assert plain["rounds"] == [{"images": 300, "scores": {"good": 0.9, "bad": 0.5}, "seconds": 1.5}]
    assert plain["comparison"]["networks"][1]["behind_best"] == {"value": 0.4, "low": 0.3, "high": 0.5}
    assert plain["seed"] == 0
    assert (tmp_path / "new" / "accuracy-latency.png").read_bytes().startswith(b"\x89PNG")
