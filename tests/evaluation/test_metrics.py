from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from zoo.contracts.data import Task
from zoo.contracts.evaluation import Outputs, Scores
from zoo.errors import UserError, ZooError
from zoo.evaluation import metrics
from zoo.evaluation.intervals import wilson_interval
from zoo.evaluation.metrics import accuracy_of, balanced_accuracy_of, decide, f1_by_class, macro_f1_of, score

SINGLE, MULTI = Task.SINGLE_LABEL, Task.MULTI_LABEL


def outputs_of(logits, targets) -> Outputs:
    logits = np.asarray(logits, np.float32)
    return Outputs(logits, np.asarray(targets), np.arange(len(logits)), 0.25)


def single(count: int, classes: int, *, seed: int = 0, margin: float = 1.5) -> Outputs:
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)).astype(np.float32)
    logits[np.arange(count), targets] += margin
    return outputs_of(logits, targets)


def multi(count: int, labels: int, *, seed: int = 0) -> Outputs:
    rng = np.random.default_rng(seed)
    targets = (rng.random((count, labels)) < 0.3).astype(np.float32)
    return outputs_of(rng.normal(size=(count, labels)) + 2 * targets - 1, targets)


def names(count: int) -> list[str]:
    return [f"class {k}" for k in range(count)]


def scored(outputs: Outputs, task: Task = SINGLE, **more) -> Scores:
    return score(outputs, split="test", classes=names(outputs.logits.shape[1]), task=task, **more)


@given(count=st.integers(1, 5000), data=st.data())
def test_wilson_interval_is_scipys(count, data):
    right = data.draw(st.integers(0, count))
    ours = wilson_interval(right, count)
    theirs = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert ours.value == right / count
    assert ours.low == pytest.approx(theirs.low, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, abs=1e-12)
    assert 0 <= ours.low <= ours.value <= ours.high <= 1


def test_wilson_interval_by_hand():
    # 90 of 100: centre (0.9 + 3.8415/200) / (1 + 3.8415/100), half width by the same formula.
    found = wilson_interval(90, 100)
    assert (found.low, found.high) == (pytest.approx(0.82563, abs=1e-5), pytest.approx(0.94477, abs=1e-5))


def test_wilson_interval_of_nothing_is_nan():
    found = wilson_interval(0, 0)
    assert all(math.isnan(number) for number in (found.value, found.low, found.high))


@pytest.mark.parametrize(("count", "classes"), [(40, 2), (200, 6), (500, 30)])
def test_score_single_label_agrees_with_sklearn(count, classes):
    outputs = single(count, classes)
    found = scored(outputs)
    truth, guess = outputs.targets, outputs.logits.argmax(1)
    assert found.count == count
    assert found.loss == 0.25
    assert found.split == "test"
    assert found.accuracy.value == pytest.approx(sk.accuracy_score(truth, guess))
    assert found.macro_f1.value == pytest.approx(sk.f1_score(truth, guess, average="macro"))
    np.testing.assert_array_equal(found.confusion, sk.confusion_matrix(truth, guess, labels=range(classes)))
    precision, recall, f1, support = sk.precision_recall_fscore_support(
        truth, guess, labels=range(classes), zero_division=np.nan
    )
    np.testing.assert_allclose([c.precision.value for c in found.per_class], precision)
    np.testing.assert_allclose([c.recall.value for c in found.per_class], recall)
    np.testing.assert_allclose([c.f1 for c in found.per_class], f1)
    np.testing.assert_array_equal([c.support for c in found.per_class], support)
    assert [c.name for c in found.per_class] == names(classes)


def test_score_intervals_of_a_class_count_what_they_measure():
    outputs = single(200, 3)
    found = scored(outputs)
    hits = np.diagonal(found.confusion)
    for c, entry in enumerate(found.per_class):
        assert entry.precision == wilson_interval(int(hits[c]), int(found.confusion[:, c].sum()))
        assert entry.recall == wilson_interval(int(hits[c]), int(found.confusion[c].sum()))


@pytest.mark.parametrize("classes", [6, 12])
def test_score_top5_agrees_with_sklearn(classes):
    outputs = single(300, classes, margin=0.3)
    expected = sk.top_k_accuracy_score(outputs.targets, outputs.logits, k=5, labels=range(classes))
    found = scored(outputs).top5
    assert found is not None
    assert found.value == pytest.approx(expected)
    assert found == wilson_interval(round(expected * 300), 300)


def test_score_top5_agrees_with_torchmetrics():
    import torch
    from torchmetrics.functional.classification import multiclass_accuracy

    outputs = single(200, 9, margin=0.2)
    expected = multiclass_accuracy(
        torch.from_numpy(outputs.logits), torch.from_numpy(outputs.targets), num_classes=9, top_k=5, average="micro"
    )
    assert scored(outputs).top5.value == pytest.approx(float(expected))


