"""Images whose augmentations are harmless or not by construction: colours as classes, shapes as classes, 6 and 9."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"blue": (50, 60, 210), "green": (50, 190, 50), "red": (200, 50, 50)}


def colour_coded(folder: Path, *, each: int = 100, seed: int = 0) -> Path:
    """Classes are colours; shape, size, place and shade say nothing."""
    rng = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            Image.fromarray(drawn(rng, colour)).save(folder / name / f"{number:03}.png")
    return folder


def drawn(rng: np.random.Generator, colour: tuple[int, int, int], *, side: int = 32) -> np.ndarray:
    """uint8[side, side, 3]: a disc, a square or a triangle on gray, with noise."""
    image = Image.new("RGB", (side, side), tuple(int(level) for level in rng.integers(90, 130, 3)))
    pen = ImageDraw.Draw(image)
    radius, (x, y) = rng.uniform(7, 12), rng.uniform(12, 20, 2)
    ink = tuple(int(np.clip(level + rng.normal(0, 12), 0, 255)) for level in colour)
    box = (x - radius, y - radius, x + radius, y + radius)
    shape = rng.integers(3)
    if shape == 0:
        pen.ellipse(box, fill=ink)
    elif shape == 1:
        pen.rectangle(box, fill=ink)
    else:
        pen.polygon([(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=ink)
    return np.clip(np.asarray(image, float) + rng.normal(0, 8, (side, side, 3)), 0, 255).astype(np.uint8)


def sixes_and_nines(folder: Path) -> Path:
    """The scans of 6 and 9 among scikit-learn's digits, as files."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    for digit in (6, 9):
        (folder / str(digit)).mkdir(parents=True)
        for number, pixels in enumerate(images[labels == digit]):
            scan = np.round(pixels.reshape(8, 8) * (255 / 16)).astype(np.uint8)
            Image.fromarray(scan).save(folder / str(digit) / f"{number:03}.png")
    return folder
