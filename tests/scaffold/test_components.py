"""What a new plugin brings works: it is loaded, listed, built, and passes the tests that come with it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest
from support.own_tests import run_own_tests

from zoo.cli import main as cli
from zoo.config import schema
from zoo.config.compose import configure
from zoo.kinds import BY_NAME
from zoo.plugins import Plugins
from zoo.scaffold.parts import CONFIG_DIRS, ORDER, PARTS

Make, Install = Callable[..., Path], Callable[[Path], Plugins]

COMPONENTS = [kind for kind in ORDER if PARTS[kind].is_component]
CHOSEN_BY = {kind: BY_NAME[kind].group for kind in COMPONENTS if BY_NAME[kind].group}


@pytest.fixture
def everything(make_plugin: Make, install: Install) -> Plugins:
    """One plugin with all kinds."""
    return install(make_plugin())


@pytest.mark.parametrize("kind", ORDER)
def test_plugin_of_one_kind_is_loaded_and_offers_just_that(kind: str, make_plugin: Make, install: Install) -> None:
    plugins = install(make_plugin(kind))
    (loaded,) = [plugin for plugin in plugins.plugins if plugin.origin.plugin == "lion"]
    assert loaded.status == "ok"
    assert {name: count for name, count in loaded.counts if name in COMPONENTS} == (
        {kind: 1} if kind in COMPONENTS else {}
    )
    assert plugins.config_dirs == (("zoo_lion.conf",) if kind == CONFIG_DIRS else ())


def test_plugin_of_all_kinds_offers_one_of_each(everything: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    (loaded,) = [plugin for plugin in everything.plugins if plugin.origin.plugin == "lion"]
    assert dict(loaded.counts).items() >= dict.fromkeys(COMPONENTS, 1).items()
    for kind in COMPONENTS:
        entry = everything.registry.get(kind, "lion/lion")
        assert str(entry.origin) == "lion (zoo-lion 0.1.0)"
        assert Path(entry.origin.file).name == "hooks.py"

    assert cli(["plugins"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("lion ")]
    assert "zoo-lion 0.1.0" in line
    assert " ok " in line


@pytest.mark.parametrize("kind", COMPONENTS)
def test_component_has_options_that_are_typed_and_explained(kind: str, make_plugin: Make, install: Install) -> None:
    entry = install(make_plugin(kind)).registry.get(kind, "lion/lion")
    if kind == "command":
        assert list(inspect.signature(entry.load()).parameters) == ["argv"]
        return
    text = inspect.getdoc(entry.load()) or ""
    own = [option for option in schema.options(entry) if option.name not in BY_NAME[kind].common]
    assert own or kind in ("weights", "importer")
    for option in own:
        assert option.annotation is not inspect.Parameter.empty
        assert not option.required
        assert schema.convert(schema.plain(option.default), option.annotation) == option.default
        assert f"    {option.name}: " in text
    if PARTS[kind].source:
        assert "Source:" in text + (inspect.getdoc(inspect.getmodule(entry.load())) or "")


@pytest.mark.parametrize("kind", CHOSEN_BY)
def test_component_is_chosen_as_its_readme_says(kind: str, everything: Plugins) -> None:
    group = BY_NAME[kind]
    word = f"{group.group}=[lion/lion]" if group.many else f"{group.group}=lion/lion"
    words = [word] if kind == "model" else ["model=lenet5", word]
    config = configure(words, everything, source_for=str)
    chosen = getattr(config, group.group)
    (component,) = chosen if group.many else (chosen,)
    assert component.name == "lion/lion"


def test_shipped_experiment_is_composed_from_the_plugins_own(everything: Plugins) -> None:
    config = configure(["model=lenet5", "experiment=lion"], everything, source_for=str)
    assert config.optimizer.name == config.loss.name == config.schedule.name == "lion/lion"
    assert [part.name for part in config.augmentations] == ["lion/lion"]
    assert [part.name for part in config.regularizers] == ["lion/lion"]


def test_the_plugins_own_tests_pass(make_plugin: Make, install: Install, capfd: pytest.CaptureFixture[str]) -> None:
    """Every one but those of the conformance kit, which the slow test of a real installation runs."""
    folder = make_plugin()
    install(folder)
    code = run_own_tests(folder, *ORDER)
    said = capfd.readouterr().out
    assert code == pytest.ExitCode.OK, said
    assert "failed" not in said
    passed = sum(line.count(".") for line in said.splitlines() if line.startswith("."))
    assert passed >= 30, said


FAULTS = {
    "optimizer": ("alpha=group[", "alpha=2 * group["),
    "regularizer": ("gradient.sub_(mean", "gradient.add_(mean"),
    "schedule": ("1.0 - min(", "0.9 - min("),
    "loss": ("(1 - right)", "right"),
    "strategy": ("frozen = tuple(", "frozen = () and tuple("),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_the_plugins_own_tests_find_a_fault(
    kind: str, make_plugin: Make, install: Install, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = make_plugin(kind)
    module = folder / "zoo_lion" / f"{kind}.py"
    right, wrong = FAULTS[kind]
    text = module.read_text(encoding="utf-8")
    assert text.count(right) == 1
    module.write_text(text.replace(right, wrong), encoding="utf-8")
    install(folder)
    assert run_own_tests(folder, kind) == pytest.ExitCode.TESTS_FAILED, capfd.readouterr().out
