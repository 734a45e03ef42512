"""What zoo knows of torchvision's families beyond their code: stages, head, papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from zoo_plugins import papers
from zoo_plugins.depth_patterns import INCEPTION_V3, Patterns, quarter_ends, stages_by_pattern, vgg_patterns

from zoo.contracts.model import Stage


@dataclass(frozen=True)
class Family:
    """Networks that are built alike.

    Attributes:
        paper: Where the architecture was published as torchvision builds it.
        classifier: Dotted path of the layer that makes logits.
        stages: Patterns of the stages, or what makes them for networks of different depth.
        ignored_keys: Keys of published files that belong to auxiliary classifiers, which are left out here.
        build_args: Arguments of the constructor that zoo always sets.
        size_arg: Constructor argument for the input size, where the network depends on it.
        centred: The published network shifts its input from ImageNet's statistics to mean = std = 0.5 by itself
            (`transform_input`); here the preprocessing does that at once, which gives the same input.
    """

    paper: papers.Paper
    classifier: str
    stages: Patterns | Callable[[nn.Module], Patterns]
    ignored_keys: tuple[str, ...] = ()
    build_args: Mapping[str, Any] = field(default_factory=dict)
    size_arg: str | None = None
    centred: bool = False


def _blocks(*sizes: int) -> Patterns:
    """Stages of so many consecutive members of `features` each, as the papers' tables group them; the rest last."""
    patterns, start = [], 0
    for stage, size in enumerate(sizes):
        numbers = "|".join(str(number) for number in range(start, start + size))
        patterns.append((rf"features\.(?:{numbers})\.", f"stage{stage}"))
        start += size
    return (*patterns, (r"features\.", f"stage{len(sizes)}"))


_HIERARCHY = (
    (r"features\.0\.", "stem"),
    (r"features\.1\.", "stage1"),
    (r"features\.[23]\.", "stage2"),
    (r"features\.[45]\.", "stage3"),
    (r"", "stage4"),
)
"""ConvNeXt and Swin: what halves the resolution belongs to the stage behind it, the last norm to the one before it."""

_EFFICIENTNET = (
    (r"features\.0\.", "stem"),
    (r"features\.([123])\.", "stage{}"),
    (r"features\.[45]\.", "stage4"),
    (r"features\.[67]\.", "stage5"),
    (r"features\.8\.", "neck"),
)
"""By resolution: two neighbouring rows of the paper's table share one."""

_EFFICIENTNET_V2 = (*_EFFICIENTNET[:3], (r"features\.6\.", "stage5"), (r"features\.(\d)\.", "stage{}"))
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


def _vgg(module: nn.Module) -> Patterns:
    return vgg_patterns(module, _VGG_DENSE)


def _vit(module: nn.Module) -> Patterns:
    """The stem and four quarters of the blocks, as of timm's plain transformers (timm_stages)."""
    blocks = len(list(module.get_submodule("encoder.layers").children()))
    ends = [*quarter_ends(blocks), blocks]
    quarters = [range(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    layers = [
        (rf"encoder\.layers\.encoder_layer_(?:{'|'.join(map(str, numbers))})\.", f"layers{numbers[0]}-{numbers[-1]}")
        for numbers in quarters
    ]
    last = layers[-1][1]
    return ((r"class_token|conv_proj\.|encoder\.pos_embedding", "stem"), *layers, (r"encoder\.ln\.", last))


FAMILIES: Mapping[str, Family] = {
    r"alexnet": Family(
        papers.arxiv("1404.5997", "One weird trick for parallelizing convolutional neural networks"),
        "classifier.6",
        _ALEXNET,
    ),
    r"vgg": Family(papers.VGG, "classifier.6", _vgg),
    r"googlenet": Family(
        papers.GOOGLENET,
        "fc",
        ((r"conv[123]\.", "stem"), (r"inception(\d)\w\.", "inception{}")),
        ignored_keys=(r"aux[12]\.",),
        build_args={"aux_logits": False, "init_weights": True},
        centred=True,
    ),
    r"inception_v3": Family(
        papers.INCEPTION_V3,
        "fc",
        INCEPTION_V3,
        ignored_keys=(r"AuxLogits\.",),
        build_args={"aux_logits": False, "init_weights": True},
        centred=True,
    ),
    r"resnext": Family(papers.RESNEXT, "fc", _RESNET),
    r"wide_resnet": Family(papers.WIDE_RESNET, "fc", _RESNET),
    r"resnet": Family(papers.RESNET, "fc", _RESNET),
    r"densenet": Family(
        papers.DENSENET,
        "classifier",
        (
            (r"features\.(?:conv0|norm0)\.", "stem"),
            (r"features\.(?:denseblock|transition)(\d)\.", "block{}"),
            _NECK,
        ),
    ),
    r"mobilenet_v2": Family(papers.MOBILENET_V2, "classifier.1", _blocks(2, 2, 3, 4, 3, 3, 1)),
    r"mobilenet_v3_large": Family(papers.MOBILENET_V3, "classifier.3", (*_blocks(2, 2, 3, 4, 2, 3), _NECK)),
    r"mobilenet_v3_small": Family(papers.MOBILENET_V3, "classifier.3", (*_blocks(1, 1, 2, 3, 2, 3), _NECK)),
    r"efficientnet_v2": Family(papers.EFFICIENTNET_V2, "classifier.1", _EFFICIENTNET_V2),
    r"efficientnet": Family(papers.EFFICIENTNET, "classifier.1", _EFFICIENTNET),
    r"mnasnet": Family(
        papers.MNASNET,
        "classifier.1",
        ((r"layers\.[0-7]\.", "stem"), (r"layers\.(8|9|10|11|12|13)\.", "layers{}"), _NECK),
    ),
    r"shufflenet": Family(
        papers.arxiv("1807.11164", "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design"),
        "fc",
        ((r"conv1\.", "stem"), (r"stage(\d)\.", "stage{}"), (r"conv5\.", "neck")),
    ),
    r"regnet": Family(papers.REGNET, "fc", _REGNET),
    r"convnext": Family(papers.CONVNEXT, "classifier.2", _HIERARCHY),
    r"swin_v2": Family(
        papers.arxiv("2111.09883", "Swin Transformer V2: Scaling Up Capacity and Resolution"),
        "head",
        _HIERARCHY,
    ),
    r"swin": Family(papers.SWIN, "head", _HIERARCHY),
    r"maxvit": Family(
        papers.MAXVIT,
        "classifier.5",
        ((r"stem\.", "stem"), (r"blocks\.(\d)\.", "blocks{}"), _NECK),
        size_arg="input_size",
    ),
    r"vit": Family(papers.VIT, "heads.head", _vit, size_arg="image_size"),
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
    patterns = family.stages(module) if callable(family.stages) else family.stages
    return stages_by_pattern(names, patterns)
