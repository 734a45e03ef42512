"""The checks that the built-in components share."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo_plugins.option_checks import check_choice, check_range, no_effect

from zoo.errors import UserError


@given(value=st.floats(allow_nan=True, allow_infinity=True), above=st.booleans(), below=st.booleans())
def test_check_range_agrees_with_comparison(value, above, below):
    fits = (value > 0 if above else value >= 0) and (value < 2 if below else value <= 2)
    if fits and math.isfinite(value):
        check_range(value, where="a.b", low=0, high=2, above=above, below=below)
        return
    with pytest.raises(UserError) as caught:
        check_range(value, where="a.b", low=0, high=2, above=above, below=below)
    assert caught.value.where == "a.b"


@pytest.mark.parametrize("value", ["1", None, True, [1]])
def test_check_range_takes_numbers_only(value):
    with pytest.raises(UserError, match="is not a value"):
        check_range(value, where="a", low=0, high=2)


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        ({"low": 0, "high": 1}, "a number 0 or more, at most 1"),
        ({"low": 0, "high": 1, "above": True, "below": True}, "a number above 0, below 1"),
        ({"low": 0.5, "high": math.inf}, "a number 0.5 or more"),
    ],
)
def test_check_range_says_what_is_allowed(limits, allowed):
    with pytest.raises(UserError) as caught:
        check_range(-1, where="a", **limits)
    assert caught.value.allowed == allowed


def test_check_choice_names_the_nearest_first():
    check_choice("edge", where="a", choices=("wrap", "edge"))
    with pytest.raises(UserError) as caught:
        check_choice("edeg", where="a", choices=("constant", "edge", "wrap"))
    assert caught.value.allowed.startswith("edge")


def test_no_effect_says_what_where_and_what_to_do():
    error = no_effect("p=0", where="a.p", do=["raise p", "leave it out"])
    assert str(error).splitlines()[0] == "p=0 has no effect"
    assert error.where == "a.p"
    assert error.do == ("raise p", "leave it out")
