"""One network of every family, through all that fine-tuning asks of it.

Other channels, another size, training, freezing by stages, saving, and the same answers after reloading.
"""

import pytest
import timm
import torch
from timm.models import model_entrypoint
from torch import nn
from zoo_plugins.torchvision_families import FAMILIES, family_of

from zoo.artifacts.model_folder import Part, load_model_folder, rebuild, save_model
from zoo.contracts.data import Task
from zoo.errors import UserError
from zoo.models.build import check_forward, parameter_groups, replace_head
from zoo.models.freezing import frozen_parts, set_train
from zoo.models.surgery import change_network
from zoo.plugins import load_plugins

QUICK = {
    "zoo/perceptron": 20, "zoo/mlp": 20, "zoo/lenet": 20, "zoo/lenet5": 20, "torchvision/googlenet": 64,
    "timm/resnet18": 48, "timm/test_vit": 64, "timm/test_convnext": 64, "timm/test_efficientnet": 64,
}  # fmt: skip
"""What takes seconds, and a size in pixels that is not its own."""

CLASSICS = {
    "torchvision/alexnet": 64, "timm/vgg11": 32, "timm/vgg13_bn": 48, "timm/vgg16": 32, "timm/vgg19_bn": 32,
    "torchvision/vgg11": 32, "timm/resnet34": 48, "timm/resnet50": 48, "timm/resnet101": 48, "timm/resnet152": 48,
    "timm/inception_v3": 80, "torchvision/inception_v3": 96, "timm/inception_v4": 96, "timm/inception_resnet_v2": 96,
    "timm/legacy_xception": 64,
}  # fmt: skip

TIMM = [
    "beit_base_patch16_224", "test_byobnet", "cait_xxs24_224", "coat_tiny", "convit_tiny", "convmixer_768_32",
    "cpubone_nano", "cs3darknet_focus_s", "cspnext_tiny", "davit_tiny", "deit_tiny_patch16_224",
    "densenet121", "dla46x_c", "dpn48b", "edgenext_xx_small", "efficientvit_b0", "efficientvit_m0",
    "vit_tiny_patch16_dinov3_qkvb", "fasternet_t0", "fastvit_t8", "focalnet_tiny_srf", "gcvit_xxtiny", "ghostnet_050",
    "hardcorenas_b", "hgnetv2_b0", "hiera_tiny_224", "sam2_hiera_tiny", "hrnet_w18_small", "iformer_t",
    "inception_next_atto", "lcnetv2_small", "lowformer_b0", "test_mambaout", "test_coatnet", "poolformerv2_s12",
    "gmlp_ti16_224", "mobilenetv3_small_050", "mobilevit_xxs", "mvitv2_tiny", "naflexvit_base_patch16_gap",
    "nasnetalarge", "nest_tiny", "nextvit_small", "test_nfnet", "pit_ti_224", "pnasnet5large", "pvt_v2_b0",
    "qwen3_vit_88m", "rdnet_tiny", "regnetx_002", "repghostnet_050", "res2next50", "resnest14d", "test_resnet",
    "resnetv2_18", "rexnet_100", "selecsls42", "legacy_seresnet18", "sequencer2d_s", "shvit_s1", "skresnet18",
    "starnet_s050", "swin_tiny_patch4_window7_224", "swinv2_tiny_window16_256", "swinv2_cr_tiny_224", "tiny_vit_5m_224",
    "tnt_s_legacy_patch16_224", "tresnet_m", "twins_svt_small", "visformer_tiny", "vit_tiny_r_s16_p8_224",
    "test_vit_relpos", "samvit_base_patch16", "vitamin_small_224", "ese_vovnet19b_slim_dw", "xception41p",
    "xcit_nano_12_p8_224",
]  # fmt: skip

OTHER_SIZES = {"halonet_h1": 256}
"""What cannot be adapted to 64 px: halo attention wants whole blocks."""

TOO_LARGE = {"deepseek_vit", "gemma4_vit", "mobilenetv5"}
"""Families of timm whose smallest member has more than 160 million parameters."""

SEVERAL_HEADS = {
    "crossvit", "efficientformer", "efficientformer_v2", "efficientvim", "levit", "repvit", "swiftformer", "volo",
}  # fmt: skip
"""Families of timm whose networks average several classifiers, which zoo refuses."""

ONE_INPUT = {"csatv2"}
"""Built for three channels and 512 px alone, as its first layer is a cosine transform of fixed size."""

TORCHVISION = {
    "resnext50_32x4d": 48, "wide_resnet50_2": 48, "densenet121": 64, "mobilenet_v2": 64, "mobilenet_v3_large": 64,
    "mobilenet_v3_small": 64, "efficientnet_v2_s": 64, "efficientnet_b0": 64, "mnasnet0_5": 64,
    "shufflenet_v2_x0_5": 64, "regnet_y_400mf": 64, "convnext_tiny": 64, "swin_v2_t": 64, "swin_t": 64,
    "maxvit_t": 448, "vit_b_32": 64,
}  # fmt: skip


HEAD = "zoo/linear"
"""As fine-tuning replaces the library's own, which starts at zero in some networks."""


def cases():
    """(full name, size): the quick ones at once, all others with the slow tests."""
    slow = {f"timm/{arch}": OTHER_SIZES.get(arch, 64) for arch in (*TIMM, *OTHER_SIZES)}
    slow |= {f"torchvision/{arch}": size for arch, size in TORCHVISION.items()} | CLASSICS
    return [
        *(pytest.param(name, size, id=name) for name, size in QUICK.items()),
        *(pytest.param(name, size, id=name, marks=pytest.mark.slow) for name, size in slow.items()),
    ]


@pytest.fixture(scope="module")
def registry():
    return load_plugins(only=()).registry


