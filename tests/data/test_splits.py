"""Splits that are made: shares, balance, groups, and that nothing but keys, labels and seed decides."""

import random
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.contracts.data import Sample, Task
from zoo.data.splits import assign_splits
from zoo.errors import UserError

SINGLE, MULTI = Task.SINGLE_LABEL, Task.MULTI_LABEL


def single(counts, *, split=None):
    return [Sample(f"{label}/{i:05d}", (label,), split) for label, n in counts.items() for i in range(n)]


def by_split(assigned):
    result = defaultdict(list)
    for sample in assigned.samples:
        result[sample.split].append(sample)
    return result


def class_counts(assigned):
    return Counter((label, sample.split) for sample in assigned.samples for label in sample.labels)


class_sizes = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.integers(1, 40), min_size=2, max_size=12)


# --- single label --------------------------------------------------------------------------------------------------


def test_assign_splits_makes_seventy_fifteen_fifteen():
    assigned = assign_splits(single({"cat": 200, "dog": 100}), task=SINGLE, seed=0)
    counts = class_counts(assigned)
    assert [counts["cat", s] for s in ("train", "val", "test")] == [140, 30, 30]
    assert [counts["dog", s] for s in ("train", "val", "test")] == [70, 15, 15]


@given(sizes=class_sizes, seed=st.integers(0, 1000))
@settings(max_examples=150)
def test_assign_splits_stratifies_to_within_one_image(sizes, seed):
    total = sum(sizes.values())
    if max(sizes.values()) < 2:
        return
    assigned = assign_splits(single(sizes), task=SINGLE, seed=seed)
    counts = class_counts(assigned)
    assert len(assigned.samples) == total
    for label, n in sizes.items():
        assert counts[label, "train"] >= 1
        for split in ("val", "test"):
            if n > 2:
                assert abs(counts[label, split] - 0.15 * n) <= 1 + 1e-9
    val = sum(counts[label, "val"] for label in sizes)
    assert 1 <= val <= 0.15 * total + 1
    if min(sizes.values()) >= 3:
        assert abs(val - 0.15 * total) <= 1
        assert abs(sum(counts[label, "test"] for label in sizes) - 0.15 * total) <= 1


@given(sizes=class_sizes, seed=st.integers(0, 50), shuffle=st.randoms(use_true_random=False))
@settings(max_examples=80)
def test_assign_splits_ignores_order_sizes_and_times(sizes, seed, shuffle):
    if max(sizes.values()) < 2:
        return
    samples = single(sizes)
    changed = [
        Sample(s.key, s.labels, size_bytes=shuffle.randrange(99), mtime_ns=shuffle.randrange(99)) for s in samples
    ]
    shuffle.shuffle(changed)
    first = {s.key: s.split for s in assign_splits(samples, task=SINGLE, seed=seed).samples}
    second = {s.key: s.split for s in assign_splits(changed, task=SINGLE, seed=seed).samples}
    assert first == second


