"""A folder of photos small enough to train on in a second, and a cache that tests share with nobody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COLOURS = {"blue": (30, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """Three classes by colour, 14 images each, with noise."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (root / name).mkdir()
        for number in range(14):
            pixels = np.clip(np.array(colour) + rng.normal(0, 40, (40, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch) -> None:
    """Caches of these tests are shared among them and with nobody else."""
    cache = tmp_path_factory.getbasetemp() / "zoo-cache"
    monkeypatch.setenv("ZOO_CACHE", str(cache))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
