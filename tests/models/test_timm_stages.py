"""Stages of timm's networks against the papers' own figures and tables, on torch's meta device."""

import itertools
import re

import pytest
import timm
import torch
from timm.models import model_entrypoint
from torch import nn
from zoo_plugins import timm_provider
from zoo_plugins.depth_patterns import quarter_ends, stages_by_pattern, vgg_patterns
from zoo_plugins.timm_stages import MOST_STAGES, stages_of


def staged(arch):
    with torch.device("meta"):
        module = timm.create_model(arch)
    classifier = timm.get_pretrained_cfg(arch).classifier
    return module, stages_of(arch, module, classifier=classifier)


def modules_in(stage, pattern) -> list[str]:
    """What a pattern's group finds in the names of a stage, once each, in order."""
    found = [match.group(1) for name in stage.parameters if (match := re.match(pattern, name))]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(
    ("arch", "convolutions"),
    [
        ("vgg11", [1, 1, 2, 2, 2]),
        ("vgg13_bn", [2, 2, 2, 2, 2]),
        ("vgg16", [2, 2, 3, 3, 3]),
        ("vgg19_bn", [2, 2, 4, 4, 4]),
    ],
)
def test_vgg_has_the_five_blocks_of_table_1_and_two_dense_layers(arch, convolutions):
    module, stages = staged(arch)
    names = ["block1", "block2", "block3", "block4", "block5", "fc6", "fc7"]
    assert [stage.name for stage in stages] == [f"{depth}:{name}" for depth, name in enumerate(names)]
    axes = {name: p.ndim for name, p in module.named_parameters()}
    assert [sum(axes[name] == 4 for name in stage.parameters) for stage in stages[:5]] == convolutions
    widths = [{module.get_parameter(name).shape[0] for name in stage.parameters} for stage in stages]
    assert widths == [{64}, {128}, {256}, {512}, {512}, {4096}, {4096}]


def test_inception_v3_has_the_modules_of_figures_5_6_and_7():
    _, (stem, a, b, c) = staged("inception_v3")
    assert stem.name == "0:stem"
    assert modules_in(a, r"Mixed_(\w+)\.") == ["5b", "5c", "5d"]
    assert modules_in(b, r"Mixed_(\w+)\.") == ["6a", "6b", "6c", "6d", "6e"]
    assert modules_in(c, r"Mixed_(\w+)\.") == ["7a", "7b", "7c"]


def test_inception_v4_has_4_a_7_b_and_3_c_modules():
    """Figure 9: stem, 4 x A, reduction, 7 x B, reduction, 3 x C; a reduction stands with the grid that it makes."""
    module, stages = staged("inception_v4")
    kinds = [[type(module.features[int(n)]).__name__ for n in modules_in(s, r"features\.(\d+)\.")] for s in stages]
    assert kinds[1] == ["InceptionA"] * 4
    assert kinds[2] == ["ReductionA"] + ["InceptionB"] * 7
    assert kinds[3] == ["ReductionB"] + ["InceptionC"] * 3
    assert "InceptionA" not in kinds[0]


def test_inception_resnet_v2_has_10_20_and_10_blocks():
    """Timm's code has 9 of the last kind and one more without its rectifier."""
    _, stages = staged("inception_resnet_v2")
    assert [len(modules_in(stage, r"repeat(?:_\d)?\.(\d+)\.")) for stage in stages] == [0, 10, 20, 9]
    assert modules_in(stages[3], r"(block8)\.") == ["block8"]
    assert [stage.name for stage in stages] == ["0:stem", "1:inception_a", "2:inception_b", "3:inception_c"]


def test_xception_has_entry_middle_and_exit_flow():
    """Figure 5: blocks of 128, 256 and 728 channels; eight of 728; one of 1024 and two separable convolutions."""
    module, (stem, entry, middle, leaving) = staged("legacy_xception")
    assert modules_in(stem, r"(conv\d)\.") == ["conv1", "conv2"]
    assert modules_in(entry, r"block(\d+)\.") == ["1", "2", "3"]
    assert len(modules_in(middle, r"block(\d+)\.")) == 8
    assert {module.get_parameter(name).shape[0] for name in middle.parameters} == {728}
    assert modules_in(leaving, r"(block12|conv\d)\.") == ["block12", "conv3", "conv4"]


