"""What runs and saved models stand on: missing plugins, other versions, and the wrappers of then and now."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from zoo.artifacts.record import ComponentUse, Environment, RunRecord, WrapperUse
from zoo.assembly.pinned import (
    check_installed,
    check_wrappers,
    made_of,
    recorded_wrappers,
    registry_of,
    say_wrappers,
    wrappers_of,
)
from zoo.config.run_config import Component, FinetuneConfig
from zoo.contracts.data import Task
from zoo.errors import PluginError, UserError, UserErrors
from zoo.plugins import LoadedPlugin, Plugins, load_plugins
from zoo.registry import Entry, Offer, Origin, Registry
from zoo.wrapping import Wrapper

ACME = Origin("acme.opt", "zoo-acme", "1.2")
BELL = Origin("bell.wraps", "zoo-bell", "3.0")
LION = ComponentUse("optimizer", "acme/lion", "acme.opt", "zoo-acme", "1.2")
AROUND = WrapperUse("head", "zoo/linear", "bell_wraps:outer", "bell.wraps", "zoo-bell", "3.0")
OUTER = Wrapper("head", "zoo/linear", "bell_wraps:outer", "Wraps it", BELL)


def plugins_of(*loaded: LoadedPlugin) -> Plugins:
    return Plugins(Registry(), loaded, ())


def ok(origin: Origin) -> LoadedPlugin:
    return LoadedPlugin(origin, "ok")


def checked(use: ComponentUse | WrapperUse, plugins: Plugins) -> list[str]:
    said: list[str] = []
    check_installed([use], plugins, made="the model", say=said.append)
    return said


def test_same_version_is_nothing_to_speak_of() -> None:
    assert checked(LION, plugins_of(ok(ACME))) == []


def test_another_version_is_said_once_for_each_distribution() -> None:
    newer = dataclasses.replace(ACME, version="2.0")
    said: list[str] = []
    uses = [LION, dataclasses.replace(LION, name="acme/puma", plugin="acme.more")]
    more = dataclasses.replace(newer, plugin="acme.more")
    check_installed(uses, plugins_of(ok(newer), ok(more)), made="the run", say=said.append)
    assert said == [
        "note: the run was made with zoo-acme 1.2 (plugin acme.opt), and now zoo-acme 2.0 is installed; "
        "back: pip install zoo-acme==1.2"
    ]


def test_plugin_of_the_same_name_from_another_distribution_is_said() -> None:
    (said,) = checked(LION, plugins_of(ok(dataclasses.replace(ACME, distribution="acme-fork"))))
    assert "now acme-fork 1.2 is installed" in said


@pytest.mark.parametrize("use", [LION, AROUND])
def test_missing_plugin_says_what_to_install(use: ComponentUse | WrapperUse) -> None:
    with pytest.raises(UserError) as raised:
        checked(use, plugins_of())
    assert raised.value.do == (f"pip install {use.distribution}=={use.version}",)
    assert f"{use.kind} {use.name!r} of plugin {use.plugin!r}, which is not installed" in raised.value.what


def test_all_missing_plugins_are_named_together() -> None:
    with pytest.raises(UserErrors) as raised:
        check_installed([LION, AROUND], plugins_of(), made="the run", say=print)
    assert [error.do for error in raised.value.errors] == [
        ("pip install zoo-acme==1.2",),
        ("pip install zoo-bell==3.0",),
    ]


def test_disabled_plugin_says_how_to_enable_it() -> None:
    with pytest.raises(UserError) as raised:
        checked(LION, plugins_of(LoadedPlugin(ACME, "ignored", reason="disabled by you (/x/plugins.json)")))
    assert "disabled by you (/x/plugins.json)" in raised.value.what
    assert raised.value.do[0] == "python -m zoo plugins enable acme.opt"


def test_failed_plugin_is_to_blame() -> None:
    with pytest.raises(PluginError, match="no_such_library") as raised:
        checked(LION, plugins_of(LoadedPlugin(ACME, "failed", reason="ModuleNotFoundError: no_such_library")))
    assert "plugin:  acme.opt (zoo-acme 1.2)" in str(raised.value)


def test_second_plugin_of_a_name_that_failed_hides_none_that_works() -> None:
    other = LoadedPlugin(dataclasses.replace(ACME, distribution="zebra"), "failed", reason="taken")
    assert checked(LION, plugins_of(ok(ACME), other)) == []
    assert checked(LION, plugins_of(other, ok(ACME))) == []


@pytest.fixture
def registry() -> Registry:
    """zoo's own components, which tests wrap."""
    return load_plugins(only=[]).registry