@pytest.mark.parametrize("classes", [2, 5])
def test_score_has_no_top5_up_to_five_classes(classes):
    assert scored(single(20, classes)).top5 is None


def test_score_ties_go_to_the_lower_class():
    outputs = outputs_of(np.zeros((7, 7)), range(7))
    found = scored(outputs)
    assert found.accuracy.value == pytest.approx(1 / 7)
    assert found.top5.value == pytest.approx(5 / 7)


def test_score_macro_f1_leaves_out_classes_that_never_occur():
    # Class 2 occurs nowhere; class 3 is predicted but never true, so it counts as 0.
    outputs = outputs_of(np.eye(4)[[0, 0, 1, 3]], [0, 0, 1, 1])
    found = scored(outputs)
    assert found.macro_f1.value == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found.macro_f1.value == pytest.approx(sk.f1_score([0, 0, 1, 1], [0, 0, 1, 3], average="macro"))
    assert math.isnan(found.per_class[2].f1)
    assert math.isnan(found.per_class[2].precision.value)
    assert math.isnan(found.per_class[2].recall.value)
    assert found.per_class[3].f1 == 0
    assert found.per_class[3].precision.value == 0
    assert math.isnan(found.per_class[3].recall.value)


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 30), classes=st.integers(2, 8))
def test_score_macro_f1_is_sklearns_default_for_any_data(seed, count, classes):
    rng = np.random.default_rng(seed)
    truth, guess = rng.integers(0, classes, count), rng.integers(0, classes, count)
    found = scored(outputs_of(np.eye(classes)[guess], truth))
    assert found.macro_f1.value == pytest.approx(sk.f1_score(truth, guess, average="macro"))
    assert 0 <= found.macro_f1.low <= found.macro_f1.high <= 1


def test_score_bootstrap_interval_is_that_of_resampled_images():
    outputs = single(150, 4)
    cells = 4 * outputs.targets + outputs.logits.argmax(1)
    rng = np.random.default_rng(1)
    slow = []
    for _ in range(5000):
        table = np.bincount(cells[rng.integers(0, 150, 150)], minlength=16).reshape(4, 4)
        slow.append((2 * table.diagonal() / (table.sum(0) + table.sum(1))).mean())
    found = scored(outputs).macro_f1
    # 1,000 draws leave about 0.003 of noise in a quantile; a 90 % interval would lie 0.011 further in.
    assert found.low == pytest.approx(np.quantile(slow, 0.025), abs=0.007)
    assert found.high == pytest.approx(np.quantile(slow, 0.975), abs=0.007)
    assert found.low < found.value < found.high


def test_score_multi_label_bootstrap_keeps_labels_of_an_image_together():
    # Two copies of one label: image by image they agree, so the interval is as wide as that of one label alone.
    base = multi(200, 1)
    twice = outputs_of(np.repeat(base.logits, 2, axis=1), np.repeat(base.targets, 2, axis=1))
    one, two = scored(base, MULTI).macro_f1, scored(twice, MULTI).macro_f1
    assert two.high - two.low == pytest.approx(one.high - one.low, rel=0.15)


