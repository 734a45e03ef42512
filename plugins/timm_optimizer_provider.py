"""Every optimizer that timm knows, with the class's own defaults, read from its signature on demand.

timm's `create_optimizer_v2` is not used: it passes weight_decay 0 and momentum 0.9 to every class, so that AdamW's
own decay of 0.01 and Muon's momentum of 0.95 are lost without a word.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

from torch.optim import Optimizer
from zoo_plugins.torch_optimizers import Params, construct

from zoo.registry import Offer

HIDDEN = frozenset({"maximize", "foreach", "fused", "capturable", "differentiable", "verbose"})
"""Arguments that are no options: they choose torch's code path, print, or train away from the goal."""

FACTORY_MOMENTUM = 0.9
"""What timm's factory gives to SGD and LARS, whose classes say 0: without it `nesterov` is refused or idle."""

ADAM_RATE = 5e-4


@dataclass(frozen=True)
class Family:
    """What is known of one of timm's classes beyond its signature.

    Attributes:
        source: Paper that it follows.
        rate: Learning rate that suits fine-tuning a whole network at batch 32.
    """

    source: str
    rate: float = ADAM_RATE


# The rates were tried on tf_efficientnet_lite0 with ImageNet weights and a fresh small head: 640 of scikit-learn's
# digits at 64 px, two epochs at batch 32, BatchNorm frozen, 5 % warm-up and cosine, one seed, rates a factor 2 to 3
# apart, scored by the loss on 400 others. Each is the best or the next lower one; 3 to 6 times more broke the network
# for most (accuracy 0.1, with SGD from 0.01 and Adagrad from 0.002). Classes without a rate of their own were best at
# Adam's, or belong to its family and were not tried.
FAMILIES: Mapping[str, Family] = {
    "AdaBelief": Family("arXiv:2010.07468 (Zhuang et al. 2020)"),
    "Adadelta": Family("arXiv:1212.5701 (Zeiler 2012)", 0.1),
    "Adafactor": Family("arXiv:1804.04235 (Shazeer and Stern 2018)", 3e-4),
    "AdafactorBigVision": Family("arXiv:2106.04560 (Zhai et al. 2021, section 3.4)"),
    "Adagrad": Family("Duchi et al. 2011, Adaptive subgradient methods", 5e-4),
    "Adam": Family("arXiv:1412.6980 (Kingma and Ba 2014)"),
    "Adamax": Family("arXiv:1412.6980 (Kingma and Ba 2014, section 7.1)"),
    "AdamP": Family("arXiv:2006.08217 (Heo et al. 2020)"),
    "AdamW": Family("arXiv:1711.05101 (Loshchilov and Hutter 2017)"),
    "AdamWLegacy": Family("arXiv:1711.05101 (Loshchilov and Hutter 2017)"),
    "Adan": Family("arXiv:2208.06677 (Xie et al. 2022)"),
    "Adopt": Family("arXiv:2411.02853 (Taniguchi et al. 2024)"),
    "Kron": Family("arXiv:1512.04202 (Li 2015), with Kronecker factors"),
    "Lamb": Family("arXiv:1904.00962 (You et al. 2019)", 1e-3),
    "LaProp": Family("arXiv:2002.04839 (Ziyin et al. 2020)", 2e-4),
    "Lars": Family("arXiv:1708.03888 (You et al. 2017)", 3e-3),
    "Lion": Family("arXiv:2302.06675 (Chen et al. 2023)", 1e-4),
    "MADGRAD": Family("arXiv:2101.11075 (Defazio and Jelassi 2021)", 1e-4),
    "Mars": Family("arXiv:2411.10438 (Yuan et al. 2024)"),
    "Muon": Family("https://kellerjordan.github.io/posts/muon (Jordan et al. 2024)", 1e-3),
    "NAdam": Family("Dozat 2016, Incorporating Nesterov momentum into Adam"),
    "NAdamLegacy": Family("Dozat 2016, Incorporating Nesterov momentum into Adam"),
    "NAdamW": Family("Dozat 2016 and arXiv:1711.05101, as in MLCommons' algorithmic efficiency"),
    "NvNovoGrad": Family("arXiv:1905.11286 (Ginsburg et al. 2019)", 5e-3),
    "RAdam": Family("arXiv:1908.03265 (Liu et al. 2019)", 1e-3),
    "RAdamLegacy": Family("arXiv:1908.03265 (Liu et al. 2019)", 1e-3),
    "RMSprop": Family("Tieleman and Hinton 2012, Lecture 6.5 of Neural networks for machine learning", 1e-4),
    "RMSpropTF": Family("Tieleman and Hinton 2012, with TensorFlow's start and epsilon", 3e-3),
    "SGD": Family("Sutskever et al. 2013, On the importance of initialization and momentum", 3e-3),
    "SGDP": Family("arXiv:2006.08217 (Heo et al. 2020)", 3e-3),
    "SGDW": Family("arXiv:1711.05101 (Loshchilov and Hutter 2017)", 3e-3),
}