def config_of(head: str = "zoo/linear") -> FinetuneConfig:
    """What is chosen by default, but for the head; loss=auto."""
    names = {"data": ("dataset", "zoo/digits"), "model": ("model", "zoo/lenet5"), "head": ("head", head)}
    names |= {"optimizer": ("optimizer", "torch/adamw"), "schedule": ("schedule", "zoo/cosine")}
    parts = {key: Component(kind, key, name, {}) for key, (kind, name) in names.items()}
    strategy = Component("strategy", "strategy", "zoo/full", {})
    return FinetuneConfig(**parts, loss=None, strategy=strategy, augmentations=(), regularizers=())


def wrapped(registry: Registry, *around: tuple[str, str]) -> Registry:
    return registry.with_wrappers([Wrapper(kind, name, "bell_wraps:outer", "Wraps", BELL) for kind, name in around])


def test_wrappers_that_act_are_those_of_what_is_used(registry: Registry) -> None:
    around = wrapped(
        registry,
        ("head", "zoo/linear"),
        ("head", "zoo/cosine"),
        ("loss", "zoo/cross_entropy"),
        ("loss", "zoo/binary_cross_entropy"),
        ("regularizer", "*"),
    )
    found = wrappers_of(config_of(), around, task=Task.SINGLE_LABEL, recipe=["zoo/ema"])
    assert [(use.kind, use.name) for use in found] == [
        ("head", "zoo/linear"),
        ("loss", "zoo/cross_entropy"),
        ("regularizer", "zoo/ema"),
    ]
    found = wrappers_of(config_of("zoo/cosine"), around, task=Task.MULTI_LABEL)
    assert [use.name for use in found] == ["zoo/cosine", "zoo/binary_cross_entropy"]
    assert wrappers_of(config_of(), registry, task=Task.SINGLE_LABEL) == ()


def test_each_wrapper_that_acts_gets_a_line() -> None:
    said: list[str] = []
    say_wrappers([AROUND], said.append)
    assert said == ["wrapper head zoo/linear: bell_wraps:outer of bell.wraps (zoo-bell 3.0)"]


def record(wrappers: tuple[WrapperUse, ...] | None, *, recipe: tuple[str, ...] = ()) -> RunRecord:
    data = SimpleNamespace(task=Task.SINGLE_LABEL)
    plan = {"phases": [{"regularizers": {name: {} for name in recipe}}]}
    here = Environment.here(device="cpu")
    return RunRecord("interrupted", "t", here, "m", 0, data=data, choices={"plan": plan}, wrappers=wrappers)


def test_resume_with_the_same_wrappers_goes_on_whatever_their_version(registry: Registry) -> None:
    older = dataclasses.replace(AROUND, version="0.1")
    check_wrappers(record((older,)), config_of(), registry=registry.with_wrappers([OUTER]))
    check_wrappers(record(()), config_of(), registry=registry)


def test_resume_without_a_wrapper_names_what_to_install(registry: Registry) -> None:
    with pytest.raises(UserError) as raised:
        check_wrappers(record((AROUND,)), config_of(), registry=registry)
    assert raised.value.where == "no longer there: wrapper 'bell_wraps:outer' around head 'zoo/linear'"
    assert raised.value.do == ("pip install zoo-bell==3.0 (plugin bell.wraps)",)


