"""Low-rank adapters: what they compute, what they leave alone, and the plain network that is left."""

from __future__ import annotations

import dataclasses
import importlib.util

import pytest
import torch
from torch import nn

from zoo.contracts.training import LowRank
from zoo.errors import UserError
from zoo.models.adapters import adapted_layers, with_adapters
from zoo.models.build import check_stages, norms_of, parameter_groups
from zoo.models.freezing import set_train, share_trained
from zoo.plugins import load_plugins

REGISTRY = load_plugins(only=[]).registry
SIZES = {"vit_tiny_patch16_224": 32, "mixer_s32_224": None, "convnext_atto": 32, "resnet10t": 32}
ADAPTED = [
    ("vit_tiny_patch16_224", "linear", 48), ("mixer_s32_224", "linear", 32), ("convnext_atto", "conv", 28),
    ("resnet10t", "conv", 14), ("vit_tiny_patch16_224", "all", 49),
]  # fmt: skip


def build(name: str):
    torch.manual_seed(0)
    model = REGISTRY.get("model", name).build(classes=4, channels=3, image_size=SIZES[name])
    for _, norm in norms_of(model.module):
        norm.weight.data.fill_(1.0)  # untrained resnets start with branches that are shut
    return adapted_size(model, SIZES[name])


def adapted_size(model, size: int | None):
    preprocess = model.spec.preprocess if size is None else model.spec.preprocess.with_size(size)
    return dataclasses.replace(model, spec=dataclasses.replace(model.spec, preprocess=preprocess))


def images(model) -> torch.Tensor:
    side = model.spec.preprocess.size
    return torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(1))


def train(model, *, steps: int = 2) -> None:
    optimizer = torch.optim.AdamW(parameter_groups(model, 1e-2, stage_decay=0.9, weight_decay=0.1))
    set_train(model.module)
    for _ in range(steps):
        nn.functional.cross_entropy(model.module(images(model)), torch.arange(4)).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.module.eval()


@pytest.mark.parametrize(("name", "layers", "count"), ADAPTED)
def test_adapters_alone_are_trained_and_merged_into_a_plain_network_of_the_same_answers(name, layers, count):
    model = build(name)
    model.module.eval()
    plain = {key: value.clone() for key, value in model.module.state_dict().items()}
    with torch.no_grad():
        before = model.module(images(model))
    with with_adapters(model, LowRank(rank=4, layers=layers), seed=3) as adapted:
        names = [key for key, _ in model.module.named_parameters() if ".lora_A." in key]
        assert len(names) == count == len(adapted_layers(build(name), LowRank(layers=layers)))
        check_stages(adapted)
        with torch.no_grad():
            torch.testing.assert_close(model.module.eval()(images(model)), before)  # B starts at zero
        trained = {key for key, p in model.module.named_parameters() if p.requires_grad}
        assert all("lora_" in key or key.startswith(model.spec.classifier) for key in trained)
        train(adapted)
        moved = [key for key, p in model.module.named_parameters() if ".lora_B." in key and bool(p.any())]
        assert len(moved) == count, "an adapter that the network never calls"
        inside = dict(model.module.state_dict())
        kept = {key: inside[_as_adapted(key, inside)] for key in plain}
        assert all(torch.equal(kept[key], plain[key]) for key in plain if not key.startswith(model.spec.classifier))
        with torch.no_grad():
            unmerged = model.module(images(model))
        assert not torch.allclose(unmerged, before)
    with torch.no_grad():
        merged = model.module.eval()(images(model))
    torch.testing.assert_close(merged, unmerged, atol=1e-5, rtol=1e-5)
    assert list(model.module.state_dict()) == list(plain)
    assert all(p.requires_grad for p in model.module.parameters())
    assert not hasattr(model.module, "peft_config")


def _as_adapted(key: str, tensors) -> str:
    owner, _, last = key.rpartition(".")
    return key if key in tensors else f"{owner}.base_layer.{last}"


