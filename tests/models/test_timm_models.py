import inspect

import pytest
import timm
import torch
from timm.layers import DropPath
from zoo_plugins.timm_builder import build
from zoo_plugins.timm_counts import count, write_table
from zoo_plugins.timm_provider import TimmModels

from zoo.errors import UserError
from zoo.models.build import features_of, replace_head

FAMILIES = [
    "resnet18", "tf_efficientnet_lite0", "vgg11", "legacy_xception", "inception_v3", "inception_v4", "convnext_atto",
    "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "mobilenetv3_small_050", "regnety_002", "densenet121",
    "dla34", "dpn48b", "ghostnet_050", "pit_ti_224", "poolformer_s12", "mixer_s32_224", "resnetv2_18",
    "inception_resnet_v2",
]  # fmt: skip
MORE_FAMILIES = [
    "efficientnet_b0", "nfnet_f0", "rdnet_tiny", "caformer_s18", "csatv2", "hrnet_w18_small", "nasnetalarge",
    "vit_base_patch16_siglip_224",
]  # fmt: skip


def make(arch, *, tag="", classes=7, channels=3, image_size=None, **options):
    return build(arch=arch, tag=tag, classes=classes, channels=channels, image_size=image_size, **options)


def outline(arch, **options):
    with torch.device("meta"):
        return make(arch, **options)


@pytest.fixture(scope="module")
def provider():
    return TimmModels()


def test_families_cover_what_they_claim():
    assert len(set(FAMILIES)) == len(FAMILIES) >= 20


@pytest.mark.parametrize("arch", [*FAMILIES, *(pytest.param(arch, marks=pytest.mark.slow) for arch in MORE_FAMILIES)])
def test_build_puts_every_parameter_into_one_stage_from_input_to_output(arch):
    model = outline(arch)
    names = [name for name, _ in model.module.named_parameters()]
    head = [name for name in names if name.startswith(model.spec.classifier + ".")]
    staged = [name for stage in model.spec.stages for name in stage.parameters]
    assert sorted(staged + head) == sorted(names)
    assert head
    assert len(model.spec.stages) >= 4
    assert len({stage.name for stage in model.spec.stages}) == len(model.spec.stages)
    first_use = first_uses(model)
    depths = [median([first_use[owner(name)] for name in stage.parameters]) for stage in model.spec.stages]
    assert depths == sorted(depths)


def note(order, name) -> None:
    order.setdefault(name, len(order))


def owner(parameter: str) -> str:
    return parameter.rpartition(".")[0]


def median(values):
    return sorted(values)[len(values) // 2]


def first_uses(model) -> dict[str, int]:
    """When each module first runs in a forward pass; what runs no forward (a bare parameter) counts as its parent."""
    order: dict[str, int] = {}
    handles = [
        module.register_forward_pre_hook(lambda _m, _i, name=name: note(order, name))
        for name, module in model.module.named_modules()
    ]
    size = model.spec.preprocess.size
    with torch.device("meta"), torch.no_grad():
        assert features_of(model, torch.zeros(2, 3, size, size)).shape == (2, model.spec.feature_dim)
    for handle in handles:
        handle.remove()
    uses = {}
    for name, _ in model.module.named_parameters():
        ancestor = owner(name)
        while ancestor not in order:
            ancestor = owner(ancestor)
        uses[owner(name)] = order[ancestor]
    return uses


@pytest.mark.parametrize("arch", ["resnet18", "dla34", "dpn48b", "vit_tiny_patch16_224"])
def test_build_leaves_a_slot_that_takes_another_head(arch):
    model = outline(arch)
    with torch.device("meta"), torch.no_grad():
        assert model.module(torch.zeros(2, 3, 224, 224)).shape == (2, 7)
        replace_head(model, torch.nn.Linear(model.spec.feature_dim, 3))
        assert model.module(torch.zeros(2, 3, 224, 224)).shape == (2, 3)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("arch", ["resnet18", "tf_efficientnet_lite0", "vit_tiny_patch16_224"])
def test_build_takes_any_channels_forward_and_backward(arch, channels):
    torch.manual_seed(0)
    model = make(arch, channels=channels, image_size=32)
    assert model.spec.preprocess.channels == channels
    logits = model.module(torch.randn(2, channels, 32, 32))
    assert logits.shape == (2, 7)
    logits.logsumexp(1).sum().backward()
    grads = [p.grad for p in model.module.parameters()]
    assert all(g is not None and bool(g.isfinite().all()) for g in grads)


def test_build_follows_the_seed_and_uses_no_weights():
    torch.manual_seed(1)
    first = make("resnet18").module.state_dict()
    torch.manual_seed(1)
    again = make("resnet18").module.state_dict()
    other = make("resnet18").module.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet18.a3_in1k", "tf_efficientnet_lite0", "vit_tiny_patch16_224", "inception_v3.tv_in1k"]
)
def test_build_prepares_input_as_timm_does(name):
    arch, _, tag = name.partition(".")
    with torch.device("meta"):
        expected = timm.data.resolve_model_data_config(timm.create_model(name, pretrained=False))
    preprocess = outline(arch, tag=tag).spec.preprocess
    assert (3, preprocess.size, preprocess.size) == expected["input_size"]
    assert preprocess.mean == pytest.approx(expected["mean"])
    assert preprocess.std == pytest.approx(expected["std"])
    assert preprocess.crop_share == expected["crop_pct"]
    assert preprocess.interpolation == expected["interpolation"]
    assert preprocess.resize == {"center": "crop", "squash": "squash"}[expected["crop_mode"]]


