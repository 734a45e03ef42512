"""Whose fault a crash in the middle of a run is, where components are wrapped."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.assembly.blame import plugin_error
from zoo.errors import PluginError, UserError
from zoo.registry import Entry, Offer, Origin
from zoo.wrapping import Wrapper

ACME, BELL, ZOO = Origin("acme.opt", "acme", "1.2"), Origin("bell.wraps", "bell", "3.0"), Origin("zoo.x", "zoo", "0.1")
INNER = """
class Optimizer:
    def step(self, broken):
        if broken == "inside":
            raise ValueError("too steep")
        return "step"
"""
OUTER = """
class Around:
    def __init__(self, inner, *, name):
        self.inner = inner
    def step(self, broken):
        if broken == "outside":
            raise KeyError("lost")
        return self.inner.step(broken)
"""


@pytest.fixture
def crash(make_distribution: Callable[..., Path]) -> Callable[..., BaseException]:
    """`crash(entry, where)`: the error of a step of the wrapped component."""
    make_distribution("acme", points={}, modules={"acme_inner": INNER})
    make_distribution("bell", points={}, modules={"bell_outer": OUTER})

    def run(entry: Entry, where: str) -> BaseException:
        with pytest.raises((ValueError, KeyError)) as raised:
            entry.build().step(where)
        return raised.value

    return run


def entry(origin: Origin) -> Entry:
    around = Wrapper("optimizer", "acme/o", "bell_outer:Around", "Wraps", BELL)
    return Entry("optimizer", "o", Offer("acme_inner:Optimizer", "An optimizer"), origin, wrappers=(around,))


def test_crash_of_a_wrapper_in_the_loop_names_the_wrapper_and_its_plugin(crash) -> None:
    error = plugin_error(crash(entry(ACME), "outside"), [entry(ACME)])
    assert isinstance(error, PluginError)
    assert "wrapper 'bell_outer:Around' of optimizer 'acme/o' crashed: KeyError: 'lost'" in str(error)
    assert "plugin:  bell.wraps (bell 3.0)" in str(error)
    assert "bell_outer.py, line 7, in step" in str(error)


def test_crash_of_what_is_wrapped_names_the_component(crash) -> None:
    error = plugin_error(crash(entry(ACME), "inside"), [entry(ACME)])
    assert "optimizer 'acme/o' crashed: ValueError: too steep" in str(error)
    assert "plugin:  acme.opt (acme 1.2)" in str(error)


def test_wrapper_around_a_component_of_zoo_s_own_is_found_too(crash) -> None:
    error = plugin_error(crash(entry(ZOO), "outside"), [entry(ZOO)])
    assert "plugin:  bell.wraps (bell 3.0)" in str(error)


def test_of_several_in_one_package_the_one_that_crashed_is_named(crash) -> None:
    others = [
        Wrapper("optimizer", "acme/o", f"bell_outer{place}", "Other", BELL) for place in (".more:Around", ":other")
    ]
    several = dataclasses.replace(entry(ZOO), wrappers=(others[0], *entry(ZOO).wrappers, others[1]))
    assert "wrapper 'bell_outer:Around'" in str(plugin_error(crash(entry(ZOO), "outside"), [several]))


def test_what_is_nobody_s_fault_stays_as_it_is(crash) -> None:
    assert plugin_error(UserError("x"), [entry(ACME)]) is None
    assert plugin_error(ValueError("x"), [entry(ACME)]) is None
    assert plugin_error(crash(entry(ACME), "inside"), []) is None
    assert "acme_inner" in sys.modules
