"""Low-rank adapters on a network's layers: put in for a phase, trained, and merged into the layers' own values.

Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685, through the library peft.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import re
from collections.abc import Iterator, Sequence

import torch

from zoo.contracts.model import Model, Stage
from zoo.contracts.training import LowRank
from zoo.errors import UserError, name_list
from zoo.models.facts import adaptable_layers

_NAME = "default"
"""Under which peft keeps the adapters: `blocks.0.attn.qkv.lora_A.default.weight`."""


def adapted_layers(model: Model, adapters: LowRank) -> tuple[str, ...]:
    """Names of the layers that get adapters.

    A layer whose weight the network reads without calling it would never be changed by its adapter: one blank image
    shows which are called.

    Raises:
        UserError: peft is not installed, or no layer fits.
    """
    if importlib.util.find_spec("peft") is None:
        raise UserError(
            "low-rank adapters need the library peft, which is not installed",
            where="strategy",
            do=["python -m pip install peft", "or strategy=lpft, which trains everything"],
        )
    candidates = _called(model, adaptable_layers(model, adapters.layers))
    if adapters.targets is None:
        if not candidates:
            raise _nothing(model, adapters)
        return candidates
    for target in adapters.targets:
        if not any(_ends_in(name, target) for name in candidates):
            ends = sorted({name.rpartition(".")[2] for name in candidates})
            raise UserError(
                f"no layer of {model.spec.name} that can be adapted has a name that ends in {target!r}",
                where="strategy.targets",
                allowed=name_list(target, ends) if ends else "none with these strategy.layers",
            )
    return tuple(name for name in candidates if any(_ends_in(name, target) for target in adapters.targets))


def _ends_in(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _nothing(model: Model, adapters: LowRank) -> UserError:
    others = [kind for kind in ("linear", "conv") if kind != adapters.layers and adaptable_layers(model, kind)]
    return UserError(
        f"{model.spec.name} has no layers of the kind {adapters.layers!r} outside its head that can be adapted",
        where=f"strategy.layers={adapters.layers}",
        do=[*(f"strategy.layers={kind}" for kind in others), "strategy=lpft, which trains everything"],
    )


def _called(model: Model, names: Sequence[str]) -> tuple[str, ...]:
    """Of these layers those that a forward pass calls."""
    preprocess, module = model.spec.preprocess, model.module
    called: set[str] = set()
    handles = [
        module.get_submodule(name).register_forward_pre_hook(lambda *_, name=name: called.add(name)) for name in names
    ]
    mode = module.training
    blank = next(module.parameters()).new_zeros(1, preprocess.channels, preprocess.size, preprocess.size)
    try:
        with torch.no_grad():
            module.eval()(blank)
    finally:
        module.train(mode)
        for handle in handles:
            handle.remove()
    return tuple(name for name in names if name in called)


@contextlib.contextmanager
def with_adapters(model: Model, adapters: LowRank | None, *, seed: int) -> Iterator[Model]:
    """Inside, the layers carry adapters, and these and the head alone have gradients; behind it they are merged.

    Behind it the network is a plain one again, with the names that it had. Where the phase breaks off, the adapters are
    thrown away: a checkpoint has them.

    Args:
        model: Changed in place.
        adapters: None leaves it as it is.
        seed: Of the adapters' starting values. B starts at zero, so the network computes at first what it did before.

    Yields:
        The model, with the adapters' parameters in the stages of their layers.

    Raises:
        UserError: As `adapted_layers`.
    """
    if adapters is None:
        yield model
        return
    names = adapted_layers(model, adapters)
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel

    config = LoraConfig(
        r=adapters.rank,
        lora_alpha=adapters.alpha,  # type: ignore[arg-type]
        lora_dropout=adapters.dropout,
        target_modules="|".join(re.escape(name) for name in names),  # a pattern, so that names match whole
        bias="none",
    )
    had_gradients = {id(p): p.requires_grad for p in model.module.parameters()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tuner = LoraModel(model.module, {_NAME: config}, _NAME)
    for parameter in model.head.parameters():
        parameter.requires_grad_(had_gradients[id(parameter)])
    merge = False
    try:
        yield _with_adapters_in_stages(model, names)
        merge = True
    finally:
        if merge:
            tuner.merge_and_unload()
        else:
            tuner.unload()
        for parameter in model.module.parameters():
            parameter.requires_grad_(had_gradients[id(parameter)])


def _with_adapters_in_stages(model: Model, names: Sequence[str]) -> Model:
    """The model with stages of the parameters as they are named now, adapters in those of their layers."""
    stage_of = {name: number for number, stage in enumerate(model.spec.stages) for name in stage.parameters}
    parameters: list[list[str]] = [[] for _ in model.spec.stages]
    adapted = tuple(f"{name}." for name in names)
    for name, _ in model.module.named_parameters():
        owner = next((prefix for prefix in adapted if name.startswith(prefix)), None)
        number = stage_of.get(name) if owner is None else stage_of[f"{owner}weight"]
        if number is not None:
            parameters[number].append(name)
    stages = tuple(Stage(s.name, tuple(found)) for s, found in zip(model.spec.stages, parameters, strict=True))
    return dataclasses.replace(model, spec=dataclasses.replace(model.spec, stages=stages))
