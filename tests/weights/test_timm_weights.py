import json

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from zoo_plugins.timm_builder import build
from zoo_plugins.timm_weights import network_and_filter

from zoo.contracts.model import FoundWeights, WeightsRequest
from zoo.errors import UserError
from zoo.weights.caches import HubCache
from zoo.weights.load import find_weights, load_weights

SMALL = ["test_vit", "test_vit2", "test_resnet", "test_efficientnet", "test_convnext", "test_nfnet", "test_byobnet"]


def make(arch, *, classes=7, channels=3, image_size=None, tag="", **options):
    return build(arch=arch, tag=tag, classes=classes, channels=channels, image_size=image_size, **options)


def random_like(arch: str) -> torch.nn.Module:
    """A network of timm in which every value is random: fresh ones have zero scales that hide a branch."""
    torch.manual_seed(0)
    network = timm.create_model(arch).eval()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) * 0.2 + (0.9 if name.endswith(("running_var", "gamma")) else -0.1))
    return network


@pytest.fixture
def file(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"x")
    return tmp_path / "w.pth"


def found(model, file, tensors) -> FoundWeights:
    return FoundWeights("file", file, model.spec.weights[0], tensors)


@pytest.mark.parametrize("arch", SMALL)
def test_converter_leaves_timms_own_values_as_they_are(arch):
    """So that a file which fits needs no conversion, and `load_weights` may skip it."""
    model, published = make(arch, classes=1000), random_like(arch).state_dict()
    converted = model.convert(published, model.spec.weights[0])
    assert list(converted) == list(published)
    assert all(torch.equal(converted[name], published[name]) for name in published)


@pytest.mark.parametrize("arch", SMALL)
def test_load_gives_timms_logits_with_the_published_head(arch, file):
    published = random_like(arch)
    model = make(arch, classes=1000)
    report = load_weights(model, found(model, file, published.state_dict()), head_is_new=False)
    assert report.loaded == len(published.state_dict())
    size = model.spec.preprocess.size
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(model.module.eval()(x), published(x))


def test_load_resamples_position_tables_for_another_size(file):
    published = random_like("test_vit").state_dict()
    model = make("test_vit", image_size=64)
    report = load_weights(model, found(model, file, published), head_is_new=True)
    assert report.adapted == ("pos_embed",)
    grid = model.module.patch_embed.grid_size
    expected = resample_abs_pos_embed(published["pos_embed"], new_size=grid, num_prefix_tokens=1)
    torch.testing.assert_close(model.module.pos_embed.detach(), expected)
    torch.testing.assert_close(model.module.blocks[0].attn.qkv.weight.detach(), published["blocks.0.attn.qkv.weight"])
    assert model.module(torch.randn(1, 3, 64, 64)).shape == (1, 7)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("arch", ["test_vit", "test_resnet", "test_efficientnet"])
def test_load_adapts_the_first_layer_to_the_channels(arch, channels, file):
    published = random_like(arch).state_dict()
    model = make(arch, channels=channels)
    report = load_weights(model, found(model, file, published), head_is_new=True)
    (name,) = report.adapted
    own, theirs = model.module.state_dict()[name], published[name]
    expected = theirs.sum(1, keepdim=True) if channels == 1 else theirs[:, [0, 1, 2, 0]] * 3 / 4
    torch.testing.assert_close(own, expected)
    assert all(report_name.startswith(model.spec.classifier) for report_name in report.reinitialised)


def test_load_takes_a_file_with_another_number_of_outputs(file):
    trained = timm.create_model("test_vit", num_classes=3).state_dict()
    model = make("test_vit", classes=3, image_size=64)
    load_weights(model, found(model, file, trained), head_is_new=False)
    assert torch.equal(model.module.head.weight, trained["head.weight"])


def test_load_refuses_the_weights_of_another_network(file):
    model = make("test_vit")
    with pytest.raises(UserError, match="do not fit timm/test_vit"):
        load_weights(model, found(model, file, random_like("test_resnet").state_dict()), head_is_new=True)
    missing = dict(random_like("test_vit").state_dict())
    del missing["blocks.1.norm1.weight"]
    with pytest.raises(UserError, match=r"blocks\.1\.norm1\.weight"):
        load_weights(model, found(model, file, missing), head_is_new=True)


