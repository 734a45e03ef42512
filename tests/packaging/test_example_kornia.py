"""The kornia example: batches changed on the training device, by a library that comes from the index."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.config.compose import configure
from zoo.errors import UserError
from zoo.plugins import Plugins

NAME = "zoo-example-kornia"


@pytest.fixture
def plugins(use_example: Callable[[str], Plugins]) -> Plugins:
    return use_example(NAME)


def test_components_are_chosen_by_name_without_kornia(plugins: Plugins) -> None:
    words = ["model=lenet5", "regularizers=[affine,color]", "regularizers.affine.rotate_deg=20"]
    chosen = configure(words, plugins, source_for=str)
    assert [part.name for part in chosen.regularizers] == ["kornia/affine", "kornia/color"]
    assert chosen.regularizers[0].options == {"rotate_deg": 20.0, "shift": 0.05, "scale": 0.1, "p": 0.5}
    with pytest.raises(UserError, match="rotate_deg"):
        configure([*words[:2], "regularizers.affine.rotate_deg=270"], plugins, source_for=str)


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_installed_kornia_passes_its_tests_and_trains(
    make_environment: Callable[..., Any], zoo_wheel: Path, build_example: Callable[[str], Path], tmp_path: Path
) -> None:
    installed = make_environment(zoo_wheel, build_example(NAME))
    brought = installed.install("kornia>=0.8")
    assert "kornia" in brought
    assert not {name for name in brought if name.startswith(("torch", "nvidia", "numpy"))}
    told = installed.run_tests_of(NAME, tmp_path)
    assert " passed" in told

    words = ["strategy=full", "model=lenet5", "weights=none", "train.epochs=6", "train.device=cpu"]
    words += ["regularizers=[affine,color]"]
    runs = {}
    for name in ("first", "second"):
        done = installed.python("-m", "zoo", "finetune", *words, f"run.dir={name}", "--json", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        runs[name] = json.loads(done.stdout)["scores"]["test"]
    assert runs["first"] == runs["second"], "draws are those of the seed"
    assert runs["first"]["accuracy"] > 0.7