def test_build_lists_all_weights_with_the_default_first_and_one_where_a_tag_was_asked_for():
    records = outline("resnet18").spec.weights
    assert records[0].tag == timm.get_pretrained_cfg("resnet18").tag == "a1_in1k"
    assert {record.tag for record in records} >= {"a1_in1k", "a2_in1k", "tv_in1k"}
    assert len({record.tag for record in records}) == len(records)
    assert records[0].hub_id == "timm/resnet18.a1_in1k"
    assert records[0].classes == 1000
    assert next(r.sha256 for r in records if r.tag == "tv_in1k") == "f37072fd"
    assert [record.tag for record in outline("resnet18", tag="a2_in1k").spec.weights] == ["a2_in1k"]


def test_build_adapts_the_size_and_says_where_it_cannot():
    assert make("resnet18", image_size=48).spec.preprocess.size == 48
    vit = make("vit_tiny_patch16_224", image_size=64)
    assert vit.module.pos_embed.shape[1] == 16 + 1
    assert vit.spec.args == {"img_size": 64}
    with pytest.raises(UserError, match="40 x 40"):
        make("inception_v3", image_size=40)


@pytest.mark.parametrize("pool", ["avg", "max", "avgmax"])
def test_build_pools_as_asked(pool):
    maps = torch.randn(2, 512, 4, 4)
    pooled = make("resnet18", pool=pool).module.global_pool(maps)
    expected = {"avg": maps.mean((2, 3)), "max": maps.amax((2, 3))}
    expected["avgmax"] = (expected["avg"] + expected["max"]) / 2
    torch.testing.assert_close(pooled, expected[pool])


def test_build_refuses_a_pooling_that_the_network_lacks():
    with pytest.raises(UserError, match="cannot take pool 'max'") as caught:
        outline("pit_ti_224", pool="max")
    assert "model.pool" in str(caught.value)


def test_build_drops_paths_where_there_are_some():
    drops = [m.drop_prob for m in outline("resnet18", drop_path=0.3).module.modules() if isinstance(m, DropPath)]
    assert drops == sorted(drops)
    assert drops[-1] == pytest.approx(0.3)
    assert not any(isinstance(m, DropPath) for m in outline("resnet18").module.modules())
    with pytest.raises(UserError, match="cannot take drop_path"):
        outline("vgg11", drop_path=0.1)
    with pytest.raises(UserError, match="no share"):
        outline("resnet18", drop_path=1.0)


def test_build_hands_args_to_timm():
    model = outline("vit_tiny_patch16_224", args={"qkv_bias": False})
    assert "blocks.0.attn.qkv.bias" not in model.module.state_dict()
    assert model.spec.args == {"qkv_bias": False}


