"""What zoo knows of torchvision's families beyond their code: stages, head, papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from zoo_plugins.depth_patterns import INCEPTION_V3, stages_by_pattern, vgg_patterns

from zoo.contracts.model import Stage


@dataclass(frozen=True)
class Family:
    """Networks that are built alike.

    Attributes:
        paper: arXiv number.
        classifier: Dotted path of the layer that makes logits.
        stages: (pattern, stage) in the order of matching; a group of the pattern fills `{}` in the stage's name.
        ignored_keys: Keys of published files that belong to auxiliary classifiers, which are left out here.
        build_args: Arguments of the constructor that zoo always sets.
        size_arg: Constructor argument for the input size, where the network depends on it.
        centred: The published network shifts its input from ImageNet's statistics to mean = std = 0.5 by itself
            (`transform_input`); here the preprocessing does that at once, which gives the same input.
    """

    paper: str
    classifier: str
    stages: tuple[tuple[str, str], ...]
    ignored_keys: tuple[str, ...] = ()
    build_args: Mapping[str, Any] = field(default_factory=dict)
    size_arg: str | None = None
    centred: bool = False

    @property
    def year(self) -> int:
        """Year of the paper."""
        return 2000 + int(self.paper[:2])


def _blocks(*sizes: int) -> tuple[tuple[str, str], ...]:
    """Stages of so many consecutive members of `features` each, as the papers' tables group them; the rest last."""
    patterns, start = [], 0
    for stage, size in enumerate(sizes):
        numbers = "|".join(str(number) for number in range(start, start + size))
        patterns.append((rf"features\.(?:{numbers})\.", f"stage{stage}"))
        start += size
    return (*patterns, (r"features\.", f"stage{len(sizes)}"))


_FEATURES = (r"features\.(\d+)\.", "features{}")
_NECK = (r"", "neck")
_RESNET = ((r"(?:conv1|bn1)\.", "stem"), (r"layer(\d)\.", "layer{}"))
_REGNET = ((r"stem\.", "stem"), (r"trunk_output\.block(\d)\.", "block{}"))
_ALEXNET = (
    (r"features\.0\.", "conv1"),
    (r"features\.3\.", "conv2"),
    (r"features\.6\.", "conv3"),
    (r"features\.8\.", "conv4"),
    (r"features\.10\.", "conv5"),
    (r"classifier\.1\.", "fc6"),
    (r"classifier\.4\.", "fc7"),
)
_VGG_DENSE = ((r"classifier\.0\.", "fc6"), (r"classifier\.3\.", "fc7"))
_VIT = (
    (r"class_token|conv_proj\.|encoder\.pos_embedding", "stem"),
    (r"encoder\.layers\.encoder_layer_(\d+)\.", "layer{}"),
    _NECK,
)

FAMILIES: Mapping[str, Family] = {
    r"alexnet": Family("1404.5997", "classifier.6", _ALEXNET),
    r"vgg": Family("1409.1556", "classifier.6", ()),
    r"googlenet": Family(
        "1409.4842",
        "fc",
        ((r"conv[123]\.", "stem"), (r"inception(\d)\w\.", "inception{}")),
        ignored_keys=(r"aux[12]\.",),
        build_args={"aux_logits": False, "init_weights": True},
        centred=True,
    ),
    r"inception_v3": Family(
        "1512.00567",
        "fc",
        INCEPTION_V3,
        ignored_keys=(r"AuxLogits\.",),
        build_args={"aux_logits": False, "init_weights": True},
        centred=True,
    ),
    r"resnext": Family("1611.05431", "fc", _RESNET),
    r"wide_resnet": Family("1605.07146", "fc", _RESNET),
    r"resnet": Family("1512.03385", "fc", _RESNET),
    r"densenet": Family(
        "1608.06993",
        "classifier",
        (
            (r"features\.(?:conv0|norm0)\.", "stem"),
            (r"features\.(?:denseblock|transition)(\d)\.", "block{}"),
            _NECK,
        ),
    ),
    r"mobilenet_v2": Family("1801.04381", "classifier.1", _blocks(2, 2, 3, 4, 3, 3, 1)),
    r"mobilenet_v3_large": Family("1905.02244", "classifier.3", (*_blocks(2, 2, 3, 4, 2, 3), _NECK)),
    r"mobilenet_v3_small": Family("1905.02244", "classifier.3", (*_blocks(1, 1, 2, 3, 2, 3), _NECK)),
    r"efficientnet_v2": Family("2104.00298", "classifier.1", (_FEATURES,)),
    r"efficientnet": Family("1905.11946", "classifier.1", (_FEATURES,)),
    r"mnasnet": Family(
        "1807.11626",
        "classifier.1",
        ((r"layers\.[0-7]\.", "stem"), (r"layers\.(8|9|10|11|12|13)\.", "layers{}"), _NECK),
    ),
    r"shufflenet": Family(
        "1807.11164", "fc", ((r"conv1\.", "stem"), (r"stage(\d)\.", "stage{}"), (r"conv5\.", "neck"))
    ),
    r"regnet": Family("2003.13678", "fc", _REGNET),
    r"convnext": Family("2201.03545", "classifier.2", (_FEATURES, _NECK)),
    r"swin_v2": Family("2111.09883", "head", (_FEATURES, _NECK)),
    r"swin": Family("2103.14030", "head", (_FEATURES, _NECK)),
    r"maxvit": Family(
        "2204.01697",
        "classifier.5",
        ((r"stem\.", "stem"), (r"blocks\.(\d)\.", "blocks{}"), _NECK),
        size_arg="input_size",
    ),
    r"vit": Family("2010.11929", "heads.head", _VIT, size_arg="image_size"),
}
"""By the start of a network's name; the first that fits counts. SqueezeNet is missing on purpose: its classifier is a
convolution before the pooling, so no vector enters it and no other head fits in its place."""


def family_of(name: str) -> Family | None:
    """The family of a torchvision network, or None where zoo has none for it."""
    return next((family for start, family in FAMILIES.items() if name.startswith(start)), None)


def stages_of(module: nn.Module, family: Family) -> tuple[Stage, ...]:
    """Stages from the input to the head; a parameter that no pattern fits is left out, which `check_stages` finds."""
    head = f"{family.classifier}."
    names = [name for name, _ in module.named_parameters() if not name.startswith(head)]
    return stages_by_pattern(names, family.stages or vgg_patterns(module, _VGG_DENSE))
