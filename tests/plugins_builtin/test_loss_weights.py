"""Losses that make up for rare classes: against scikit-learn, torch and the papers' formulas, and what they do."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.utils.class_weight import compute_class_weight
from torch import nn
from torch.nn import functional
from zoo_plugins.loss_modules import BinaryCrossEntropy, CrossEntropy, Focal
from zoo_plugins.loss_priors import LogitAdjusted
from zoo_plugins.loss_weights import MOST_RATIO, class_weights, effective_number, label_weights

from zoo.contracts.data import Task
from zoo.contracts.training import Setting
from zoo.errors import UserError, ZooError
from zoo.features.probe import Labelled, fit_probe, mean_loss

SINGLE, MULTI = Task.SINGLE_LABEL, Task.MULTI_LABEL
COUNTS = (400, 25, 100, 1)
COUNTED = st.lists(st.integers(0, 5000), min_size=2, max_size=12).filter(lambda counts: sum(counts) > 0)


def setting(counts=COUNTS, *, task=SINGLE, images=None) -> Setting:
    return Setting(
        task=task,
        classes=len(counts),
        trainable="all",
        loss_takes_soft_targets=True,
        images=sum(counts) if images is None else images,
        class_counts=tuple(counts),
    )


def checked(loss, counts=COUNTS, **more):
    loss.check(setting(counts, **more))
    return loss


def drawn(classes: int = 4, *, batch: int = 32, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, classes, generator=generator), torch.randint(classes, (batch,), generator=generator)


# The weights


def test_inverse_weights_are_sklearns_balanced_ones():
    truth = np.repeat(np.arange(4), COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(4), y=truth)
    np.testing.assert_allclose(class_weights(np.array(COUNTS, float), kind="inverse", beta=0.9), expected)


@pytest.mark.parametrize("beta", [0.9, 0.99, 0.999, 0.9999])
def test_effective_weights_stand_in_the_ratio_of_the_papers_formula(beta):
    found = class_weights(np.array(COUNTS, float), kind="effective", beta=beta)
    by_hand = [(1 - beta) / (1 - beta**n) for n in COUNTS]
    np.testing.assert_allclose(found / found[0], np.array(by_hand) / by_hand[0], rtol=1e-9)


@given(counts=COUNTED, kind=st.sampled_from(["inverse", "effective"]), beta=st.floats(0.01, 0.99999))
def test_mean_weight_over_the_training_images_is_one(counts, kind, beta):
    found = class_weights(np.array(counts, float), kind=kind, beta=beta)
    assert np.isfinite(found).all()
    assert (found > 0).all()
    assert (np.array(counts) * found).sum() / sum(counts) == pytest.approx(1)
    order = np.argsort(counts)
    assert (np.diff(found[order]) <= 1e-12).all()  # the rarer, the heavier


@given(counts=st.lists(st.integers(0, 300), min_size=1, max_size=8), kind=st.sampled_from(["inverse", "effective"]))
def test_mean_weight_of_every_label_is_one_and_both_answers_count_alike(counts, kind):
    images, have = 300, np.array(counts, float)
    present, absent = label_weights(have, images, kind=kind, beta=0.99)
    np.testing.assert_allclose((have * present + (images - have) * absent) / images, 1)
    if kind == "inverse":
        fair = (have / images > 1 / MOST_RATIO) & (have / images < 1 - 1 / MOST_RATIO)
        np.testing.assert_allclose((have * present)[fair], ((images - have) * absent)[fair])
    assert ((present / absent <= MOST_RATIO + 1e-9) & (absent / present <= MOST_RATIO + 1e-9)).all()


def test_effective_number_runs_from_one_to_n():
    np.testing.assert_allclose(effective_number([1, 10, 1000], 1e-9), 1, rtol=1e-6)
    np.testing.assert_allclose(effective_number([1, 10, 1000], 1 - 1e-9), [1, 10, 1000], rtol=1e-5)
    np.testing.assert_allclose(effective_number([3], 0.5), [1 + 0.5 + 0.25])


# The losses


@pytest.mark.parametrize("kind", ["inverse", "effective"])
def test_cross_entropy_of_class_numbers_is_torchs_with_weight(kind):
    loss = checked(CrossEntropy(class_weight=kind, beta=0.99 if kind == "effective" else None))
    logits, targets = drawn()
    weight = torch.tensor(class_weights(np.array(COUNTS, float), kind=kind, beta=0.99)).float()
    expected = functional.cross_entropy(logits, targets, weight=weight, reduction="none")
    torch.testing.assert_close(loss(logits, targets), expected)


def test_soft_targets_weigh_the_image_and_keep_the_target():
    """torch's own weight would put the optimum of a smoothed target elsewhere: towards the rare classes."""
    loss, plain = checked(CrossEntropy(class_weight="inverse")), CrossEntropy()
    shares = torch.softmax(drawn(seed=1)[0], dim=1)
    logits = drawn()[0]
    weights = torch.tensor(loss.balance.weights).float()
    torch.testing.assert_close(loss(logits, shares), (shares * weights).sum(1) * plain(logits, shares))
    best = torch.log(shares).requires_grad_()
    loss(best, shares).sum().backward()
    assert best.grad.abs().max() < 1e-5


