"""A tiny data set for those who want to see the plugin at work: zoo's own checks, which `hooks.py` names it to."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any


def saved_data_set(folder: Path) -> dict[str, Any]:
    """Writes twelve images of two classes into an empty folder, and returns the options that read them."""
    import datasets
    import numpy as np
    from PIL import Image

    images = []
    for pixels in np.random.default_rng(0).integers(0, 256, (12, 20, 24, 3), dtype=np.uint8):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, format="PNG")
        images.append({"bytes": stream.getvalue(), "path": None})
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = datasets.Dataset.from_dict({"image": images, "label": [0, 1] * 6}, features=kinds)
    rows.save_to_disk(str(folder / "pets"))
    return {"path": str(folder / "pets")}
