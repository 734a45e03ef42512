"""Every YAML file in conf/ is read, composed, and opens with a comment that says what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from zoo.config.compose import configure, known_experiments, to_plain
from zoo.kinds import BY_GROUP
from zoo.plugins import load_plugins

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(CONF.rglob("*.yaml"))
PRIMARY = [file for file in FILES if file.parent == CONF]
OPTIONS = [file for file in FILES if file.parent != CONF]
PLUGINS = load_plugins(only=[])


def named(files: list[Path]) -> list[object]:
    return [pytest.param(file, id=str(file.relative_to(CONF))) for file in files]


def test_every_file_is_checked_below() -> None:
    assert [file.name for file in PRIMARY] == ["data_alone.yaml", "finetune.yaml"]
    assert len(OPTIONS) >= 1
    assert {file.relative_to(CONF).parts[0] for file in OPTIONS} <= {*BY_GROUP, "experiment"}
    assert len(known_experiments(PLUGINS)) == len([f for f in OPTIONS if f.relative_to(CONF).parts[0] == "experiment"])


@pytest.mark.parametrize("file", named(FILES))
def test_file_opens_with_a_comment(file: Path) -> None:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# ")


@pytest.mark.parametrize("file", named(OPTIONS))
def test_option_composes(file: Path) -> None:
    relative = file.relative_to(CONF).with_suffix("")
    group, name = relative.parts[0], "/".join(relative.parts[1:])
    many = group in BY_GROUP and BY_GROUP[group].many
    light = [] if group == "model" or (group == "experiment" and "model" in file.read_text()) else ["model=lenet5"]
    config = configure([f"{group}=[{name}]" if many else f"{group}={name}", *light], PLUGINS, source_for=str)
    assert to_plain(config)
    if group == "experiment":
        assert f"file experiment/{name}.yaml" in config.origins.values()


def test_primary_file_composes_with_its_own_defaults() -> None:
    config = configure([], PLUGINS, source_for=str)
    written = yaml.safe_load((CONF / "finetune.yaml").read_text(encoding="utf-8"))

    assert set(config.origins.values()) == {"default"}
    chosen = {
        group: name for default in written["defaults"] if isinstance(default, dict) for group, name in default.items()
    }
    assert set(BY_GROUP) <= set(chosen), "every group has a default"
    for group in ("data", "model", "head", "optimizer", "schedule", "strategy"):
        assert getattr(config, group).name.rpartition("/")[2] == chosen[group]
    assert to_plain(config)["train"].keys() == written["train"].keys()
    assert to_plain(config)["run"].keys() == written["run"].keys()
