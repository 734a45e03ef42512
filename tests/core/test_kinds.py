from __future__ import annotations

import inspect

import pytest

from zoo import hookspecs
from zoo.kinds import BY_GROUP, BY_NAME, KINDS, Kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_a_described_hook(kind: Kind) -> None:
    hook = getattr(hookspecs, f"register_{kind.hook}")
    assert list(inspect.signature(hook).parameters) == ["register"]
    text = inspect.getdoc(hook) or ""
    assert text.startswith("Offers ")
    assert "Built:" in text


def test_every_hook_belongs_to_a_kind() -> None:
    hooks = {name for name in dir(hookspecs) if name.startswith("register_")}
    others = {"register_config_dirs", "register_config_defaults", "register_wrappers"}
    assert hooks == {f"register_{kind.hook}" for kind in KINDS} | others


def test_plurals() -> None:
    hooks = {kind.name: kind.hook for kind in KINDS}
    assert (hooks["strategy"], hooks["loss"], hooks["weights"], hooks["model"]) == (
        "strategies",
        "losses",
        "weights",
        "models",
    )


def test_tables_hold_every_kind_once() -> None:
    assert set(BY_NAME) == {kind.name for kind in KINDS}
    assert len(BY_NAME) == len(KINDS)
    assert set(BY_GROUP) == {kind.group for kind in KINDS if kind.group}


def test_supplied_arguments_are_no_options_unless_the_framework_reads_the_option_itself() -> None:
    shared = {(kind.name, name) for kind in KINDS for name in kind.supplied & set(kind.common)}
    assert shared == {("model", "image_size")}
