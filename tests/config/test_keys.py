from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.config.keys import check_keys, is_free, leaves, set_value
from zoo.config.words import Word

VALUES: dict[str, Any] = {
    "optimizer": {"name": "torch/sgd", "lr": "auto", "args": {"a": 1}, "extra": None},
    "augmentations": {"flip": {"name": "zoo/flip", "p": 0.5, "more": {}}},
    "train": {"epochs": "auto", "seed": 0},
    "weights": "auto",
}


def refused(*texts: str, broken: frozenset[str] = frozenset()) -> dict[str, tuple[str, ...]]:
    words = [Word(*text.split("=", 1)) for text in texts]
    _, errors = check_keys(words, VALUES, broken=broken, has=lambda group, name: name in ("flip", "rotate"))
    return {error.what: error.do for error in errors}


def test_check_keys_passes_what_exists() -> None:
    words = [Word("optimizer.lr", "1"), Word("train.seed", "3"), Word("weights", "x"), Word("optimizer.args.b", "1")]
    assert check_keys(words, VALUES, broken=frozenset(), has=lambda group, name: False) == (words, [])


@pytest.mark.parametrize(
    ("text", "what", "do"),
    [
        ("optimizer.lrr=1", "unknown option 'optimizer.lrr' of torch/sgd", "did you mean optimizer.lr?"),
        ("optimiser.lr=1", "unknown key 'optimiser.lr'", "did you mean optimizer.lr?"),
        ("seed=1", "unknown key 'seed'", "did you mean train.seed?"),
        ("train=1", "'train' is a section and cannot be set as a whole", None),
        ("augmentations.flip=1", "'augmentations.flip' is a section and cannot be set as a whole", None),
        (
            "augmentations.flip.name=x",
            "'augmentations.flip.name' cannot be set",
            "choose a component by 'augmentations=[x]'",
        ),
        (
            "augmentations.rotate.p=1",
            "'augmentations.rotate.p': rotate is not among the chosen augmentations",
            "choose it too: 'augmentations=[flip,rotate]'",
        ),
        ("zzz.zzz=1", "unknown key 'zzz.zzz'", None),
    ],
)
def test_check_keys_says_what_was_meant(text: str, what: str, do: str | None) -> None:
    assert refused(text) == {what: (do,) if do else ()}


def test_check_keys_skips_groups_whose_choice_was_refused() -> None:
    assert refused("optimizer.momentum=1", broken=frozenset({"optimizer"})) == {}


@pytest.mark.parametrize(
    ("key", "free"),
    [
        ("optimizer.args.depth", True),
        ("optimizer.args.depth.more", True),
        ("optimizer.extra.x", True),
        ("augmentations.flip.more.x", True),
        ("optimizer.args", False),
        ("optimizer.lr.x", False),
        ("optimizer.nothing.x", False),
        ("augmentations.flip.p", False),
        ("train.seed.x", False),
    ],
)
def test_is_free_inside_options_that_are_maps(key: str, free: bool) -> None:
    assert is_free(key, VALUES) is free


trees = st.recursive(
    st.integers() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


@given(trees)
def test_set_value_rebuilds_a_tree_from_its_leaves(tree: dict[str, Any]) -> None:
    rebuilt: dict[str, Any] = {}
    for key, value in leaves(tree):
        set_value(rebuilt, key, value=value)
    assert rebuilt == tree


def test_second_copy_is_named_by_the_key_that_it_has() -> None:
    """`'augmentations=[flip,flip@2]'`: an `@` cannot stand in a key, so its options are under `flip_2`."""
    values = VALUES | {"augmentations": {"flip": {"name": "zoo/flip", "p": 0.5}, "flip_2": {"name": "zoo/flip"}}}
    word = Word("augmentations.flip@2.p", "1")
    _, errors = check_keys([word], values, broken=frozenset(), has=lambda group, name: True)
    assert [error.do for error in errors] == [("write augmentations.flip_2.p",)]
