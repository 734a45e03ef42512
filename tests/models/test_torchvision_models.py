import re
import warnings

import pytest
import torch
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer
from zoo_plugins.torchvision_builder import TorchvisionConverter, build
from zoo_plugins.torchvision_families import family_of
from zoo_plugins.torchvision_provider import TorchvisionModels, records_of

from zoo.contracts.model import FoundWeights
from zoo.errors import UserError
from zoo.models.build import features_of
from zoo.weights.load import load_weights

SMALL = [
    "alexnet", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3", "mnasnet0_5",
    "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "resnet18", "resnext50_32x4d", "wide_resnet50_2",
    "shufflenet_v2_x0_5", "swin_t", "swin_v2_t", "convnext_tiny", "vgg11", "vgg13_bn", "vit_b_32", "maxvit_t",
]  # fmt: skip
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(scope="module")
def provider():
    return TorchvisionModels()


def make(arch, *, tag="", classes=7, channels=3, image_size=None, **options):
    return build(arch=arch, tag=tag, classes=classes, channels=channels, image_size=image_size, **options)


def outline(arch, **options):
    with torch.device("meta"):
        return make(arch, **options)


@pytest.mark.parametrize("arch", SMALL)
def test_build_puts_every_parameter_into_one_stage_from_input_to_output(arch):
    model = outline(arch)
    names = [name for name, _ in model.module.named_parameters()]
    head = [name for name in names if name.startswith(model.spec.classifier + ".")]
    staged = [name for stage in model.spec.stages for name in stage.parameters]
    assert sorted(staged + head) == sorted(names)
    assert len(model.spec.stages) >= 4
    # torchvision registers layers in the order of the data's way, so names come in that order, too.
    assert staged == sorted(staged, key=names.index)
    size = model.spec.preprocess.size
    with torch.device("meta"), torch.no_grad():
        model.module.eval()
        assert features_of(model, torch.zeros(2, 3, size, size)).shape == (2, model.spec.feature_dim)
        assert model.module(torch.zeros(2, 3, size, size)).shape == (2, 7)


def test_stages_of_vgg_end_where_it_pools():
    for arch, expected in [("vgg11", [1, 1, 2, 2, 2]), ("vgg16", [2, 2, 3, 3, 3]), ("vgg19_bn", [2, 2, 4, 4, 4])]:
        model = outline(arch)
        convolutions = [
            sum(model.module.get_parameter(name).ndim == 4 for name in stage.parameters)
            for stage in model.spec.stages
            if stage.name.startswith("block")
        ]
        assert convolutions == expected
        assert [stage.name for stage in model.spec.stages][-2:] == ["fc6", "fc7"]


def test_stages_of_mobilenet_follow_the_paper():
    stages = outline("mobilenet_v2").spec.stages  # table 2: stem and t=1, then n = 2, 3, 4, 3, 3, 1, then 1 x 1
    blocks = [len({re.match(r"features\.(\d+)", name).group(1) for name in stage.parameters}) for stage in stages]
    assert blocks == [2, 2, 3, 4, 3, 3, 1, 1]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("arch", ["resnet18", "googlenet", "mobilenet_v3_small"])
def test_build_takes_any_channels_forward_and_backward(arch, channels):
    torch.manual_seed(0)
    model = make(arch, channels=channels, image_size=64)
    logits = model.module(torch.randn(2, channels, 64, 64))
    assert logits.shape == (2, 7)
    logits.logsumexp(1).sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.module.parameters())
    assert model.spec.preprocess.channels == channels


def test_build_says_which_sizes_it_cannot_take():
    with pytest.raises(UserError, match="cannot take"):
        make("inception_v3", image_size=32)
    with pytest.raises(UserError, match=r"image_size"):
        make("vit_b_32", image_size=50)


@pytest.mark.parametrize("key", ["num_classes", "weights", "aux_logits", "unknown_thing"])
def test_build_refuses_args_that_are_unknown_or_its_own(key):
    with pytest.raises(UserError) as caught:
        outline("resnet18", args={key: 1})
    assert f"model.args.{key}" in str(caught.value)


def test_build_hands_args_to_torchvision():
    plain, deep = outline("resnet18"), outline("resnet18", args={"width_per_group": 64, "zero_init_residual": True})
    assert deep.spec.args == {"width_per_group": 64, "zero_init_residual": True}
    assert set(plain.module.state_dict()) == set(deep.module.state_dict())


@pytest.mark.parametrize("arch", ["resnet50", "vgg16", "alexnet", "efficientnet_b1", "vit_b_16", "swin_t"])
def test_records_prepare_input_as_torchvision_does(arch):
    for record in records_of(arch):
        member = models.get_model_weights(arch)[record.tag.upper()]
        wanted = member.transforms()
        assert [record.preprocess.size] == wanted.crop_size
        assert [record.preprocess.resize_px] == wanted.resize_size
        assert record.preprocess.mean == tuple(wanted.mean)
        assert record.preprocess.std == tuple(wanted.std)
        assert record.preprocess.interpolation == wanted.interpolation.value
        assert record.url == member.url
        assert record.classes == 1000
        assert re.fullmatch(r"[0-9a-f]{8}", record.sha256)
    assert records_of(arch)[0].tag == models.get_model_weights(arch).DEFAULT.name.lower()


