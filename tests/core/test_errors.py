from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import (
    Interrupted,
    PluginError,
    UserError,
    UserErrors,
    ZooError,
    name_list,
    nearest,
    raise_all,
)


def test_user_error_shows_each_fact_on_its_own_line() -> None:
    error = UserError("unknown model 'resnt'", where="model=resnt", allowed="resnet18", do=["one way", "another"])

    assert str(error).splitlines() == [
        "unknown model 'resnt'",
        "  where:   model=resnt",
        "  allowed: resnet18",
        "  do:      one way",
        "           another",
    ]


def test_user_error_leaves_out_what_is_not_known() -> None:
    assert str(UserError("too small")) == "too small"
    assert str(UserError("too small", do="make it larger")).splitlines() == ["too small", "  do:      make it larger"]


def test_exit_codes_say_who_can_mend_it() -> None:
    assert [kind.exit_code for kind in (UserError, UserErrors, PluginError, ZooError, Interrupted)] == [2, 2, 3, 1, 130]


def test_raise_all_is_silent_without_errors_and_raises_one_as_it_is() -> None:
    raise_all([])
    one = UserError("one")
    with pytest.raises(UserError) as raised:
        raise_all([one])
    assert raised.value is one


def test_raise_all_joins_several_and_drops_repetitions() -> None:
    with pytest.raises(UserErrors) as raised:
        raise_all([UserError("one"), UserError("two", where="here"), UserError("one")])
    assert [error.what for error in raised.value.errors] == ["one", "two"]
    assert str(raised.value) == "one\ntwo\n  where:   here"


def test_raise_all_with_the_same_error_twice_raises_that_error() -> None:
    with pytest.raises(UserError, match="one") as raised:
        raise_all([UserError("one"), UserError("one")])
    assert not isinstance(raised.value, UserErrors)


@pytest.mark.parametrize(
    "error",
    [
        UserError("what", where="where", allowed="allowed", do=["a", "b"]),
        UserErrors([UserError("one", where="here"), UserError("two")]),
        PluginError("broken"),
    ],
)
def test_errors_survive_the_way_to_another_process(error: ZooError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.exit_code == error.exit_code
    if isinstance(error, UserErrors):
        assert [e.where for e in copy.errors] == ["here", None]


def test_nearest_puts_the_most_alike_first() -> None:
    assert nearest("resnet81", ["alexnet", "vgg16", "resnet18", "resnet50"])[0] == "resnet18"
    assert nearest("sgdd", ["adam", "sgd", "sgdp"])[0] == "sgd"


def test_nearest_finds_parts_and_ignores_case() -> None:
    assert nearest("lite0", ["resnet18", "tf_efficientnet_lite0"]) == ["tf_efficientnet_lite0"]
    assert nearest("ResNet18", ["resnet18d", "resnet18"])[0] == "resnet18"
    assert nearest("claeh", ["CLAHE", "Blur"])[0] == "CLAHE"
    assert nearest("rotat", ["Rotate", "rotate"]) == ["rotate", "Rotate"]
    assert nearest("quite_else", ["a", "b"]) == []


def test_name_list_shows_all_of_a_few_and_the_nearest_of_many() -> None:
    assert name_list("c", ["b", "a"]) == "a, b"
    many = [f"name{i}" for i in range(100)] + ["lion"]
    assert name_list("lion", many).startswith("lion")
    assert name_list("lion", many).endswith("and 100 more")
    assert name_list("zzz", many).count(", ") == 12  # twelve names, and how many more there are
    assert name_list("x", []) == "(nothing)"


@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=8), max_size=30))
def test_name_list_never_invents_or_loses_a_name(word: str, names: list[str]) -> None:
    most = 12
    near = nearest(word, names)
    assert set(near) <= set(names)
    assert len(near) == len(set(near)) <= 5
    shown = name_list(word, names, most=most)
    left = shown.rpartition(", and ")[2].removesuffix(" more") if shown.endswith(" more") else "0"
    if len(set(names)) <= most and not any("," in n or " more" in n for n in names):
        assert left == "0"
