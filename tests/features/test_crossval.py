"""Samples, folds, and answers to images that the probe never saw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from zoo.contracts.data import Task
from zoo.features.crossval import FOLDS, assign_folds, balanced_order, label_numbers, out_of_fold_scores
from zoo.features.probe import L2_GRID, Labelled


def blobs(count: int, *, classes: int = 3, width: int = 8, spread: float = 1.5, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    targets = np.arange(count) % classes
    features = np.random.default_rng(5).normal(size=(classes, width))[targets] + spread * rng.normal(
        size=(count, width)
    )
    return Labelled(features.astype(np.float32), targets.astype(np.int64))


labelled = st.lists(st.integers(0, 6), min_size=10, max_size=80).map(np.array)


@given(labelled, st.integers(0, 9))
def test_balanced_order_is_an_order_in_which_every_beginning_is_balanced(labels, seed):
    order = balanced_order(labels, seed=seed)
    assert sorted(order) == list(range(len(labels)))
    classes, counts = np.unique(labels, return_counts=True)
    for length in range(1, len(labels) + 1):
        begun = labels[order[:length]]
        for label, count in zip(classes, counts, strict=True):
            fair = length * count / len(labels)
            assert abs((begun == label).sum() - fair) <= 1 + len(classes) / 2


def test_balanced_order_follows_the_seed():
    labels = np.arange(60) % 3
    assert np.array_equal(balanced_order(labels, seed=1), balanced_order(labels, seed=1))
    assert not np.array_equal(balanced_order(labels, seed=1), balanced_order(labels, seed=2))


@given(labelled, st.integers(0, 9))
def test_assign_folds_balances_each_class_to_one_image(labels, seed):
    folds = assign_folds(labels, seed=seed)
    assert set(folds) <= set(range(FOLDS))
    for label in set(labels):
        counts = np.bincount(folds[labels == label], minlength=FOLDS)
        assert counts.max() - counts.min() <= 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11)), min_size=12, max_size=80), st.integers(0, 9))
def test_assign_folds_keeps_groups_whole(pairs, seed):
    labels, groups = np.array(pairs).T
    if len(set(groups)) < FOLDS:
        with pytest.raises(ValueError, match="units"):
            assign_folds(labels, seed=seed, groups=groups)
        return
    folds = assign_folds(labels, seed=seed, groups=groups)
    assert set(folds) == set(range(FOLDS))
    for group in set(groups):
        assert len(set(folds[groups == group])) == 1


def test_assign_folds_refuses_fewer_images_than_folds():
    with pytest.raises(ValueError, match="4 units for 5 folds"):
        assign_folds(np.array([0, 1, 0, 1]), seed=0)


def test_out_of_fold_scores_are_those_of_sklearns_probes():
    data = blobs(90)
    folds = assign_folds(data.targets, seed=0)
    scores = out_of_fold_scores(data, folds=folds, classes=3, task=Task.SINGLE_LABEL)
    expected = np.zeros(90)
    for fold in range(FOLDS):
        outside, chooses = folds != fold, folds == (fold + 1) % FOLDS
        fits = [_sklearn(data, outside & ~chooses, l2=l2) for l2 in L2_GRID]
        losses = [
            -model.predict_log_proba(shift(data.features[chooses]))[
                np.arange(chooses.sum()), data.targets[chooses]
            ].mean()
            for model, shift in fits
        ]
        model, shift = _sklearn(data, outside, l2=L2_GRID[int(np.argmin(losses))])
        expected[~outside] = model.predict(shift(data.features[~outside])) == data.targets[~outside]
    assert set(scores) <= {0.0, 1.0}
    assert (scores == expected).mean() > 0.98  # ours ends at a tolerance, and close calls may fall otherwise
    assert scores.mean() == pytest.approx(expected.mean(), abs=0.01)


def _sklearn(data, rows, *, l2):
    mean = data.features[rows].mean(0)
    scale = (data.features[rows] - mean).std()
    model = LogisticRegression(C=1 / (l2 * rows.sum()), max_iter=3000, tol=1e-7)
    return model.fit((data.features[rows] - mean) / scale, data.targets[rows]), lambda x: (x - mean) / scale


def test_out_of_fold_scores_see_no_label_of_the_fold_they_score():
    data = blobs(100, classes=2, width=300)  # more dimensions than images: a probe fits any labels it sees
    noise = Labelled(np.random.default_rng(0).normal(size=(100, 300)).astype(np.float32), data.targets)
    folds = assign_folds(noise.targets, seed=0)
    assert abs(out_of_fold_scores(noise, folds=folds, classes=2, task=Task.SINGLE_LABEL).mean() - 0.5) < 0.17


def test_out_of_fold_scores_of_several_labels_lie_between_nothing_and_all():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 6)).astype(np.float32)
    targets = (features[:, :3] > 0).astype(np.float32)
    folds = assign_folds(label_numbers(targets), seed=0)
    scores = out_of_fold_scores(Labelled(features, targets), folds=folds, classes=3, task=Task.MULTI_LABEL)
    assert scores.shape == (120,)
    assert scores.mean() > 0.9
    blind = Labelled(rng.normal(size=(120, 6)).astype(np.float32), targets)
    assert out_of_fold_scores(blind, folds=folds, classes=3, task=Task.MULTI_LABEL).mean() < 0.7


def test_label_numbers_tell_combinations_apart():
    assert label_numbers(np.array([[1, 0], [0, 1], [1, 0], [0, 0]], np.float32)).tolist() == [2, 1, 2, 0]
    assert label_numbers(np.array([3, 1])).tolist() == [3, 1]