def test_records_leave_out_weights_without_a_classifier():
    assert [record.tag for record in records_of("vgg16")] == ["imagenet1k_v1"]


@pytest.mark.parametrize("arch", ["googlenet", "inception_v3"])
def test_centred_preprocessing_equals_the_networks_own_input_transform(arch):
    """torchvision shifts ImageNet-normalised input inside these networks; zoo normalises to 0.5 and 0.5 at once."""
    torch.manual_seed(0)
    model = make(arch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = models.get_model(
            arch, weights=None, num_classes=7, aux_logits=False, transform_input=True, init_weights=False
        )
    theirs.load_state_dict(model.module.state_dict())
    preprocess = model.spec.preprocess
    assert preprocess.mean == preprocess.std == (0.5, 0.5, 0.5)
    pixels = torch.randint(0, 256, (2, preprocess.size, preprocess.size, 3), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in IMAGENET)
    imagenet = (pixels.permute(0, 3, 1, 2) / 255 - mean) / std
    centred = preprocess.normalise(pixels)
    torch.testing.assert_close(theirs._transform_input(imagenet), centred)
    assert (imagenet - centred).abs().max() > 0.1
    with torch.no_grad():
        torch.testing.assert_close(model.module.eval()(centred), theirs.eval()(imagenet), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("arch", "aux"), [("googlenet", r"aux[12]\."), ("inception_v3", r"AuxLogits\.")])
def test_load_leaves_auxiliary_classifiers_out(arch, aux, tmp_path):
    torch.manual_seed(0)
    published = models.get_model(arch, weights=None, aux_logits=True, init_weights=False).eval()
    file = tmp_path / "w.pth"
    torch.save(published.state_dict(), file)
    model = make(arch, classes=1000)
    found = FoundWeights("file", file, model.spec.weights[0], published.state_dict())
    report = load_weights(model, found, head_is_new=False)
    assert report.unused
    assert all(re.match(aux, name) for name in report.unused)
    assert report.loaded == len(model.module.state_dict())
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(model.module.eval()(x), published(x))


def test_converter_reads_the_names_of_old_densenet_files():
    model = make("densenet121", classes=1000)
    state = model.module.state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): value for name, value in state.items()}
    assert any(".norm.1." in name for name in old)
    converted = model.convert(old, model.spec.weights[0])
    assert list(converted) == list(state)


def test_converter_resamples_position_tables():
    def tiny(size):
        torch.manual_seed(0)
        return VisionTransformer(size, 8, 1, 2, 16, 32, num_classes=3)

    published = tiny(32).state_dict()
    converted = TorchvisionConverter("vit_b_32", "conv_proj.weight", 3, 64)(published, None)
    target = tiny(64)
    target.load_state_dict(converted)
    assert converted["encoder.pos_embedding"].shape == (1, 64 + 1, 16)
    torch.testing.assert_close(converted["encoder.pos_embedding"][:, 0], published["encoder.pos_embedding"][:, 0])
    same = TorchvisionConverter("vit_b_32", "conv_proj.weight", 3, 32)(published, None)
    assert all(torch.equal(same[name], published[name]) for name in published)


def test_converter_adapts_channels():
    model = make("resnet18", channels=1)
    published = models.resnet18().state_dict()
    converted = model.convert(published, model.spec.weights[0])
    torch.testing.assert_close(converted["conv1.weight"], published["conv1.weight"].sum(1, keepdim=True))


def test_labels_name_the_published_outputs():
    model = outline("resnet18")
    assert model.labels(model.spec.weights[0])[:2] == ("tench", "goldfish")


def test_provider_offers_the_classic_families(provider):
    names = provider.names()
    assert len(names) > 70
    assert {"alexnet", "googlenet", "inception_v3", "vgg11_bn", "vgg19", "resnet152", "densenet121"} <= set(names)
    assert not any(name.startswith("squeezenet") for name in names)
    assert all(family_of(name) is not None for name in names)


def test_provider_counts_are_those_of_the_networks(provider):
    for arch in ("resnet18", "googlenet", "mobilenet_v2", "densenet121"):
        numbers = [p.numel() for p in outline(arch, classes=1000).module.parameters()]
        assert provider.offer(arch).facts["parameters"] == sum(numbers)
    # torchvision's count of inception_v3 includes the classifier that is left out here.
    assert "parameters" not in provider.offer("inception_v3").facts
    assert sum(p.numel() for p in outline("inception_v3", classes=1000).module.parameters()) == 23_834_568


def test_provider_takes_tags_in_any_case_and_refuses_unknown_ones(provider):
    offer = provider.offer("resnet50.IMAGENET1K_V1")
    assert [record.tag for record in offer.facts["records"]] == ["imagenet1k_v1"]
    assert dict(offer.bound) == {"arch": "resnet50", "tag": "imagenet1k_v1"}
    assert provider.offer("resnet50.imagenet1k_v9") is None
    assert provider.offer("resnet5") is None
    assert provider.offer("squeezenet1_0") is None


def test_provider_has_a_summary_and_a_paper_for_every_name(provider):
    for name in provider.names():
        offer = provider.offer(name)
        assert offer.summary
        assert re.fullmatch(r"arXiv:\d{4}\.\d{5}|arXiv:\d{4}\.\d{4}", offer.source)
        assert offer.facts["title"]
        assert 2012 <= offer.facts["year"] <= 2022
