import pytest
import torch
from torch import nn
from torchvision import models
from zoo_plugins.torchvision_families import FAMILIES, family_of, stages_of


@pytest.mark.parametrize(
    ("name", "paper"),
    [
        ("resnet50", "1512.03385"),
        ("resnext50_32x4d", "1611.05431"),
        ("wide_resnet50_2", "1605.07146"),
        ("efficientnet_b0", "1905.11946"),
        ("efficientnet_v2_s", "2104.00298"),
        ("swin_t", "2103.14030"),
        ("swin_v2_t", "2111.09883"),
        ("mobilenet_v2", "1801.04381"),
        ("vit_b_16", "2010.11929"),
        ("maxvit_t", "2204.01697"),
    ],
)
def test_family_of_tells_names_apart_that_begin_alike(name, paper):
    assert family_of(name).paper == paper
    assert family_of(name).year == 2000 + int(paper[:2])


def test_family_of_knows_no_squeezenet_and_no_detector():
    assert family_of("squeezenet1_0") is None
    assert family_of("fasterrcnn_resnet50_fpn") is None


def test_every_family_has_a_network():
    names = models.list_models(module=models)
    assert all(any(name.startswith(start) for name in names) for start in FAMILIES)


def test_stages_of_leaves_out_what_no_pattern_fits():
    """So that `check_stages` finds a layer that a later torchvision adds."""
    with torch.device("meta"):
        module = models.get_model("resnet18", weights=None)
        module.novelty = nn.Linear(2, 2)
    staged = {name for stage in stages_of(module, family_of("resnet18")) for name in stage.parameters}
    assert "novelty.weight" not in staged
    assert "layer4.1.bn2.bias" in staged
