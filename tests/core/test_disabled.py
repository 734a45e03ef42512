"""Plugins that the user switched off: remembered, shown, and loaded all the same where they are asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo import disabled
from zoo.cli import main
from zoo.disabled import choices_file, disabled_names, is_disabled, write_disabled
from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.registry import Origin

MakeDistribution = Callable[..., Path]

HEADS = """
from zoo.hookspecs import hookimpl

@hookimpl
def register_heads(register):
    register("{name}", "acme_none:Head", summary="A head")
"""


@pytest.fixture
def acme(make_distribution: MakeDistribution) -> Path:
    """One distribution with two plugins, and one with a third."""
    make_distribution(
        "Zoo_Acme",
        points={"acme.one": "acme_one", "acme.two": "acme_two"},
        modules={"acme_one": HEADS.format(name="lion"), "acme_two": HEADS.format(name="puma")},
    )
    return make_distribution(
        "bell", points={"bell.heads": "bell_heads"}, modules={"bell_heads": HEADS.format(name="tiger")}
    )


def status_of() -> dict[str, str]:
    return {p.origin.plugin: p.status for p in load_plugins().plugins if p.origin.distribution != "zoo"}


def test_disabled_plugin_is_ignored_until_it_is_enabled(acme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "disable", "acme.one"]) == 0
    assert "zoo plugins enable acme.one" in capsys.readouterr().out
    assert "acme_one" in sys.modules  # of the command itself, which loads plugins before it is known what it does
    del sys.modules["acme_one"]

    plugins = load_plugins()
    assert not plugins.registry.has("head", "lion")
    assert plugins.registry.has("head", "puma")
    ignored = next(p for p in plugins.plugins if p.origin.plugin == "acme.one")
    assert (ignored.status, ignored.reason) == ("ignored", f"disabled by you ({choices_file()})")
    assert "acme_one" not in sys.modules

    assert main(["plugins"]) == 0
    shown = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("acme.one"))
    assert "ignored" in shown
    assert str(choices_file()) in shown
    assert main(["plugins", "enable", "acme.one"]) == 0
    assert load_plugins().registry.has("head", "lion")


@pytest.mark.parametrize("name", ["Zoo_Acme", "zoo-acme", "ZOO.acme"])
def test_distribution_is_disabled_with_all_its_plugins(name: str, acme: Path) -> None:
    assert main(["plugins", "disable", name]) == 0
    assert status_of() == {"acme.one": "ignored", "acme.two": "ignored", "bell.heads": "ok"}
    assert main(["plugins", "enable", "zoo-acme"]) == 0
    assert set(status_of().values()) == {"ok"}


def test_explicit_selection_loads_a_disabled_plugin(acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["plugins", "disable", "acme.one"])
    monkeypatch.setenv("ZOO_PLUGINS", "acme.one")
    assert status_of() == {"acme.one": "ok", "acme.two": "ignored", "bell.heads": "ignored"}
    monkeypatch.delenv("ZOO_PLUGINS")
    assert load_plugins(only=["acme.one"]).registry.has("head", "lion")
    assert status_of()["acme.one"] == "ignored"


@pytest.mark.parametrize("name", ["zoo.heads", "zoo", "timm.models"])
def test_built_in_plugins_cannot_be_disabled(name: str, acme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "disable", "bell", name]) == 2
    assert f"{name!r} is built in" in capsys.readouterr().err
    assert disabled_names() == frozenset()  # all or nothing


def test_unknown_names_are_refused_with_the_nearest(acme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "disable", "acme.onne"]) == 2
    error = capsys.readouterr().err
    assert "no plugin and no distribution 'acme.onne'" in error
    assert "allowed: acme.one" in error
    assert main(["plugins", "disable"]) == 2
    assert main(["plugins", "enable"]) == 2
    main(["plugins", "disable", "bell"])
    capsys.readouterr()
    assert main(["plugins", "enable", "bel"]) == 2
    assert "allowed: bell" in capsys.readouterr().err


def test_plugin_of_a_disabled_distribution_says_what_to_enable(acme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["plugins", "disable", "bell"])
    assert main(["plugins", "enable", "bell.heads"]) == 2
    assert "zoo plugins enable bell\n" in capsys.readouterr().err
    assert status_of()["bell.heads"] == "ignored"


def test_what_is_said_twice_or_was_never_said(acme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "enable", "bell"]) == 0
    assert "was not disabled" in capsys.readouterr().out
    main(["plugins", "disable", "bell"])
    assert main(["plugins", "disable", "bell"]) == 0
    assert "is disabled already" in capsys.readouterr().out.splitlines()[-1]


def test_name_that_is_no_longer_installed_can_be_enabled(acme: Path) -> None:
    write_disabled(["gone"])
    assert main(["plugins", "enable", "gone"]) == 0
    assert disabled_names() == frozenset()


def test_missing_name_is_explained_by_what_is_disabled(acme: Path) -> None:
    main(["plugins", "disable", "bell"])
    with pytest.raises(UserError) as raised:
        load_plugins().registry.get("head", "tiger")
    assert "plugin bell.heads (bell 1.0) is disabled by you: zoo plugins enable bell.heads" in raised.value.do


DAMAGED = {
    "no json": "{",
    "no object": "[]",
    "no list": '{"format": 1, "disabled": "acme"}',
    "no key": '{"format": 1}',
    "no names": '{"format": 1, "disabled": [1]}',
    "later": '{"format": 2, "disabled": []}',
}


@pytest.mark.parametrize("case", sorted(DAMAGED))
def test_damaged_file_is_the_users_error(case: str, acme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choices_file().parent.mkdir(parents=True)
    choices_file().write_text(DAMAGED[case], encoding="utf-8")
    assert main(["plugins"]) == 2
    error = capsys.readouterr().err
    assert str(choices_file()) in error
    assert "delete the file" in error


def test_file_is_replaced_in_one_step(acme: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_disabled(["bell"])
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
    with pytest.raises(UserError, match="disk is full"):
        write_disabled(["acme.one", "bell"])
    assert disabled_names() == {"bell"}
    assert [file.name for file in choices_file().parent.iterdir()] == ["plugins.json"]
    assert json.loads(choices_file().read_text()) == {"format": 1, "disabled": ["bell"]}


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, "home/.config/zoo/plugins.json"),
        ("linux", {"XDG_CONFIG_HOME": "/xdg"}, "/xdg/zoo/plugins.json"),
        ("linux", {"XDG_CONFIG_HOME": "relative"}, "home/.config/zoo/plugins.json"),
        ("darwin", {"XDG_CONFIG_HOME": "/xdg"}, "home/Library/Application Support/zoo/plugins.json"),
        ("win32", {"APPDATA": "/roaming"}, "/roaming/zoo/plugins.json"),
        ("linux", {"ZOO_CONFIG": "/mine"}, "/mine/plugins.json"),
    ],
)
def test_where_the_file_lies(
    platform: str, environment: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ZOO_CONFIG", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(disabled.sys, "platform", platform)
    assert choices_file() == tmp_path / expected


def test_without_a_home_nothing_is_disabled_and_nothing_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ZOO_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert disabled_names() == frozenset()
    with pytest.raises(UserError, match="no home folder"):
        write_disabled(["bell"])


def test_names_of_plugins_are_exact_and_those_of_distributions_are_not() -> None:
    origin = Origin("acme.opt", "Zoo_Lion", "1.0")
    assert is_disabled(origin, ["acme.opt"])
    assert is_disabled(origin, ["zoo-lion"])
    assert not is_disabled(origin, ["acme-opt", "acme", "lion"])