def test_what_is_added_is_the_low_rank_product_by_hand():
    model = build("vit_tiny_patch16_224")
    layer = "blocks.3.mlp.fc1"
    before = model.module.get_submodule(layer).weight.detach().clone()
    adapters = LowRank(rank=3, alpha=12, targets=("mlp.fc1",))
    with with_adapters(model, adapters, seed=0) as adapted:
        train(adapted)
        wrapped = model.module.get_submodule(layer)
        a, b = (getattr(wrapped, side)["default"].weight.detach().clone() for side in ("lora_A", "lora_B"))
        assert (a.shape, b.shape) == ((3, 192), (768, 3))
    torch.testing.assert_close(model.module.get_submodule(layer).weight, before + 12 / 3 * b @ a)


def test_adapters_learn_at_the_rates_of_their_layers_stages():
    model = build("vit_tiny_patch16_224")
    with with_adapters(model, LowRank(), seed=0) as adapted:
        groups = {g["name"]: g["lr"] for g in parameter_groups(adapted, 1.0, stage_decay=0.5)}
        trained, total = share_trained(adapted)
    assert groups == {
        "1:blocks.0-2": 1 / 16, "2:blocks.3-5": 1 / 8, "3:blocks.6-8": 1 / 4, "4:blocks.9-11": 1 / 2, "head": 1.0,
        "head (no decay)": 1.0,
    }  # fmt: skip
    assert trained == 12 * 8 * ((192 + 576) + (192 + 192) + 2 * (192 + 768))
    assert total > trained


def test_starting_values_are_a_function_of_the_seed_and_leave_the_generator_alone():
    starts = []
    for seed in (1, 1, 2):
        model = build("vit_tiny_patch16_224")
        state = torch.get_rng_state()
        with with_adapters(model, LowRank(), seed=seed):
            starts.append(model.module.get_parameter("blocks.0.attn.qkv.lora_A.default.weight").detach().clone())
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_a_phase_that_breaks_off_leaves_the_network_as_it_was():
    model = build("vit_tiny_patch16_224")
    plain = {key: value.clone() for key, value in model.module.state_dict().items()}

    def broken_off() -> None:
        with with_adapters(model, LowRank(), seed=0) as adapted:
            train(adapted)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    after = model.module.state_dict()
    assert list(after) == list(plain)
    assert all(torch.equal(after[key], plain[key]) for key in plain if not key.startswith("head."))


def test_no_adapters_change_nothing():
    model = build("resnet10t")
    with with_adapters(model, None, seed=0) as adapted:
        assert adapted is model


def test_targets_are_ends_of_names():
    model = build("vit_tiny_patch16_224")
    assert adapted_layers(model, LowRank(targets=("attn.qkv",))) == tuple(f"blocks.{n}.attn.qkv" for n in range(12))
    assert len(adapted_layers(model, LowRank(targets=("qkv", "fc2")))) == 24
    with pytest.raises(UserError, match="ends in 'kqv'") as error:
        adapted_layers(model, LowRank(targets=("qkv", "kqv")))
    assert error.value.allowed.startswith("qkv")


def test_layers_whose_weight_is_read_without_a_call_get_no_adapter():
    model = REGISTRY.get("model", "beit_base_patch16_224").build(classes=4, channels=3, image_size=None)
    names = adapted_layers(model, LowRank())
    assert not [name for name in names if name.endswith("qkv")]
    assert [name for name in names if name.endswith("attn.proj")]


def test_torchvision_attention_is_left_alone():
    model = REGISTRY.get("model", "torchvision/vit_b_32").build(classes=4, channels=3, image_size=None)
    names = adapted_layers(model, LowRank())
    assert len(names) == 24
    assert not [name for name in names if "out_proj" in name]


def test_network_without_such_layers_is_refused_with_what_is_possible():
    with pytest.raises(UserError, match="no layers of the kind 'linear'") as error:
        adapted_layers(build("resnet10t"), LowRank())
    assert error.value.do[0] == "strategy.layers=conv"


def test_missing_library_is_said_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="peft, which is not installed") as error:
        adapted_layers(build("vit_tiny_patch16_224"), LowRank())
    assert "pip install peft" in error.value.do[0]
