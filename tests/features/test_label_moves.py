"""Classes that an augmentation moves into one another: found, told apart from mere loss, and rarely seen in vain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from scipy.stats import binom
from sklearn.neighbors import NearestNeighbors

from zoo.features import label_moves
from zoo.features.label_moves import ALPHA, TOLERATED_SHARE, Judge, distances, p_value, typical_distances
from zoo.features.probe import Labelled

WIDTH = 12
CENTRES = np.random.default_rng(3).normal(size=(6, WIDTH)) * 3


def blobs(each: int, *, classes: int = 3, seed: int = 0, spread: float = 1.0, centres=CENTRES) -> Labelled:
    """Clouds around fixed centres."""
    targets = np.repeat(np.arange(classes), each)
    noise = np.random.default_rng(seed).normal(size=(len(targets), WIDTH))
    return Labelled((centres[targets] + spread * noise).astype(np.float32), targets)


def judge(val: Labelled, *, classes: int = 3, augmentations: int = 1, **options) -> Judge:
    return Judge(blobs(60, classes=classes, seed=9), val, classes=classes, augmentations=augmentations, **options)


def moved_to(val: Labelled, source: int, target: int, *, share: float = 1.0, seed: int = 5) -> np.ndarray:
    """Features in which a share of a class are new images of another."""
    rng = np.random.default_rng(seed)
    features = val.features.copy()
    rows = np.flatnonzero(val.targets == source)
    rows = rows[: round(share * len(rows))]
    features[rows] = (CENTRES[target] + rng.normal(size=(len(rows), WIDTH))).astype(np.float32)
    return features


def test_classes_that_change_places_are_both_named():
    val = blobs(20, seed=1)
    both = moved_to(val, 0, 1)
    both[val.targets == 1] = moved_to(val, 1, 0)[val.targets == 1]
    found = judge(val).judge([both])
    assert {(move.source, move.target) for move in found.moves} == {(0, 1), (1, 0)}
    for move in found.moves:
        assert move.images == 20
        assert move.share > 0.85
        assert move.back == 0
        assert move.p_value < 1e-5
    assert found.accuracy < 0.4


def test_harmless_changes_are_let_pass():
    val = blobs(20, seed=1)
    near = val.features + 0.3 * np.random.default_rng(2).normal(size=val.features.shape).astype(np.float32)
    found = judge(val).judge([near, val.features])
    assert found.moves == ()
    assert found.accuracy > 0.95


def test_a_loss_that_sends_one_class_where_nothing_lies_is_no_move():
    """Along a direction that no clean image knows the probe is free to say anything: it says class 1."""
    val, taken_for = blobs(20, seed=1), 1
    looks = judge(val)
    lost = val.features.copy()
    lost[val.targets == 0] = (10 * CENTRES[taken_for]).astype(np.float32)
    assert (looks._probe.logits(lost[val.targets == 0]).argmax(axis=1) == taken_for).all()
    assert looks.judge([lost]).moves == ()
    assert looks.judge([lost]).accuracy < 0.7


def test_slack_widens_what_is_typical():
    val = blobs(20, seed=1)
    outside = val.features.copy()
    direction = np.zeros(WIDTH, np.float32)
    direction[0] = 6.0
    outside[val.targets == 0] = moved_to(val, 0, 1)[val.targets == 0] + direction
    assert judge(val).judge([outside]).moves == ()
    assert [(m.source, m.target) for m in judge(val, slack=3.0).judge([outside]).moves] == [(0, 1)]


def test_share_is_the_mean_over_draws():
    val = blobs(30, seed=1)
    found = judge(val).judge([moved_to(val, 0, 1), val.features])
    (move,) = found.moves
    assert move.share == pytest.approx(0.5, abs=0.06)
    assert found.accuracy == pytest.approx((1 + 2 / 3) / 2, abs=0.03)


def test_images_that_go_back_are_held_against_those_that_move():
    """As many go from 0 to 1 as are taken for 1 before and recognised after: border traffic, no move."""
    val = blobs(24, seed=1)
    features = val.features.copy()
    first = np.flatnonzero(val.targets == 0)
    features[first[:12]] = moved_to(val, 0, 1)[first[:12]]  # taken for 1 from the start
    mixed = Labelled(features, val.targets)
    swapped = moved_to(val, 0, 1)
    swapped[first[:12]] = val.features[first[:12]]  # these come back, the others go
    looks = judge(mixed)
    assert looks.judge([swapped]).moves == ()
    only_gone = moved_to(val, 0, 1)
    assert [(m.source, m.target) for m in looks.judge([only_gone]).moves] == [(0, 1)]


def test_known_moves_can_be_left_out():
    val = blobs(20, seed=1)
    both = moved_to(val, 0, 1)
    both[val.targets == 2] = moved_to(val, 2, 1)[val.targets == 2]
    looks = judge(val)
    known = looks.judge([moved_to(val, 0, 1)]).moves
    left = looks.judge([both]).without(known)
    assert [(m.source, m.target) for m in left.moves] == [(2, 1)]
    assert left.accuracy == looks.judge([both]).accuracy


def test_pairs_and_augmentations_are_corrected_for():
    assert judge(blobs(20, seed=1)).tests == 6
    assert judge(blobs(20, seed=1), augmentations=4).tests == 24
    assert judge(blobs(20, seed=1, classes=6), classes=6).tests == 30
    val = blobs(20, seed=1)
    one, many = (judge(val, augmentations=k).judge([moved_to(val, 0, 1)]).moves[0].p_value for k in (1, 50))
    assert many == pytest.approx(50 * one)


def test_classes_of_a_few_images_are_said_to_say_nothing():
    val = blobs(20, seed=1)
    keep = np.concatenate([np.flatnonzero(val.targets == 0)[:3], np.flatnonzero(val.targets > 0)])
    looks = judge(Labelled(val.features[keep], val.targets[keep]))
    fewest = looks.fewest_images
    assert looks.too_small == (0,)
    assert p_value(np.ones(fewest)) * looks.tests < ALPHA <= p_value(np.ones(fewest - 1)) * looks.tests


def test_a_class_without_validation_or_training_images_breaks_nothing():
    train, val = blobs(30, seed=9), blobs(20, seed=1)
    some = train.targets != 2
    looks = Judge(
        Labelled(train.features[some], train.targets[some]),
        Labelled(val.features[val.targets != 1], val.targets[val.targets != 1]),
        classes=3,
        augmentations=1,
    )
    assert looks.tests == 1 + 2  # 0 > 1, 2 > 0, 2 > 1
    assert looks.judge([val.features[val.targets != 1]]).moves == ()
    assert looks.too_small == (1,)


def test_typical_distances_are_those_of_scikit_learn():
    train = blobs(40, seed=4)
    limits = typical_distances(train, classes=3)
    for c in range(3):
        own = train.features[train.targets == c]
        near = NearestNeighbors(n_neighbors=2).fit(own).kneighbors(own)[0][:, 1]
        assert limits[c] == pytest.approx(np.quantile(near, 0.95), rel=1e-5)


def test_a_class_of_one_image_takes_the_largest_limit():
    train = blobs(10, seed=4, classes=2)
    alone = Labelled(np.vstack([train.features, CENTRES[2:3]]).astype(np.float32), np.append(train.targets, 2))
    limits = typical_distances(alone, classes=3)
    assert limits[2] == limits[:2].max()
    nobody = Labelled(CENTRES[:2].astype(np.float32), np.arange(2))
    assert np.isinf(typical_distances(nobody, classes=2)).all()


@given(arrays(np.float32, (5, 3), elements=st.floats(-9, 9, width=32)))
def test_distances_are_those_of_scipy(points):
    assert np.allclose(distances(points, points[:2]), cdist(points, points[:2]), atol=1e-4)


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1)), st.integers(0, 5))
def test_p_value_is_its_formula(shares, back):
    m = TOLERATED_SHARE + (back + 1) / (len(shares) + 2)
    wealth = np.mean([np.prod([1 + s / 20 * (x / m - 1) for x in shares]) for s in range(1, 20)])
    expected = 1.0 if m >= 1 else min(1.0, 1 / wealth)
    assert p_value(shares, back=back) == pytest.approx(expected, rel=1e-9)


@given(st.integers(2, 60), st.integers(0, 20))
def test_p_value_rises_with_what_goes_back_and_falls_with_what_moves(count, back):
    shares = np.linspace(0, 1, count)
    assert p_value(shares, back=back + 1) >= p_value(shares, back=back)
    assert p_value(np.maximum(shares, 0.5), back=back) <= p_value(shares, back=back)


@settings(max_examples=12)
@given(st.sampled_from([8, 30, 100]), st.integers(0, 2**16))
def test_p_value_keeps_its_level_whatever_the_distribution(count, seed):
    """At a mean of just m: Bernoulli, and shares of several draws that differ from image to image."""
    rng = np.random.default_rng(seed)
    m = TOLERATED_SHARE + 1 / (count + 2)
    rare = (rng.random((2000, count)) < m).astype(float)
    chances = rng.beta(0.3, 0.3 * (1 - m) / m, (2000, count))
    several = rng.binomial(4, chances) / 4
    for shares in (rare, several):
        assert np.mean([p_value(row) <= 0.05 for row in shares]) < 0.06


@pytest.mark.parametrize("count", [10, 30, 100])
def test_p_value_loses_little_against_the_exact_binomial_test(count):
    m = TOLERATED_SHARE + 1 / (count + 2)
    for moved in (count // 4, count // 2):
        shares = np.arange(count) < moved
        exact = float(binom.sf(moved - 1, count, m))
        assert exact <= p_value(shares.astype(float)) <= 100 * exact


def test_false_alarms_are_rare_among_classes_that_overlap():
    """Twelve pairs of weakly separated classes under jitter: none in 40 seeds, where the level allows two."""
    centres = CENTRES * 0.25
    alarms = 0
    for seed in range(40):
        train, val = (blobs(n, classes=4, seed=seed + k, centres=centres) for n, k in ((60, 1000), (25, 2000)))
        rng = np.random.default_rng(seed)
        drawn = [val.features + 0.5 * rng.normal(size=val.features.shape).astype(np.float32) for _ in range(3)]
        alarms += bool(Judge(train, val, classes=4, augmentations=1).judge(drawn).moves)
    assert alarms == 0


def test_a_third_of_the_images_that_move_to_each_of_two_classes_are_seen():
    """What a hue that is drawn from the whole circle does to three colours."""
    val = blobs(40, seed=1)
    drawn = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        to = rng.integers(0, 3, len(val.targets))
        drawn.append((CENTRES[to] + rng.normal(size=val.features.shape)).astype(np.float32))
    moves = judge(val, augmentations=3).judge(drawn).moves
    assert {(m.source, m.target) for m in moves} == {(a, b) for a in range(3) for b in range(3) if a != b}
    assert all(0.2 < m.share < 0.45 for m in moves)
    assert label_moves.TYPICAL_SHARE == 0.95