def test_assign_splits_differs_by_seed_and_not_by_call():
    samples = single({"cat": 50, "dog": 50})
    runs = [tuple(s.split for s in assign_splits(samples, task=SINGLE, seed=seed).samples) for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


def test_assign_splits_known_result_for_a_seed():
    """A change of the rule would silently change every user's splits, and scores with them."""
    assigned = assign_splits(single({"cat": 6, "dog": 6}), task=SINGLE, seed=7, val_fraction=0.25, test_fraction=0.25)
    assert "".join(s.split[1] for s in assigned.samples) == "raerereararr"


def test_assign_splits_keeps_the_order_of_its_input():
    samples = single({"b": 10, "a": 10})
    assert [s.key for s in assign_splits(samples, task=SINGLE, seed=0).samples] == [s.key for s in samples]


def test_assign_splits_single_image_of_a_class_trains():
    assigned = assign_splits(single({"cat": 30, "rare": 1}), task=SINGLE, seed=3)
    assert class_counts(assigned)["rare", "train"] == 1


def test_assign_splits_many_tiny_classes_still_fill_validation():
    """Rounding each class by itself would give two-image classes no validation image at all."""
    assigned = assign_splits(single({f"c{i:03d}": 2 for i in range(200)}), task=SINGLE, seed=0)
    counts = {split: len(samples) for split, samples in by_split(assigned).items()}
    assert 50 <= counts["val"] <= 70
    assert 40 <= counts["test"] <= 70
    assert counts["train"] >= 200


def test_assign_splits_smallest_possible_set():
    counts = {s: len(v) for s, v in by_split(assign_splits(single({"a": 2, "b": 1}), task=SINGLE, seed=0)).items()}
    assert counts["val"] == 1
    assert counts["train"] == 2


def test_assign_splits_refuses_when_every_class_has_one_image():
    with pytest.raises(UserError, match="too few to set some aside"):
        assign_splits(single({"a": 1, "b": 1}), task=SINGLE, seed=0)


# --- splits that are given -----------------------------------------------------------------------------------------


def test_assign_splits_keeps_complete_splits_untouched():
    samples = [*single({"a": 5, "b": 5}, split="train"), Sample("v", ("a",), "val"), Sample("t", ("b",), "test")]
    assigned = assign_splits(samples, task=SINGLE, seed=0)
    assert assigned.samples == tuple(samples)
    assert assigned.notes == ()


def test_assign_splits_makes_validation_from_train_only():
    samples = single({"a": 20, "b": 20}, split="train") + [Sample(f"t{i}", ("a",), "test") for i in range(10)]
    assigned = assign_splits(samples, task=SINGLE, seed=0)
    groups = by_split(assigned)
    assert {s.key for s in groups["test"]} == {f"t{i}" for i in range(10)}
    assert len(groups["val"]) == 6  # 15 % of the 40 of train
    assert "val 6" in assigned.notes[0]


def test_assign_splits_train_and_val_make_no_test():
    samples = [*single({"a": 20}, split="train"), Sample("v", ("a",), "val")]
    assert assign_splits(samples, task=SINGLE, seed=0).samples == tuple(samples)


def test_assign_splits_train_and_val_with_a_test_that_was_asked_for():
    samples = [*single({"a": 20, "b": 20}, split="train"), Sample("v", ("a",), "val")]
    groups = by_split(assign_splits(samples, task=SINGLE, seed=0, test_fraction=0.2))
    assert len(groups["test"]) == 8
    assert [s.key for s in groups["val"]] == ["v"]


def test_assign_splits_train_alone_is_as_if_none_were_given():
    named = assign_splits(single({"a": 20, "b": 20}, split="train"), task=SINGLE, seed=5)
    silent = assign_splits(single({"a": 20, "b": 20}), task=SINGLE, seed=5)
    assert named.samples == silent.samples


def test_assign_splits_without_test():
    groups = by_split(assign_splits(single({"a": 20, "b": 20}), task=SINGLE, seed=0, test_fraction=0))
    assert len(groups["val"]) == 6
    assert "test" not in groups


def test_assign_splits_refuses_half_given_splits():
    samples = [*single({"a": 5}, split="train"), Sample("silent one", ("a",))]
    with pytest.raises(UserError, match=r"1 of 6 images have no split.*silent one"):
        assign_splits(samples, task=SINGLE, seed=0)


@pytest.mark.parametrize("split", ["val", "test"])
def test_assign_splits_refuses_data_without_training_images(split):
    with pytest.raises(UserError, match="no image is for training"):
        assign_splits(single({"a": 5}, split=split), task=SINGLE, seed=0)


@pytest.mark.parametrize(("option", "split"), [("val_fraction", "val"), ("test_fraction", "test")])
def test_assign_splits_refuses_a_fraction_without_effect(option, split):
    samples = [*single({"a": 20}, split="train"), Sample("x", ("a",), split)]
    with pytest.raises(UserError, match="has no effect"):
        assign_splits(samples, task=SINGLE, seed=0, **{option: 0.3})


@pytest.mark.parametrize(
    "options", [{"val_fraction": 0}, {"val_fraction": 1}, {"val_fraction": -0.1}, {"test_fraction": 1.5}]
)
def test_assign_splits_refuses_fractions_out_of_range(options):
    with pytest.raises(UserError):
        assign_splits(single({"a": 20, "b": 20}), task=SINGLE, seed=0, **options)


def test_assign_splits_refuses_fractions_that_leave_nothing_to_train():
    with pytest.raises(UserError, match="training none"):
        assign_splits(single({"a": 20, "b": 20}), task=SINGLE, seed=0, val_fraction=0.5, test_fraction=0.5)


def test_assign_splits_note_says_shares_counts_and_seed():
    (note,) = assign_splits(single({"a": 100, "b": 100}), task=SINGLE, seed=4).notes
    for part in ("val 30 (15%)", "test 30 (15%)", "train keeps 140", "seed 4"):
        assert part in note


# --- groups --------------------------------------------------------------------------------------------------------


@given(
    groups=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 8)), min_size=8, max_size=40),
    seed=st.integers(0, 100),
)
@settings(max_examples=120)
def test_assign_splits_never_tears_a_group(groups, seed):
    samples = [
        Sample(f"{g}/{i}", (label,), None, f"patient {g}") for g, (label, n) in enumerate(groups) for i in range(n)
    ]
    labels = {label for label, _ in groups}
    assigned = assign_splits(samples, task=SINGLE, seed=seed)  # eight groups of three classes: one can be spared
    splits = defaultdict(set)
    for sample in assigned.samples:
        splits[sample.group].add(sample.split)
    assert all(len(names) == 1 for names in splits.values())
    assert {s.labels[0] for s in assigned.samples if s.split == "train"} == labels
    assert any(s.split == "val" for s in assigned.samples)


