"""What the last lines of a run say of few images, and that training keeps an image of every class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from zoo.assembly.results import FEW, VAGUE, say_uncertain
from zoo.contracts.data import Sample, Task
from zoo.contracts.evaluation import Outputs
from zoo.data.splits import assign_splits
from zoo.evaluation.metrics import score


def said(right: int, count: int, *, classes: int = 2, split: str = "test") -> list[str]:
    """The lines for `right` of `count` images, which take turns among two classes."""
    targets = np.arange(count) % 2
    answers = np.where(np.arange(count) < right, targets, 1 - targets)
    outputs = Outputs(np.eye(classes, dtype=np.float32)[answers], targets, np.arange(count), 0.5)
    names = [f"c{number}" for number in range(classes)]
    return say_uncertain(score(outputs, split=split, classes=names, task=Task.SINGLE_LABEL))


def wilson(right: int, count: int) -> tuple[float, float]:
    """scipy's interval."""
    found = binomtest(right, count).proportion_ci(0.95, method="wilson")
    return found.low, found.high


def test_many_images_need_no_words():
    assert said(290, 300) == []
    assert said(30, 30) == []


def test_few_images_are_put_into_words_however_narrow_their_interval():
    assert said(29, 29) == ["29 images say little: on many more the accuracy may be anything from 88 to 100 %"]
    assert said(9, 10)[0].startswith(
        "10 images say little: on many more the accuracy may be anything from 59 to 99 %; "
    )


@given(st.integers(2, 90).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
def test_numbers_are_wilsons_and_enough_images_are_enough_for_every_share(drawn):
    right, count = drawn
    low, high = wilson(right, count)
    lines = said(right, count)
    assert bool(lines) == (count < FEW or high - low > VAGUE)
    if high - low <= VAGUE:
        return
    words = lines[0].split()
    assert [int(words[words.index("from") + k]) for k in (1, 3)] == [int(100 * low), int(np.ceil(100 * high - 1e-9))]
    enough = int(words[words.index("narrow") - 2])
    for possible in range(int(np.ceil(low * enough)), int(high * enough) + 1):
        found = wilson(possible, enough)
        assert found[1] - found[0] <= VAGUE + 1e-9


def test_classes_of_which_nothing_is_known_are_named():
    assert said(1, 1, split="val")[1] == "no validation image of class 'c1': the score says nothing of it"
    assert said(290, 300, classes=9) == [
        "no test image of class 'c2', 'c3', 'c4', 'c5', 'c6' and 2 more: the score says nothing of it"
    ]


@pytest.mark.parametrize("seed", range(5))
@given(counts=st.lists(st.integers(1, 6), min_size=2, max_size=6).filter(lambda counts: max(counts) > 1))
def test_training_keeps_an_image_of_every_class(seed, counts):
    samples = [Sample(f"{k}/{i}", (str(k),)) for k, count in enumerate(counts) for i in range(count)]
    found = assign_splits(samples, task=Task.SINGLE_LABEL, seed=seed).samples
    assert {sample.labels[0] for sample in found if sample.split == "train"} == set(map(str, range(len(counts))))
    assert any(sample.split == "val" for sample in found)
