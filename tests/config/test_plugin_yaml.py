"""YAML that a plugin ships: it adds options and experiments, and replaces none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.config.compose import configure, known_experiments
from zoo.errors import UserError
from zoo.plugins import Plugins, load_plugins

HOOKS = """
from zoo.hookspecs import hookimpl

@hookimpl
def register_heads(register):
    register("marmot", "acme_heads.marmot:Marmot", summary="whistles")

@hookimpl
def register_config_dirs(register):
    register("acme_heads.conf")
"""
MARMOT = "class Marmot:\n    def __init__(self, features, classes, *, pitch: float = 1.0): ...\n"
YAML = {
    "head/high_marmot": "defaults: [marmot, _self_]\npitch: 9\n",
    "head/linear": "name: zoo/cosine\n",
    "experiment/alps": "# @package _global_\ndefaults:\n  - override /head: high_marmot\ntrain: {seed: 8}\n",
    "finetune": "defaults: []\n",
}


@pytest.fixture
def with_plugin(make_distribution: Callable[..., Path]) -> Plugins:
    site = make_distribution(
        "acme",
        points={"acme.heads": "acme_heads.hooks"},
        modules={"acme_heads.hooks": HOOKS, "acme_heads.marmot": MARMOT, "acme_heads.conf.__init__": ""},
    )
    for name, text in YAML.items():
        file = site / "acme_heads" / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return load_plugins()


def test_plugin_component_is_an_option_at_once(with_plugin: Plugins) -> None:
    config = configure(["model=lenet5", "head=marmot", "head.pitch=3"], with_plugin, source_for=str)
    assert (config.head.name, config.head.options) == ("acme/marmot", {"pitch": 3.0})


def test_plugin_yaml_adds_options_and_experiments(with_plugin: Plugins) -> None:
    assert with_plugin.config_dirs == ("acme_heads.conf",)
    config = configure(["model=lenet5", "experiment=alps"], with_plugin, source_for=str)

    assert (config.head.name, config.head.options["pitch"], config.train.seed) == ("acme/marmot", 9.0, 8)
    assert config.origins["train.seed"] == "file experiment/alps.yaml"
    assert "alps" in known_experiments(with_plugin)


def test_plugin_yaml_replaces_neither_components_nor_the_primary_file(with_plugin: Plugins) -> None:
    config = configure(["model=lenet5", "head=linear"], with_plugin, source_for=str)
    assert config.head.name == "zoo/linear"


def test_failed_plugin_is_quoted_where_its_name_is_missing(make_distribution: Callable[..., Path]) -> None:
    make_distribution("acme", points={"acme.heads": "acme_heads"}, modules={"acme_heads": "import no_such_library\n"})
    plugins = load_plugins()

    with pytest.raises(UserError) as raised:
        configure(["model=lenet5", "head=marmot"], plugins, source_for=str)
    assert raised.value.what == "unknown head 'marmot'"
    assert any("acme.heads (acme 1.0)" in way and "no_such_library" in way for way in raised.value.do)
    assert configure(["model=lenet5", "head=linear"], plugins, source_for=str).head.name == "zoo/linear"