def test_focal_and_binary_cross_entropy_weigh_images_of_one_label():
    logits, targets = drawn()
    for kind in (Focal, BinaryCrossEntropy):
        weighted = checked(kind(class_weight="inverse"))
        expected = torch.tensor(weighted.balance.weights).float()[targets] * kind()(logits, targets)
        torch.testing.assert_close(weighted(logits, targets), expected)


def test_binary_cross_entropy_of_labels_is_torchs_pos_weight_but_for_each_labels_factor():
    counts, images = (60, 20, 90), 100
    loss = checked(BinaryCrossEntropy(class_weight="inverse"), counts, task=MULTI, images=images)
    logits = drawn(3)[0]
    targets = (torch.rand(32, 3, generator=torch.Generator().manual_seed(2)) < 0.4).float()
    ratio = torch.tensor([(images - n) / n for n in counts])
    factor = torch.tensor([images / (2 * (images - n)) for n in counts])
    expected = factor * functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=ratio, reduction="none")
    torch.testing.assert_close(loss(logits, targets), expected.mean(dim=1))
    sklearns = [compute_class_weight("balanced", classes=np.array([0, 1]), y=np.arange(images) < n) for n in counts]
    np.testing.assert_allclose(np.array([loss.balance.absent, loss.balance.weights]).T, sklearns)


def test_logit_adjusted_is_cross_entropy_on_logits_with_the_prior():
    loss = checked(LogitAdjusted(tau=1.5))
    logits, targets = drawn()
    prior = torch.tensor(COUNTS) / sum(COUNTS)
    torch.testing.assert_close(loss(logits, targets), functional.cross_entropy(
        logits + 1.5 * prior.log(), targets, reduction="none"
    ))  # fmt: skip
    shares = torch.softmax(drawn(seed=1)[0], dim=1)
    torch.testing.assert_close(loss(logits, shares), functional.cross_entropy(
        logits + 1.5 * prior.log(), shares, reduction="none"
    ))  # fmt: skip


def test_logit_adjusted_with_tau_1_is_the_balanced_softmax():
    """Ren et al., equation 4: n_y exp(z_y) / sum_k n_k exp(z_k)."""
    logits, targets = drawn()
    scaled = torch.tensor(COUNTS) * logits.exp()
    expected = -(scaled[torch.arange(32), targets] / scaled.sum(1)).log()
    torch.testing.assert_close(checked(LogitAdjusted())(logits, targets), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", [CrossEntropy(class_weight="inverse"), LogitAdjusted()])
def test_a_class_without_training_images_leaves_everything_finite(loss):
    checked(loss, (10, 0, 5))
    logits, targets = drawn(3)
    logits.requires_grad_()
    result = loss(logits, targets)
    result.sum().backward()
    assert result.isfinite().all()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("loss", "task"),
    [
        (CrossEntropy(class_weight="effective"), SINGLE),
        (Focal(class_weight="inverse"), SINGLE),
        (BinaryCrossEntropy(class_weight="inverse"), MULTI),
        (LogitAdjusted(), SINGLE),
    ],
)
def test_a_weighted_loss_is_pickled_moved_and_saved_without_its_counts(loss, task):
    checked(loss, (30, 10, 20), task=task, images=60)
    logits, targets = drawn(3)
    targets = targets if task is SINGLE else functional.one_hot(targets, 3).float()
    assert loss.state_dict() == {}
    assert pickle.loads(pickle.dumps(loss))(logits, targets).equal(loss(logits, targets))
    assert loss.to("meta")(logits.to("meta"), targets.to("meta")).device.type == "meta"


# What is refused


EVEN = (50, 50, 50)


@pytest.mark.parametrize(
    "loss",
    [CrossEntropy(class_weight="inverse"), CrossEntropy(class_weight="effective"), Focal(class_weight="inverse")],
)
def test_weights_on_even_classes_have_no_effect(loss):
    with pytest.raises(UserError, match="every class has 50 training images, so it has no effect") as caught:
        loss.check(setting(EVEN))
    assert caught.value.where == "loss.class_weight"


def test_logit_adjustment_of_even_classes_has_no_effect():
    with pytest.raises(UserError, match="every class has 50 training images, so it has no effect") as caught:
        LogitAdjusted().check(setting(EVEN))
    assert caught.value.where == "loss"


def test_weights_of_labels_on_half_of_the_images_have_no_effect():
    with pytest.raises(UserError, match="every label is on half of the training images"):
        BinaryCrossEntropy(class_weight="effective").check(setting((50, 50), task=MULTI, images=100))
    BinaryCrossEntropy(class_weight="inverse").check(setting((50, 50), task=MULTI, images=101))


@pytest.mark.parametrize("kind", [CrossEntropy, BinaryCrossEntropy, Focal])
def test_no_weights_are_fine_on_any_data(kind):
    loss = kind()
    loss.check(setting(EVEN))
    loss.check(setting())
    assert loss.balance is None


