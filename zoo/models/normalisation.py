"""Normalisation between the layers: batch norm replaced by group norm, by layer norm or by nothing, or started afresh.

What takes the place of a batch norm keeps the names and the values of its scales and shifts, and whatever stands inside
of it (timm puts the activation and the dropout there).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from zoo.contracts.model import Model
from zoo.errors import UserError

MOST_GROUPS = 32
"""Groups of Wu and He's networks, where the channels can be divided so."""

NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""torch's layers that normalise by statistics, with their subclasses in other libraries."""


class GroupNorm(nn.GroupNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over each group of channels with all its places, an image at a
    time: float[B, C, ...] to the same; then the layers inside of it.

    Source: Wu and He, "Group Normalization", arXiv:1803.08494. Deviation: the groups are the most, up to 32, into which
    the channels can be divided evenly with two or more in each.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised maps."""
        return _through_children(self, super().forward(x))


class ChannelNorm(nn.LayerNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the channels of each place: float[B, C, ...] to the same;
    then the layers inside of it.

    Source: Ba et al., "Layer Normalization", arXiv:1607.06450, at each place by itself as in Liu et al., "A ConvNet for
    the 2020s", arXiv:2201.03545.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised maps."""
        return _through_children(self, super().forward(x.movedim(1, -1)).movedim(-1, 1))


class NoNorm(nn.Module):
    """Nothing but the layers that stood inside of a norm."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The input, through these layers."""
        return _through_children(self, x)


def group_count(channels: int) -> int:
    """Groups of a group norm: the most up to 32 that divide the channels evenly with two or more in each."""
    return max((n for n in range(1, min(MOST_GROUPS, channels // 2) + 1) if channels % n == 0), default=1)


def replace_batch_norm(model: Model, kind: str) -> Model:
    """Puts another norm in the place of every BatchNorm outside the head, in place; `batch` keeps them.

    With `none`, convolutions in front of a norm keep the bias that they have, which mostly is none.

    Args:
        model: With any values.
        kind: `batch`, `layer`, `group` or `none`.

    Raises:
        UserError: The network has no BatchNorm, or one that computes otherwise than torch's.
    """
    places = {path: norm for path, norm in _outside_head(model, (_BatchNorm,)) if isinstance(norm, _BatchNorm)}
    if not places:
        raise UserError(
            f"{model.spec.name} has no batch norm that could be kept or replaced; {_others(model)}",
            where=f"model.norm={kind}",
            do=["leave model.norm out", "take a network with batch norm: resnet18, vgg11_bn"],
        )
    if kind == "batch":
        return model
    for path, old in places.items():
        _check_plain(old, path, name=model.spec.name, kind=kind)
        model.module.set_submodule(path, _with_children_of(old, _BY_KIND[kind](old)))
    return model


def set_norm_epsilon(model: Model, epsilon: float) -> Model:
    """Sets what every norm outside the head adds to its variance, in place.

    Raises:
        UserError: The network has no layer that normalises.
    """
    places = dict(_outside_head(model, NORMS))
    if not places:
        raise UserError(
            f"{model.spec.name} has no layer that normalises",
            where=f"model.norm_epsilon={epsilon}",
            do="leave model.norm_epsilon out",
        )
    for norm in places.values():
        norm.eps = epsilon  # type: ignore[assignment]  # torch declares it as a number in each of them
    return model


def renew_norms(model: Model) -> int:
    """Gives every norm outside the head its first values: mean 0, variance 1, scale 1, shift 0. Returns how many.

    Raises:
        UserError: The network has no layer that normalises.
    """
    places = dict(_outside_head(model, NORMS))
    if not places:
        raise UserError(
            f"{model.spec.name} has no layer that normalises: there is nothing to start afresh",
            where="model.norm=fresh",
            do="leave model.norm out",
        )
    for norm in places.values():
        if isinstance(norm, _BatchNorm | nn.GroupNorm | nn.LayerNorm | nn.RMSNorm):
            norm.reset_parameters()
    return len(places)


def _outside_head(model: Model, kinds: tuple[type[nn.Module], ...]) -> Iterator[tuple[str, nn.Module]]:
    head = model.spec.classifier
    for path, module in model.module.named_modules(remove_duplicate=False):
        if isinstance(module, kinds) and path != head and not path.startswith(f"{head}."):
            yield path, module


def _others(model: Model) -> str:
    """What a network without batch norm has instead."""
    kinds = sorted({type(norm).__name__ for _, norm in _outside_head(model, NORMS)})
    return f"its norms are {', '.join(kinds)}" if kinds else "nothing in it normalises"


def _group(old: _BatchNorm) -> nn.Module:
    return GroupNorm(group_count(old.num_features), old.num_features, eps=old.eps, affine=old.affine)


def _layer(old: _BatchNorm) -> nn.Module:
    return ChannelNorm(old.num_features, eps=old.eps, elementwise_affine=old.affine)


_BY_KIND: dict[str, Callable[[_BatchNorm], nn.Module]] = {
    "group": _group,
    "layer": _layer,
    "none": lambda _: NoNorm(),
}


def _with_children_of(old: nn.Module, new: nn.Module) -> nn.Module:
    """The new norm with the old one's scales, shifts, inner layers and mode."""
    own = dict(new.named_parameters(recurse=False))
    with torch.no_grad():
        for name, value in old.named_parameters(recurse=False):
            if name in own:
                own[name].copy_(value)
    for name, child in old.named_children():
        new.add_module(name, child)
    return new.train(old.training)


def _through_children(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    for child in module.children():
        x = child(x)
    return x


def _check_plain(norm: _BatchNorm, path: str, *, name: str, kind: str) -> None:
    """Raises UserError where a norm does more than normalise and then apply the layers inside of it."""
    training = norm.training
    channels, statistics = norm.num_features, (norm.running_mean, norm.running_var)
    shape = (2, channels) if isinstance(norm, nn.BatchNorm1d) else (2, channels, 3, 3)
    x = torch.linspace(-2, 2, steps=torch.Size(shape).numel()).reshape(shape)
    try:
        with torch.no_grad():
            norm.eval()
            own = norm(x.clone())
            plain = functional.batch_norm(
                x, *statistics, norm.weight, norm.bias, training=norm.running_mean is None, eps=norm.eps
            )
            same = torch.allclose(own, _through_children(norm, plain), atol=1e-5)
    except (RuntimeError, ValueError, TypeError, AssertionError):
        same = False
    finally:
        norm.train(training)
    if not same:
        raise UserError(
            f"{name}: {path} is a {type(norm).__name__}, which does more than normalise; it cannot be replaced",
            where=f"model.norm={kind}",
            do="leave model.norm out, or take another network",
        )
