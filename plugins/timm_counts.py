"""Counts the parameters and multiply-adds of all of timm's networks, once for each version of timm.

    python -c "from zoo_plugins.timm_counts import write_table; write_table('plugins/timm_counts.json')"

takes about half an hour. The listing reads the table, as building 1,371 networks to list them would take minutes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import timm
import torch
from timm.models import get_pretrained_cfg

from zoo.models.catalogue import multiply_adds


def count(arch: str) -> tuple[int, int]:
    """Parameters and multiply-adds of a network as timm builds it by default; 0 multiply-adds where it cannot say."""
    with torch.device("meta"):
        module = timm.create_model(arch, pretrained=False)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    channels, height, _ = get_pretrained_cfg(arch).input_size
    try:
        return parameters, multiply_adds(module, size=height, channels=channels)
    except (NotImplementedError, RuntimeError, AssertionError, TypeError, ValueError):
        return parameters, 0


def write_table(path: str, arches: Iterable[str] | None = None) -> None:
    """Counts all networks, or those named, and writes the table."""
    counts = {arch: count(arch) for arch in (timm.list_models() if arches is None else arches)}
    rows = ",\n".join(f"  {json.dumps(arch)}: {json.dumps(row)}" for arch, row in counts.items())
    Path(path).write_text(f'{{"timm": {json.dumps(timm.__version__)}, "counts": {{\n{rows}\n}}}}\n', encoding="utf-8")