def test_focal_refuses_class_weights_with_several_labels():
    with pytest.raises(UserError, match="not defined for focal") as caught:
        Focal(class_weight="inverse").check(setting(COUNTS, task=MULTI, images=500))
    assert "loss.alpha" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "options", "where"),
    [
        (CrossEntropy, {"class_weight": "balanced"}, "loss.class_weight"),
        (CrossEntropy, {"beta": 0.9}, "loss.beta"),
        (BinaryCrossEntropy, {"beta": 0.9, "class_weight": "inverse"}, "loss.beta"),
        (Focal, {"beta": 0, "class_weight": "effective"}, "loss.beta"),
        (CrossEntropy, {"beta": 1.0, "class_weight": "effective"}, "loss.beta"),
        (LogitAdjusted, {"tau": 0}, "loss.tau"),
        (LogitAdjusted, {"tau": -1}, "loss.tau"),
    ],
)
def test_options_without_sense_or_effect_are_refused(kind, options, where):
    with pytest.raises(UserError) as caught:
        kind(**options)
    assert caught.value.where == where


@pytest.mark.parametrize("loss", [CrossEntropy(class_weight="inverse"), LogitAdjusted()])
def test_a_loss_that_never_saw_the_counts_is_no_plain_loss(loss):
    with pytest.raises(ZooError, match="before it saw the counts"):
        loss(*drawn())
    with pytest.raises(ZooError, match="0 counts for 4 classes"):
        loss.check(Setting(task=SINGLE, classes=4, trainable="all", loss_takes_soft_targets=True))


# A head on features gets the same


@pytest.mark.parametrize(
    ("loss", "task"),
    [
        (CrossEntropy(class_weight="effective"), SINGLE),
        (LogitAdjusted(tau=0.7), SINGLE),
        (BinaryCrossEntropy(class_weight="inverse"), MULTI),
    ],
)
def test_what_a_head_minimises_is_the_loss_that_is_trained(loss, task):
    checked(loss, (30, 10, 20), task=task, images=60)
    logits, targets = drawn(3)
    targets = targets if task is SINGLE else functional.one_hot(targets, 3).float()
    factor = 1 if task is SINGLE else 3  # a head sums over the labels, the loss takes their mean
    expected = factor * loss(logits, targets).mean()
    torch.testing.assert_close(mean_loss(logits, targets, balance=loss.balance), expected)


# What they do: digits, one rare class out of three


def rare_digits() -> tuple[Labelled, Labelled]:
    """Training images of 3, 5 and 8, of 8 one to twenty; as many test images of each."""
    pixels, truth = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32)
    train, test = [], []
    for label, digit in enumerate((3, 5, 8)):
        own = pixels[truth == digit]
        used = 100 if digit != 8 else 5
        train.append((own[:used], np.full(used, label)))
        test.append((own[100:170], np.full(70, label)))
    return tuple(Labelled(*(np.concatenate(parts) for parts in zip(*split, strict=True))) for split in (train, test))


def recalls(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.array([(logits.argmax(1) == truth)[truth == label].mean() for label in range(3)])


MAKING_UP = {
    "inverse": lambda: CrossEntropy(class_weight="inverse"),
    "effective": lambda: CrossEntropy(class_weight="effective", beta=0.99),
    "focal inverse": lambda: Focal(class_weight="inverse", gamma=1.0),
    "logit adjusted": lambda: LogitAdjusted(),
}


@pytest.mark.parametrize("name", MAKING_UP)
def test_a_net_finds_more_of_the_rare_class(name):
    train, test = rare_digits()

    def trained(loss: nn.Module) -> np.ndarray:
        loss.check(setting((100, 100, 5)))
        torch.manual_seed(0)
        net = nn.Linear(64, 3)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        x, y = torch.from_numpy(train.features), torch.from_numpy(train.targets)
        for _ in range(60):
            optimizer.zero_grad()
            loss(net(x), y).mean().backward()
            optimizer.step()
        return recalls(net(torch.from_numpy(test.features)).detach().numpy(), test.targets)

    plain, better = trained(CrossEntropy()), trained(MAKING_UP[name]())
    assert plain[2] < 0.5
    assert better[2] > plain[2] + 0.15
    assert better.mean() > plain.mean()


@pytest.mark.parametrize("name", ["inverse", "effective", "logit adjusted"])
def test_a_probe_finds_more_of_the_rare_class(name):
    train, test = rare_digits()
    loss = MAKING_UP[name]()
    loss.check(setting((100, 100, 5)))
    plain = fit_probe(train, test, classes=3, task=SINGLE, grid=(1e-2,))
    better = fit_probe(train, test, classes=3, task=SINGLE, grid=(1e-2,), balance=loss.balance)
    before, after = (recalls(probe.logits(test.features), test.targets) for probe in (plain, better))
    assert after[2] > before[2] + 0.1
    assert after.mean() > before.mean()
