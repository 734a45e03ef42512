"""Intervals and paired comparisons: against formulas, scipy's bootstrap, and coverage by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap

from zoo.evaluation.comparison import compare, mean_interval, pareto_front


def test_mean_interval_of_right_and_wrong_is_scipys_wilson():
    scores = np.array([1.0] * 47 + [0.0] * 13)
    found = mean_interval(scores)
    expected = binomtest(47, 60).proportion_ci(method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((47 / 60, expected.low, expected.high))


def test_mean_interval_of_shares_is_scipys_percentile_bootstrap():
    scores = np.random.default_rng(0).beta(4, 2, 200)
    found = mean_interval(scores)
    expected = bootstrap((scores,), np.mean, method="percentile", n_resamples=5000, rng=1).confidence_interval
    assert found.value == pytest.approx(scores.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.004)


def test_mean_interval_is_wider_where_images_belong_together():
    right = np.repeat(np.random.default_rng(0).random(30) < 0.7, 10).astype(float)
    groups = np.repeat(np.arange(30), 10)
    alone, together = mean_interval(right), mean_interval(right, groups=groups)
    assert together.high - together.low > 2 * (alone.high - alone.low)
    means = right.reshape(30, 10).mean(1)
    expected = bootstrap((means,), np.mean, method="percentile", n_resamples=5000, rng=1).confidence_interval
    assert (together.low, together.high) == pytest.approx((expected.low, expected.high), abs=0.02)


def test_compare_is_paired_and_so_tells_apart_what_two_intervals_would_not():
    rng = np.random.default_rng(0)
    hard = rng.random(400)
    better, worse = (hard < 0.70).astype(float), (hard < 0.66).astype(float)
    found = compare([worse, better])
    assert found.best == 1
    assert found.apart(0)
    assert found.difference[0].value == pytest.approx(better.mean() - worse.mean())
    assert mean_interval(worse).high > mean_interval(better).low
    expected = bootstrap((better - worse,), np.mean, method="percentile", n_resamples=5000, rng=1).confidence_interval
    assert (found.difference[0].low, found.difference[0].high) == pytest.approx(
        (expected.low, expected.high), abs=0.004
    )
    assert found.chance[1] > 0.99


def test_compare_does_not_tell_apart_two_that_guess():
    rng = np.random.default_rng(1)
    found = compare([(rng.random(200) < 0.8).astype(float) for _ in range(3)])
    others = [place for place in range(3) if place != found.best]
    assert not any(found.apart(place) for place in others)
    assert not found.apart(found.best)
    assert sum(found.chance) == pytest.approx(1)
    assert max(found.chance) < 0.99


def test_compare_shares_the_chance_among_equals():
    scores = (np.arange(50) % 2).astype(float)
    found = compare([scores, scores.copy()])
    assert found.best == 0
    assert found.chance == pytest.approx((0.5, 0.5))
    assert (found.difference[1].low, found.difference[1].high) == (0, 0)


def test_compare_draws_groups_whole():
    rng = np.random.default_rng(2)
    lead = np.repeat((rng.random(12) < 0.62).astype(float), 30)
    tail = np.repeat((rng.random(12) < 0.5).astype(float), 30)
    groups = np.repeat(np.arange(12), 30)
    wide, narrow = compare([lead, tail], groups=groups), compare([lead, tail])
    other = 1 - wide.best
    spans = [found.difference[other].high - found.difference[other].low for found in (wide, narrow)]
    assert spans[0] > 2 * spans[1]


def test_compare_same_seed_same_answer():
    scores = list(np.random.default_rng(3).random((2, 40)))
    assert compare(scores, seed=1) == compare(scores, seed=1)
    assert compare(scores, seed=1) != compare(scores, seed=2)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=12))
def test_pareto_front_is_all_that_nobody_beats(points):
    scores, costs = [float(s) for s, _ in points], [float(c) for _, c in points]
    front = pareto_front(scores, costs)
    beaten = [
        any(
            s >= scores[i] and c <= costs[i] and (s > scores[i] or c < costs[i])
            for s, c in zip(scores, costs, strict=True)
        )
        for i in range(len(points))
    ]
    assert {points[i] for i in front} == {points[i] for i in range(len(points)) if not beaten[i]}
    assert [costs[i] for i in front] == sorted({costs[i] for i in front})
