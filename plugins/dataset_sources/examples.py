"""Small data sets on the disk, on which zoo's own checks (`zoo plugins check`) try the sources that need a path."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path


def _pictures() -> Iterator[tuple[str, str, bytes]]:
    """Name, label and PNG of twelve images of two classes."""
    import numpy as np
    from PIL import Image

    rng = np.random.Generator(np.random.PCG64(0))
    for number in range(12):
        stream = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)).save(stream, format="PNG")
        label = ("cat", "dog")[number % 2]
        yield f"{label}/{number}.png", label, stream.getvalue()


def folder(empty: Path) -> dict[str, str]:
    """Writes class folders, and returns the options that read them."""
    for name, _, picture in _pictures():
        file = empty / "pets" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture)
    return {"path": str(empty / "pets")}


def table(empty: Path) -> dict[str, str]:
    """Writes images and a table of their names and labels, and returns the options that read it."""
    folder(empty)
    rows = [f"pets/{name},{label}" for name, label, _ in _pictures()]
    (empty / "pets.csv").write_text("\n".join(["path,label", *rows]) + "\n", encoding="utf-8")
    return {"path": str(empty / "pets.csv")}


def archive(empty: Path) -> dict[str, str]:
    """Writes a zip file of class folders, and returns the options that read it."""
    with zipfile.ZipFile(empty / "pets.zip", "w") as packed:
        for name, _, picture in _pictures():
            packed.writestr(name, picture)
    return {"path": str(empty / "pets.zip")}