VARIANTS: Mapping[str, str] = {
    "caution": "arXiv:2411.16085 (Liang et al. 2024)",
    "corrected_weight_decay": "arXiv:2506.02285 (Defazio 2025)",
    "algo": "arXiv:2507.11005 (Si et al. 2025)",
}
"""Papers of the switches that timm adds to several classes."""


class TimmOptimizers:
    """The provider: satisfies `zoo.registry.Provider`."""

    def names(self) -> list[str]:
        """Names in timm, without those that need CUDA packages (bitsandbytes, apex) or second derivatives."""
        return list(_usable_names())

    def offer(self, name: str) -> Offer | None:
        """What timm says of one optimizer, or None where it has none of that name."""
        if name not in _usable_names():
            return None
        info = _info(name)
        # A class that a later timm adds is told from its module, and scaled like Adam, as most are.
        family = FAMILIES.get(info.opt_class.__name__) or Family(f"timm's {info.opt_class.__module__}")
        return Offer(
            target="zoo_plugins.timm_optimizer_provider:build",
            summary=info.description.strip(),
            source="; ".join([family.source, *(VARIANTS[key] for key in _fixed(name) if key in VARIANTS)]),
            facts={"lr": family.rate},
            bound={"timm_name": name, **_fixed(name)},
            parameters=partial(options, name),
        )


def build(params: Params, *, timm_name: str, lr: float, **settings: Any) -> Optimizer:
    """Builds one of timm's optimizers; what is not given keeps the class's own default.

    Args:
        params: Parameter groups.
        timm_name: timm's name of the optimizer.
        lr: Learning rate, above 0.
        **settings: Options of that optimizer, see `options`.

    Raises:
        UserError: A value is out of the range that the optimizer allows.
    """
    return construct(
        _info(timm_name).opt_class, params, lr=lr, **{**_tuned(timm_name), **_fixed(timm_name), **settings}
    )


def options(name: str) -> list[inspect.Parameter]:
    """The options of one of timm's optimizers, with the defaults that hold for this name.

    Left out are arguments that are fixed for the name, that choose a code path, or that take no plain value.
    """
    signature = inspect.signature(_info(name).opt_class, eval_str=True)
    fixed, tuned = _fixed(name), _tuned(name)
    found = [_keyword("lr", float, inspect.Parameter.empty)]
    for parameter in signature.parameters.values():
        if parameter.name in HIDDEN | {"params", "lr"} or parameter.name in fixed:
            continue
        default = tuned.get(parameter.name, parameter.default)
        kept = _plain(parameter.annotation, default)
        if kept is not None:
            found.append(_keyword(parameter.name, kept, float(default) if kept is float else default))
    return found


@lru_cache(maxsize=1)
def _usable_names() -> tuple[str, ...]:
    from timm.optim import list_optimizers

    return tuple(
        name
        for name in list_optimizers()
        if not isinstance(_info(name).opt_class, str) and not _info(name).second_order
    )


def _info(name: str) -> Any:
    from timm.optim import get_optimizer_info

    return get_optimizer_info(name)


def _fixed(name: str) -> dict[str, Any]:
    """The switches and words that make this name what it is, such as `caution=True` of `cadamw`."""
    return {key: value for key, value in (_info(name).defaults or {}).items() if isinstance(value, bool | str)}


def _tuned(name: str) -> dict[str, Any]:
    """Numbers that timm chose for this name in place of the class's defaults."""
    info = _info(name)
    tuned = {key: value for key, value in (info.defaults or {}).items() if not isinstance(value, bool | str)}
    arguments = inspect.signature(info.opt_class).parameters
    if "nesterov" in arguments and "momentum" in arguments and arguments["momentum"].default == 0:
        tuned.setdefault("momentum", FACTORY_MOMENTUM)
    return tuned


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _plain(annotation: Any, default: Any) -> Any:
    """The part of an annotation that a configuration can hold, or None; unannotated ones follow their default."""
    if default is not None and not isinstance(default, bool | int | float | str | tuple | list):
        return None
    if annotation is inspect.Parameter.empty:
        return _type_of(default)
    return _plain_part(annotation)


def _type_of(default: Any) -> Any:
    if isinstance(default, bool | str):
        return type(default)
    if isinstance(default, int | float):
        return float
    if isinstance(default, tuple):
        return tuple[tuple(_type_of(item) for item in default)]  # type: ignore[misc]
    return None


def _plain_part(annotation: Any) -> Any:
    """An annotation without its tensors, types and functions; None where nothing but None is left."""
    if annotation in (bool, int, float, str):
        return annotation
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return annotation
    if origin in (typing.Union, types.UnionType):
        arms = [part for arm in arguments if (part := _plain_part(arm)) is not None]
        if not arms:
            return None
        return typing.Union[tuple(arms + [type(None)] * (type(None) in arguments))]  # noqa: UP007
    if origin in (tuple, list):
        parts = tuple(part if part is Ellipsis else _plain_part(part) for part in arguments)
        return None if None in parts else origin[parts]
    return None
