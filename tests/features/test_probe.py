"""The probe: the optimum of logistic regression, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from zoo.contracts.balance import Balance
from zoo.contracts.data import Task
from zoo.features.heads import fit_head
from zoo.features.probe import L2_GRID, Labelled, fit_probe


def blobs(count: int, *, classes: int = 4, width: int = 12, spread: float = 1.6, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, width))
    targets = np.arange(count) % classes
    features = centres[targets] + spread * rng.normal(size=(count, width))
    return Labelled((3.0 + 5.0 * features).astype(np.float32), targets.astype(np.int64))


def several(count: int, *, labels: int = 3, width: int = 8, seed: int = 0) -> Labelled:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, width)).astype(np.float32)
    directions = np.random.default_rng(98).normal(size=(width, labels))
    return Labelled(features, (features @ directions + rng.normal(size=(count, labels)) > 0).astype(np.float32))


@pytest.mark.parametrize("l2", [0.1, 0.01])
def test_fit_probe_is_the_optimum_that_sklearn_finds(l2):
    train, val = blobs(400), blobs(200, seed=1)
    probe = fit_probe(train, val, classes=4, task=Task.SINGLE_LABEL, grid=(l2,))
    mean = train.features.mean(0)
    scale = (train.features - mean).std()
    # scikit-learn minimises sum of losses * C + 1/2 w^2; ours is the mean plus l2/2 w^2.
    reference = LogisticRegression(C=1 / (l2 * len(train.targets)), max_iter=5000, tol=1e-8)
    reference.fit((train.features - mean) / scale, train.targets)
    expected = reference.predict_log_proba((val.features - mean) / scale)
    logits = probe.logits(val.features)
    ours = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert np.abs(ours - expected).max() < 5e-3
    assert probe.val_accuracy == pytest.approx(reference.score((val.features - mean) / scale, val.targets), abs=0.006)


def test_fit_probe_chooses_the_strength_by_validation_loss():
    train, val = blobs(60, spread=3.0), blobs(400, spread=3.0, seed=1)
    probe = fit_probe(train, val, classes=4, task=Task.SINGLE_LABEL)
    assert probe.val_loss == min(loss for _, loss in probe.tried)
    assert probe.l2 in dict(probe.tried)
    assert len(probe.tried) >= 2
    every = [fit_probe(train, val, classes=4, task=Task.SINGLE_LABEL, grid=(l2,)).val_loss for l2 in L2_GRID]
    assert probe.val_loss == pytest.approx(min(every), abs=2e-3)


def test_fit_probe_gives_the_same_bits_twice():
    train, val = blobs(300), blobs(100, seed=1)
    first, second = (fit_probe(train, val, classes=4, task=Task.SINGLE_LABEL) for _ in range(2))
    assert np.array_equal(first.weight, second.weight)
    assert np.array_equal(first.bias, second.bias)


def test_fit_probe_multi_label_against_sklearn_per_label():
    train, val = several(500), several(300, seed=1)
    l2 = 0.01
    probe = fit_probe(train, val, classes=3, task=Task.MULTI_LABEL, grid=(l2,))
    mean = train.features.mean(0)
    scale = (train.features - mean).std()
    logits = probe.logits(val.features)
    for label in range(3):
        reference = LogisticRegression(C=1 / (l2 * len(train.targets)), max_iter=5000, tol=1e-8)
        reference.fit((train.features - mean) / scale, train.targets[:, label])
        expected = reference.decision_function((val.features - mean) / scale)
        assert np.abs(logits[:, label] - expected).max() < 2e-2


def test_fit_probe_constant_features_do_not_blow_up():
    train = Labelled(np.ones((20, 5), np.float32), (np.arange(20) % 2).astype(np.int64))
    probe = fit_probe(train, train, classes=2, task=Task.SINGLE_LABEL)
    assert np.isfinite(probe.weight).all()
    assert probe.val_accuracy == 0.5


def test_fit_head_linear_takes_the_probe():
    train, val = blobs(300), blobs(100, seed=1)
    head = nn.Linear(12, 4)
    fit = fit_head(head, train, val=val, classes=4, task=Task.SINGLE_LABEL, seed=0)
    probe = fit_probe(train, val, classes=4, task=Task.SINGLE_LABEL)
    assert np.array_equal(head.weight.detach().numpy(), probe.weight)
    assert fit.val_accuracy == probe.val_accuracy
    assert "logistic regression" in fit.note


def test_fit_head_of_another_kind_learns_and_repeats():
    train, val = blobs(300), blobs(100, seed=1)

    def fitted() -> tuple[nn.Module, float]:
        torch.manual_seed(5)
        head = nn.Sequential(nn.BatchNorm1d(12), nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 4))
        return head, fit_head(head, train, val=val, classes=4, task=Task.SINGLE_LABEL, seed=0).val_accuracy

    (first, accuracy), (second, _) = fitted(), fitted()
    linear = fit_probe(train, val, classes=4, task=Task.SINGLE_LABEL)
    assert accuracy > linear.val_accuracy - 0.1
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert not first.training


def test_fit_head_leaves_the_global_generator_alone():
    train, val = blobs(60), blobs(40, seed=1)
    head = nn.Sequential(nn.Linear(12, 4), nn.Dropout(0.5))
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    fit_head(head, train, val=val, classes=4, task=Task.SINGLE_LABEL, seed=9)
    assert torch.equal(torch.rand(3), expected)


def unbalanced(*, seed: int = 0) -> Labelled:
    whole = blobs(600, spread=2.5, seed=seed)
    kept = (whole.targets != 1) | (np.arange(600) % 20 == 1)
    return Labelled(whole.features[kept], whole.targets[kept])


def test_fit_probe_with_weights_is_what_sklearn_finds_with_balanced_classes():
    train, val = unbalanced(), blobs(200, seed=1)
    weights = compute_class_weight("balanced", classes=np.arange(4), y=train.targets)
    balance = Balance(weights=tuple(weights.tolist()))
    probe = fit_probe(train, val, classes=4, task=Task.SINGLE_LABEL, grid=(0.01,), balance=balance)
    mean = train.features.mean(0)
    scale = (train.features - mean).std()
    reference = LogisticRegression(
        C=1 / (0.01 * len(train.targets)), max_iter=5000, tol=1e-8, class_weight="balanced"
    ).fit((train.features - mean) / scale, train.targets)
    expected = reference.predict_log_proba((val.features - mean) / scale)
    logits = probe.logits(val.features)
    assert np.abs(logits - np.log(np.exp(logits).sum(1, keepdims=True)) - expected).max() < 5e-3
    weighed = nn.functional.cross_entropy(
        torch.from_numpy(logits),
        torch.from_numpy(val.targets),
        weight=torch.from_numpy(weights).float(),
        reduction="sum",
    )
    assert probe.val_loss == pytest.approx(float(weighed) / 200, rel=1e-4)


def test_fit_probe_with_offsets_leaves_them_out_of_its_answers():
    """With a free bias the optimum takes the offsets up: the answers are those of the plain probe, less the offsets."""
    train, val = unbalanced(), blobs(200, seed=1)
    offsets = np.log(np.bincount(train.targets) / len(train.targets))
    plain, adjusted = (
        fit_probe(train, val, classes=4, task=Task.SINGLE_LABEL, grid=(0.01,), balance=balance)
        for balance in (None, Balance(offsets=tuple(offsets.tolist())))
    )
    shifted = adjusted.logits(val.features) + offsets - plain.logits(val.features)
    assert np.abs(shifted - shifted.mean(1, keepdims=True)).max() < 2e-2


@pytest.mark.parametrize("layers", ["linear", "deep"])
def test_fit_head_of_any_kind_makes_up_for_a_rare_class(layers):
    train, val = unbalanced(), blobs(400, spread=2.5, seed=1)
    weights = compute_class_weight("balanced", classes=np.arange(4), y=train.targets)
    rare = val.targets == 1

    def found(balance: Balance | None) -> float:
        torch.manual_seed(5)
        head = nn.Linear(12, 4) if layers == "linear" else nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))
        fit_head(head, train, val=val, classes=4, task=Task.SINGLE_LABEL, seed=0, balance=balance)
        return float((head(torch.from_numpy(val.features[rare])).argmax(1) == 1).float().mean())

    assert found(Balance(weights=tuple(weights.tolist()))) > found(None) + 0.1
