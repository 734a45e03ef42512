"""The field's classic networks, from 1958 to 2016: which names they have here, and the papers that introduced them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Paper:
    """One publication.

    Attributes:
        reference: `arXiv:1409.1556`, `doi:10.1038/323533a0`, or an address where it has neither.
        title: As printed.
        year: Of the first publication.
    """

    reference: str
    title: str
    year: int


ROSENBLATT = Paper(
    "doi:10.1037/h0042519",
    "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain",
    1958,
)
RUMELHART = Paper("doi:10.1038/323533a0", "Learning Representations by Back-propagating Errors", 1986)
LECUN = Paper("doi:10.1109/5.726791", "Gradient-Based Learning Applied to Document Recognition", 1998)
KRIZHEVSKY = Paper("doi:10.1145/3065386", "ImageNet Classification with Deep Convolutional Neural Networks", 2012)
VGG = Paper("arXiv:1409.1556", "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014)
GOOGLENET = Paper("arXiv:1409.4842", "Going Deeper with Convolutions", 2014)
RESNET = Paper("arXiv:1512.03385", "Deep Residual Learning for Image Recognition", 2015)
INCEPTION_V3 = Paper("arXiv:1512.00567", "Rethinking the Inception Architecture for Computer Vision", 2015)
INCEPTION_V4 = Paper(
    "arXiv:1602.07261", "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning", 2016
)
XCEPTION = Paper("arXiv:1610.02357", "Xception: Deep Learning with Depthwise Separable Convolutions", 2016)

CLASSICS: tuple[tuple[str, Paper], ...] = (
    (r"perceptron", ROSENBLATT),
    (r"mlp", RUMELHART),
    (r"lenet5|lenet", LECUN),
    (r"alexnet", KRIZHEVSKY),
    (r"vgg(?:11|13|16|19)(?:_bn)?", VGG),
    (r"googlenet", GOOGLENET),
    (r"inception_v3", INCEPTION_V3),
    (r"resnet(?:18|34|50|101|152)", RESNET),
    (r"inception_v4|inception_resnet_v2", INCEPTION_V4),
    (r"legacy_xception", XCEPTION),
)
"""(whole name, paper), in the order in which they appeared, within a year by arXiv number.

AlexNet's paper is of 2012; its number is that of the reprint in Communications of the ACM (2017). Backpropagation is
older than the paper of 1986, which made it, and with it the multilayer perceptron, known.
"""


def classic_facts(name: str) -> Mapping[str, Any]:
    """Facts of a network of the classic list: its paper and its place in history; empty for all others.

    Args:
        name: Bare name without a weight tag, `vgg16_bn`.
    """
    for place, (pattern, paper) in enumerate(CLASSICS):
        if re.fullmatch(pattern, name):
            return {"paper": paper.reference, "title": paper.title, "year": paper.year, "classic": place}
    return {}
