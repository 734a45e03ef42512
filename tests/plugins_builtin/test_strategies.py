"""Strategies: what each plans, what it refuses, and that what it freezes stays as it is, to the bit."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from zoo.contracts.data import DataFacts, Task
from zoo.contracts.model import NetworkFacts
from zoo.errors import UserError
from zoo.models.adapters import with_adapters
from zoo.models.build import parameter_groups, replace_head
from zoo.models.facts import is_bias, network_facts, norm_parameters
from zoo.models.freezing import frozen_parts, set_train
from zoo.plugins import load_plugins

REGISTRY = load_plugins(only=[]).registry
FACTS = DataFacts("x", 3, Task.SINGLE_LABEL, 3, 300, 90, 100, 200)
NETWORK = NetworkFacts("x/net", ("a", "b", "c", "d", "e"), 10_000, 224, 4, 3, 5, 6)


def plan(name: str, *, network: NetworkFacts = NETWORK, pretrained: bool = True, **options):
    strategy = REGISTRY.get("strategy", name).build(**options)
    return strategy.plan(FACTS, network=network, pretrained=pretrained, must_train=False)


def frozen(found) -> list[tuple[int, ...]]:
    return [phase.frozen for phase in found.phases if phase.kind == "train"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"stages_at_once": 1}, [(0, 1, 2, 3), (0, 1, 2), (0, 1), (0,), ()]),
        ({}, [(0, 1, 2), (0,), ()]),
        ({"stages_at_once": 9}, [()]),
        ({"freeze_stages": 2}, [(0, 1, 2), (0, 1)]),
        ({"freeze_stages": 4}, [(0, 1, 2, 3)]),
        ({"probe_first": False, "stages_at_once": 3}, [(0, 1, 2, 3, 4), (0, 1), ()]),
    ],
)
def test_gradual_thaws_from_the_head_on(options, expected):
    found = plan("gradual", epochs=6, **options)
    assert frozen(found) == expected
    assert found.phases[0].kind == ("train" if "probe_first" in options else "fit_head")
    assert sum(phase.epochs for phase in found.phases) == pytest.approx(6)
    assert len({phase.name for phase in found.phases}) == len(found.phases)  # metrics and curves go by name


def test_gradual_without_stages_is_refused():
    with pytest.raises(UserError, match="has no stages that could be thawed") as error:
        plan("gradual", network=dataclasses.replace(NETWORK, stages=()))
    assert error.value.where == "strategy=gradual"


def test_gradual_that_would_thaw_nothing_is_refused():
    with pytest.raises(UserError, match="nothing is left to thaw") as error:
        plan("gradual", freeze_stages=5)
    assert error.value.allowed == "0 to 4"


@pytest.mark.parametrize(
    ("which", "count", "trained"),
    [
        ("first", 1, [0]), ("first", 2, [0, 1]), ("middle", 1, [2]), ("middle", 2, [1, 2]), ("last", 1, [4]),
        ("last", 3, [2, 3, 4]),
    ],
)  # fmt: skip
def test_surgical_trains_the_stages_that_were_asked_for(which, count, trained):
    found = plan("surgical", which=which, count=count)
    assert frozen(found) == [tuple(number for number in range(5) if number not in trained)]
    assert all(NETWORK.stages[number] in found.reason for number in trained)


def test_surgical_that_would_freeze_nothing_is_refused():
    with pytest.raises(UserError, match="leaves none frozen") as error:
        plan("surgical", count=5)
    assert error.value.allowed == "1 to 4"


@pytest.mark.parametrize(
    ("name", "lacking", "word"),
    [("norm", "norm_layers", "normalisation"), ("bitfit", "biases", "biases"), ("lora", "linear_layers", "linear")],
)
def test_network_without_what_a_strategy_trains_is_refused_and_others_are_named(name, lacking, word):
    with pytest.raises(UserError, match=f"has no {word}") as error:
        plan(name, network=dataclasses.replace(NETWORK, **{lacking: 0}))
    told = "\n".join(error.value.do)
    others = {"norm", "bitfit", "lora"} - {name}
    assert all(other in told for other in ("lpft", "gradual", "probe", *others))
    assert f" {name}" not in told


def test_adapters_on_convolutions_are_named_where_there_are_no_linear_layers():
    network = dataclasses.replace(NETWORK, linear_layers=0)
    with pytest.raises(UserError) as error:
        plan("lora", network=network)
    assert error.value.do[0] == "strategy.layers=conv"
    assert plan("lora", network=network, layers="conv").phases[-1].adapters.layers == "conv"


def test_adapters_need_pretrained_values():
    with pytest.raises(UserError, match="nothing to adapt") as error:
        plan("lora", pretrained=False)
    assert error.value.do[0] == "strategy=scratch"


def test_options_of_adapters_reach_the_phase():
    adapters = plan("lora", rank=4, alpha=4, dropout=0.1, targets=("qkv",)).phases[-1].adapters
    assert (adapters.rank, adapters.alpha, adapters.dropout, adapters.targets) == (4, 4, 0.1, ("qkv",))
    assert plan("lora").phases[-1].adapters.targets is None


@pytest.mark.parametrize("name", ["gradual", "surgical", "bitfit", "norm", "lora"])
def test_parts_are_trained_behind_a_fitted_head_with_the_recipe_of_full(name):
    found, full = plan(name), plan("full").phases[0]
    assert found.phases[0].kind == "fit_head"
    assert plan(name, probe_first=False).phases[0].kind == "train"
    for phase in found.phases[1:]:
        assert (phase.regularizers, phase.crop_scale, phase.freeze_norm) == (full.regularizers, full.crop_scale, True)
    assert found == plan(name)
    assert found.reason


@pytest.mark.parametrize("name", ["full", "lpft", "gradual", "surgical", "bitfit", "norm"])
def test_statistics_are_kept_where_the_network_brings_some(name):
    def keeps(**parts) -> set[bool]:
        return {phase.freeze_norm for phase in plan(name, **parts).phases if phase.kind == "train"}

    assert (keeps(), keeps(pretrained=False)) == ({True}, {False})
    assert (keeps(freeze_norm=False), keeps(freeze_norm=True, pretrained=False)) == ({False}, {True})


TRAINED = [
    ("full", {}), ("full", {"freeze_stages": 2}), ("lpft", {}), ("gradual", {}), ("gradual", {"probe_first": False}),
    ("surgical", {"which": "first"}), ("surgical", {"which": "middle"}), ("surgical", {"which": "last"}),
    ("bitfit", {}), ("norm", {}), ("norm", {"freeze_norm": False}), ("lora", {"layers": "all", "dropout": 0.1}),
    ("scratch", {}),
]  # fmt: skip
NETWORKS = [
    ("resnet10t", 32),
    ("vit_tiny_patch16_224", 32),
    ("convnext_atto", 32),
    ("torchvision/shufflenet_v2_x0_5", 32),
]


def built(name: str, size: int):
    torch.manual_seed(0)
    model = REGISTRY.get("model", name).build(classes=3, channels=3, image_size=size)
    model = replace_head(model, nn.Linear(model.spec.feature_dim, 3))
    for child in model.module.modules():
        if isinstance(child, nn.Dropout):
            child.p = 0.5
    preprocess = model.spec.preprocess.with_size(size)
    return dataclasses.replace(model, spec=dataclasses.replace(model.spec, preprocess=preprocess))


def allowed(model, phase) -> set[str]:
    """Names that the phase may train, told from the plan and the names alone."""
    numbers = set(range(len(model.spec.stages))) - set(phase.frozen)
    names = {name for number in numbers for name in model.spec.stages[number].parameters}
    if phase.adapters is not None:
        names = {name for name in names if ".lora_" in name}
    elif phase.parameters == "norm":
        names &= set(norm_parameters(model.module))
    elif phase.parameters == "bias":
        names = {name for name in names if is_bias(name)}
    return names | {f"{model.spec.classifier}.weight", f"{model.spec.classifier}.bias"}


def trains_only(model, phase) -> None:
    """One phase by hand: gradients, modes, optimizer groups, and then every value of the network."""
    module, trained = model.module, allowed(model, phase)
    assert {name for name, p in module.named_parameters() if p.requires_grad} == trained
    groups = parameter_groups(model, 0.01, stage_decay=0.8, weight_decay=0.1)
    assert {id(p) for g in groups for p in g["params"]} == {id(module.get_parameter(name)) for name in trained}
    set_train(module, freeze_norm=phase.freeze_norm)
    for name, child in module.named_modules():
        own = {f"{name}.{key}".lstrip(".") for key, _ in child.named_parameters()}
        if own and not own & trained:
            assert not any(part.training for part in child.modules()), name
    before = {key: value.clone() for key, value in module.state_dict().items()}
    optimizer = torch.optim.AdamW(groups)
    images = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    for _ in range(2):
        nn.functional.cross_entropy(module(images), torch.arange(6) % 3).backward()
        assert all(p.grad is None for p in module.parameters() if not p.requires_grad)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    moves = trained if phase.freeze_norm else trained | _statistics(module, trained)
    changed = {key for key, value in module.state_dict().items() if not torch.equal(before[key], value)}
    assert changed <= moves
    assert changed >= {f"{model.spec.classifier}.weight"}
    assert len(changed & trained) > 0.6 * len(trained)


def _statistics(module: nn.Module, trained: set[str]) -> set[str]:
    owners = {name.rpartition(".")[0] for name in trained}
    return {name for name, _ in module.named_buffers() if name.rpartition(".")[0] in owners}


@pytest.mark.parametrize(("network", "size"), NETWORKS)
@pytest.mark.parametrize(("name", "options"), TRAINED)
def test_what_a_strategy_freezes_stays_to_the_bit_in_every_phase(name, options, network, size):
    model = built(network, size)
    found = plan(name, network=network_facts(model), **options)
    shapes = {key: value.shape for key, value in model.module.state_dict().items()}
    training = [phase for phase in found.phases if phase.kind == "train"]
    assert training
    for phase in training:
        with (
            with_adapters(model, phase.adapters, seed=0) as adapted,
            frozen_parts(adapted, stages=phase.frozen, parameters=phase.parameters),
        ):
            trains_only(adapted, phase)
    assert {key: value.shape for key, value in model.module.state_dict().items()} == shapes
    assert all(parameter.requires_grad for parameter in model.module.parameters())
