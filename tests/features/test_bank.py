"""The feature bank: computed once, kept whole, recomputed when torn."""

from __future__ import annotations

import os

import numpy as np
import pytest

from zoo.features.bank import bank_key, load_or_compute


def counted(features: np.ndarray):
    calls = []

    def compute():
        calls.append(1)
        return features, np.arange(len(features))

    return compute, calls


FEATURES = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def test_bank_is_computed_once_and_kept_to_the_bit(tmp_path):
    compute, calls = counted(FEATURES)
    first = load_or_compute("k", folder=tmp_path, count=5, compute=compute)
    second = load_or_compute("k", folder=tmp_path, count=5, compute=compute)
    assert (first.cached, second.cached, len(calls)) == (False, True, 1)
    assert np.array_equal(first.features, second.features)
    assert [p.name for p in tmp_path.iterdir()] == ["k.npy"]


def test_bank_without_a_folder_is_never_kept(tmp_path):
    compute, calls = counted(FEATURES)
    for _ in range(2):
        assert not load_or_compute("k", folder=None, count=5, compute=compute).cached
    assert len(calls) == 2


@pytest.mark.parametrize("damage", [b"", b"junk", None])
def test_bank_that_is_torn_is_computed_anew(tmp_path, damage):
    compute, _calls = counted(FEATURES)
    load_or_compute("k", folder=tmp_path, count=5, compute=compute)
    file = tmp_path / "k.npy"
    file.write_bytes(file.read_bytes()[:-7] if damage is None else damage)
    again = load_or_compute("k", folder=tmp_path, count=5, compute=compute)
    assert not again.cached
    assert np.array_equal(again.features, FEATURES)
    assert load_or_compute("k", folder=tmp_path, count=5, compute=compute).cached


def test_bank_that_other_processes_do_not_find_is_computed_with_them(tmp_path):
    """One of two runs wrote it between the looks of this process and of another."""
    compute, calls = counted(FEATURES)
    load_or_compute("k", folder=tmp_path, count=5, compute=compute)
    asked = []

    def not_all(found):
        asked.append(found)
        return False

    again = load_or_compute("k", folder=tmp_path, count=5, compute=compute, everywhere=not_all)
    assert (asked, again.cached, len(calls)) == ([True], False, 2)


def test_bank_that_this_process_does_not_find_asks_the_others_too(tmp_path):
    """All ask or none: an answer that one process does not wait for would be taken for its next question."""
    asked = []
    load_or_compute("k", folder=tmp_path, count=5, compute=counted(FEATURES)[0], everywhere=lambda v: asked.append(v))
    assert asked == [False]


def test_bank_of_another_size_is_not_believed(tmp_path):
    load_or_compute("k", folder=tmp_path, count=5, compute=counted(FEATURES)[0])
    longer = np.concatenate([FEATURES, FEATURES[:1]])
    assert len(load_or_compute("k", folder=tmp_path, count=6, compute=counted(longer)[0]).features) == 6


def test_bank_refuses_a_pass_that_left_images_out(tmp_path):
    with pytest.raises(ValueError, match="5 images, not of 6"):
        load_or_compute("k", folder=tmp_path, count=6, compute=counted(FEATURES)[0])
    assert list(tmp_path.iterdir()) == []


def test_bank_cache_that_cannot_be_written_costs_nothing_now(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    bank = load_or_compute("k", folder=blocked / "below", count=5, compute=counted(FEATURES)[0])
    assert np.array_equal(bank.features, FEATURES)


def test_bank_other_processes_do_not_write(tmp_path):
    load_or_compute("k", folder=tmp_path, count=5, compute=counted(FEATURES)[0], write=False)
    assert os.listdir(tmp_path) == []


def test_bank_key_depends_on_every_fact():
    facts = {"data": "a", "weights": "b", "bf16": True}
    keys = {bank_key(facts)} | {bank_key(facts | {name: "other"}) for name in facts}
    assert len(keys) == 4
    assert bank_key(dict(reversed(list(facts.items())))) == bank_key(facts)
