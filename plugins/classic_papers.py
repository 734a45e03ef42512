"""The field's classic networks, from 1958 to 2016: which names they have here, and the papers that introduced them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from zoo_plugins.papers import (
    GOOGLENET,
    INCEPTION_V3,
    INCEPTION_V4,
    KRIZHEVSKY,
    LECUN,
    RESNET,
    ROSENBLATT,
    RUMELHART,
    VGG,
    XCEPTION,
    Paper,
)

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
