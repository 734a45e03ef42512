"""Plugins that wrap another's component: what is put around what, in which order, and who is to blame."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.cli import main
from zoo.errors import PluginError, UserError
from zoo.plugins import load_plugins
from zoo.registry import Registry

MakeDistribution = Callable[..., Path]

LION = """
from zoo.hookspecs import hookimpl

@hookimpl
def register_heads(register):
    register("lion", "acme_lion:Lion", summary="A head with a mane")
    register("puma", "acme_lion:Lion", summary="A head without")
"""
HEAD = """
class Lion:
    def __init__(self, features, classes, *, rate: float = 0.5):
        self.rate, self.features = rate, features
"""
HOOK = """
from zoo.hookspecs import hookimpl

@hookimpl
def register_wrappers(register):
    {lines}
"""
WRAPS = """
from zoo.errors import UserError

class Wrapped:
    def __init__(self, inside, name, label):
        self.inside, self.name, self.label = inside, name, label

def outer(component, *, name): return Wrapped(component, name, "outer")
def inner(component, *, name): return Wrapped(component, name, "inner")
def broken(component, *, name): raise RuntimeError("no room")
def leaving(component, *, name): raise SystemExit(3)
def asking(component, *, name): raise UserError("not with these")
def silent(component, *, name): ...
"""


def line(target: str, *, wrapped: str = "acme/lion", kind: str = "head", summary: str = "Wraps it") -> str:
    return f'register("{kind}", "{wrapped}", "{target}", summary="{summary}")'


@pytest.fixture
def wrap(make_distribution: MakeDistribution) -> Callable[..., None]:
    """`wrap("bell", lines...)`: a distribution whose one plugin wraps; heads to wrap are there already."""
    make_distribution("acme", points={"acme.heads": "acme_heads"}, modules={"acme_heads": LION, "acme_lion": HEAD})

    def make(name: str, *lines: str, version: str = "1.0") -> None:
        make_distribution(
            name,
            version=version,
            points={f"{name}.wraps": f"{name}_hooks"},
            modules={f"{name}_hooks": HOOK.format(lines="\n    ".join(lines)), f"{name}_wraps": WRAPS},
        )

    return make


def labels(registry: Registry, name: str = "lion") -> list[str]:
    """From the outside in."""
    found, built = [], registry.get("head", name).build(features=3, classes=2, rate=0.1)
    while hasattr(built, "inside"):
        found.append(f"{type(built).__module__.partition('_')[0]} {built.label}")
        built = built.inside
    assert built.rate == 0.1
    return found


def test_wrapper_is_put_around_what_is_built_and_loaded_only_then(wrap: Callable[..., None]) -> None:
    wrap("bell", line("bell_wraps:outer"))
    registry = load_plugins().registry
    entry = registry.get("head", "acme/lion")
    assert "bell_wraps" not in sys.modules

    built = entry.build(features=3, classes=2)
    assert (built.label, built.name, built.inside.features) == ("outer", "acme/lion", 3)
    assert not hasattr(registry.get("head", "puma").build(features=3, classes=2), "inside")
    assert [p.name for p in entry.parameters()] == ["rate"]  # options stay the component's own


def test_order_is_by_distribution_then_plugin_then_registration(
    wrap: Callable[..., None], make_distribution: MakeDistribution
) -> None:
    wrap("cats", line("cats_wraps:outer"))
    wrap("bell", line("bell_wraps:outer"), line("bell_wraps:inner", wrapped="*"))
    make_distribution(  # of the distribution bell too, but its plugin's name comes first
        "bell-more",
        points={"aardvark.wraps": "more_hooks"},
        modules={"more_hooks": HOOK.format(lines=line("more_wraps:outer")), "more_wraps": WRAPS},
    )
    registry = load_plugins().registry

    expected = ["cats outer", "more outer", "bell inner", "bell outer"]
    assert labels(registry) == expected
    assert labels(registry, "puma") == ["bell inner"]
    assert labels(load_plugins(only=["cats.wraps", "acme.heads", "bell.wraps"]).registry) == [
        "cats outer",
        "bell inner",
        "bell outer",
    ]


def test_wrapping_every_component_of_a_kind_wraps_no_other_kind(wrap: Callable[..., None]) -> None:
    wrap("bell", line("bell_wraps:outer", wrapped="*", kind="loss"))
    registry = load_plugins().registry
    assert labels(registry) == []
    assert all(entry.wrappers for entry in registry.entries("loss"))
    assert not any(entry.wrappers for entry in registry.entries("optimizer"))


CRASHES = {
    "broken": ("crashed: RuntimeError: no room", "bell_wraps.py, line 10, in broken"),
    "leaving": ("crashed: SystemExit: 3", "bell_wraps.py"),
    "silent": ("returned nothing", ""),
    "absent": ("cannot be loaded: AttributeError", ""),
}


@pytest.mark.parametrize("target", sorted(CRASHES))
def test_crashing_wrapper_blames_its_own_plugin(target: str, wrap: Callable[..., None]) -> None:
    wrap("bell", line(f"bell_wraps:{target}"), version="2.5")
    with pytest.raises(PluginError) as raised:
        load_plugins().registry.get("head", "lion").build(features=3, classes=2)
    said, where = CRASHES[target]
    assert f"wrapper 'bell_wraps:{target}' of head 'acme/lion' {said}" in str(raised.value)
    assert "plugin:  bell.wraps (bell 2.5)" in str(raised.value)
    assert where in str(raised.value)
    assert "acme.heads" not in str(raised.value)


def test_what_a_wrapper_refuses_is_the_users_to_mend(wrap: Callable[..., None]) -> None:
    wrap("bell", line("bell_wraps:asking"))
    with pytest.raises(UserError, match="not with these"):
        load_plugins().registry.get("head", "lion").build(features=3, classes=2)


REFUSED = {
    "bare name": (line("bell_wraps:outer", wrapped="lion"), "write the full name"),
    "no kind": (line("bell_wraps:outer", kind="heads"), "kinds that can be wrapped are dataset, augmentation"),
    "a verb": (line("bell_wraps:outer", kind="command", wrapped="zoo/plugins"), "kinds that can be wrapped"),
    "bad target": (line("bell_wraps.outer"), "'bell_wraps.outer' is not of the form"),
    "no summary": (line("bell_wraps:outer", summary=" "), "summary is empty"),
    "twice": ("\n    ".join([line("bell_wraps:outer")] * 2), "registered twice"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_malformed_wrappers_fail_their_plugin(case: str, wrap: Callable[..., None]) -> None:
    lines, reason = REFUSED[case]
    wrap("bell", lines)
    (failed,) = load_plugins().registry.failed
    assert reason in failed.reason
    assert labels(load_plugins().registry) == []


def test_hook_wrappers_of_pluggy_are_refused_with_the_way_to_wrap(make_distribution: MakeDistribution) -> None:
    source = LION.replace("@hookimpl", "@hookimpl(wrapper=True)") + "    yield\n"
    make_distribution("acme", points={"acme.heads": "acme_heads"}, modules={"acme_heads": source})
    (failed,) = load_plugins().registry.failed
    assert "register_heads is a hook wrapper; register_wrappers wraps another's component" in failed.reason


def test_registry_with_other_wrappers_leaves_the_first_as_it_was(wrap: Callable[..., None]) -> None:
    wrap("bell", line("bell_wraps:outer"), line("bell_wraps:inner"))
    registry = load_plugins().registry
    assert labels(registry.with_wrappers(registry.wrappers[:1])) == ["bell outer"]
    assert labels(registry.with_wrappers([])) == []
    assert labels(registry) == ["bell inner", "bell outer"]


def test_plugins_verb_counts_wrappers_and_show_lists_them_from_the_inside_out(
    wrap: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    wrap("cats", line("cats_wraps:outer", summary="Purrs"))
    wrap("bell", line("bell_wraps:inner", summary="Rings"), version="2.5")
    assert main(["plugins"]) == 0
    shown = capsys.readouterr().out
    assert any(row.startswith("bell.wraps") and row.endswith("1 wrapper") for row in shown.splitlines())
    assert "has no effect" not in shown

    assert main(["plugins", "show", "acme/lion"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("  wrapped by, from the inside out:")
    assert lines[at + 1 : at + 3] == ["    1. Rings (bell.wraps (bell 2.5))", "    2. Purrs (cats.wraps (cats 1.0))"]
    assert main(["plugins", "show", "acme/puma"]) == 0
    assert "wrapped by" not in capsys.readouterr().out

    assert main(["plugins", "show", "acme/lion", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert [wrapper["target"] for wrapper in record["wrappers"]] == ["bell_wraps:inner", "cats_wraps:outer"]
    assert main(["plugins", "show", "bell.wraps"]) == 0
    assert "wraps head acme/lion: Rings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "wrapped", "idle"),
    [
        ("head", "acme/lyon", True),
        ("head", "gone/lion", True),
        ("head", "acme/lion", False),
        ("head", "*", False),
        ("model", "timm/resnet18", False),  # a provider may have it; asking would import the library
        ("model", "gone/resnet18", True),
    ],
)
def test_wrapper_of_what_nobody_offers_is_shown_as_without_effect(
    kind: str, wrapped: str, idle: bool, wrap: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    wrap("bell", line("bell_wraps:outer", kind=kind, wrapped=wrapped))
    assert main(["plugins"]) == 0
    note = f"note: a wrapper of bell.wraps (bell 1.0) has no effect: nobody offers {kind} {wrapped!r}"
    assert (note in capsys.readouterr().out.splitlines()) is idle
