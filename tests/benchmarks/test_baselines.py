"""The scripts that zoo is measured against run, and say how right they were."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

BASELINES = Path(__file__).parents[2] / "benchmarks" / "baselines"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Red and blue images, in the three splits that the scripts want."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 36), ("validation", 4), ("test", 4)):
        for name, channel in (("blue", 2), ("red", 0)):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 60, (40, 40, 3), dtype=np.uint8)
                pixels[..., channel] += 180
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("words", [("features_sklearn.py", "DATA"), ("plain_loop.py", "DATA", "0", "1")])
def test_baseline_runs_and_answers_in_json(photos: Path, words: tuple[str, ...]) -> None:
    script, *rest = [str(photos) if word == "DATA" else word for word in words]
    done = subprocess.run([sys.executable, str(BASELINES / script), *rest], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert 0 <= answer["accuracy"] <= 1
    if script == "features_sklearn.py":
        assert answer["accuracy"] == 1
    assert answer["seconds"] > 0
