"""Signatures that are read from source say what the imported ones say, for every component of zoo's own."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.completion.config_words import ConfigWords, values_of
from zoo.completion.signatures import REQUIRED, UNKNOWN, StaticOption, static_options
from zoo.completion.source_files import found, parsed, source_of
from zoo.config import schema
from zoo.kinds import BY_NAME, KINDS
from zoo.plugins import load_plugins
from zoo.registry import Entry, Offer, Origin

PLUGINS = load_plugins(only=[])
ENTRIES = [entry for kind in KINDS if kind.group for entry in PLUGINS.registry.entries(kind.name)]


def test_there_is_something_to_compare() -> None:
    assert len(ENTRIES) > 80
    assert sum(len(static_options(entry)) for entry in ENTRIES) > 150


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.kind}:{entry.full_name}")
def test_source_says_what_the_component_says(entry: Entry) -> None:
    words = ConfigWords(PLUGINS, given={})
    read = {option.name: option for option in words.options_of(BY_NAME[entry.kind], entry.full_name)}
    told = {option.name: option for option in schema.options(entry)}
    assert list(read) == list(told)
    for name, option in told.items():
        assert read[name].values == values_of(option.annotation), name
        default = read[name].default
        assert default is not UNKNOWN, name
        if option.required:
            assert default in (REQUIRED, schema.REQUIRED), name
        else:
            assert schema.plain(default) == schema.plain(option.default), name


SHAPES = '''
import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, ClassVar, Literal, Optional, Union

import a_library
from a_library import Base as Elsewhere
from . import words
from .words import Mood as M

LEVEL = 3
THIRD = LEVEL / 3 - 2 * 0.25
NONE = 1 / 0
A, B = 1, 2


def plain(first, second: int = LEVEL, *, third: "bool | None" = None, fourth: float): ...

class Own:
    def __init__(self, x: Union[int, Literal["auto"]] = "auto", *rest, y: Optional[M] = None, **more): ...

class Child(Own):
    """Inherits."""

class Foreign(Elsewhere):
    """Its base is in a library."""

class Both(Foreign, Child):
    """The second base has what the first one lacks."""

@dataclass(frozen=True, kw_only=True)
class Data:
    count: Annotated[int, "above 0"] = B
    kind: ClassVar[str] = "none"
    names: tuple[str, ...] = ()
    third: float = THIRD
    none: float = NONE
    made: list = field(default_factory=list)
    set_later: int = field(init=False)

@dataclass(frozen=True, kw_only=True)
class More(Data):
    count: int = 9
    mood: words.Mood = field(default="calm")

bound = partial(plain, 1, third=True)
alias = Own

def factory(n):
    def build(*, depth: int = 4): ...
    return build

one, two = factory(1), factory(2)
if True:
    def hidden(a: int = 1): ...
'''


@pytest.fixture
def shapes(make_distribution: Callable[..., Path]) -> Callable[[str], dict[str, StaticOption]]:
    """Reads one name of `SHAPES`, which cannot be imported."""
    modules = {"acme_lib.shapes": SHAPES, "acme_lib.words": "from typing import Literal\nMood = Literal['calm', 3]\n"}
    make_distribution("acme", points={}, modules=modules)

    def read(name: str) -> dict[str, StaticOption]:
        entry = Entry("schedule", "x", Offer(f"acme_lib.shapes:{name}", "x"), Origin("acme.x", "acme", "1"))
        return {option.name: option for option in static_options(entry)}

    return read


def test_functions(shapes) -> None:
    options = shapes("plain")
    assert [(o.name, o.default) for o in options.values()] == [
        ("first", REQUIRED),
        ("second", 3),
        ("third", None),
        ("fourth", REQUIRED),
    ]
    assert options["third"].values == ("true", "false", "null")
    assert list(shapes("bound")) == ["second", "fourth"]
    assert list(shapes("hidden")) == ["a"]
    assert shapes("one") == shapes("two") == {"depth": StaticOption("depth", 4, ())}


@pytest.mark.parametrize("name", ["Own", "Child", "Both", "alias"])
def test_classes_take_the_first_constructor_that_there_is(name: str, shapes) -> None:
    assert shapes(name) == {
        "x": StaticOption("x", "auto", ("auto",)),
        "y": StaticOption("y", None, ("calm", "3", "null")),
    }


def test_constructor_of_a_library_is_not_looked_for(shapes) -> None:
    assert shapes("Foreign") == {}


def test_dataclasses_take_their_fields(shapes) -> None:
    assert {o.name: o.default for o in shapes("Data").values()} == {
        "count": 2,
        "names": (),
        "third": 0.5,
        "none": UNKNOWN,
        "made": UNKNOWN,
    }
    more = shapes("More")
    assert list(more) == ["count", "names", "third", "none", "made", "mood"]
    assert (more["count"].default, more["mood"].default, more["mood"].values) == (9, "calm", ("calm", "3"))


@pytest.mark.parametrize("name", ["absent", "LEVEL", "a_library", "words.absent"])
def test_what_is_not_there_has_no_options(name: str, shapes) -> None:
    assert shapes(name) == {}


def test_modules_are_found_without_importing_their_packages(make_distribution: Callable[..., Path]) -> None:
    site = make_distribution(
        "acme", points={}, modules={"acme_pkg.__init__": "raise RuntimeError('imported')", "acme_pkg.inside": "x = 1\n"}
    )
    assert source_of("acme_pkg.inside") == site / "acme_pkg" / "inside.py"
    assert source_of("acme_pkg") == site / "acme_pkg" / "__init__.py"
    assert source_of("acme_pkg.absent") is None
    assert source_of("no_such_package_at_all.x") is None
    hit = found("x", "acme_pkg.inside")
    assert hit is not None
    assert ast.literal_eval(hit[0]) == 1


def test_a_module_that_does_not_parse_says_nothing(make_distribution: Callable[..., Path]) -> None:
    make_distribution("acme", points={}, modules={"acme_torn": "def (:\n"})
    assert parsed("acme_torn") is None
    assert found("x", "acme_torn") is None


def test_imports_in_a_circle_end(make_distribution: Callable[..., Path]) -> None:
    modules = {"acme_ring.one": "from .two import x\n", "acme_ring.two": "from .one import x\n"}
    make_distribution("acme", points={}, modules=modules)
    assert found("x", "acme_ring.one") is None
