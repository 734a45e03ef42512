"""Stages of networks whose parameter names tell their depth; what torchvision's and timm's classics share."""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import nn

from zoo.contracts.model import Stage
from zoo.models.build import stages_from

Patterns = tuple[tuple[str, str], ...]
"""(pattern, stage) in the order of matching; a group of the pattern fills `{}` in the stage's name."""

INCEPTION_V3: Patterns = (
    (r"Conv2d_\d\w_\dx\d\.", "stem"),
    (r"Mixed_5\w\.", "inception_a"),
    (r"Mixed_6\w\.", "inception_b"),
    (r"Mixed_7\w\.", "inception_c"),
)
"""The paper's figures 5, 6, 7: modules on the grids of 35, 17, 8 px. The reduction that makes a grid belongs to it."""


def stages_by_pattern(names: Iterable[str], patterns: Patterns) -> tuple[Stage, ...]:
    """Stages from the input to the head.

    Args:
        names: Parameters, in the order of the network, without those of the head. One that no pattern fits is left
            out, which `check_stages` finds.
        patterns: What makes a stage.
    """
    return stages_from((stage, name) for name in names if (stage := _stage_of(name, patterns)) is not None)


def _stage_of(name: str, patterns: Patterns) -> str | None:
    for pattern, stage in patterns:
        match = re.match(pattern, name)
        if match:
            return stage.format(*match.groups())
    return None


def vgg_patterns(module: nn.Module, dense: Patterns) -> Patterns:
    """VGG's five blocks end where it pools; their numbers differ between its depths. Behind them the dense layers."""
    patterns, block = [], 1
    for number, layer in module.get_submodule("features").named_children():
        patterns.append((rf"features\.{number}\.", f"block{block}"))
        block += isinstance(layer, nn.MaxPool2d)
    return (*patterns, *dense)


def quarter_ends(blocks: int) -> tuple[int, int, int]:
    """How many blocks lie before the end of the first, second and third quarter of a network without own stages."""
    return round(blocks / 4), round(blocks / 2), round(blocks * 3 / 4)