@pytest.mark.parametrize(("kind", "name"), [("head", "zoo/linear"), ("loss", "*"), ("regularizer", "zoo/ema")])
def test_resume_with_a_new_wrapper_says_how_to_leave_it_out(kind: str, name: str, registry: Registry) -> None:
    with pytest.raises(UserError) as raised:
        check_wrappers(record((), recipe=("zoo/ema",)), config_of(), registry=wrapped(registry, (kind, name)))
    assert raised.value.where.startswith(f"new: wrapper 'bell_wraps:outer' around {kind}")
    assert raised.value.do == ("python -m zoo plugins disable bell.wraps, then resume, then enable it",)


def test_resume_of_a_run_that_had_not_got_so_far_goes_on(registry: Registry) -> None:
    check_wrappers(record(None), config_of(), registry=registry.with_wrappers([OUTER]))


def test_wrapper_of_something_else_does_not_matter(registry: Registry) -> None:
    check_wrappers(record(()), config_of(), registry=wrapped(registry, ("optimizer", "torch/sgd")))


def test_wrapper_round_trips_through_the_record(tmp_path) -> None:
    told = dataclasses.replace(record((AROUND,)), data=None)
    assert RunRecord.load(told.save(tmp_path / "record.json")) == told
    begun = dataclasses.replace(told, wrappers=None)
    assert RunRecord.load(begun.save(tmp_path / "record.json")).wrappers is None


def test_record_of_before_there_were_wrappers_is_read() -> None:
    values = dataclasses.replace(record(()), data=None).to_dict()
    del values["wrappers"]
    assert RunRecord.from_dict(values).wrappers is None


def test_saved_model_names_the_plugins_that_it_needs() -> None:
    stranger = Entry("head", "mane", Offer("acme_heads:Mane", "A head"), ACME, wrappers=(OUTER,))
    own = load_plugins(only=[]).registry.get("head", "linear")
    found = made_of([own, stranger])
    assert [ComponentUse(**use).name for use in found["plugins"]] == ["acme/mane"]
    assert [WrapperUse(**use).name for use in found["wrappers"]] == ["acme/mane"]
    assert made_of([own]) == {}


def saved(*wrappers: WrapperUse, parts: tuple[ComponentUse, ...] = ()) -> SimpleNamespace:
    origin = {"plugins": [dataclasses.asdict(p) for p in parts], "wrappers": [dataclasses.asdict(w) for w in wrappers]}
    return SimpleNamespace(origin=origin)


def test_loading_takes_the_wrappers_with_which_a_model_was_saved_and_no_others(registry: Registry) -> None:
    new = Wrapper("head", "*", "cats_wraps:other", "New since", Origin("cats.wraps", "cats", "1.0"))
    installed = Plugins(registry.with_wrappers([OUTER, new]), (ok(BELL), ok(new.origin)), ())
    kept = registry_of(saved(AROUND), installed, say=print)
    assert [w.target for w in kept.get("head", "linear").wrappers] == ["bell_wraps:outer"]
    assert kept.get("head", "cosine").wrappers == ()
    assert registry_of(SimpleNamespace(origin={}), installed, say=print).get("head", "linear").wrappers == ()


def test_loading_without_its_wrapper_or_its_head_names_the_distribution(registry: Registry) -> None:
    nothing = Plugins(registry, (), ())
    for needs in (saved(AROUND), saved(parts=(dataclasses.replace(LION, distribution="zoo-bell", version="3.0"),))):
        with pytest.raises(UserError) as raised:
            registry_of(needs, nothing, say=print)
        assert raised.value.do == ("pip install zoo-bell==3.0",)


def test_wrapper_that_its_plugin_no_longer_offers_is_an_error(registry: Registry) -> None:
    with pytest.raises(UserError, match="no longer offers") as raised:
        recorded_wrappers([AROUND], registry, made="the model")
    assert raised.value.do == ("pip install zoo-bell==3.0",)


def test_loading_says_another_version(registry: Registry) -> None:
    newer = Origin("bell.wraps", "zoo-bell", "4.0")
    around = registry.with_wrappers([dataclasses.replace(OUTER, origin=newer)])
    said: list[str] = []
    registry_of(saved(AROUND), Plugins(around, (ok(newer),), ()), say=said.append)
    assert len(said) == 1
    assert "now zoo-bell 4.0 is installed" in said[0]
