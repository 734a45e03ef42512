"""The example plugin does what its README says."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from zoo.config.compose import configure
from zoo.plugins import Plugins, load_plugins

EXAMPLE = Path(__file__).parents[2] / "examples" / "zoo-example-plugin"


@pytest.fixture
def with_example(make_distribution: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Plugins:
    """The example's sources on the path, with the metadata that pip would have written."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    make_distribution(project["name"], version=project["version"], points=project["entry-points"]["zoo.v1"], modules={})
    monkeypatch.syspath_prepend(str(EXAMPLE))
    loaded = load_plugins(strict=True)
    yield loaded
    for module in [name for name in sys.modules if name.startswith("zoo_example_plugin")]:
        del sys.modules[module]


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


def test_posterize_can_leave_an_image_alone(with_example: Plugins) -> None:
    posterize = with_example.registry.get("augmentation", "posterize").build(min_bits=1, p=0.0)
    image = np.full((4, 4, 3), 255, np.uint8)
    assert (posterize(image, np.random.default_rng(0)) == 255).all()


def test_plugin_code_is_as_short_as_its_readme_says() -> None:
    lines = (EXAMPLE / "zoo_example_plugin" / "posterize.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