def test_assign_splits_groups_keep_roughly_the_shares():
    samples = [Sample(f"{g:03d}/{i}", ("ab"[g % 2],), None, f"g{g}") for g in range(100) for i in range(1 + g % 5)]
    assigned = assign_splits(samples, task=SINGLE, seed=0)
    counts = {split: len(found) / len(samples) for split, found in by_split(assigned).items()}
    assert counts["train"] == pytest.approx(0.7, abs=0.05)
    assert counts["val"] == pytest.approx(0.15, abs=0.04)
    assert counts["test"] == pytest.approx(0.15, abs=0.04)
    assert "groups kept whole" in assigned.notes[0]


def test_assign_splits_images_without_a_group_stand_alone():
    samples = [Sample(f"{i}", ("a",), None, "one" if i < 5 else None) for i in range(40)]
    assigned = assign_splits(samples, task=SINGLE, seed=0)
    assert len({s.split for s in assigned.samples[:5]}) == 1
    assert len({s.split for s in assigned.samples[5:]}) == 3


def test_assign_splits_refuses_a_given_split_that_tears_a_group():
    samples = [
        *single({"a": 3, "b": 3}, split="train"),
        Sample("x1", ("a",), "train", "patient 7"),
        Sample("x2", ("a",), "test", "patient 7"),
        Sample("y1", ("a",), "val", "patient 8"),
    ]
    with pytest.raises(UserError) as caught:
        assign_splits(samples, task=SINGLE, seed=0)
    assert "'patient 7' in test, train" in str(caught.value)
    assert "patient 8" not in str(caught.value)


def test_assign_splits_validation_from_train_keeps_groups_whole():
    samples = [Sample(f"{g}/{i}", ("ab"[g % 2],), "train", f"g{g}") for g in range(20) for i in range(3)]
    samples += [Sample(f"t/{i}", ("a",), "test", "other") for i in range(5)]
    assigned = assign_splits(samples, task=SINGLE, seed=0)
    splits = defaultdict(set)
    for sample in assigned.samples:
        splits[sample.group].add(sample.split)
    assert all(len(names) == 1 for names in splits.values())
    assert splits["other"] == {"test"}


def test_assign_splits_one_group_for_everything_cannot_be_split():
    samples = [Sample(f"{i}", ("ab"[i % 2],), None, "the only one") for i in range(20)]
    with pytest.raises(UserError, match=r"20 images lie in 1 \('the only one'\)") as caught:
        assign_splits(samples, task=SINGLE, seed=0)
    assert "data.group_column=null" in str(caught.value)


def test_assign_splits_one_group_a_class_cannot_be_split():
    samples = [Sample(f"{i}", ("ab"[i % 2],), None, f"patient {i % 2}") for i in range(20)]
    with pytest.raises(UserError, match=r"lie in 2 \('patient 0', 'patient 1'\), and no class has two"):
        assign_splits(samples, task=SINGLE, seed=0)


# --- multi-label ---------------------------------------------------------------------------------------------------


def multi(n, labels, seed, share=0.3):
    rng = random.Random(seed)
    return [Sample(f"{i:05d}", tuple(k for k in labels if rng.random() < share)) for i in range(n)]


