"""LogME, H-score and neighbours against scipy, scikit-learn, and their formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf
from sklearn.metrics import f1_score
from sklearn.neighbors import KNeighborsClassifier

from zoo.contracts.data import Task
from zoo.features.probe import Labelled
from zoo.features.ranking import MOST_QUERIES, h_score, label_f1, log_evidence, neighbour_score


def blobs(count: int, *, classes: int = 3, width: int = 6, spread: float = 1.0, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).normal(size=(classes, width))
    targets = np.arange(count) % classes
    features = centres[targets] + spread * rng.normal(size=(count, width))
    return Labelled(features.astype(np.float32), targets.astype(np.int64))


def several(count: int, *, labels: int = 3, width: int = 6, noise: float = 0.5, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, width)).astype(np.float32)
    directions = np.random.default_rng(8).normal(size=(width, labels))
    return Labelled(features, (features @ directions + noise * rng.normal(size=(count, labels)) > 0).astype(np.float32))


def greatest_evidence(features: np.ndarray, column: np.ndarray) -> float:
    """The marginal likelihood is a Gaussian density with covariance I / beta + F F' / alpha; scipy maximises it."""

    def loss(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        covariance = np.eye(len(column)) / beta + features @ features.T / alpha
        return -multivariate_normal(mean=np.zeros(len(column)), cov=covariance).logpdf(column)

    starts = [(0.0, 0.0), (3.0, 1.0), (-2.0, 2.0)]
    return max(-minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-6}).fun for start in starts)


@pytest.mark.parametrize(("count", "width"), [(40, 5), (30, 30), (24, 60)])
def test_log_evidence_is_the_maximum_that_scipy_finds(count, width):
    data = blobs(count, width=width, spread=2.0)
    features = data.features.astype(np.float64)
    expected = [greatest_evidence(features, (data.targets == k).astype(float)) / count for k in range(3)]
    assert log_evidence(data, classes=3) == pytest.approx(np.mean(expected), abs=2e-4)


def test_log_evidence_takes_labels_of_a_multi_label_task_as_columns():
    data = several(40)
    features = data.features.astype(np.float64)
    expected = [greatest_evidence(features, data.targets[:, k].astype(float)) / 40 for k in range(3)]
    assert log_evidence(data, classes=3) == pytest.approx(np.mean(expected), abs=2e-4)


def test_log_evidence_leaves_out_classes_without_an_image():
    data = blobs(60)
    assert log_evidence(data, classes=9) == log_evidence(data, classes=3)


def test_log_evidence_of_features_that_say_nothing_is_finite_and_lower():
    data = blobs(60, spread=0.3)
    noise = Labelled(np.random.default_rng(1).normal(size=(60, 6)).astype(np.float32), data.targets)
    blank = Labelled(np.zeros((60, 6), np.float32), data.targets)
    perfect = Labelled(np.eye(3, dtype=np.float32)[data.targets], data.targets)
    scores = [log_evidence(each, classes=3) for each in (blank, noise, data, perfect)]
    assert np.isfinite(scores).all()
    assert scores[0] < scores[2] < scores[3]
    assert scores[1] < scores[2]


@pytest.mark.parametrize(("count", "width"), [(60, 5), (40, 80)])
def test_h_score_is_its_formula_with_sklearns_shrinkage(count, width):
    data = blobs(count, width=width)
    features = data.features.astype(np.float64)
    fitted = LedoitWolf().fit(features)
    means = np.stack([features[data.targets == k].mean(0) for k in range(3)])[data.targets]
    between = np.cov(means.T, bias=True)
    expected = np.trace(np.linalg.inv(fitted.covariance_) @ ((1 - fitted.shrinkage_) * between))
    assert h_score(data) == pytest.approx(expected, rel=1e-6)


def test_h_score_bounds_and_what_has_none():
    perfect = Labelled(np.eye(3, dtype=np.float32)[np.arange(300) % 3], np.arange(300) % 3)
    assert 1.8 < h_score(perfect) <= 2.0
    assert h_score(Labelled(np.ones((9, 4), np.float32), np.arange(9) % 3)) == 0.0
    assert np.isnan(h_score(several(30)))


