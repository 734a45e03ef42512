from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_expit, log_softmax, softmax

from zoo.contracts.data import Task
from zoo.contracts.evaluation import Outputs
from zoo.errors import ZooError
from zoo.evaluation.calibration import calibrate, fit_temperature, negative_log_likelihood, reliability

SINGLE, MULTI = Task.SINGLE_LABEL, Task.MULTI_LABEL


def outputs_of(logits, targets) -> Outputs:
    logits = np.asarray(logits, np.float32)
    return Outputs(logits, np.asarray(targets), np.arange(len(logits)), 0.0)


def calibrated(count: int, classes: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that say the truth: the targets are drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(count, classes))
    chances = softmax(logits, axis=1).cumsum(axis=1)
    targets = (rng.random((count, 1)) > chances).sum(axis=1).clip(max=classes - 1)
    return logits, targets


def calibrated_multi(count: int, labels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(count, labels))
    return logits, (rng.random((count, labels)) < expit(logits)).astype(np.float32)


def objective(scale: float, outputs: Outputs, task: Task) -> float:
    """The sum that is minimised, written with scipy."""
    logits = outputs.logits.astype(float)
    if task is SINGLE:
        total = -log_softmax(scale * logits, axis=1)[np.arange(len(logits)), outputs.targets].sum()
    else:
        total = -np.where(outputs.targets > 0, log_expit(scale * logits), log_expit(-scale * logits)).sum()
    return float(total) + (scale - 1) ** 2 / 2


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_fit_temperature_recovers_what_logits_were_multiplied_by(factor):
    logits, targets = calibrated(6000, 5)
    found = fit_temperature(outputs_of(factor * logits, targets), task=SINGLE)
    assert found == pytest.approx(factor, rel=0.05)


def test_fit_temperature_of_labels_recovers_the_factor():
    logits, targets = calibrated_multi(3000, 4)
    found = fit_temperature(outputs_of(2.5 * logits, targets), task=MULTI)
    assert found == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize(("task", "count"), [(SINGLE, 30), (SINGLE, 400), (MULTI, 30), (MULTI, 400)])
def test_fit_temperature_is_scipys_minimum(task, count):
    data = calibrated(count, 4) if task is SINGLE else calibrated_multi(count, 3)
    outputs = outputs_of(1.7 * data[0], data[1])
    best = minimize_scalar(
        objective, bounds=(0.02, 50), args=(outputs, task), method="bounded", options={"xatol": 1e-9}
    )
    assert 1 / fit_temperature(outputs, task=task) == pytest.approx(best.x, rel=1e-5)


def test_fit_temperature_is_close_to_torchs_lbfgs_without_the_prior():
    import torch

    logits, targets = calibrated(2000, 6)
    outputs = outputs_of(2 * logits, targets)
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    z, y = torch.from_numpy(outputs.logits).double(), torch.from_numpy(outputs.targets)
    optimizer = torch.optim.LBFGS([log_t], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(z / log_t.exp(), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert fit_temperature(outputs, task=SINGLE) == pytest.approx(log_t.exp().item(), rel=0.01)


def test_fit_temperature_of_a_split_that_is_wholly_right_stays_moderate():
    logits = 4.0 * np.eye(10)[np.arange(300) % 10]
    outputs = outputs_of(logits, np.arange(300) % 10)
    found = fit_temperature(outputs, task=SINGLE)
    assert 0.2 < found < 1
    sure = softmax(outputs.logits[0] / found).max()
    assert 0.99 < sure < 0.99999


def test_fit_temperature_of_a_split_that_is_wholly_wrong_is_large():
    outputs = outputs_of(5.0 * np.eye(2)[np.zeros(50, int)], np.ones(50, int))
    assert fit_temperature(outputs, task=SINGLE) > 10


def test_fit_temperature_of_one_image_and_of_huge_logits_is_finite():
    for logits in ([[3.0, -1.0]], [[3e4, -3e4]], [[0.0, 0.0]]):
        found = fit_temperature(outputs_of(logits, [0]), task=SINGLE)
        assert 0.02 <= found <= 50 + 1e-9


def test_calibrate_says_what_changed():
    logits, targets = calibrated(3000, 5)
    found = calibrate(outputs_of(3 * logits, targets), task=SINGLE)
    assert found.temperature == pytest.approx(3, rel=0.05)
    assert found.nll[1] < found.nll[0]
    assert found.ece[1] < 0.03 < found.ece[0]


def test_negative_log_likelihood_is_torchs():
    import torch

    logits, targets = calibrated(50, 4)
    outputs = outputs_of(logits, targets)
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(outputs.logits) / 1.3, torch.from_numpy(targets))
    assert negative_log_likelihood(outputs, task=SINGLE, temperature=1.3) == pytest.approx(float(expected), rel=1e-5)
    labels = outputs_of(*calibrated_multi(50, 3))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.from_numpy(labels.logits) / 0.7, torch.from_numpy(labels.targets)
    )
    assert negative_log_likelihood(labels, task=MULTI, temperature=0.7) == pytest.approx(float(expected), rel=1e-5)


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), classes=st.integers(2, 7), bins=st.integers(2, 20))
def test_ece_is_torchmetrics(seed, classes, bins):
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    logits, targets = calibrated(200, classes, seed=seed)
    outputs = outputs_of(1.5 * logits, targets)
    expected = multiclass_calibration_error(
        torch.from_numpy(softmax(outputs.logits.astype(float), axis=1)),
        torch.from_numpy(targets),
        num_classes=classes,
        n_bins=bins,
        norm="l1",
    )
    assert reliability(outputs, task=SINGLE, bins=bins).ece == pytest.approx(float(expected), abs=1e-6)


def test_ece_by_hand():
    # Two sure answers (0.9), one of them right; two unsure ones (0.6), both right.
    def logit(share: float) -> list[float]:
        return [math.log(share / (1 - share)), 0.0]

    outputs = outputs_of([logit(0.9), logit(0.9), logit(0.6), logit(0.6)], [0, 1, 0, 0])
    found = reliability(outputs, task=SINGLE, bins=10)
    assert found.ece == pytest.approx((2 * 0.4 + 2 * 0.4) / 4)
    assert found.count.sum() == 4
    assert np.isnan(found.accuracy[found.count == 0]).all()


def test_reliability_of_labels_counts_each_label_of_each_image():
    logits, targets = calibrated_multi(4000, 3)
    found = reliability(outputs_of(logits, targets), task=MULTI)
    assert found.count.sum() == 12_000
    assert found.ece < 0.02
    np.testing.assert_allclose(found.accuracy, found.confidence, atol=0.08)


def test_reliability_at_the_ends_of_the_range():
    found = reliability(outputs_of([[1000.0, -1000.0], [0.0, 0.0]], [0, 0]), task=SINGLE, bins=2)
    assert found.count.tolist() == [1, 1]
    assert found.confidence.tolist() == [0.5, 1.0]


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), np.full((2, 3), np.nan), np.full((2, 3), np.inf)])
@pytest.mark.parametrize("call", [fit_temperature, reliability, negative_log_likelihood, calibrate])
def test_calibration_refuses_no_images_and_broken_logits(logits, call):
    with pytest.raises(ZooError, match=r"no images|NaN or infinite"):
        call(outputs_of(logits, np.zeros(len(logits), int)), task=SINGLE)