def test_score_bootstrap_is_seeded():
    confusion = scored(single(100, 5)).confusion
    first, again, other = (
        np.concatenate(list(metrics._resample_cells(confusion, np.random.default_rng(seed)))) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert scored(single(100, 5)).macro_f1 == scored(single(100, 5)).macro_f1


def test_score_bootstrap_does_not_depend_on_how_it_is_cut_into_pieces(monkeypatch):
    outputs = single(100, 5)
    whole = scored(outputs).macro_f1
    monkeypatch.setattr(metrics, "_CELLS_AT_ONCE", 100)
    assert scored(outputs).macro_f1 == whole


def test_score_of_a_perfect_network():
    found = scored(outputs_of(10 * np.eye(6), range(6)))
    assert found.accuracy.value == 1
    assert found.accuracy.high == 1
    assert 0.5 < found.accuracy.low < 0.7
    assert found.macro_f1.value == 1


def test_score_of_one_image():
    found = scored(outputs_of([[0.0, 1.0]], [0]))
    assert found.accuracy.value == 0
    assert found.macro_f1.value == 0


def test_score_multi_label_agrees_with_sklearn():
    outputs = multi(300, 5)
    found = scored(outputs, MULTI)
    guess = (outputs.logits >= 0).astype(int)
    assert found.accuracy.value == pytest.approx(sk.accuracy_score(outputs.targets, guess))
    assert found.top5 is None
    assert found.macro_f1.value == pytest.approx(sk.f1_score(outputs.targets, guess, average="macro"))
    np.testing.assert_array_equal(found.confusion, sk.multilabel_confusion_matrix(outputs.targets, guess))
    precision, recall, f1, support = sk.precision_recall_fscore_support(outputs.targets, guess)
    np.testing.assert_allclose([c.precision.value for c in found.per_class], precision)
    np.testing.assert_allclose([c.recall.value for c in found.per_class], recall)
    np.testing.assert_allclose([c.f1 for c in found.per_class], f1)
    np.testing.assert_array_equal([c.support for c in found.per_class], support)


def test_score_multi_label_agrees_with_torchmetrics():
    import torch
    from torchmetrics.functional.classification import multilabel_exact_match, multilabel_f1_score

    outputs = multi(200, 4, seed=3)
    logits, targets = torch.from_numpy(outputs.logits), torch.from_numpy(outputs.targets).long()
    found = scored(outputs, MULTI)
    assert found.accuracy.value == pytest.approx(float(multilabel_exact_match(logits, targets, num_labels=4)))
    assert found.macro_f1.value == pytest.approx(float(multilabel_f1_score(logits, targets, num_labels=4)), abs=1e-6)


def test_score_multi_label_macro_f1_leaves_out_labels_that_never_occur():
    logits = np.array([[1.0, -1, -1], [-1, 1, -1]])
    targets = np.array([[1.0, 0, 0], [1, 0, 0]])
    found = scored(outputs_of(logits, targets), MULTI)
    expected = sk.f1_score(targets, logits > 0, average="macro", zero_division=np.nan)
    assert found.macro_f1.value == pytest.approx(expected) == pytest.approx((2 / 3 + 0) / 2)


def test_score_multi_label_without_any_label_has_no_macro_f1():
    found = scored(outputs_of(-np.ones((3, 2)), np.zeros((3, 2))), MULTI)
    assert found.accuracy.value == 1
    assert math.isnan(found.macro_f1.value)


def test_score_thresholds_act_on_calibrated_probabilities():
    outputs = multi(100, 2)
    thresholds = (0.2, 0.9)
    found = scored(outputs, MULTI, thresholds=thresholds, temperature=2.0)
    guess = 1 / (1 + np.exp(-outputs.logits.astype(float) / 2)) >= np.array(thresholds)
    np.testing.assert_array_equal(found.confusion, sk.multilabel_confusion_matrix(outputs.targets, guess))
    assert not np.array_equal(found.confusion, scored(outputs, MULTI, thresholds=thresholds).confusion)


@pytest.mark.parametrize(("outputs", "task"), [(single(300, 7), SINGLE), (multi(300, 3), MULTI)])
def test_accuracy_of_is_sklearns_and_that_of_score(outputs, task):
    guess = outputs.logits.argmax(1) if task is SINGLE else outputs.logits >= 0
    assert accuracy_of(outputs) == pytest.approx(sk.accuracy_score(outputs.targets, guess), abs=1e-12)
    assert accuracy_of(outputs) == scored(outputs, task).accuracy.value
    assert 0.2 < accuracy_of(outputs) < 0.99


def test_accuracy_of_gives_a_label_exactly_at_its_threshold_as_score_does():
    outputs = outputs_of([[0.0, -1.0], [0.0, 1.0]], np.array([[1, 0], [0, 1]], np.float32))
    assert accuracy_of(outputs) == scored(outputs, MULTI).accuracy.value == 0.5


def test_decide_gives_a_label_exactly_at_its_threshold():
    logits = np.array([[0.0, 0.0]], np.float32)
    assert decide(logits, np.array([0.5, 0.5])).all()
    assert not decide(logits, np.array([0.5000001, 0.9])).any()


def test_f1_by_class_by_hand():
    f1 = f1_by_class(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]]))
    np.testing.assert_allclose(f1, [6 / 7, 4 / 5, np.nan])


