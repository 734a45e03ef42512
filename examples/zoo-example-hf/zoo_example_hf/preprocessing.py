"""How a network wants its images: transformers' image processor, in zoo's terms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.imaging.preprocess import Interpolation, Preprocess
from zoo_example_hf.repository import PREPROCESSOR

INTERPOLATIONS: Mapping[int, Interpolation] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Pillow's numbers of its filters."""

NOT_OURS = ("do_flip_channel_order", "include_top", "rescale_offset", "do_pad")
"""Switches of processors that do what a `Preprocess` cannot say: other channel orders, a second normalisation..."""

SQUASHED_FROM_PX = 384
"""From this side on, processors with a `crop_pct` scale both sides to it and crop nothing (ConvNeXt)."""


def preprocess_of(folder: Path) -> Preprocess:
    """The preprocessing that `preprocessor_config.json` states, with the defaults of its class.

    Raises:
        UserError: It cannot be read, or does what zoo cannot.
    """
    from transformers import AutoImageProcessor

    try:
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise _refusal(folder, (str(error).splitlines() or [type(error).__name__])[0][:200]) from error
    asked = [name for name in NOT_OURS if getattr(processor, name, False)]
    needed = [name for name in ("do_resize", "do_rescale", "do_normalize") if not getattr(processor, name, False)]
    if asked or needed:
        said = [*(f"{name}=true" for name in asked), *(f"{name}=false" for name in needed)]
        raise _refusal(folder, f"zoo cannot prepare images so: {', '.join(said)}")
    interpolation = INTERPOLATIONS.get(int(processor.resample))
    if interpolation is None:
        raise _refusal(folder, f"resample={processor.resample} is no filter that zoo has")
    return Preprocess(
        mean=tuple(map(float, processor.image_mean)),
        std=tuple(map(float, processor.image_std)),
        interpolation=interpolation,
        **_window(processor, folder),
    )


def _window(processor: Any, folder: Path) -> dict[str, Any]:
    """Size, resizing and crop."""
    size, share = dict(processor.size), getattr(processor, "crop_pct", None)
    cropped = bool(getattr(processor, "do_center_crop", False))
    crop = dict(processor.crop_size) if cropped else size
    sides = {crop.get("height", crop.get("shortest_edge")), crop.get("width", crop.get("shortest_edge"))}
    (side, *others) = sides
    if others or not isinstance(side, int):
        raise _refusal(folder, f"zoo reads square images, not {crop}")
    if "shortest_edge" not in size:
        return {"size": side, "resize": "squash", "crop_share": side / size["height"]}
    if share is not None and not cropped:
        squashed = side >= SQUASHED_FROM_PX
        return {"size": side, "resize": "squash" if squashed else "crop", "crop_share": 1.0 if squashed else share}
    return {"size": side, "resize": "crop", "crop_share": side / size["shortest_edge"]}


def _refusal(folder: Path, reason: str) -> UserError:
    return UserError(
        f"how this network wants its images is not to be had: {reason}",
        where=str(folder / PREPROCESSOR),
        do="take another network",
    )
