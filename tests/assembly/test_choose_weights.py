"""What `weights=` means: a source by its name, everything in turn, nothing, or a path."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from zoo_plugins.starter_weights import Starter

from zoo.assembly.network import build_backbone, choose_weights, weight_sources
from zoo.config.compose import configure
from zoo.contracts.data import DataFacts, Task
from zoo.errors import UserError
from zoo.plugins import load_plugins

REGISTRY = load_plugins(only=()).registry


@pytest.fixture(autouse=True)
def _nothing_cached(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)


def choose(choice: str, name: str = "lenet5", said: list[str] | None = None):
    classes, channels = (10, 1) if "lenet" in name else (1000, 3)
    model = REGISTRY.get("model", name).build(classes=classes, channels=channels, image_size=None)
    say = (said if said is not None else []).append
    return choose_weights(choice, REGISTRY, model=model, name=name, say=say)


def names(choice: str) -> list[str]:
    return [name for name, _ in weight_sources(REGISTRY, choice)]


def test_a_source_is_asked_with_those_that_keep_its_copies():
    assert names("auto") == ["package", "torch-cache", "hf-cache", "hub", "starter"]
    assert names("hub") == ["torch-cache", "hf-cache", "hub"]
    assert names("starter") == ["starter"]
    assert names("torch-cache") == ["torch-cache"]
    assert names("none") == names("some/path") == []


@pytest.mark.parametrize("choice", ["auto", "starter"])
def test_starter_weights_come_with_a_warning(choice):
    said: list[str] = []
    found = choose(choice, said=said)
    assert found.source == "starter"
    assert any(line.startswith("warning: starter weights: LeNet-5") for line in said)


def test_hub_insists_on_published_weights(monkeypatch):
    with pytest.raises(UserError, match="no pretrained weights of zoo/lenet5") as caught:
        choose("hub")
    assert "weights=hub" in str(caught.value)
    with pytest.raises(UserError, match="timm/resnet18") as caught:
        choose("hub", "resnet18")
    assert "hf-cache" in str(caught.value)
    assert "starter" not in caught.value.what


def test_package_insists_too():
    assert choose("package", "tf_efficientnet_lite0").source == "package"
    with pytest.raises(UserError, match="no pretrained weights of timm/resnet10t"):
        choose("package", "resnet10t")


def test_a_set_named_by_its_tag_is_not_replaced_by_starter_weights():
    with pytest.raises(UserError, match=r"no pretrained weights of timm/resnet18 \(a1_in1k\)"):
        choose("auto", "resnet18.a1_in1k")


def test_unknown_word_names_the_nearest_sources():
    with pytest.raises(UserError, match="no source of this name") as caught:
        choose("startr")
    assert "starter" in str(caught.value.allowed)


def test_a_source_wins_over_a_path_of_its_name_and_says_so(tmp_path):
    (tmp_path / "starter").mkdir()
    said: list[str] = []
    assert choose("starter", said=said).source == "starter"
    assert "weights=./starter" in said[0]
    with pytest.raises(UserError, match="holds no weights"):
        choose("./starter")


def test_a_path_is_read(tmp_path):
    model = REGISTRY.get("model", "lenet5").build(classes=10, channels=1, image_size=None)
    torch.save(model.module.state_dict(), tmp_path / "own.pth")
    assert choose(str(tmp_path / "own.pth")).source == "file"


def test_none_is_random_values():
    assert choose("none") is None


@pytest.mark.parametrize(("side", "finetune_px", "expected"), [(400, 0, 64), (400, 96, 96), (20, 96, 64), (40, 96, 96)])
def test_photos_are_fine_tuned_at_the_size_that_the_weights_say(monkeypatch, side, finetune_px, expected):
    """Larger photos at the weights' own fine-tuning size, small ones at theirs; the record keeps what was trained."""
    config = configure(["model=lenet5", "weights=starter"], load_plugins(only=()), source_for=str)
    find = Starter.find

    def larger(source, request):
        found = find(source, request)
        preprocess = dataclasses.replace(found.record.preprocess, size=64)
        return dataclasses.replace(
            found, record=dataclasses.replace(found.record, preprocess=preprocess, finetune_px=finetune_px)
        )

    monkeypatch.setattr(Starter, "find", larger)
    facts = DataFacts("x", 4, Task.SINGLE_LABEL, 1, 100, 25, 25, side)
    said: list[str] = []
    model, found = build_backbone(config, REGISTRY, facts=facts, say=said.append)
    assert model.spec.preprocess.size == expected
    assert found.record.preprocess.size == 64
    assert any(line.startswith(f"input   {expected} px") for line in said)
