"""Regularizers that leave parts of the network out in training: dropout of features, drop path of branches."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle
from torchvision.ops import StochasticDepth
from zoo_plugins.option_checks import check_range, no_effect

from zoo.contracts.model import Model


class Dropout:
    """Sets each feature that enters the head to zero with probability `p` and divides the rest by 1 - p.

    In training mode of the head only. It sits in a hook before the head, so no parameter changes its name; draws
    come from torch's generator of the device, as those of any dropout layer do.

    Source: arXiv:1207.0580 (Hinton et al. 2012), with the division moved from test to training time.

    Args:
        p: Probability in (0, 1) that a feature is dropped.
    """

    def __init__(self, *, p: float = 0.2) -> None:
        where = "regularizers.dropout.p"
        if p == 0:
            raise no_effect("dropout with p=0", where=where, do="raise p, or leave dropout out")
        check_range(p, where=where, low=0, high=1, above=True, below=True)
        self.p = p
        self._handle: RemovableHandle | None = None

    def change_model(self, model: Model) -> None:
        """Puts the dropout before the head."""
        self._handle = model.head.register_forward_pre_hook(_DropInput(self.p))

    def restore_model(self, model: Model) -> None:
        """Takes it off."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None


class _DropInput:
    """A forward pre-hook; a class and not a closure, so that the network can still be pickled and copied."""

    def __init__(self, p: float) -> None:
        self.p = p

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (nn.functional.dropout(inputs[0], self.p, module.training), *inputs[1:])


_PLACE = re.compile(r"(\w+_)?(drop_path|stochastic_depth|stochastic_dropout)\d?")
"""Attributes in which timm's and torchvision's residual blocks hold what drops their branches."""

_HOLDS = ("NoneType", "Identity", "DropPath", "StochasticDepth")
"""What such an attribute holds: nothing, or a layer that drops branches, perhaps with probability 0."""


class DropPath:
    """Stochastic depth: leaves out residual branches, for each image alone, the more often the deeper they lie.

    Of L residual blocks, from the input, branch l = 1..L is dropped with probability p * (l - 1) / (L - 1), and what
    stays is divided by the probability of staying, so that nothing changes in evaluation. The places are those that
    timm's and torchvision's blocks keep for it (`drop_path`, `stochastic_depth`); no parameter changes its name. A rate
    that the network was built with is replaced. Draws come from torch's generator of the device.

    Source: arXiv:1603.09382 (Huang et al. 2016). Deviations: each image draws for itself, and the first branch always
    stays (the paper: one draw a batch, p * l / L), both as in timm, whose `drop_path_rate` gives the same network for
    ResNets, ConvNeXts and vision transformers; its EfficientNets divide by the number of all blocks, here the last
    branch is dropped with probability `p` in every network.

    Args:
        p: Probability in (0, 1) with which the last branch is dropped.
    """

    def __init__(self, *, p: float = 0.1) -> None:
        where = "regularizers.drop_path.p"
        if p == 0:
            raise no_effect("drop path with p=0", where=where, do="raise p, or leave drop_path out")
        check_range(p, where=where, low=0, high=1, above=True, below=True)
        self.p = p
        self._before: list[tuple[nn.Module, str, nn.Module | None]] = []

    def change_model(self, model: Model) -> None:
        """Puts a layer that drops into every residual branch.

        Raises:
            UserError: The network has no residual blocks that keep a place for it.
        """
        places = _places(model.module)
        self._before = [(block, name, getattr(block, name)) for block, name in places]
        for block, name in places:
            setattr(block, name, StochasticDepth(0.0, "row"))
        passed = _passed_through(model)
        for block, name, before in self._before:
            if getattr(block, name) not in passed:  # a block without a shortcut: dropping its branch would drop all
                setattr(block, name, before)
        used = [(block, getattr(block, name)) for block, name in places if getattr(block, name) in passed]
        if not used:
            raise no_effect(
                f"drop_path on {model.spec.name}, which has no residual blocks that keep a place for it,",
                where="regularizers.drop_path",
                do=["choose a residual network (resnet, efficientnet, convnext, vit)", "leave drop_path out"],
            )
        blocks = list(dict.fromkeys(block for block, _ in used))
        for block, layer in used:
            depth = blocks.index(block) / (len(blocks) - 1) if len(blocks) > 1 else 1.0
            layer.p = self.p * depth

    def restore_model(self, model: Model) -> None:
        """Puts back what was there."""
        for block, name, before in self._before:
            setattr(block, name, before)
        self._before = []


def _places(module: nn.Module) -> list[tuple[nn.Module, str]]:
    """(block, attribute) pairs, in the order of the network's definition."""
    found = []
    for block in module.modules():
        names = [name for name in (*vars(block), *block._modules) if _PLACE.fullmatch(name)]
        found += [(block, name) for name in names if type(getattr(block, name)).__name__ in _HOLDS]
    return found


@torch.no_grad()
def _passed_through(model: Model) -> set[nn.Module]:
    """The layers for dropping branches that one blank image passes through."""
    passed: set[nn.Module] = set()
    layers = [layer for layer in model.module.modules() if isinstance(layer, StochasticDepth)]
    handles = [layer.register_forward_hook(lambda layer, *_: passed.add(layer)) for layer in layers]
    mode, preprocess = model.module.training, model.spec.preprocess
    try:
        blank = next(model.module.parameters()).new_zeros(1, preprocess.channels, preprocess.size, preprocess.size)
        model.module.eval()(blank)
    finally:
        model.module.train(mode)
        for handle in handles:
            handle.remove()
    return passed