def test_score_empty_split_is_a_user_error():
    with pytest.raises(UserError, match="'test' has no images"):
        scored(outputs_of(np.zeros((0, 3)), np.zeros(0, int)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("task", [SINGLE, MULTI])
def test_score_refuses_logits_that_are_not_finite(bad, task):
    outputs = single(10, 3) if task is SINGLE else multi(10, 3)
    outputs.logits[4, 1] = bad
    with pytest.raises(ZooError, match="1 of 10 images are NaN or infinite"):
        scored(outputs, task)


@pytest.mark.parametrize(
    ("outputs", "task", "more", "message"),
    [
        (outputs_of(np.zeros((2, 3)), [0, 3]), SINGLE, {}, "targets from 0 to 3"),
        (outputs_of(np.zeros((2, 3)), [0, -1]), SINGLE, {}, "targets from -1 to 0"),
        (outputs_of(np.zeros((2, 3)), [0]), SINGLE, {}, r"targets of shape \(1,\)"),
        (outputs_of(np.zeros((2, 3)), np.zeros((2, 2))), MULTI, {}, r"targets of shape \(2, 2\)"),
        (outputs_of(np.zeros((2, 3)), np.full((2, 3), 0.5)), MULTI, {}, "0 or 1"),
        (outputs_of(np.zeros((2, 3)), np.zeros((2, 3))), MULTI, {"thresholds": [0.5]}, "1 thresholds for 3"),
        (outputs_of(np.zeros((2, 3)), np.zeros((2, 3))), MULTI, {"thresholds": [0.5, 1, 0.5]}, "between 0 and 1"),
        (outputs_of(np.zeros((2, 3)), [0, 1]), SINGLE, {"thresholds": [0.5] * 3}, "no effect"),
    ],
)
def test_score_refuses_what_does_not_fit(outputs, task, more, message):
    with pytest.raises(ZooError, match=message):
        scored(outputs, task, **more)


def test_score_refuses_another_number_of_classes():
    with pytest.raises(ZooError, match="for 3 classes"):
        score(single(10, 4), split="val", classes=names(3), task=SINGLE)


def test_balanced_accuracy_agrees_with_sklearn():
    outputs = single(200, 6)
    outputs = outputs_of(outputs.logits, np.where(outputs.targets > 3, 0, outputs.targets))  # two classes never occur
    expected = sk.recall_score(outputs.targets, outputs.logits.argmax(1), labels=range(4), average="macro")
    found = scored(outputs)
    assert found.balanced_accuracy.value == pytest.approx(expected) == pytest.approx(balanced_accuracy_of(outputs))
    assert found.balanced_accuracy.low < expected < found.balanced_accuracy.high
    assert (found.micro_f1, found.mean_average_precision, found.at_half) == (None, None, None)


@pytest.mark.filterwarnings("ignore:Average precision score for one or more classes")
@pytest.mark.parametrize(("count", "labels"), [(300, 5), (40, 12)])
def test_scores_of_labels_agree_with_sklearn_and_torchmetrics(count, labels):
    import torch
    from torchmetrics.functional.classification import multilabel_average_precision

    outputs = multi(count, labels, seed=4)
    outputs.logits[:] = outputs.logits.round(1)  # equal scores
    found = scored(outputs, MULTI)
    guess = outputs.logits >= 0
    assert found.micro_f1.value == pytest.approx(sk.f1_score(outputs.targets, guess, average="micro"))
    each = [sk.average_precision_score(outputs.targets[:, k], outputs.logits[:, k]) for k in range(labels)]
    assert [entry.average_precision for entry in found.per_class] == pytest.approx(each)
    theirs = multilabel_average_precision(
        torch.from_numpy(outputs.logits), torch.from_numpy(outputs.targets).long(), num_labels=labels
    )
    assert found.mean_average_precision.value == pytest.approx(float(theirs), abs=1e-6)
    for interval in (found.micro_f1, found.mean_average_precision):
        assert interval.low < interval.value < interval.high
    assert found.balanced_accuracy is None
    assert macro_f1_of(guess, outputs.targets > 0.5) == pytest.approx(found.macro_f1.value)


def test_average_precision_of_a_label_that_never_occurs_is_left_out():
    outputs = multi(50, 3)
    outputs.targets[:, 1] = 0
    found = scored(outputs, MULTI)
    each = [entry.average_precision for entry in found.per_class]
    assert math.isnan(each[1])
    assert found.mean_average_precision.value == pytest.approx((each[0] + each[2]) / 2)


def test_scores_at_chosen_thresholds_stand_beside_those_at_half():
    outputs = multi(200, 3)
    half, chosen = (
        scored(outputs, MULTI),
        scored(outputs, MULTI, thresholds=(0.3, 0.6, 0.4), temperature=1.5, note="so"),
    )
    assert half.at_half is None
    assert chosen.note == "so"
    assert chosen.at_half.macro_f1.value == half.macro_f1.value != chosen.macro_f1.value
    assert chosen.at_half.accuracy == half.accuracy
    assert chosen.at_half.micro_f1.value == half.micro_f1.value
    assert [entry.threshold for entry in chosen.per_class] == [0.3, 0.6, 0.4]
    assert chosen.mean_average_precision.value == half.mean_average_precision.value


def test_labels_given_in_another_way_are_scored_as_they_are():
    outputs = multi(60, 3)
    given_labels = outputs.targets > 0.5
    found = scored(outputs, MULTI, given=given_labels, note="by hand")
    assert found.accuracy.value == found.macro_f1.value == 1
    assert found.at_half.macro_f1.value < 1
    assert [entry.threshold for entry in found.per_class] == [None] * 3
