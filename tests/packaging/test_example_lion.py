"""The Lion example: an optimizer of a stranger's, by its full name beside timm's of the same short one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.config.compose import configure
from zoo.errors import UserError
from zoo.plugins import Plugins
from zoo.testing import check_component

NAME = "zoo-example-lion"
QUICK = ("described", "signature", "builds", "repeatable", "gradients", "state", "bf16", "acts")
"""Properties that are looked at in no other process; the example's own tests look at all of them."""


@pytest.fixture
def plugins(use_example: Callable[[str], Plugins]) -> Plugins:
    return use_example(NAME)


def test_short_name_stays_timms_and_the_full_one_is_ours(plugins: Plugins) -> None:
    assert plugins.registry.get("optimizer", "lion").full_name == "timm/lion"
    entry = plugins.registry.get("optimizer", "lion/lion")
    assert entry.origin.distribution == NAME
    adamw = plugins.registry.get("optimizer", "adamw")
    assert 3 <= adamw.facts["lr"] / entry.facts["lr"] <= 10, "the paper's advice"


def test_options_have_the_ranges_of_the_signature(plugins: Plugins) -> None:
    chosen = configure(["model=lenet5", "optimizer=lion/lion", "optimizer.betas=[0.95,0.98]"], plugins, source_for=str)
    assert chosen.optimizer.name == "lion/lion"
    assert chosen.optimizer.options == {"lr": "auto", "betas": (0.95, 0.98), "weight_decay": 0.05}
    for wrong in ("optimizer.betas=[0.9,1.0]", "optimizer.weight_decay=-1", "optimizer.lr=0", "optimizer.beta=0.9"):
        with pytest.raises(UserError, match=wrong.partition("=")[0].rpartition(".")[2]):
            configure(["model=lenet5", "optimizer=lion/lion", wrong], plugins, source_for=str)


@pytest.mark.usefixtures("plugins")
def test_contract_is_kept() -> None:
    check_component("optimizer", "lion/lion", properties=QUICK)


@pytest.mark.slow
def test_installed_lion_passes_its_tests_and_trains(
    make_environment: Callable[..., Any], zoo_wheel: Path, build_example: Callable[[str], Path], tmp_path: Path
) -> None:
    installed = make_environment(zoo_wheel, build_example(NAME))
    assert " passed" in installed.run_tests_of(NAME, tmp_path)

    words = ["strategy=full", "model=lenet5", "weights=none", "train.epochs=12", "optimizer=lion/lion"]
    words += ["optimizer.lr=1e-3", "train.device=cpu", "run.dir=run"]
    done = installed.python("-m", "zoo", "finetune", *words, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scores"]["test"]["accuracy"] > 0.8
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    used = {use["name"]: use for use in record["components"]}
    assert (used["lion/lion"]["distribution"], used["lion/lion"]["version"]) == (NAME, "1.0")
