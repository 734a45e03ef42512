"""Thresholds of labels: the best cut by exhaustive search, what few images do to it, and when 0.5 stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from zoo.contracts.evaluation import Outputs
from zoo.errors import ZooError
from zoo.evaluation.metrics import macro_f1_of
from zoo.evaluation.thresholds import PRIOR_IMAGES, _best_cut, _cuts, choose_thresholds


def made_up(count: int, *, seed: int, labels: int = 10, offset: float = 1.0) -> Outputs:
    """Labels on 2 to 40 % of the images; each label's logits are shifted, as those of an unsure network are."""
    rng = np.random.default_rng(99)  # the labels are the same in every draw
    shares = np.exp(rng.uniform(np.log(0.02), np.log(0.4), labels))
    apart, shift = rng.uniform(1, 3, labels), offset * rng.normal(size=labels)
    rng = np.random.default_rng(seed)
    truth = rng.random((count, labels)) < shares
    logits = np.log(shares / (1 - shares)) + apart * (rng.normal(size=truth.shape) + truth * apart) - apart**2 / 2
    return Outputs((logits + shift).astype(np.float32), truth.astype(np.float32), np.arange(count), 0.0)


def logit(share: np.ndarray) -> np.ndarray:
    return np.log(share / (1 - share))


def test_best_cut_is_the_best_of_all():
    found = made_up(200, seed=0)
    for label in range(10):
        scores, truth = found.logits[:, label].astype(float), found.targets[:, label] > 0.5
        if not truth.any():
            continue
        every = max(f1_score(truth, scores >= cut) for cut in scores)
        assert f1_score(truth, scores >= _best_cut(scores, truth)) == pytest.approx(every)


def test_best_cut_lies_halfway_and_takes_equal_scores_together():
    scores = np.array([2.0, 1.0, 0.0, -1.0])
    assert _best_cut(scores, np.array([True, True, False, False])) == 0.5
    assert _best_cut(scores, np.array([True, True, True, True])) == -1.0
    assert _best_cut(np.array([1.0, 1.0, 0.0]), np.array([True, False, False])) == 0.5
    assert _best_cut(scores, np.zeros(4, bool)) is None


@pytest.mark.parametrize("copies", [1, 200])
def test_a_label_of_few_images_takes_the_shared_cut(copies):
    """Label 0 is on a tenth of the images with its best cut at 3, label 1 decides the shared cut, near 0."""
    logits = np.tile([[4.0, 1.0], [2.0, 1.0], [2.0, -1.0], *[[-4.0, 1.0], [-4.0, -1.0]] * 4], (copies, 1))
    truth = np.tile([[1, 1], [0, 1], [0, 0], *[[0, 1], [0, 0]] * 4], (copies, 1)).astype(bool)
    shared = _best_cut(logits.ravel(), truth.ravel())
    own, images = _best_cut(logits[:, 0], truth[:, 0]), copies
    assert own == 3
    expected = (images * own + PRIOR_IMAGES * shared) / (images + PRIOR_IMAGES)
    assert _cuts(logits, truth)[0] == pytest.approx(expected)
    assert abs(expected - (own if copies == 200 else shared)) < abs(own - shared) / 3


def test_chosen_thresholds_give_more_than_half_on_images_that_did_not_choose_them():
    for count in (60, 400):
        gains = []
        for seed in range(6):
            found, other = choose_thresholds(made_up(count, seed=seed)), made_up(3000, seed=100 + seed)
            limits = np.zeros(10) if found.values is None else logit(np.array(found.values))
            truth = other.targets > 0.5
            gains.append(macro_f1_of(other.logits >= limits, truth) - macro_f1_of(other.logits >= 0, truth))
        assert np.mean(gains) > 0.02, count


def test_few_images_are_better_served_by_the_shared_part():
    """The gain over every label's own best cut, which overfits on 30 images."""
    gains = []
    for seed in range(20):
        few, other = made_up(30, seed=seed, offset=0.3), made_up(2000, seed=200 + seed, offset=0.3)
        logits, truth = few.logits.astype(float), few.targets > 0.5
        own = np.array([_best_cut(logits[:, k], truth[:, k]) or 0.0 for k in range(10)])
        gains.append(
            macro_f1_of(other.logits >= _cuts(logits, truth), other.targets > 0.5)
            - macro_f1_of(other.logits >= own, other.targets > 0.5)
        )
    assert np.mean(gains) > 0.005


def test_validation_is_judged_at_thresholds_of_the_other_folds():
    outputs = made_up(300, seed=3)
    found = choose_thresholds(outputs)
    truth = outputs.targets > 0.5
    assert found.values is not None
    assert macro_f1_of(found.given, truth) == found.chosen_f1 > found.half_f1 == macro_f1_of(outputs.logits >= 0, truth)
    in_sample = macro_f1_of(outputs.logits >= logit(np.array(found.values)), truth)
    assert in_sample > found.chosen_f1


def test_half_stays_where_nothing_is_better():
    truth = np.random.default_rng(0).random((80, 3)) < 0.4
    found = choose_thresholds(Outputs(np.where(truth, 5.0, -5.0).astype(np.float32), truth * 1.0, np.arange(80), 0.0))
    assert found.values is None
    assert found.chosen_f1 == found.half_f1 == 1


def test_temperature_moves_the_thresholds_and_not_the_labels():
    outputs = made_up(200, seed=1)
    warm, cold = choose_thresholds(outputs, temperature=2.0), choose_thresholds(outputs)
    assert np.array_equal(warm.given, cold.given)
    np.testing.assert_allclose(logit(np.array(warm.values)), logit(np.array(cold.values)) / 2, atol=2e-3)


@settings(max_examples=40)
@given(count=st.integers(1, 12), labels=st.integers(1, 4), seed=st.integers(0, 1000), spread=st.sampled_from([1, 1e4]))
def test_any_data_give_thresholds_between_0_and_1(count, labels, seed, spread):
    rng = np.random.default_rng(seed)
    logits = (spread * rng.normal(size=(count, labels))).astype(np.float32)
    truth = (rng.random((count, labels)) < 0.3).astype(np.float32)
    found = choose_thresholds(Outputs(logits, truth, np.arange(count), 0.0))
    assert found.values is None or all(0 < value < 1 for value in found.values)
    assert found.given.shape == (count, labels)


def test_thresholds_of_one_label_an_image_are_refused():
    with pytest.raises(ZooError, match="any number of labels"):
        choose_thresholds(Outputs(np.zeros((3, 2), np.float32), np.array([0, 1, 0]), np.arange(3), 0.0))
