"""Which image trains, validates, tests: taken from the source where it says so, made where it does not.

A split that is made depends on keys, labels, groups and the seed alone, never on the order of files or their times.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from zoo.contracts.data import Sample, Task
from zoo.errors import UserError

DEFAULT_FRACTION = 0.15
"""Share of the images that a missing validation or test split takes."""


@dataclass(frozen=True)
class Assigned:
    """Samples that all have a split, and what was decided to get there."""

    samples: tuple[Sample, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Item:
    """What goes into a split as a whole: one image, or all images of a group."""

    members: tuple[Sample, ...]
    order: bytes

    @property
    def labels(self) -> Counter[str]:
        return Counter(label for sample in self.members for label in sample.labels)


def assign_splits(
    samples: Sequence[Sample],
    *,
    task: Task,
    seed: int,
    val_fraction: float | Literal["auto"] = "auto",
    test_fraction: float | Literal["auto"] = "auto",
) -> Assigned:
    """Gives every sample a split.

    None given: 70/15/15. Train and test given: validation from train. Train and validation given: no test, unless
    `test_fraction` asks for one. Only train given: as if none were.

    Args:
        samples: All samples.
        task: Decides how classes are balanced between the splits.
        seed: Chooses among the balanced splits.
        val_fraction: Share of the images (of train, where other splits are given) that validate, in (0, 1).
        test_fraction: Share that test, in [0, 1).

    Raises:
        UserError: Some samples have a split and others do not; a group lies in two splits; no train split; a fraction
            out of range, or for a split that is given; too few images, or groups, for a validation split.
    """
    given = _given(samples)
    _check_groups(samples)
    fractions = _fractions(given, val_fraction=val_fraction, test_fraction=test_fraction)
    if not fractions:
        return Assigned(tuple(samples), ())
    pool = [sample for sample in samples if sample.split in (None, "train")]
    made = _carve(pool, fractions, task=task, seed=seed)
    assigned = tuple(replace(sample, split=made.get(sample.key, sample.split)) for sample in samples)
    counts = Counter(made.values())
    if not counts["val"] and "val" in fractions:
        raise _none_to_spare(pool)
    return Assigned(assigned, (_note(fractions, counts, seed=seed, grouped=any(s.group is not None for s in pool)),))


def _none_to_spare(pool: Sequence[Sample]) -> UserError:
    """The error where training can give nothing to validation: too few images, or too few groups of them."""
    groups = sorted({sample.group for sample in pool if sample.group is not None})
    if groups:
        named = ", ".join(map(repr, groups[:5])) + (" ..." if len(groups) > 5 else "")
        return UserError(
            f"no group can be set aside for validation: {len(pool)} images lie in {len(groups)} ({named}), "
            "and no class has two",
            allowed="two groups in at least one class",
            do=[
                "data.group_column=null, if images of one group need not stay together",
                "or give validation images of your own in a folder val/ or a split column",
            ],
        )
    return UserError(
        f"{len(pool)} images are too few to set some aside for validation: every one is the only one of its class",
        allowed="two images in at least one class",
        do="add images, or give validation images of your own in a folder val/",
    )


def _given(samples: Sequence[Sample]) -> set[str]:
    counts = Counter(sample.split for sample in samples)
    given = {split for split in counts if split is not None}
    if given and counts[None]:
        silent = next(sample for sample in samples if sample.split is None)
        raise UserError(
            f"{counts[None]} of {len(samples)} images have no split, the others have one (first: {silent.key!r})",
            allowed="a split for every image, or for none",
            do="fill the split column, or ignore it with data.split_column=null",
        )
    if given and "train" not in given:
        raise UserError(
            f"no image is for training; the splits are {', '.join(sorted(given))}", allowed="train, val, test"
        )
    return given


def _check_groups(samples: Sequence[Sample]) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        if sample.group is not None and sample.split is not None:
            splits[sample.group].add(sample.split)
    torn = sorted(group for group, names in splits.items() if len(names) > 1)
    if torn:
        named = "; ".join(f"{group!r} in {', '.join(sorted(splits[group]))}" for group in torn[:5])
        raise UserError(
            f"{len(torn)} groups lie in more than one split: {named}{' ...' if len(torn) > 5 else ''}",
            allowed="each group in one split, or scores come out too good",
            do=["correct the splits", "data.split_column=null, which makes splits that keep groups together"],
        )


def _fractions(
    given: set[str], *, val_fraction: float | Literal["auto"], test_fraction: float | Literal["auto"]
) -> dict[str, float]:
    """Split to the share of the pool that it takes, for each split that is to be made."""
    asked = {"val": val_fraction, "test": test_fraction}
    for split, fraction in asked.items():
        if fraction == "auto":
            continue
        if split in given and fraction != 0:
            raise UserError(
                f"data.{split}_fraction={fraction} has no effect: the data say which images are {split}",
                do=f"leave data.{split}_fraction out",
            )
        if not 0 <= fraction < 1 or (split == "val" and fraction == 0):
            raise UserError(f"data.{split}_fraction={fraction}", allowed="0 < val < 1, 0 <= test < 1")
    fractions = {}
    if "val" not in given:
        fractions["val"] = DEFAULT_FRACTION if val_fraction == "auto" else val_fraction
    if "test" not in given:
        automatic = 0.0 if "val" in given else DEFAULT_FRACTION
        fractions["test"] = automatic if test_fraction == "auto" else test_fraction
    fractions = {split: fraction for split, fraction in fractions.items() if fraction > 0}
    if sum(fractions.values()) >= 1:
        raise UserError(
            f"val and test would take {sum(fractions.values()):.0%} of the images, and training none",
            where="data.val_fraction, data.test_fraction",
            allowed="a sum below 1",
        )
    return fractions


def _note(fractions: Mapping[str, float], counts: Counter[str], *, seed: int, grouped: bool) -> str:
    parts = ", ".join(f"{split} {counts[split]} ({fraction:.0%})" for split, fraction in fractions.items())
    kept = ", groups kept whole" if grouped else ""
    return f"splits made: {parts}, train keeps {counts['train']}; balanced by class{kept}, seed {seed}"


def _carve(pool: Sequence[Sample], fractions: Mapping[str, float], *, task: Task, seed: int) -> dict[str, str]:
    """Sample key to `train` or a split of `fractions`."""
    if task is Task.SINGLE_LABEL and all(sample.group is None for sample in pool):
        return _carve_classes(pool, fractions, seed=seed)
    return _carve_items(_items(pool, seed=seed), fractions)


def _digest(seed: int, word: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{word}".encode("utf-8", "surrogateescape")).digest()


def _carve_classes(pool: Sequence[Sample], fractions: Mapping[str, float], *, seed: int) -> dict[str, str]:
    """Takes from each class its share to within one image, and from all classes together to within one each.

    Quotas come from rounding the running total over the classes, so that many small classes still yield the share.
    Every class keeps at least one image for training.
    """
    classes: dict[str, list[str]] = defaultdict(list)
    for sample in pool:
        classes[sample.labels[0]].append(sample.key)
    quotas = _quotas({label: len(keys) for label, keys in classes.items()}, fractions, seed=seed)
    made: dict[str, str] = {}
    for label, keys in classes.items():
        ordered = sorted(keys, key=lambda key: _digest(seed, key))
        splits = [split for split in fractions for _ in range(quotas[label][split])]
        made.update(zip(ordered, splits + ["train"] * (len(ordered) - len(splits)), strict=True))
    return made


def _quotas(sizes: Mapping[str, int], fractions: Mapping[str, float], *, seed: int) -> dict[str, Counter[str]]:
    quotas: dict[str, Counter[str]] = {label: Counter() for label in sizes}
    # Rounded at different phases, so that val and test do not both want the second image of the same small class.
    phases = {split: 0.5 if i == 0 else 0.0 for i, split in enumerate(fractions)}
    before = 0
    for label in sorted(sizes, key=lambda name: _digest(seed, name)):
        after = before + sizes[label]
        spare = sizes[label] - 1
        for split, fraction in fractions.items():
            wanted = math.floor(after * fraction + phases[split]) - math.floor(before * fraction + phases[split])
            quotas[label][split] = min(wanted, spare)
            spare -= quotas[label][split]
        before = after
    if not any(quota["val"] for quota in quotas.values()) and "val" in fractions:
        largest = max(sizes, key=lambda label: (sizes[label], label))
        quotas[largest] = Counter(val=1) if sizes[largest] > 1 else Counter()
    return quotas


def _items(pool: Sequence[Sample], *, seed: int) -> list[_Item]:
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in pool:
        groups[f"image\0{sample.key}" if sample.group is None else f"group\0{sample.group}"].append(sample)
    items = [_Item(tuple(members), _digest(seed, name)) for name, members in groups.items()]
    return sorted(items, key=lambda item: item.order)


def _carve_items(items: Sequence[_Item], fractions: Mapping[str, float]) -> dict[str, str]:
    """Iterative stratification: the rarest label first, each item to the split that lacks that label most.

    Source: Sechidis, Tsoumakas, Vlahavas, On the Stratification of Multi-Label Data, ECML PKDD 2011, algorithm 1;
    here ties fall by the seeded order and not at random, an item may be a group with several images of a label, and
    afterwards every label that training lacks is given back to it.
    """
    shares = {"train": 1 - sum(fractions.values()), **fractions}
    labels = [item.labels for item in items]
    totals = Counter(label for item in items for sample in item.members for label in sample.labels)
    wanted = {split: Counter({k: share * n for k, n in totals.items()}) for split, share in shares.items()}
    room = {split: share * sum(len(item.members) for item in items) for split, share in shares.items()}
    holders: dict[str, list[int]] = defaultdict(list)
    for i, counts in enumerate(labels):
        for label in counts:
            holders[label].append(i)
    chosen: dict[int, str] = {}

    def place(i: int, split: str) -> None:
        chosen[i] = split
        room[split] -= len(items[i].members)
        wanted[split].subtract(labels[i])
        for label in labels[i]:
            waiting[label] -= 1

    waiting = Counter({label: len(indices) for label, indices in holders.items()})
    while any(waiting.values()):
        label = min((k for k, n in waiting.items() if n), key=lambda k: (waiting[k], k))
        # Large groups first, while there is room everywhere; `sorted` keeps the seeded order among equals.
        for i in sorted((i for i in holders[label] if i not in chosen), key=lambda i: -labels[i][label]):
            place(i, max(shares, key=lambda split: (wanted[split][label], room[split])))
    for i in range(len(items)):
        if i not in chosen:  # no labels at all
            place(i, max(shares, key=lambda split: room[split]))
    _mend(labels, chosen, sizes=[len(item.members) for item in items])
    return {sample.key: chosen[i] for i, item in enumerate(items) for sample in item.members}


def _mend(labels: Sequence[Counter[str]], chosen: dict[int, str], *, sizes: Sequence[int]) -> None:
    """Gives training every label, and validation at least one item where training can spare it."""
    trained = Counter(label for i, counts in enumerate(labels) if chosen[i] == "train" for label in counts)
    for label in sorted({label for counts in labels for label in counts} - set(trained)):
        if not trained[label]:
            i = min((i for i, counts in enumerate(labels) if label in counts), key=lambda i: (sizes[i], i))
            chosen[i] = "train"
            trained.update(labels[i].keys())
    if "val" in chosen.values():
        return
    spare = [i for i in chosen if chosen[i] == "train" and all(trained[label] > 1 for label in labels[i])]
    if spare and len([i for i in chosen if chosen[i] == "train"]) > 1:
        chosen[min(spare, key=lambda i: (sizes[i], i))] = "val"
