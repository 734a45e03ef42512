"""Photos whose classes differ by colour, and networks of which the order is known (see `planted_networks`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 60, 40)}
"""Blue and red have equal means of green: to who sees green alone they are one class."""

DISTRIBUTION = {
    "points": {"planted.networks": "planted_networks"},
    "modules": {"planted_networks": Path(__file__).with_name("planted_networks.py").read_text(encoding="utf-8")},
}
"""Arguments of the fixture `make_distribution`."""


def make_photos(folder: Path, *, each: int = 20, side: int = 16, colours=COLOURS) -> Path:
    """A folder of class folders; each image has its own brightness and noise."""
    rng = np.random.default_rng(0)
    for name, colour in colours.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = np.array(colour) * rng.uniform(0.8, 1.2) + rng.normal(0, 25, (side, side, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


def make_weights(folder: Path) -> Path:
    """What each planted network sees: all colours, green alone, nothing; `torn` fits none, `bare` has no file."""
    folder.mkdir(parents=True, exist_ok=True)
    every = torch.eye(3).repeat(2, 1)
    green = torch.zeros(6, 3)
    green[:, 1] = torch.linspace(-1, 1, 6)
    sees = {"seer": every, "squinter": green, "blind": torch.zeros(6, 3), "torn": torch.zeros(6, 5)}
    for name in ("seer", "squinter", "blind", "torn", "broken", "picky", "endless"):
        save_file({"see.weight": sees.get(name, every), "see.bias": torch.ones(6)}, folder / f"{name}.safetensors")
    return folder
