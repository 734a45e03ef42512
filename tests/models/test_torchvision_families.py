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
    known = family_of(name).paper
    assert known.reference == f"arXiv:{paper}"
    assert known.year == 2000 + int(paper[:2])


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


@pytest.mark.parametrize("arch", ["vit_b_32", "vit_l_32"])
def test_plain_transformers_have_a_stem_and_quarters(arch):
    with torch.device("meta"):
        module = models.get_model(arch, weights=None)
    stem, *quarters = stages_of(module, family_of(arch))
    blocks = len(module.encoder.layers)
    found = [
        sorted({int(n.split("_layer_")[1].split(".")[0]) for n in q.parameters if "_layer_" in n}) for q in quarters
    ]
    assert found == [list(range(start, start + blocks // 4)) for start in range(0, blocks, blocks // 4)]
    assert "class_token" in stem.parameters
    assert "encoder.ln.weight" in quarters[-1].parameters


@pytest.mark.parametrize("arch", ["convnext_tiny", "swin_t"])
def test_hierarchical_networks_have_the_papers_four_stages_behind_the_stem(arch):
    with torch.device("meta"):
        module = models.get_model(arch, weights=None)
    stages = stages_of(module, family_of(arch))
    assert [stage.name for stage in stages] == ["stem", "stage1", "stage2", "stage3", "stage4"]
    members = [sorted({name.split(".")[1] for name in s.parameters if name.startswith("features.")}) for s in stages]
    assert members == [["0"], ["1"], ["2", "3"], ["4", "5"], ["6", "7"]]
