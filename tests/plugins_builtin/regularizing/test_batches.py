"""Label smoothing against torch's own; mixup by its formula, its distribution and its draws."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from support.regularizing import generator, setting
from torch import nn
from zoo_plugins.regularizing.batches import LabelSmoothing, Mixup

from zoo.contracts.data import Task
from zoo.contracts.training import Batch
from zoo.errors import UserError


def test_label_smoothing_matches_torchs_own():
    """Cross entropy with smoothed targets equals torch's cross entropy with its label_smoothing."""
    logits, targets = torch.randn(7, 5, generator=generator()), torch.arange(7) % 5
    batch = LabelSmoothing(share=0.13).change_batch(Batch(torch.zeros(7, 1), targets), generator(), 5)
    assert batch.targets.dtype == torch.float32
    torch.testing.assert_close(batch.targets.sum(dim=1), torch.ones(7))
    torch.testing.assert_close(
        nn.functional.cross_entropy(logits, batch.targets, reduction="none"),
        nn.functional.cross_entropy(logits, targets, reduction="none", label_smoothing=0.13),
    )


def test_label_smoothing_of_separate_labels_moves_towards_one_half():
    smoothing = LabelSmoothing(share=0.2)
    smoothing.check(setting(task=Task.MULTI_LABEL, loss_takes_soft_targets=False))
    targets = torch.tensor([[1.0, 0.0, 1.0]])
    result = smoothing.change_batch(Batch(torch.zeros(1, 1), targets), generator(), 3)
    torch.testing.assert_close(result.targets, torch.tensor([[0.9, 0.1, 0.9]]))
    assert targets.tolist() == [[1.0, 0.0, 1.0]]


def test_label_smoothing_commutes_with_mixup():
    batch = Batch(torch.randn(8, 3, 4, 4, generator=generator()), torch.arange(8) % 4)
    smooth, mix = LabelSmoothing(share=0.1), Mixup(alpha=1.0)
    one = smooth.change_batch(mix.change_batch(batch, generator(5), 4), generator(), 4)
    other = mix.change_batch(smooth.change_batch(batch, generator(), 4), generator(5), 4)
    torch.testing.assert_close(one.targets, other.targets)


@settings(max_examples=30)
@given(size=st.integers(1, 12), seed=st.integers(0, 2**40), alpha=st.floats(0.05, 5.0))
def test_mixup_blends_images_and_targets_by_the_same_share(size, seed, alpha):
    """Each one-hot image becomes l e_i + (1 - l) e_q(i), so the share can be read off both."""
    images, targets = torch.eye(size), torch.arange(size)
    mixed = Mixup(alpha=alpha).change_batch(Batch(images, targets), generator(seed), size)
    torch.testing.assert_close(mixed.images, mixed.targets)
    torch.testing.assert_close(mixed.targets.sum(dim=1), torch.ones(size))
    torch.testing.assert_close(mixed.targets.sum(dim=0), torch.ones(size))  # a permutation: each image twice
    assert images.equal(torch.eye(size))


def test_mixup_shares_follow_the_beta_distribution():
    mix, shares = Mixup(alpha=0.4), []
    batch = Batch(torch.eye(2), torch.arange(2))
    for seed in range(1500):
        mixed = mix.change_batch(batch, generator(seed), 2).targets
        if mixed[0, 1] > 0:  # the permutation swapped the two
            shares.append(mixed[0, 0].item())
    assert len(shares) > 650
    assert stats.kstest(shares, stats.beta(0.4, 0.4).cdf).pvalue > 1e-3


def test_mixup_is_a_function_of_the_generator():
    batch = Batch(torch.randn(5, 3, 4, 4, generator=generator()), torch.arange(5))
    first, again, other = (Mixup().change_batch(batch, generator(seed), 5) for seed in (1, 1, 2))
    assert first.images.equal(again.images)
    assert first.targets.equal(again.targets)
    assert not first.images.equal(other.images)


def test_mixup_keeps_the_memory_format():
    """A silent change from channels-last would cost the convolutions their fast path."""
    images = torch.randn(4, 3, 8, 8).to(memory_format=torch.channels_last)
    mixed = Mixup().change_batch(Batch(images, torch.arange(4)), generator(), 4)
    assert mixed.images.is_contiguous(memory_format=torch.channels_last)
    assert mixed.images.dtype == torch.float32


@pytest.mark.parametrize("kind", [Mixup, LabelSmoothing])
def test_soft_targets_need_a_loss_that_takes_them(kind):
    with pytest.raises(UserError, match="takes class numbers only"):
        kind().check(setting(loss_takes_soft_targets=False))
    kind().check(setting())
    kind().check(setting(task=Task.MULTI_LABEL, loss_takes_soft_targets=False))


def test_mixup_is_refused_while_only_the_head_is_fitted():
    with pytest.raises(UserError, match="has no effect") as caught:
        Mixup().check(setting(trainable="head"))
    assert "strategy=full" in str(caught.value)
    LabelSmoothing().check(setting(trainable="head"))