@pytest.mark.parametrize(
    ("arch", "prefix"),
    [("vit_tiny_patch16_224", "blocks"), ("deit3_small_patch16_224", "blocks"), ("cait_xxs24_224", "blocks"),
     ("mixer_s32_224", "blocks"), ("samvit_base_patch16", "blocks"), ("gmlp_ti16_224", "blocks")],
)  # fmt: skip
def test_networks_of_equal_blocks_have_a_stem_and_four_quarters(arch, prefix):
    module, (stem, *quarters) = staged(arch)
    blocks = len(getattr(module, prefix))
    found = [[int(n) for n in modules_in(quarter, rf"{prefix}\.(\d+)\.")] for quarter in quarters]
    assert [n for quarter in found for n in quarter] == list(range(blocks))
    assert max(map(len, found)) - min(map(len, found)) <= 2
    assert len(quarters) == 4
    assert not modules_in(stem, rf"{prefix}\.(\d+)\.")


@pytest.mark.parametrize("arch", ["hiera_tiny_224", "sam2_hiera_tiny"])
def test_hiera_has_its_own_stages(arch):
    module, stages = staged(arch)
    starts = [0, *(end + 1 for end in module.stage_ends)]
    expected = [list(range(a, b)) for a, b in itertools.pairwise(starts)]
    assert [[int(n) for n in modules_in(stage, r"blocks\.(\d+)\.")] for stage in stages[1:]] == expected


@pytest.mark.parametrize(
    "arch", ["resnet18", "resnet152", "regnety_002", "convnext_atto", "swin_tiny_patch4_window7_224"]
)
def test_networks_with_four_stages_keep_them_with_the_last_norm_in_the_fourth(arch):
    _, stages = staged(arch)
    assert len(stages) == 5
    assert len({stage.name for stage in stages}) == 5


@pytest.mark.slow
def test_no_family_has_a_stage_for_every_block():
    seen = 0
    for arch in smallest_of_each_family():
        _, stages = staged(arch)
        assert 4 <= len(stages) <= MOST_STAGES, arch
        names = [name for stage in stages for name in stage.parameters]
        assert len(names) == len(set(names))
        seen += 1
    assert seen > 75


def smallest_of_each_family() -> list[str]:
    """The smallest network with one classifier of each of timm's modules."""
    smallest: dict[str, tuple[int, str]] = {}
    for arch, count in timm_provider._counts().items():
        cfg = timm.get_pretrained_cfg(arch)
        if cfg is not None and isinstance(cfg.classifier, str) and "parameters" in count:
            module = model_entrypoint(arch).__module__
            smallest[module] = min(smallest.get(module, (count["parameters"], arch)), (count["parameters"], arch))
    return [arch for _, arch in smallest.values()]


@pytest.mark.parametrize(("blocks", "ends"), [(4, (1, 2, 3)), (12, (3, 6, 9)), (24, (6, 12, 18)), (18, (4, 9, 14))])
def test_quarter_ends_cut_evenly(blocks, ends):
    assert quarter_ends(blocks) == ends


def test_stages_by_pattern_leaves_out_what_no_pattern_fits():
    stages = stages_by_pattern(["a.1.w", "a.2.w", "b.w", "odd"], ((r"a\.(\d)\.", "part{}"), (r"b\.", "rest")))
    assert [(stage.name, stage.parameters) for stage in stages] == [
        ("part1", ("a.1.w",)), ("part2", ("a.2.w",)), ("rest", ("b.w",)),
    ]  # fmt: skip


def test_vgg_patterns_begin_a_block_behind_each_pooling():
    net = nn.Module()
    net.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.MaxPool2d(2))
    names = [name for name, _ in net.named_parameters()]
    stages = stages_by_pattern(names, vgg_patterns(net, ()))
    assert [stage.name for stage in stages] == ["block1", "block2"]
