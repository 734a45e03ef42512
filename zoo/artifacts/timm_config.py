"""config.json: how timm itself builds and fills a saved network, and whether it then gives the same logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo.contracts.model import Model
from zoo.imaging.preprocess import Preprocess

_CROP_MODE = {"crop": "center", "pad": "border", "squash": "squash"}

_KEPT = ("fixed_input_size", "first_conv", "classifier", "license", "origin_url", "paper_ids", "paper_name")
"""What stays true of the published configuration once a network was trained further."""

_TOLERANCE = 1e-4

CHANGES = ("activation", "norm", "norm_epsilon")
"""Options of a saved model with which it is not the network that timm builds, however close its logits may be."""


def timm_config(model: Model, *, classes: Sequence[str], preprocess: Preprocess) -> dict[str, Any]:
    """What `timm.create_model("local-dir:...", pretrained=True)` reads: architecture, arguments, preprocessing, labels.

    Source: timm 1.0.31, timm/models/_hub.py, `_parse_model_cfg` and `save_config_for_hf`.
    """
    published = dict(getattr(model.module, "pretrained_cfg", {}))
    size, channels = preprocess.size, preprocess.channels
    arguments: dict[str, Any] = {**model.spec.args, "num_classes": len(classes), "in_chans": channels}
    resizable = arguments.get("dynamic_img_size") or arguments.get("strict_img_size") is False
    if published.get("fixed_input_size") and not resizable:
        arguments["img_size"] = size
    return {
        "architecture": model.spec.arch,
        "num_classes": len(classes),
        "num_features": model.spec.feature_dim,
        "label_names": list(classes),
        "model_args": arguments,
        "pretrained_cfg": {
            **{key: published[key] for key in _KEPT if published.get(key) is not None},
            "tag": "zoo",
            "custom_load": False,
            "input_size": [channels, size, size],
            "interpolation": preprocess.interpolation,
            "crop_pct": 1.0 if preprocess.resize == "pad" else preprocess.crop_share,
            "crop_mode": _CROP_MODE[preprocess.resize],
            "mean": list(preprocess.mean),
            "std": list(preprocess.std),
            "num_classes": len(classes),
            "pool_size": None,
        },
    }


def words_for_timm(arch: str, classes: Sequence[str]) -> Mapping[str, Any]:
    """A config.json for a network that timm cannot load: its error then quotes these words as the unknown name."""
    return {
        "architecture": f"{arch} as changed by zoo; timm cannot build it, load it with zoo.load",
        "num_classes": len(classes),
        "label_names": list(classes),
        "pretrained_cfg": {"num_classes": len(classes)},
    }


def disagreement_with_timm(folder: Path, model: Model, *, preprocess: Preprocess) -> str:
    """Loads the folder with timm and compares logits on one random batch: "" if they agree, else what differs.

    Another head, a changed module or an argument that timm forgot shows here and not at the user's.
    """
    import timm

    try:
        with torch.random.fork_rng(devices=[]):  # building a network draws numbers that are not ours to use up
            other = timm.create_model(f"local-dir:{folder}", pretrained=True)
    except Exception as error:  # timm's builders raise every kind; whatever it is, timm cannot load the folder
        return f"timm cannot load it: {' '.join(str(error).split())[:200] or type(error).__name__}"
    size, channels = preprocess.size, preprocess.channels
    batch = torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(0))
    kind = next(model.module.parameters()).dtype
    own, theirs = _logits(model.module, batch.to(kind)), _logits(other.to(kind), batch.to(kind))
    if own.shape != theirs.shape:
        return f"timm's network answers with {list(theirs.shape)} instead of {list(own.shape)}"
    scale = max(1.0, float(own.abs().max()))
    furthest = float((own - theirs).abs().max())
    return "" if furthest <= _TOLERANCE * scale else f"timm's logits differ by up to {furthest:.3g}"


def _logits(module: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """float32[B, classes] on the CPU, in eval mode and the parameters' own precision; each part's mode is put back."""
    modes = [(part, part.training) for part in module.modules()]
    device = next(module.parameters()).device
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            logits: torch.Tensor = module.eval()(batch.to(device))
    finally:
        for part, training in modes:
            part.training = training
    return logits.float().cpu()