def module_of(arch: str) -> str:
    return model_entrypoint(arch).__module__.rpartition(".")[2]


def test_cases_cover_every_family():
    archs = [*TIMM, *OTHER_SIZES, *(name.partition("/")[2] for name in (*QUICK, *CLASSICS) if "timm/" in name)]
    covered = {module_of(arch) for arch in archs}
    everything = {module_of(arch) for arch in timm.list_models()}
    assert covered | TOO_LARGE | SEVERAL_HEADS | ONE_INPUT == everything
    assert not covered & (TOO_LARGE | SEVERAL_HEADS | ONE_INPUT)
    assert len(covered) >= 80
    seen = [*TORCHVISION, *(name.partition("/")[2] for name in (*QUICK, *CLASSICS) if "torchvision/" in name)]
    unseen = [start for start in FAMILIES if not any(family_of(arch) is FAMILIES[start] for arch in seen)]
    assert unseen == ["resnet"]  # the same module as timm's
    assert len(cases()) >= 110


def test_several_heads_are_refused_with_the_reason(registry):
    for arch in ("crossvit_tiny_240", "levit_128s", "volo_d1_224"):
        with pytest.raises(UserError, match="classifiers, whose answers it averages"):
            registry.get("model", f"timm/{arch}").build(classes=2, channels=3, image_size=None)


def test_a_network_for_colour_alone_says_so(registry):
    with pytest.raises(UserError, match="px in 1 channel") as caught:
        registry.get("model", "timm/csatv2").build(classes=2, channels=1, image_size=256)
    assert "data.channels=3" in str(caught.value)


@pytest.mark.parametrize(("name", "size"), cases())
def test_network_is_adapted_trained_frozen_saved_and_reloaded(name, size, registry, tmp_path):
    torch.manual_seed(0)
    entry = registry.get("model", name)
    for channels in (3, 4, 1):
        model = entry.build(classes=5, channels=channels, image_size=size)
        head = registry.get("head", HEAD).build(features=model.spec.feature_dim, classes=5)
        model = replace_head(model, head)
        trains(model, torch.randn(2, channels, size, size))
    freezes(model, torch.randn(2, 1, size, size))
    comes_back(model, registry, tmp_path)


def trains(model, images) -> None:
    """Forward in training mode and backward, to the first stage."""
    set_train(model.module)
    logits = model.module(images)
    assert logits.shape == (2, 5)
    assert bool(logits.isfinite().all())
    nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    gradients = {name: p.grad for name, p in model.module.named_parameters() if p.grad is not None}
    assert all(bool(g.isfinite().all()) for g in gradients.values())
    for stage in model.spec.stages:
        assert any(bool(gradients[name].any()) for name in stage.parameters if name in gradients), stage.name
    model.module.zero_grad()


def freezes(model, images) -> None:
    """A step with the first half of the stages frozen changes the other half alone."""
    half = (len(model.spec.stages) + 1) // 2
    frozen = {name for stage in model.spec.stages[:half] for name in stage.parameters}
    with frozen_parts(model, stages=range(half)):
        set_train(model.module)
        before = {key: value.clone() for key, value in model.module.state_dict().items()}
        optimizer = torch.optim.SGD(parameter_groups(model, 1e-3, stage_decay=0.9))
        nn.functional.cross_entropy(model.module(images), torch.tensor([0, 1])).backward()
        optimizer.step()
        owners = {name.rpartition(".")[0] for name in frozen}
        still = frozen | {name for name, _ in model.module.named_buffers() if name.rpartition(".")[0] in owners}
        after = model.module.state_dict()
        changed = {key for key in before if not torch.equal(before[key], after[key])}
        assert not changed & still
        assert any(key.startswith(f"{model.spec.classifier}.") for key in changed)
        assert all(model.module.get_parameter(name).grad is None for name in frozen)
    assert all(
        model.module.get_parameter(name).requires_grad for stage in model.spec.stages for name in stage.parameters
    )
    model.module.zero_grad()


def comes_back(model, registry, folder) -> None:
    """Saved and built again from the folder alone, it answers the same, to the bit."""
    preprocess = model.spec.preprocess
    save_model(
        folder / "model",
        model,
        classes=list("abcde"),
        preprocess=preprocess,
        task=Task.SINGLE_LABEL,
        origin={},
        head=Part(HEAD),
    )
    again = rebuild(
        load_model_folder(folder / "model"), registry, replace_head=replace_head, change_network=change_network
    )
    assert again.spec.preprocess == preprocess
    assert [stage.parameters for stage in again.spec.stages] == [stage.parameters for stage in model.spec.stages]
    images = torch.randn(2, preprocess.channels, preprocess.size, preprocess.size)
    with torch.no_grad():
        logits = model.module.eval()(images)
        assert bool(logits.isfinite().all())
        assert torch.equal(logits, again.module.eval()(images))


SMALLEST = {
    "timm/inception_v3": 75, "timm/inception_v4": 75, "timm/inception_resnet_v2": 75, "torchvision/alexnet": 63,
    "torchvision/googlenet": 15, "torchvision/vgg11": 32, "zoo/lenet": 13, "zoo/lenet5": 16,
}  # fmt: skip


@pytest.mark.parametrize("name", SMALLEST)
def test_smallest_size_works_and_one_pixel_less_is_refused(name, registry):
    entry, size = registry.get("model", name), SMALLEST[name]
    check_forward(entry.build(classes=2, channels=3, image_size=size))
    with pytest.raises(UserError) as caught:
        entry.build(classes=2, channels=3, image_size=size - 1)
    assert f"model.image_size={size - 1}" in str(caught.value)
    assert f"{size - 1} x {size - 1} px" in str(caught.value) or f"of {size - 1} px" in str(caught.value)
