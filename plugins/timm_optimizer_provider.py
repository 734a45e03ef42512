"""Every optimizer that timm knows, with the class's own defaults, read from its signature on demand.

timm's `create_optimizer_v2` is not used: it passes weight_decay 0 and momentum 0.9 to every class, so that AdamW's
own decay of 0.01 and Muon's momentum of 0.95 are lost without a word.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Literal

from torch.optim import Optimizer
from zoo_plugins.torch_optimizers import Params, construct

from zoo.registry import Offer

HIDDEN = frozenset({"maximize", "foreach", "fused", "capturable", "differentiable", "verbose"})
"""Arguments that are no options: they choose torch's code path, print, or train away from the goal."""

FACTORY_MOMENTUM = 0.9
"""What timm's factory gives to SGD and LARS, whose classes say 0: without it `nesterov` is refused or idle."""

BASE_RATES: Mapping[str, float] = {
    "SGD": 0.01,
    "SGDW": 0.01,
    "SGDP": 0.01,
    "Lars": 0.01,
    "Adagrad": 5e-3,
    "RMSprop": 1e-4,
    "Lion": 1e-4,
}
"""Rate that suits fine-tuning a whole network at batch 32, by class; those not named are scaled like Adam."""

ADAM_RATE = 5e-4


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
        return Offer(
            target="zoo_plugins.timm_optimizer_provider:build",
            summary=info.description.strip(),
            source=_source(info.opt_class),
            facts={"lr": BASE_RATES.get(info.opt_class.__name__, ADAM_RATE)},
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


def _source(optimizer: Callable[..., Optimizer]) -> str:
    """The first paper that the class's or its module's text names, else the module."""
    module = sys.modules[optimizer.__module__]
    for text in (optimizer.__doc__, module.__doc__):
        paper = re.search(r"arxiv\.org/(?:abs|pdf)/(\d{4}\.\d{4,5})", text or "")
        if paper:
            return f"arXiv:{paper[1]}"
    return f"https://github.com/huggingface/pytorch-image-models ({optimizer.__module__})"


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
