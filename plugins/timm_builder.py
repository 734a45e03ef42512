"""Builds any network of timm as a zoo model: random values, one head, stages by depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import timm
from timm.layers import AttentionPool2d, DropPath, RotAttentionPool2d
from timm.models import get_pretrained_cfg
from timm.models._pretrained import PretrainedCfg
from torch import nn
from zoo_plugins.timm_records import label_names, preprocess_of, records_of
from zoo_plugins.timm_stages import stages_of
from zoo_plugins.timm_weights import TimmConverter, fresh_keys, ignored_keys

from zoo.contracts.model import Model, ModelSpec
from zoo.errors import UserError
from zoo.models.build import check_forward, check_stages

OWN_ARGUMENTS: Mapping[str, str] = {
    "num_classes": "it follows the data",
    "in_chans": "it follows the data (data.channels)",
    "img_size": "use model.image_size",
    "global_pool": "use model.pool",
    "drop_path_rate": "use model.drop_path",
    "pretrained": "use weights=",
    "pretrained_cfg": "use weights=",
    "pretrained_cfg_overlay": "use weights=",
    "checkpoint_path": "use weights=PATH",
    "cache_dir": "set HF_HOME",
    "features_only": "a network without a head cannot be fine-tuned",
}
"""Arguments of timm.create_model that zoo passes itself."""


def build(
    *,
    arch: str,
    tag: str,
    classes: int,
    channels: int,
    image_size: int | None,
    pool: Literal["auto", "avg", "max", "avgmax"] = "auto",
    drop_path: float = 0.0,
    args: dict[str, Any] | None = None,
) -> Model:
    """Builds a network of timm with random values.

    Args:
        arch: timm's name, `resnet18`.
        tag: Weight tag, or "" for the default one; it decides the preprocessing.
        classes: Outputs of the classifier.
        channels: Input channels.
        image_size: Side of the input in pixels; None keeps the size of the weights.
        pool: How the last feature map becomes a vector; `auto` is the network's own way.
        drop_path: Share of residual branches left out in training, in [0, 1), growing with depth (stochastic depth).
        args: Further arguments for `timm.create_model`.

    Raises:
        UserError: The network has no single classifier, or cannot take an option or an image size.
    """
    cfg = get_pretrained_cfg(f"{arch}.{tag}" if tag else arch)
    classifier = _classifier_of(arch, cfg)
    if not 0 <= drop_path < 1:
        raise UserError(f"drop path {drop_path} is no share", where="model.drop_path", allowed="0 <= drop_path < 1")
    options = _own_options(arch, args) | _input_options(cfg, image_size)
    if pool != "auto":
        options["global_pool"] = pool
    if drop_path:
        options["drop_path_rate"] = drop_path
    module = _create(arch, tag, arguments=options | {"num_classes": classes, "in_chans": channels})
    if drop_path and not any(isinstance(m, DropPath) and m.drop_prob > 0 for m in module.modules()):
        raise _refusal(arch, "drop_path_rate", reason="it has no residual branches to drop")
    native = preprocess_of(cfg)
    preprocess = native.with_size(image_size or native.size).with_channels(channels)
    spec = ModelSpec(
        name=f"timm/{arch}",
        library="timm",
        arch=arch,
        classifier=classifier,
        feature_dim=_feature_dim(arch, module, classifier=classifier),
        stages=stages_of(arch, module, classifier=classifier),
        preprocess=preprocess,
        weights=records_of(arch, tag),
        ignored_keys=ignored_keys(arch, module),
        fresh_keys=fresh_keys(arch, tag),
        args=options,
    )
    convert = TimmConverter(arch, tag, channels, classifier, options)
    model = check_stages(Model(module, spec, convert, label_names))
    return model if preprocess.size == native.size else check_forward(model)


def _classifier_of(arch: str, cfg: PretrainedCfg | None) -> str:
    """Dotted path of the one classifier."""
    found = cfg.classifier if cfg is not None else None
    if isinstance(found, str):
        return found
    plain = arch.replace("_distilled", "").replace("_dist", "")
    several = f"{len(found)} classifiers, whose answers it averages" if found else "no classifier"
    raise UserError(
        f"timm/{arch} has {several}; zoo puts one head into one place",
        where=f"model={arch}",
        do=f"take model={plain}" if plain != arch and timm.is_model(plain) else "take another network",
    )


def _own_options(arch: str, args: dict[str, Any] | None) -> dict[str, Any]:
    """The user's extra arguments, once none of them is one that zoo sets."""
    for key in args or {}:
        if key in OWN_ARGUMENTS:
            raise UserError(f"{key!r} cannot be set here: {OWN_ARGUMENTS[key]}", where=f"model.args.{key}")
    return dict(args or {})


def _input_options(cfg: PretrainedCfg, image_size: int | None) -> dict[str, Any]:
    """`img_size` for networks whose tables depend on it, where it differs from their own."""
    native = tuple(cfg.input_size[1:])
    side = image_size or min(native)
    return {"img_size": side} if cfg.fixed_input_size and native != (side, side) else {}


def _create(arch: str, tag: str, *, arguments: dict[str, Any]) -> nn.Module:
    """Calls timm, and says in zoo's terms which argument it did not take.

    `exportable` is left off: it takes fused attention out of the network for good.
    """
    try:
        module: nn.Module = timm.create_model(arch, pretrained=False, pretrained_cfg=tag or None, **arguments)
    except (TypeError, ValueError, AssertionError, KeyError, RuntimeError, NotImplementedError) as error:
        reason = str(error) or type(error).__name__
        blamed = [key for key in arguments if key in reason] or [
            k for k in arguments if k not in ("num_classes", "in_chans")
        ]
        if not blamed:
            raise
        raise _refusal(arch, blamed[0], reason=reason.splitlines()[0], value=arguments[blamed[0]]) from error
    return module


def _refusal(arch: str, key: str, *, reason: str, value: object = None) -> UserError:
    """That a network cannot take one of the arguments."""
    option = {"img_size": "image_size", "global_pool": "pool", "drop_path_rate": "drop_path"}.get(key, f"args.{key}")
    shown = f" {value!r}" if value is not None else ""
    return UserError(
        f"timm/{arch} cannot take {option}{shown}: {reason}",
        where=f"model.{option}",
        do=f"leave model.{option} out, or take another network",
    )


def _feature_dim(arch: str, module: nn.Module, *, classifier: str) -> int:
    """Width of what enters the classifier."""
    head = module.get_submodule(classifier)
    if isinstance(module.get_submodule(classifier.rpartition(".")[0]), AttentionPool2d | RotAttentionPool2d):
        raise UserError(
            f"timm/{arch} applies its classifier to every place of the image before it pools them",
            where=f"model={arch}",
            do=f"take model={arch}_gap" if timm.is_model(f"{arch}_gap") else "take another network",
        )
    if isinstance(head, nn.Linear):
        return head.in_features
    if isinstance(head, nn.Conv2d) and head.kernel_size == (1, 1):
        return head.in_channels
    width = getattr(head, "in_features", None)
    if isinstance(width, int):
        return width
    raise UserError(
        f"timm/{arch} ends in a {type(head).__name__}, whose input width zoo cannot tell",
        where=f"model={arch}",
        do="take another network",
    )