def test_h_score_does_not_depend_on_the_features_scale():
    data = blobs(50)
    assert h_score(Labelled(1000 * data.features + 5, data.targets)) == pytest.approx(h_score(data), rel=1e-3)


def left_out(data: Labelled, *, groups: np.ndarray | None = None) -> float:
    """scikit-learn's classifier, fitted anew without each image (and its group)."""
    own = np.arange(len(data.targets)) if groups is None else groups
    features = data.features.astype(np.float64)  # in float32, votes that differ by a millionth would be equal

    def weights(distances: np.ndarray) -> np.ndarray:
        return 1 + 1e-6 * (1 - distances)

    right = []
    for i in range(len(data.targets)):
        others = own != own[i]
        model = KNeighborsClassifier(5, metric="cosine", algorithm="brute", weights=weights)
        model.fit(features[others], data.targets[others])
        right.append(model.predict(features[i : i + 1])[0] == data.targets[i])
    return float(np.mean(right))


@pytest.mark.parametrize("spread", [0.5, 1.5])
def test_neighbour_score_is_sklearns_left_out_accuracy(spread):
    data = blobs(75, spread=spread)
    expected = left_out(data)
    assert 0.3 < expected < 1
    assert neighbour_score(data, task=Task.SINGLE_LABEL) == pytest.approx(expected)


def test_neighbour_score_never_looks_at_an_images_own_group():
    data = blobs(60, spread=3.0)
    twins = Labelled(np.repeat(data.features, 6, axis=0), np.repeat(data.targets, 6))
    groups = np.repeat(np.arange(60), 6)
    assert neighbour_score(twins, task=Task.SINGLE_LABEL) == 1.0
    apart = neighbour_score(twins, task=Task.SINGLE_LABEL, groups=groups)
    assert apart == pytest.approx(left_out(twins, groups=groups))
    assert apart < 0.9


def test_neighbour_score_multi_label_is_the_f1_of_the_majority():
    data = several(60)
    unit = data.features / np.linalg.norm(data.features, axis=1, keepdims=True)
    similarity = unit @ unit.T - 9 * np.eye(60)
    given_labels = np.array([data.targets[np.argsort(-row)[:5]].mean(0) > 0.5 for row in similarity])
    expected = f1_score(data.targets > 0.5, given_labels, average="samples", zero_division=1)
    assert neighbour_score(data, task=Task.MULTI_LABEL) == pytest.approx(expected)


def test_neighbour_score_of_fewer_images_than_neighbours():
    data = Labelled(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32), np.array([0, 0, 1, 1]))
    assert neighbour_score(data, task=Task.SINGLE_LABEL) == 0.0  # the one other of its class is outvoted by two
    assert neighbour_score(blobs(2, classes=2), task=Task.SINGLE_LABEL) == 0.0


def test_neighbour_score_asks_a_part_of_many_images_among_all():
    data = blobs(MOST_QUERIES + 300, width=3, spread=0.5)
    targets = data.targets.copy()
    targets[MOST_QUERIES:] = (targets[MOST_QUERIES:] + 1) % 3
    # The last 300 carry wrong labels: they are not asked, yet their votes count.
    assert neighbour_score(Labelled(data.features, targets), task=Task.SINGLE_LABEL) < neighbour_score(
        data, task=Task.SINGLE_LABEL
    )


@settings(max_examples=50)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**16))
def test_label_f1_is_sklearns_samples_average(count, labels, seed):
    rng = np.random.default_rng(seed)
    truth, guess = rng.random((2, count, labels)) < 0.4
    found = label_f1(guess, truth)
    for row in range(count):
        if truth[row].any() or guess[row].any():
            assert found[row] == pytest.approx(f1_score(truth[row], guess[row], zero_division=0))
        else:
            assert found[row] == 1
