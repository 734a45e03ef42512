"""The depth of each parameter in timm's networks: the stages that get a learning rate of their own, or are frozen."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from timm.models._manipulate import group_parameters
from torch import nn
from zoo_plugins.depth_patterns import INCEPTION_V3, Patterns, quarter_ends, stages_by_pattern, vgg_patterns

from zoo.contracts.model import Stage
from zoo.models.build import stages_from

Groups = list[list[str]]
"""Names of parameters by depth, from the input."""

MOST_STAGES = 8
"""Networks with stages of their own have up to so many groups; what has more has one group a block."""

FEWEST_ENDS = 3
"""With fewer changes of resolution behind the stem there are no stages to speak of."""

_BLOCK = re.compile(r"blocks?\w*\.\d+\.")

_VGG_DENSE = ((r"pre_logits\.fc1\.", "fc6"), (r"pre_logits\.fc2\.", "fc7"))

CLASSICS: Mapping[str, Patterns] = {
    "inception_v3": INCEPTION_V3,
    "inception_v4": (
        (r"features\.[0-5]\.", "stem"),
        (r"features\.[6-9]\.", "inception_a"),
        (r"features\.1[0-7]\.", "inception_b"),
        (r"features\.(?:18|19|20|21)\.", "inception_c"),
    ),
    "inception_resnet_v2": (
        (r"conv2d_[1-4]\w\.", "stem"),
        (r"(?:mixed_5b|repeat)\.", "inception_a"),
        (r"(?:mixed_6a|repeat_1)\.", "inception_b"),
        (r"(?:mixed_7a|repeat_2|block8|conv2d_7b)\.", "inception_c"),
    ),
    "legacy_xception": (
        (r"(?:conv|bn)[12]\.", "stem"),
        (r"block[123]\.", "entry_flow"),
        (r"block(?:[4-9]|1[01])\.", "middle_flow"),
        (r"(?:block12|(?:conv|bn)[34])\.", "exit_flow"),
    ),
}
"""Networks for which timm has one group a block although their papers draw a few stages: stem, Inception blocks A, B
and C (a reduction belongs to the grid that it makes); Xception's entry, middle and exit flow, with the two plain
convolutions before them as the stem."""


def stages_of(arch: str, module: nn.Module, *, classifier: str) -> tuple[Stage, ...]:
    """Stages from the input to the last one before the head.

    A rate that falls by a fifth from stage to stage hardly trains the first of thirteen: stages are the few depths at
    which a network changes its resolution or its width, as in its paper, not its single blocks.

    - The classics by their papers: VGG's five blocks and two dense layers, Inception, Xception.
    - Else timm's own coarse groups, where there are at most 8 (ResNet, EfficientNet, ConvNeXt, Swin...).
    - Else (one group a block) these groups are joined up to where timm says that the resolution changes
      (`feature_info`: RexNet, Hiera, NASNet).
    - Else, where it never does (ViT, MLP-Mixer), into the stem and four quarters of the blocks; plain transformers are
      read out at the same four depths for dense prediction.

    Norms at the end belong to the stage before them.

    Source: Ranftl et al., "Vision Transformers for Dense Prediction", arXiv:2103.13413, section 3, for the quarters.
    """
    names = [name for name, _ in module.named_parameters() if not name.startswith(f"{classifier}.")]
    patterns = vgg_patterns(module, _VGG_DENSE) if arch.startswith("vgg") else CLASSICS.get(arch)
    if patterns is not None:
        return tuple(_numbered(stages_by_pattern(names, patterns)))
    groups = _own_groups(module, names)
    if len(groups) > MOST_STAGES:
        ends = _resolution_ends(module, groups)
        groups = _joined(groups, ends if len(ends) >= FEWEST_ENDS else _quarter_ends(groups))
    axes = {name: parameter.ndim for name, parameter in module.named_parameters()}
    if len(groups) > 1 and _only_scales(groups[-1], axes):
        groups = [*groups[:-2], groups[-2] + groups[-1]]
    return tuple(_numbered([Stage(_title(group, axes), tuple(group)) for group in groups]))


def _own_groups(module: nn.Module, names: Sequence[str]) -> Groups:
    """timm's own coarse grouping by depth, without the head; by blocks where a network has none."""
    matcher = getattr(module, "group_matcher", None)
    try:
        groups = group_parameters(module, matcher(coarse=True)) if matcher else None
    except AssertionError:
        groups = None
    if groups is None:
        return [list(stage.parameters) for stage in stages_from(_by_block(names))]
    wanted = set(names)
    kept = [[name for name in groups[depth] if name in wanted] for depth in sorted(groups)]
    return [group for group in kept if group]


