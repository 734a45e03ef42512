"""Defaults that plugins set: below the user's files and command line, above conf/finetune.yaml, and never hidden."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.cli import main
from zoo.config.compose import configure, configure_data, from_plain, to_plain
from zoo.config.run_config import FinetuneConfig
from zoo.errors import PluginError, UserError
from zoo.plugins import load_plugins

MakeDistribution = Callable[..., Path]

HOOKS = """
from zoo.hookspecs import hookimpl

@hookimpl
def register_config_defaults(register):
    {lines}
"""
BATCH = 'register("train.batch_size", 64, reason="whole batches of our camera")'
SGD = 'register("optimizer", "sgd", reason="what we measured")'


@pytest.fixture
def configured(
    make_distribution: MakeDistribution, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., FinetuneConfig]:
    """`configured({"acme": [lines]}, "optimizer=sgd")`: what a command line means beside such plugins."""
    monkeypatch.chdir(tmp_path)

    def run(plugins: dict[str, list[str]], *words: str) -> FinetuneConfig:
        for name, lines in plugins.items():
            make_distribution(
                name,
                points={f"{name}.defaults": f"{name}_hooks"},
                modules={f"{name}_hooks": HOOKS.format(lines="\n    ".join(lines))},
            )
        return configure(["model=lenet5", *words], load_plugins(), source_for=lambda path: "folder")

    return run


Configured = Callable[..., FinetuneConfig]


def test_value_and_choice_act_and_say_where_they_come_from(configured: Configured) -> None:
    config = configured({"acme": [BATCH, SGD]})
    assert (config.train.batch_size, config.optimizer.name) == (64, "torch/sgd")
    source = "default of acme.defaults (acme 1.0): whole batches of our camera"
    assert config.origins["train.batch_size"] == source
    assert config.origins["optimizer.name"] == "default of acme.defaults (acme 1.0): what we measured"
    assert config.notes == (
        "optimizer=sgd: default of acme.defaults (acme 1.0): what we measured",
        f"train.batch_size=64: {source}",
    )
    assert not config.asked("train.batch_size")  # nobody asked, so nothing is refused for having no effect
    assert not config.asked("optimizer.name")


def test_command_line_goes_before_a_plugin(configured: Configured) -> None:
    config = configured({"acme": [BATCH, SGD]}, "train.batch_size=8", "optimizer=adam")
    assert (config.train.batch_size, config.optimizer.name) == (8, "torch/adam")
    assert config.origins["train.batch_size"] == "command line"
    assert config.notes == ()


def test_options_of_a_plugin_s_choice_can_be_set(configured: Configured) -> None:
    config = configured({"acme": [SGD]}, "optimizer.momentum=0.5")
    assert config.optimizer.options["momentum"] == 0.5


def test_option_that_the_plugin_s_choice_lacks_is_refused_with_who_chose(configured: Configured) -> None:
    with pytest.raises(UserError, match=r"unknown option 'optimizer\.betas'") as raised:
        configured({"acme": [SGD]}, "optimizer.betas=[0.9,0.9]")
    assert any("optimizer=sgd: default of acme.defaults" in way for way in raised.value.do)


@pytest.mark.parametrize("chosen", ["adam", "adamw"])  # the second is what zoo's own file chooses anyway
def test_users_files_go_before_a_plugin(chosen: str, configured: Configured, tmp_path: Path) -> None:
    file = tmp_path / "conf" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"# @package _global_\ndefaults:\n  - override /optimizer: {chosen}\ntrain: {{batch_size: 32}}\n")
    config = configured({"acme": [BATCH, SGD]}, f"hydra.searchpath=[{tmp_path / 'conf'}]", "experiment=mine")
    assert (config.train.batch_size, config.optimizer.name) == (32, f"torch/{chosen}")
    assert config.origins["train.batch_size"] == "file experiment/mine.yaml"
    assert config.notes == ()


def test_lists_and_options_of_a_kind(configured: Configured) -> None:
    lines = [
        'register("augmentations", ["flip", "rotate"], reason="from above")',
        'register("regularizers", "l2", reason="small data")',
        'register("optimizer.lr", 0.25, reason="measured")',
        'register("train.patience", None, reason="never")',
        'register("data.val_fraction", 0.3, reason="few images")',
    ]
    config = configured({"acme": lines})
    assert [a.name for a in config.augmentations] == ["zoo/flip", "zoo/rotate"]
    assert [r.name for r in config.regularizers] == ["zoo/l2"]
    assert config.optimizer.options["lr"] == 0.25
    assert config.train.patience is None
    assert config.data.options["val_fraction"] == 0.3
    assert config.origins["augmentations.rotate.name"].endswith("from above")
    assert "augmentations=[flip,rotate]: default of acme.defaults (acme 1.0): from above" in config.notes
    assert [a.name for a in configured({}, "augmentations=[crop]").augmentations] == ["zoo/crop"]


FAULTS = {
    "unknown key": ('"train.bach_size", 64', "train.bach_size=64", "train.batch_size"),
    "option of one component": ('"optimizer.momentum", 0.5', "optimizer.momentum=0.5", "optimizer.lr"),
    "bad value": ('"train.batch_size", -1', "train.batch_size=-1", "of at least 1"),
    "bad type": ('"train.sampling", "odd"', "train.sampling=odd", "'shuffle' | 'balanced'"),
    "nobody offers it": ('"optimizer", "sgdd"', "optimizer=sgdd", "sgd"),
    "several for one": ('"optimizer", ["sgd", "adam"]', "optimizer=['sgd', 'adam']", "one name"),
}


@pytest.mark.parametrize("case", sorted(FAULTS))
def test_a_default_that_cannot_be_is_the_plugin_s_fault(case: str, configured: Configured) -> None:
    words, said, allowed = FAULTS[case]
    with pytest.raises(PluginError) as raised:
        configured({"acme": [f'register({words}, reason="a test")']})
    assert raised.value.exit_code == 3
    message = str(raised.value)
    assert f"plugin acme.defaults (acme 1.0) has a default that cannot be: {said}" in message
    assert allowed in message
    assert "zoo plugins disable acme.defaults" in message


REFUSED = {
    "no reason": ('"train.seed", 1, reason=" "', "the reason is empty"),
    "no key": ('"train..seed", 1, reason="a"', "a key is words with dots"),
    "an object": ('"train.seed", object(), reason="a"', "is no number, text"),
    "the data": ('"data", "digits", reason="a"', "the user's own to say"),
    "the run's folder": ('"run.dir", "/x", reason="a"', "the user's own to say"),
    "a number for a name": ('"optimizer", 3, reason="a"', "names no optimizer"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_malformed_defaults_fail_their_plugin(case: str, configured: Configured) -> None:
    words, reason = REFUSED[case]
    configured({"acme": [f"register({words})"]})
    (failed,) = load_plugins().registry.failed
    assert reason in failed.reason


def test_same_key_twice_in_one_plugin_fails_it(configured: Configured) -> None:
    configured({"acme": [BATCH, BATCH]})
    assert "registered twice" in load_plugins().registry.failed[0].reason


@pytest.mark.parametrize(("key", "one", "two"), [("train.batch_size", "64", "128"), ("optimizer", '"sgd"', '"adam"')])
def test_plugins_that_differ_are_an_error_until_the_user_says(
    key: str, one: str, two: str, configured: Configured, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = {name: [f'register("{key}", {value}, reason="a")'] for name, value in (("acme", one), ("bell", two))}
    with pytest.raises(UserError) as raised:
        configured(lines)
    assert raised.value.exit_code == 2
    assert "acme.defaults (acme 1.0)" in str(raised.value)
    assert "bell.defaults (bell 1.0)" in str(raised.value)
    assert f"{key}=" in raised.value.do[0]
    assert "disable acme.defaults" in raised.value.do[1]
    assert "ZOO_PLUGINS" in raised.value.do[2]

    assert configured({}, f"{key}={two.strip(chr(34))}").notes == ()
    assert main(["plugins"]) == 0
    assert f"set {key} differently" in capsys.readouterr().out
    main(["plugins", "disable", "bell"])
    assert len(configured({}).notes) == 1


def test_plugins_that_agree_are_no_error(configured: Configured) -> None:
    config = configured({"acme": [BATCH], "bell": [BATCH]})
    assert config.train.batch_size == 64
    assert len(config.notes) == 1


def test_saved_configuration_is_read_as_it_was_saved(configured: Configured) -> None:
    saved = configured({}, "optimizer=adam")
    config = configured({"acme": [BATCH, SGD]})
    assert config.train.batch_size == 64
    again = from_plain(to_plain(saved), load_plugins(), origins=saved.origins)
    assert (again.train.batch_size, again.optimizer.name) == ("auto", "torch/adam")


def test_explain_shows_plugin_version_and_reason(configured: Configured, capsys: pytest.CaptureFixture[str]) -> None:
    configured({"acme": [BATCH, SGD]})
    assert main(["explain", "config", "model=lenet5"]) == 0
    shown = {line.split()[0]: " ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    assert shown["train.batch_size"] == (
        "train.batch_size 64 default of acme.defaults (acme 1.0): whole batches of our camera"
    )
    assert shown["optimizer.name"].endswith("default of acme.defaults (acme 1.0): what we measured")
    assert shown["train.seed"] == "train.seed 0 default"


def test_plugin_is_listed_with_its_defaults(configured: Configured, capsys: pytest.CaptureFixture[str]) -> None:
    configured({"acme": [BATCH, SGD]})
    assert main(["plugins"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("acme.defaults")]
    assert row.endswith("2 config defaults")
    assert main(["plugins", "show", "acme.defaults"]) == 0
    assert "default train.batch_size=64: whole batches of our camera" in capsys.readouterr().out


def test_defaults_about_data_act_where_the_data_alone_are_configured(make_distribution: MakeDistribution) -> None:
    seed = 'register("data.split_seed", 7, reason="our habit")'
    hooks = HOOKS.format(lines="\n    ".join([BATCH, SGD, seed]))
    make_distribution("acme", points={"acme.defaults": "acme_hooks"}, modules={"acme_hooks": hooks})
    component, notes = configure_data(["data=digits", "data.channels=1"], load_plugins(), source_for=str)
    assert (component.name, component.options["split_seed"], component.options["channels"]) == ("zoo/digits", 7, 1)
    assert notes == ("data.split_seed=7: default of acme.defaults (acme 1.0): our habit",)
    whole = configure(["model=lenet5", "data=digits", "data.channels=1"], load_plugins(), source_for=str)
    assert whole.data == component