def test_load_never_starts_a_missing_first_layer_from_random_values(file):
    published = dict(random_like("test_resnet").state_dict())
    del published[f"{timm.get_pretrained_cfg('test_resnet').first_conv}.weight"]
    model = make("test_resnet", channels=1)
    with pytest.raises(UserError, match="do not fit"):
        load_weights(model, found(model, file, published), head_is_new=True)


def test_weights_are_found_in_the_cache_and_equal_timms_own_loading(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model = make("test_resnet", classes=1000)
    record = model.spec.weights[0]
    folder = tmp_path / f"models--{record.hub_id.replace('/', '--')}"
    (folder / "snapshots" / "c1").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("c1")
    published = random_like("test_resnet")
    save_file(published.state_dict(), folder / "snapshots" / "c1" / "model.safetensors")
    (folder / "snapshots" / "c1" / "config.json").write_text(
        json.dumps({"architecture": "test_resnet", "num_classes": 1000, "pretrained_cfg": published.pretrained_cfg})
    )
    hit = find_weights(WeightsRequest(model.spec, model.spec.weights), [("hf-cache", HubCache())], say=lambda _: None)
    report = load_weights(model, hit, head_is_new=False)
    assert (report.source, report.tag) == ("hf-cache", record.tag)
    theirs = timm.create_model(f"local-dir:{folder / 'snapshots' / 'c1'}", pretrained=True).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.module.eval()(x), theirs(x))


def test_state_survives_a_round_trip_through_a_saved_file(tmp_path):
    torch.manual_seed(0)
    first, second = make("resnet18", classes=3), make("resnet18", classes=3)
    first.module(torch.randn(2, 3, 32, 32))
    save_file(first.module.state_dict(), tmp_path / "w.safetensors")
    hit = find_weights(
        WeightsRequest(second.spec, second.spec.weights), [], choice=str(tmp_path / "w.safetensors"), say=lambda _: None
    )
    report = load_weights(second, hit, head_is_new=False)
    theirs = second.module.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in first.module.state_dict().items())
    assert report.loaded == len(theirs)


def test_load_leaves_out_what_timm_never_uses(file):
    published = random_like("dla34").state_dict()
    extra = {"level3.project.0.weight": torch.ones(1), "level3.project.1.weight": torch.ones(1)}
    model = make("dla34")
    report = load_weights(model, found(model, file, published | extra), head_is_new=True)
    assert set(report.unused) == {*extra, "fc.weight", "fc.bias"}
    assert "level2.project.0.weight" in published  # a tree of one level does use its own
    assert torch.equal(model.module.state_dict()["level2.project.0.weight"], published["level2.project.0.weight"])


def test_load_leaves_out_the_auxiliary_classifier_of_inception(file):
    published = random_like("inception_v3").state_dict() | {"AuxLogits.fc.weight": torch.ones(1)}
    model = make("inception_v3", tag="tv_in1k")
    assert "AuxLogits.fc.weight" in load_weights(model, found(model, file, published), head_is_new=True).unused


def test_load_is_stricter_than_timm_where_timm_keeps_random_values(file):
    """timm loads DLA with strict=False, so a torn file would leave random values behind."""
    published = dict(random_like("dla34").state_dict())
    del published["level0.0.weight"]
    model = make("dla34")
    with pytest.raises(UserError, match=r"1 missing in the file \(level0\.0\.weight\)"):
        load_weights(model, found(model, file, published), head_is_new=True)


def test_load_starts_a_norm_fresh_that_headless_files_lack(file):
    network = random_like("convnextv2_atto")
    published = {name: value for name, value in network.state_dict().items() if not name.startswith("head.")}
    model = make("convnextv2_atto", tag="fcmae")
    report = load_weights(model, found(model, file, published), head_is_new=True)
    assert set(report.reinitialised) == {"head.norm.weight", "head.norm.bias", "head.fc.weight", "head.fc.bias"}
    other = make("convnextv2_atto")
    with pytest.raises(UserError, match=r"head\.norm"):
        load_weights(other, found(other, file, published), head_is_new=True)


def test_network_and_filter_leaves_timms_loading_as_it_was():
    from timm.models import _builder

    before = _builder.load_pretrained
    _, rules = network_and_filter("test_vit", "", arguments={"num_classes": 2})
    assert rules is not None
    with pytest.raises(TypeError):
        network_and_filter("test_vit", "", arguments={"nonsense": 2})
    assert _builder.load_pretrained is before