def _by_block(parameters: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(stage, parameter) by numbered blocks (`stages.2`); what stands before the first is the stem, later the neck."""
    seen_block = False
    for parameter in parameters:
        first, _, rest = parameter.partition(".")
        number = rest.partition(".")[0]
        in_block = number.isdigit() and first != "stem"
        seen_block = seen_block or in_block
        yield (f"{first}.{number}" if in_block else "neck" if seen_block else "stem"), parameter


def _joined(groups: Groups, ends: Sequence[int]) -> Groups:
    """Neighbours joined; each of `ends` is the last group of a stage, and what is left makes the last stage."""
    starts = [0, *(end + 1 for end in ends)]
    return [
        [name for group in groups[start:stop] for name in group]
        for start, stop in zip(starts, [*starts[1:], len(groups)], strict=True)
    ]


def _resolution_ends(module: nn.Module, groups: Groups) -> list[int]:
    """The stem, then the last group at each resolution but the lowest; none where timm knows none or it stays."""
    info = list(getattr(module, "feature_info", None) or ())
    reductions = [level["reduction"] for level in info]
    if len(set(reductions)) < len(reductions):
        return []
    found = {0, *(_last_group_with(str(level["module"]), groups) for level in info)}
    return sorted(end for end in found if end is not None and end < len(groups) - 1)


def _last_group_with(path: str, groups: Groups) -> int | None:
    """Number of the last group with a parameter of a module, or of the nearest one around it that has any."""
    while path:
        holding = [depth for depth, group in enumerate(groups) if any(name.startswith(f"{path}.") for name in group)]
        if holding:
            return holding[-1]
        path = path.rpartition(".")[0]
    return None


def _quarter_ends(groups: Groups) -> list[int]:
    """The stem, then the last block of each quarter but the fourth, to which everything behind the blocks belongs."""
    last = max((depth for depth, group in enumerate(groups) if any(map(_BLOCK.search, group))), default=len(groups) - 1)
    return [0, *quarter_ends(last)]


def _only_scales(group: Sequence[str], axes: Mapping[str, int]) -> bool:
    """Whether a group is a norm: scales and shifts alone make no stage."""
    return all(axes[name] < 2 for name in group)


def _numbered(stages: Sequence[Stage]) -> Iterator[Stage]:
    """Each stage with its number from the input before its name: `2:layer2`."""
    for depth, stage in enumerate(stages):
        yield dataclasses.replace(stage, name=f"{depth}:{stage.name or ('stage' if depth else 'stem')}")


def _title(group: Sequence[str], axes: Mapping[str, int]) -> str:
    """What the names of the weights have in common; of several numbered modules the ends: `blocks.3-5`."""
    weights = [name for name in group if axes[name] > 1] or group
    parts = [name.split(".")[:-1] for name in weights]
    common: list[str] = []
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            return _with_range(common, column)
        common.append(column[0])
    return ".".join(common)


def _with_range(common: Sequence[str], column: Sequence[str]) -> str:
    """`blocks` and the numbers 3, 4, 5 as `blocks.3-5`; other members leave the name as it is."""
    if common and all(part.isdigit() for part in column):
        numbers = sorted({int(part) for part in column})
        return f"{'.'.join(common)}.{numbers[0]}-{numbers[-1]}"
    return ".".join(common)
