from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from zoo.config.run_config import Component, FinetuneConfig

Configure = Callable[..., FinetuneConfig]


def test_own_options_are_those_that_the_component_takes_itself() -> None:
    component = Component("optimizer", "optimizer", "torch/sgd", {"lr": "auto", "momentum": 0.9})
    assert component.own == {"momentum": 0.9}


@pytest.mark.parametrize(
    ("origin", "asked"),
    [
        ("default", False),
        ("rule: the median class has 12 images", False),
        ("plugin acme", False),
        ("command line", True),
        ("file experiment/e1.yaml", True),
        ("python", True),
    ],
)
def test_asked_is_what_the_user_gave(origin: str, asked: bool, configured: Configure) -> None:
    config = dataclasses.replace(configured(), origins={"optimizer.lr": origin})
    assert config.asked("optimizer.lr") is asked
    assert not config.asked("optimizer.momentum")


def test_components_are_all_that_were_chosen(configured: Configure) -> None:
    config = configured("augmentations=[flip]", "regularizers=[l2]", "loss=focal")
    assert [component.kind for component in config.components()] == [
        "dataset",
        "model",
        "head",
        "optimizer",
        "schedule",
        "strategy",
        "loss",
        "augmentation",
        "regularizer",
    ]
    assert len(configured().components()) == 6
