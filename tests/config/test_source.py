from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hydra.core.object_type import ObjectType

from zoo.config import source
from zoo.config.source import ZooSource, conf_path, short_key, without_copy
from zoo.kinds import BY_GROUP
from zoo.plugins import Plugins


@pytest.fixture
def zoo_source(plugins: Plugins) -> ZooSource:
    source.bind(plugins)
    return ZooSource("zoo", "zoo://")


def test_groups_are_the_kinds(zoo_source: ZooSource) -> None:
    assert zoo_source.list("", ObjectType.GROUP) == sorted(BY_GROUP)
    assert zoo_source.list("", ObjectType.CONFIG) == []
    assert zoo_source.is_group("optimizer")
    assert not zoo_source.is_group("train")
    assert zoo_source.available()


def test_options_are_the_registered_names(zoo_source: ZooSource) -> None:
    assert {"dropout", "l1", "l2"} <= set(zoo_source.list("regularizers", ObjectType.CONFIG))
    assert zoo_source.list("regularizers", ObjectType.GROUP) == []
    assert zoo_source.list("nothing", None) == []
    assert zoo_source.is_config("head/linear")
    assert zoo_source.is_config("head/zoo/linear")
    assert not zoo_source.is_config("head/lineer")
    assert not zoo_source.is_config("head/")
    assert not zoo_source.is_config("finetune")


def test_option_of_a_plain_group_stands_in_its_group(zoo_source: ZooSource) -> None:
    found = zoo_source.load_config(config_path="head/linear")
    assert found.config["name"] == "zoo/linear"
    assert found.header == {"package": "head"}


@pytest.mark.parametrize(("name", "key"), [("rotate", "rotate"), ("rotate@2", "rotate_2"), ("zoo/rotate", "rotate")])
def test_option_of_a_plural_group_stands_under_its_short_key(name: str, key: str, zoo_source: ZooSource) -> None:
    found = zoo_source.load_config(f"augmentations/{name}.yaml")
    assert found.header == {"package": f"augmentations.{key}"}
    assert found.config["name"] == "zoo/rotate"
    assert "limit_deg" in found.config


def test_unbound_source_loads_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ZooSource, "registry", None)
    assert ZooSource("zoo", "zoo://").is_config("head/linear")


def test_names_of_copies_and_keys() -> None:
    assert without_copy("rotate@2") == "rotate"
    assert without_copy("rotate") == "rotate"
    assert [short_key(name) for name in ("acme/my-op.v2@3", "flip")] == ["my_op_v2_3", "flip"]


def test_conf_path_finds_yaml_beside_a_checkout_that_shadows_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert conf_path() == "pkg://zoo.conf"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    beside = conf_path().removeprefix("file://")
    assert (Path(beside) / "finetune.yaml").is_file()
