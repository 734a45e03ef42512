"""The example plugin does what its README says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.config.compose import configure
from zoo.plugins import Plugins
from zoo.testing import check_component

EXAMPLE = Path(__file__).parents[2] / "examples" / "zoo-example-plugin"


@pytest.fixture
def with_example(use_example: Callable[[str], Plugins]) -> Plugins:
    return use_example("zoo-example-plugin")


def test_example_offers_an_augmentation_and_an_experiment(with_example: Plugins) -> None:
    entry = with_example.registry.get("augmentation", "posterize")
    assert entry.full_name == "example/posterize"
    assert entry.source is not None

    words = ["model=lenet5", "augmentations=[flip,posterize]", "augmentations.posterize.min_bits=5"]
    config = configure(words, with_example, source_for=str)
    assert config.augmentations[1].options == {"min_bits": 5, "p": 0.5}

    config = configure(["model=lenet5", "experiment=posters"], with_example, source_for=str)
    assert [part.name for part in config.augmentations] == ["zoo/flip", "example/posterize"]
    assert config.augmentations[1].options["min_bits"] == 4
    assert config.origins["augmentations.posterize.min_bits"] == "file experiment/posters.yaml"


def test_posterize_keeps_the_highest_bits(with_example: Plugins) -> None:
    posterize = with_example.registry.get("augmentation", "posterize").build(min_bits=2, p=1.0)
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    seen = set()
    for seed in range(50):
        changed = posterize(image, np.random.default_rng(seed))
        assert changed.dtype == np.uint8
        assert changed.shape == image.shape
        assert (changed <= image).all()
        seen.add(len(np.unique(changed)))
        again = posterize(image, np.random.default_rng(seed))
        np.testing.assert_array_equal(changed, again)
    assert seen == {2**bits for bits in range(2, 9)}
    assert (image == np.arange(256, dtype=np.uint8).reshape(16, 16, 1)).all(), "the input is left as it was"


@pytest.mark.usefixtures("with_example")
def test_contract_is_kept() -> None:
    quick = ("described", "signature", "builds", "picklable", "repeatable", "distinct", "shapes", "acts")
    check_component("augmentation", "example/posterize", properties=quick)


def test_posterize_can_leave_an_image_alone(with_example: Plugins) -> None:
    posterize = with_example.registry.get("augmentation", "posterize").build(min_bits=1, p=0.0)
    image = np.full((4, 4, 3), 255, np.uint8)
    assert (posterize(image, np.random.default_rng(0)) == 255).all()


def test_plugin_code_is_as_short_as_its_readme_says() -> None:
    lines = (EXAMPLE / "zoo_example_plugin" / "posterize.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40


@pytest.mark.slow
def test_installed_plugin_passes_its_tests(
    make_environment: Callable[..., Any], zoo_wheel: Path, example_wheel: Path, tmp_path: Path
) -> None:
    assert "1 passed" in make_environment(zoo_wheel, example_wheel).run_tests_of("zoo-example-plugin", tmp_path)