@given(n=st.integers(20, 120), count=st.integers(2, 8), seed=st.integers(0, 500))
@settings(max_examples=80)
def test_assign_splits_multi_label_trains_every_label(n, count, seed):
    samples = multi(n, "abcdefgh"[:count], seed)
    assigned = assign_splits(samples, task=MULTI, seed=seed)
    present = {label for s in samples for label in s.labels}
    assert {label for s in assigned.samples if s.split == "train" for label in s.labels} == present
    assert any(s.split == "val" for s in assigned.samples)
    assert [s.key for s in assigned.samples] == [s.key for s in samples]


def test_assign_splits_multi_label_balances_rare_labels_better_than_chance():
    labels = [f"l{i:02d}" for i in range(20)]
    rng = np.random.default_rng(0)
    rates = np.geomspace(0.5, 0.01, 20)
    samples = [
        Sample(f"{i:05d}", tuple(k for k, p in zip(labels, rates, strict=True) if rng.random() < p))
        for i in range(1000)
    ]
    assigned = assign_splits(samples, task=MULTI, seed=0)

    def imbalance(splits):
        counts = Counter((label, split) for s, split in zip(samples, splits, strict=True) for label in s.labels)
        total = Counter(label for s in samples for label in s.labels)
        return np.mean([abs(counts[k, "val"] / total[k] - 0.15) for k in total])

    made = imbalance([s.split for s in assigned.samples])
    chance = np.mean([imbalance(rng.choice(["train", "val", "test"], 1000, p=[0.7, 0.15, 0.15])) for _ in range(20)])
    assert made < chance / 3
    sizes = {split: len(found) for split, found in by_split(assigned).items()}
    assert sizes["val"] == pytest.approx(150, abs=25)


def test_assign_splits_multi_label_depends_on_keys_labels_and_seed_only():
    samples = multi(100, "abcd", seed=1)
    shuffled = random.Random(0).sample(samples, len(samples))
    first = {s.key: s.split for s in assign_splits(samples, task=MULTI, seed=2).samples}
    assert first == {s.key: s.split for s in assign_splits(shuffled, task=MULTI, seed=2).samples}
    assert first != {s.key: s.split for s in assign_splits(samples, task=MULTI, seed=3).samples}


def test_assign_splits_multi_label_without_any_label_goes_by_room():
    samples = [Sample(f"{i}", ("a",) if i < 50 else ()) for i in range(100)]
    groups = by_split(assign_splits(samples, task=MULTI, seed=0))
    assert len(groups["train"]) == 70
    assert sum(1 for s in groups["val"] if not s.labels) == pytest.approx(7.5, abs=1)


def test_assign_splits_multi_label_gives_a_lonely_label_to_training():
    samples = [*multi(60, "ab", seed=3, share=0.6), Sample("lonely", ("a", "b", "once"))]
    for seed in range(10):
        assigned = assign_splits(samples, task=MULTI, seed=seed)
        assert next(s.split for s in assigned.samples if s.key == "lonely") == "train"


def test_assign_splits_small_training_share_still_trains_every_label():
    """Where validation takes more than training, the rarest labels would all go there first."""
    samples = [*multi(60, "ab", seed=3, share=0.6), Sample("lonely", ("once",)), Sample("pair", ("a", "twice"))]
    assigned = assign_splits(samples, task=MULTI, seed=0, val_fraction=0.5, test_fraction=0.4)
    assert {label for s in assigned.samples if s.split == "train" for label in s.labels} == {"a", "b", "once", "twice"}
    grouped = [Sample(f"{i}", ("abc"[i % 3],), None, f"g{i % 3}" if i % 3 else f"own {i}") for i in range(60)]
    assigned = assign_splits(grouped, task=SINGLE, seed=0, val_fraction=0.5, test_fraction=0.4)
    assert {label for s in assigned.samples if s.split == "train" for label in s.labels} == {"a", "b", "c"}
    assert len({s.split for s in assigned.samples if s.group == "g1"}) == 1


def test_assign_splits_two_images_of_one_label_are_enough():
    assigned = assign_splits([Sample("1", ("a",)), Sample("2", ("a",))], task=MULTI, seed=0)
    assert sorted(s.split for s in assigned.samples) == ["train", "val"]


def test_assign_splits_copes_with_odd_keys():
    """Names that are no UTF-8 arrive as lone surrogates."""
    samples = [Sample(f"caf\udce9 {i}\n,'\"", ("ab"[i % 2],)) for i in range(40)]
    assert len(by_split(assign_splits(samples, task=SINGLE, seed=0))["val"]) == 6
