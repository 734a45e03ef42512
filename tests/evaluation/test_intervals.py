"""Intervals against scipy, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zoo.contracts.data import Task
from zoo.contracts.evaluation import Outputs
from zoo.evaluation.intervals import balanced_accuracy, even_trials, interval_of_mean, wilson_interval, wilson_of
from zoo.evaluation.metrics import score


@given(count=st.integers(1, 500), right=st.floats(0, 1))
def test_balanced_accuracy_of_one_class_is_wilsons_interval(count, right):
    hits = round(right * count)
    found, expected = balanced_accuracy(np.array([hits]), np.array([count])), wilson_interval(hits, count)
    assert found.low == pytest.approx(expected.low, abs=1e-9)
    assert found.high == pytest.approx(expected.high, abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10])
def test_intervals_of_few_images_lie_near_the_exact_ones(count):
    """Clopper and Pearson's interval is never too narrow; Wilson's is narrower, and neither is empty."""
    for right in range(count + 1):
        ours = wilson_interval(right, count)
        exact = stats.binomtest(right, count).proportion_ci(0.95, method="exact")
        assert exact.low - 0.11 <= ours.low <= ours.high <= exact.high + 0.11
        assert ours.high - ours.low > 0.25


def test_interval_of_mean_is_wilsons_at_the_trials_that_vary_as_much():
    # A share of 80 images: variance p (1 - p) / 80. Asked with more trials, it is that of 80 all the same.
    found = interval_of_mean(0.75, variance=0.75 * 0.25 / 80, trials=1000)
    assert (found.low, found.high) == pytest.approx((wilson_interval(60, 80).low, wilson_interval(60, 80).high))
    assert interval_of_mean(1.0, variance=0.0, trials=12) == wilson_of(1.0, trials=12)
    assert math.isnan(interval_of_mean(math.nan, variance=0.1, trials=3).low)


def test_even_trials_is_the_count_of_even_classes_and_little_where_one_is_rare():
    assert even_trials(np.array([20, 20, 20])) == pytest.approx(60)
    assert even_trials(np.array([1000, 5, 0])) == pytest.approx(4 / (1 / 1000 + 1 / 5))
    assert even_trials(np.array([0, 0])) == 0


def macro_f1_interval(truth: np.ndarray, guess: np.ndarray, *, classes: int):
    outputs = Outputs(np.eye(classes, dtype=np.float32)[guess], truth, np.arange(len(truth)), 0.0)
    return score(outputs, split="t", classes=[str(k) for k in range(classes)], task=Task.SINGLE_LABEL)


def test_macro_f1_varies_as_scipys_bootstrap_says():
    rng = np.random.default_rng(3)
    truth = np.repeat([0, 1, 2], [100, 60, 12])
    guess = np.where(rng.random(len(truth)) < 0.7, truth, rng.integers(0, 3, len(truth)))

    def macro(truth, guess, axis=-1):
        touched = [(truth == k).sum(axis) + (guess == k).sum(axis) for k in range(3)]
        hits = [((truth == k) & (guess == k)).sum(axis) for k in range(3)]
        return np.mean([2 * h / np.maximum(t, 1) for h, t in zip(hits, touched, strict=True)], axis=0)

    theirs = stats.bootstrap(
        (truth, guess), macro, paired=True, n_resamples=2000, method="BCa", rng=np.random.default_rng(0)
    )
    ours = macro_f1_interval(truth, guess, classes=3).macro_f1
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.02)


@pytest.mark.parametrize(
    ("images", "known"), [((5, 5), (0.95, 0.95)), ((2,) * 10, (0.9,) * 10), ((100, 8), (0.97, 0.7))]
)
def test_intervals_of_tiny_and_uneven_test_sets_hold_the_truth(images, known):
    """In at least 88 of 100 repetitions of a test set; the percentiles of a bootstrap hold it in 40 of the first."""
    rng = np.random.default_rng(0)
    truth, classes, held, repetitions = np.repeat(np.arange(len(images)), images), len(images), np.zeros(2), 120
    chances = np.array(known)
    shares = np.array(images)[:, None] * np.where(np.eye(classes), chances, ((1 - chances) / (classes - 1))[:, None])
    true_f1 = (2 * shares.diagonal() / (shares.sum(0) + shares.sum(1))).mean()
    for _ in range(repetitions):
        other = (truth + rng.integers(1, classes, len(truth))) % classes
        guess = np.where(rng.random(len(truth)) < chances[truth], truth, other)
        found = macro_f1_interval(truth, guess, classes=classes)
        for k, (interval, value) in enumerate(((found.macro_f1, true_f1), (found.balanced_accuracy, chances.mean()))):
            held[k] += interval.low <= value <= interval.high
    assert (held / repetitions >= 0.88).all(), held / repetitions


def test_all_right_of_a_few_images_is_not_sure():
    found = macro_f1_interval(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), classes=2)
    for interval in (found.accuracy, found.macro_f1, found.balanced_accuracy):
        assert (interval.value, interval.high) == (1, 1)
        assert interval.low == pytest.approx(4 / (4 + 1.959964**2), abs=1e-6)  # n / (n + z^2)
