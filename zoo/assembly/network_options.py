"""Options of a network that is trained from scratch: the range of its pixels, and what pretrained weights forbid."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from zoo.config.run_config import FinetuneConfig
from zoo.contracts.model import FoundWeights
from zoo.contracts.training import Plan
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.models.surgery import AUTO, FRESH, STRUCTURAL, structural

RANGES: Mapping[str, tuple[float, float]] = {"unit": (0.0, 1.0), "raw": (0.0, 1 / 255), "centred": (0.5, 0.5)}
"""Mean and deviation, of values in [0, 1], that bring every channel into a range of `model.pixels`."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Means and deviations of the colours of ImageNet's training images, with which most published weights were trained."""


def with_pixels(preprocess: Preprocess, pixels: str) -> Preprocess:
    """The same preprocessing with pixels brought into another range.

    Args:
        preprocess: The network's own.
        pixels: `unit` [0, 1], `raw` [0, 255], `centred` [-1, 1], or `imagenet`: each colour by its own statistics, gray
            by their mean.

    Raises:
        UserError: ImageNet's statistics for channels that are no colours.
    """
    if pixels in RANGES:
        mean, std = RANGES[pixels]
        count = preprocess.channels
        return dataclasses.replace(preprocess, mean=(mean,) * count, std=(std,) * count)
    if preprocess.channels not in (1, 3, 4):
        what = f"ImageNet's statistics are those of colours; these data have {preprocess.channels} channels"
        raise UserError(what, where=f"model.pixels={pixels}", allowed=", ".join(("auto", *RANGES)))
    mean_of_each, std_of_each = IMAGENET
    return dataclasses.replace(preprocess, mean=mean_of_each, std=std_of_each).with_channels(preprocess.channels)


def refused_by_weights(config: FinetuneConfig, choice: str, *, at_path: bool) -> list[UserError]:
    """An error for each option of a network trained from scratch that was given with pretrained weights, and the other
    way round.

    Args:
        config: Of the run.
        choice: What `weights=` means.
        at_path: Whether that is a path. A model may lie there that was saved with the same options (`unlike_saved`
            looks), but it brings its own start and its own pixels.
    """
    options = config.model.common
    if choice == "none":
        if options.get("norm") != FRESH:
            return []
        what = "model.norm=fresh has no effect with weights=none: all norms start afresh there"
        return [UserError(what, where="model.norm=fresh", do="leave model.norm out, or take pretrained weights")]
    asked = {} if at_path else structural(options)
    asked |= {key: options[key] for key in ("init", "pixels") if options.get(key, AUTO) != AUTO}
    reasons = {"init": "they are the start", "pixels": "they demand the pixels that they were trained on"}
    return [
        UserError(
            f"model.{key}={value} does not go with pretrained weights (weights={choice}): "
            f"{reasons.get(key, 'their values belong to the published network')}",
            where=f"model.{key}={value}",
            do=["weights=none, to train from scratch", f"or leave model.{key} out"],
        )
        for key, value in asked.items()
    ]


def unlike_saved(config: FinetuneConfig, found: FoundWeights) -> list[UserError]:
    """An error for each option by which the network computes otherwise than the one whose values were found at a path.

    Names and shapes would fit in spite of it. What no saved model describes counts as the library's own network.
    """
    if found.source != "file":
        return []
    card = found.path.parent / "zoo.json"
    saved: dict[str, Any] = json.loads(card.read_text(encoding="utf-8"))["model"]["options"] if card.is_file() else {}
    now, then = structural(config.model.options), structural(saved)
    compared = [key for key in STRUCTURAL if card.is_file() or key not in config.model.claimed]
    return [
        UserError(
            f"these weights belong to a network with model.{key}={then.get(key, AUTO)}, not {now.get(key, AUTO)}",
            where=f"weights={found.path}",
            do=f"model.{key}={then.get(key, AUTO)}, or weights=none to train from scratch",
        )
        for key in compared
        if now.get(key, AUTO) != then.get(key, AUTO)
    ]


def refuse_frozen_fresh_norms(config: FinetuneConfig, plan: Plan) -> None:
    """Refuses norms that start afresh in a plan that never measures their statistics anew.

    Raises:
        UserError: A phase reads features of the network as it stands, or keeps the norms' statistics.
    """
    still = [phase.name for phase in plan.phases if phase.kind != "train" or phase.freeze_norm]
    if config.model.common.get("norm") == FRESH and still:
        raise UserError(
            f"model.norm=fresh throws the statistics of the norms away, and strategy {plan.strategy!r} would never "
            f"measure them again ({', '.join(still)})",
            where="model.norm=fresh",
            do=["strategy=full strategy.freeze_norm=false", "or leave model.norm out"],
        )


def refuse_for_imports(options: Mapping[str, Any]) -> None:
    """Refuses options that act only where a network is trained, for values that come from elsewhere.

    Raises:
        UserError: A start or a range of pixels of its own; the source brings both.
    """
    asked = {key: options[key] for key in ("init", "pixels") if options.get(key, AUTO) != AUTO}
    asked |= {"norm": FRESH} if options.get("norm") == FRESH else {}
    for key, value in asked.items():
        raise UserError(
            f"model.{key}={value} has no effect on values that are imported",
            where=f"model.{key}={value}",
            do=["leave it out", "preprocess= says how the source wants its pixels"],
        )
