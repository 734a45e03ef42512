"""Names of a pretrained network's outputs: what its library says of these weights, else ImageNet's."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from timm.data import ImageNetInfo
from torchvision.models import ResNet18_Weights

from zoo.assembly.using import class_names
from zoo.contracts.model import Model, WeightsRecord
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.plugins import load_plugins

UNKNOWN = WeightsRecord("", Preprocess(size=224, mean=(0.5,) * 3, std=(0.5,) * 3), classes=1000)
"""Weights that a path gives: no tag says what they are."""


def outline(name: str) -> Model:
    with torch.device("meta"):
        model: Model = load_plugins().registry.get("model", name).build(classes=1000, channels=3, image_size=None)
    return model


@pytest.mark.parametrize(
    ("count", "subset"),
    [(1000, "imagenet-1k"), (21841, "imagenet-22k"), (11821, "imagenet-12k"), (21843, "imagenet-21k-goog")],
)
def test_class_names_of_timm_are_the_descriptions_that_timm_itself_prints(count, subset):
    """timm's own inference script calls index_to_description."""
    info = ImageNetInfo(subset)
    names = class_names(outline("timm/resnet18"), dataclasses.replace(UNKNOWN, classes=count), name="resnet18")
    assert names == tuple(info.index_to_description(index) for index in range(count))


@pytest.mark.parametrize("tagged", [True, False])
def test_class_names_of_torchvision_are_its_own_and_tell_all_classes_apart(tagged):
    model = outline("torchvision/resnet18")
    names = class_names(model, model.spec.weights[0] if tagged else UNKNOWN, name="resnet18")
    assert list(names) == ResNet18_Weights.IMAGENET1K_V1.meta["categories"]
    assert len(set(names)) == 1000


def test_class_names_are_imagenets_where_the_network_states_none():
    model = dataclasses.replace(outline("timm/resnet18"), labels=None)
    assert class_names(model, UNKNOWN, name="x")[:2] == ("tench, Tinca tinca", "goldfish, Carassius auratus")
    with pytest.raises(UserError, match="7 outputs whose names are not known") as refused:
        class_names(model, dataclasses.replace(UNKNOWN, classes=7), name="x")
    assert refused.value.where == "model=x"