@pytest.mark.parametrize(
    ("key", "message"), [("blok", "args.blok"), ("num_classes", "follows the data"), ("img_size", "image_size")]
)
def test_build_refuses_args_that_are_unknown_or_its_own(key, message):
    with pytest.raises(UserError, match=message) as caught:
        outline("resnet18", args={key: 1})
    assert f"model.args.{key}" in str(caught.value)


@pytest.mark.parametrize(
    ("arch", "words"),
    [
        ("deit_tiny_distilled_patch16_224", "take model=deit_tiny_patch16_224"),
        ("qwen3_vit_88m_enc", "no classifier"),
        ("resnet50_clip", "take model=resnet50_clip_gap"),
    ],
)
def test_build_refuses_networks_without_one_head(arch, words):
    with pytest.raises(UserError, match=words):
        outline(arch)


def test_labels_name_the_published_outputs():
    model = outline("resnet18")
    names = model.labels(model.spec.weights[0])
    assert len(names) == 1000
    assert names[0].startswith("tench")
    assert model.labels(outline("vit_base_patch16_siglip_224").spec.weights[0]) == ()


def test_provider_names_every_architecture(provider):
    names = provider.names()
    assert len(names) == len(set(names)) == len(timm.list_models()) > 1300
    assert {"resnet18", "tf_efficientnet_lite0", "vit_tiny_patch16_224"} <= set(names)


@pytest.mark.parametrize("name", ["no_such_net", "resnet18.no_such_tag", "", "resnet18.", ".a1_in1k", "timm/resnet18"])
def test_provider_offers_nothing_for_unknown_names(provider, name):
    assert provider.offer(name) is None


def test_provider_binds_architecture_and_tag(provider):
    offer = provider.offer("resnet18.tv_in1k")
    assert dict(offer.bound) == {"arch": "resnet18", "tag": "tv_in1k"}
    assert offer.target == "zoo_plugins.timm_builder:build"
    assert [record.tag for record in offer.facts["records"]] == ["tv_in1k"]
    assert set(inspect.signature(build).parameters) - set(offer.bound) == {
        "classes", "channels", "image_size", "pool", "drop_path", "args",
    }  # fmt: skip


def test_provider_has_a_summary_and_a_source_for_every_name(provider):
    offers = [provider.offer(name) for name in provider.names()]
    assert all(offer.summary and offer.source for offer in offers)
    assert sum("cannot be fine-tuned" in offer.summary for offer in offers) < 80


def test_provider_says_how_large_networks_are(provider):
    facts = provider.offer("resnet18").facts
    assert facts["parameters"] == 11_689_512  # torchvision's published count
    assert facts["multiply_adds"] == pytest.approx(1.82e9, rel=0.01)  # published: 1.8 GMACs
    assert facts["input_px"] == 224


@pytest.mark.parametrize("arch", ["resnet18", "tf_efficientnet_lite0", "vit_tiny_patch16_224", "pit_ti_224"])
def test_counts_hold_for_the_installed_timm(provider, arch):
    facts = provider.offer(arch).facts
    assert count(arch) == (facts["parameters"], facts["multiply_adds"])


def test_write_table_writes_what_the_provider_reads(provider, tmp_path):
    import json

    write_table(str(tmp_path / "t.json"), ["resnet18"])
    table = json.loads((tmp_path / "t.json").read_text())
    facts = provider.offer("resnet18").facts
    assert table == {"timm": timm.__version__, "counts": {"resnet18": [facts["parameters"], facts["multiply_adds"]]}}


@pytest.mark.slow
def test_build_takes_the_smallest_network_of_every_module(provider):
    by_module: dict[str, tuple[int, str]] = {}
    for name in provider.names():
        offer = provider.offer(name)
        if "cannot be fine-tuned" in offer.summary or "parameters" not in offer.facts:
            continue
        module = timm.models.model_entrypoint(name).__module__
        by_module[module] = min(by_module.get(module, (1 << 60, "")), (offer.facts["parameters"], name))
    assert len(by_module) > 60
    for _, name in by_module.values():
        model = outline(name)
        size = model.spec.preprocess.size
        model.module.eval()
        with torch.device("meta"), torch.no_grad():
            features = features_of(model, torch.zeros(1, 3, size, size))
        assert features.shape == (1, model.spec.feature_dim), name
