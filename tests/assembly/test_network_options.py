"""Options of networks trained from scratch: pixels by formula, what pretrained weights forbid, and what is kept."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from torch import nn
from zoo_plugins.strategy_plans import FromScratch

from zoo.artifacts.model_folder import load_model_folder, rebuild, save_model
from zoo.assembly.network import build_backbone, finish_network
from zoo.assembly.network_options import refuse_for_imports, refuse_frozen_fresh_norms, with_pixels
from zoo.config.compose import configure
from zoo.contracts.data import DataFacts, Task
from zoo.contracts.training import Phase, Plan
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.models.build import replace_head
from zoo.models.surgery import change_network, structural
from zoo.plugins import load_plugins

PLUGINS = load_plugins(only=())
FACTS = DataFacts("x", 3, Task.SINGLE_LABEL, 3, 100, 25, 25, 32)
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def configured(*words: str):
    return configure(list(words), PLUGINS, source_for=str)


def built(*words: str, facts: DataFacts = FACTS):
    """The network that a command line means, its head in place; and what was said."""
    config, said = configured(*words), []
    torch.manual_seed(0)
    model, found = build_backbone(config, PLUGINS.registry, facts=facts, say=said.append)
    model, _ = finish_network(
        model, found, config=config, registry=PLUGINS.registry, classes=facts.classes, say=said.append
    )
    return model, said


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("pixels", "formula"),
    [("unit", lambda x: x / 255), ("raw", lambda x: x), ("centred", lambda x: x / 127.5 - 1)],
)
def test_pixels_come_in_the_range_that_was_asked_for(channels, pixels, formula):
    values = torch.randint(256, (2, 3, 3, channels), dtype=torch.uint8)
    own = Preprocess(3, (0.3,) * channels, (0.2,) * channels, resize="crop", crop_share=1.0)
    found = with_pixels(own, pixels)
    expected = formula(values.double()).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(found.normalise(values), expected, atol=1e-4, rtol=1e-5)
    assert (found.size, found.resize, found.crop_share) == (own.size, own.resize, own.crop_share)


def test_imagenets_statistics_belong_to_colours():
    own = Preprocess(3, (0.5,) * 3, (0.5,) * 3)
    colours = with_pixels(own, "imagenet")
    assert (colours.mean, colours.std) == (IMAGENET["mean"], IMAGENET["std"])
    gray = with_pixels(own.with_channels(1), "imagenet")
    assert gray.mean == pytest.approx((sum(IMAGENET["mean"]) / 3,))
    with pytest.raises(UserError, match="2 channels"):
        with_pixels(Preprocess(1, (0.5,) * 2, (0.5,) * 2), "imagenet")


def test_all_options_act_on_a_network_from_scratch():
    model, said = built(
        "model=timm/test_resnet", "weights=none", "model.image_size=32", "model.init=orthogonal", "model.pixels=raw",
        "model.activation=elu", "model.norm=group", "model.norm_epsilon=0.01",
    )  # fmt: skip
    kinds = {type(module) for module in model.module.modules()}
    assert nn.ELU in kinds
    assert not kinds & {nn.ReLU, nn.BatchNorm2d}
    assert {m.eps for m in model.module.modules() if isinstance(m, nn.GroupNorm)} == {0.01}
    assert model.spec.preprocess.std == (1 / 255,) * 3
    weight = model.head.weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(3), atol=1e-5, rtol=0)
    assert any(line.startswith("init    orthogonal:") for line in said)


def test_auto_leaves_a_network_as_its_library_makes_it():
    model, _ = built("model=timm/test_resnet", "weights=none", "model.image_size=32")
    assert any(isinstance(m, nn.BatchNorm2d) for m in model.module.modules())
    assert any(isinstance(m, nn.ReLU) for m in model.module.modules())
    assert structural(configured("model=timm/test_resnet").model.common) == {}


def test_a_network_acts_itself_on_its_own_options_of_these_names():
    config = configured("model=mlp", "model.activation=selu", "model.norm=batch", "model.norm_epsilon=0.001")
    assert config.model.claimed == {"activation", "norm"}
    assert (config.model.own["activation"], config.model.own["norm"]) == ("selu", "batch")
    assert config.model.common["norm_epsilon"] == 0.001
    model, _ = built(*config.overrides, "weights=none")
    assert {m.eps for m in model.module.modules() if isinstance(m, nn.BatchNorm1d)} == {0.001}
    assert len([m for m in model.module.modules() if isinstance(m, nn.SELU)]) == 2


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model.init=he_normal", "they are the start"),
        ("model.activation=elu", "belong to the published network"),
        ("model.norm=group", "belong to the published network"),
        ("model.norm_epsilon=0.1", "belong to the published network"),
        ("model.pixels=unit", "demand the pixels"),
    ],
)
@pytest.mark.parametrize("weights", ["auto", "package"])
def test_pretrained_weights_allow_none_of_them(word, message, weights):
    with pytest.raises(UserError, match=message) as error:
        built("model=tf_efficientnet_lite0", f"weights={weights}", word)
    assert "weights=none" in str(error.value)


def test_all_that_pretrained_weights_do_not_allow_is_shown_together():
    with pytest.raises(UserError) as error:
        built("model=tf_efficientnet_lite0", "model.init=he_normal", "model.norm=none")
    assert "model.init=he_normal" in str(error.value)
    assert "model.norm=none" in str(error.value)


def test_fresh_norms_need_pretrained_weights_that_have_norms():
    with pytest.raises(UserError, match="no effect with weights=none"):
        built("model=timm/test_resnet", "weights=none", "model.norm=fresh")
    with pytest.raises(UserError, match="nothing to start afresh"):
        built("model=lenet5", "weights=starter", "model.norm=fresh", facts=dataclasses.replace(FACTS, channels=1))


def test_fresh_norms_forget_and_the_other_values_stay():
    facts = dataclasses.replace(FACTS, median_side_px=224)
    words = ("model=tf_efficientnet_lite0", "weights=package", "model.image_size=64")
    kept, fresh = (built(*words, *more, facts=facts)[0].module for more in ((), ("model.norm=fresh",)))
    assert kept.conv_stem.weight.equal(fresh.conv_stem.weight)
    assert not kept.bn1.running_mean.equal(torch.zeros(32))
    assert fresh.bn1.running_mean.equal(torch.zeros(32))
    assert fresh.bn1.weight.equal(torch.ones(32))


@pytest.mark.parametrize(
    ("phases", "refused"),
    [
        ((Phase("probe", "fit_head"), Phase("finetune", "train", epochs=1)), "probe"),
        ((Phase("finetune", "train", epochs=1, freeze_norm=True),), "finetune"),
        ((Phase("finetune", "train", epochs=1),), ""),
    ],
)
def test_fresh_norms_need_a_plan_that_measures_them_again(phases, refused):
    plan = Plan("some", phases, "for the test")
    refuse_frozen_fresh_norms(configured("model=timm/test_resnet"), plan)
    fresh = configured("model=timm/test_resnet", "model.norm=fresh")
    if not refused:
        refuse_frozen_fresh_norms(fresh, plan)
        return
    with pytest.raises(UserError, match=refused):
        refuse_frozen_fresh_norms(fresh, plan)


def test_imports_bring_their_own_start_and_pixels():
    refuse_for_imports({"activation": "tanh", "norm": "batch", "init": "auto"})
    for options in ({"init": "orthogonal"}, {"pixels": "raw"}, {"norm": "fresh"}):
        with pytest.raises(UserError, match="no effect on values that are imported"):
            refuse_for_imports(options)


@pytest.fixture
def saved(tmp_path):
    """A saved timm network with another activation and norm."""
    words = (
        "model=timm/test_resnet",
        "weights=none",
        "model.image_size=32",
        "model.activation=elu",
        "model.norm=group",
    )
    model, _ = built(*words)
    config = configured(*words)
    return model, save_model(
        tmp_path / "saved",
        model,
        classes=("a", "b", "c"),
        preprocess=model.spec.preprocess,
        task=Task.SINGLE_LABEL,
        origin={},
        model_options=config.model.own | structural(config.model.common),
        model_name=config.model.name,
    )


def test_saved_model_is_built_again_with_its_options(saved):
    model, description = saved
    assert description.model.options["activation"] == "elu"
    assert description.model.options["norm"] == "group"
    again = rebuild(
        load_model_folder(description.folder),
        PLUGINS.registry,
        replace_head=replace_head,
        change_network=change_network,
    )
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(again.module.eval()(x), model.module.eval()(x))
    assert again.spec.stages == model.spec.stages


def test_config_for_timm_says_that_zoo_loads_it(saved):
    _, description = saved
    assert not description.timm_loadable
    assert "activation=elu, norm=group" in description.timm_note
    config = json.loads((description.folder / "config.json").read_text())
    assert "zoo.load" in config["architecture"]


def test_a_small_epsilon_is_no_longer_timms_network_either(tmp_path):
    words = ("model=timm/test_resnet", "weights=none", "model.image_size=32")
    notes = {}
    for more in ((), ("model.norm_epsilon=0.0000101",)):
        model, config = built(*words, *more)[0], configured(*words, *more)
        notes[more] = save_model(
            tmp_path / str(len(more)),
            model,
            classes=("a", "b", "c"),
            preprocess=model.spec.preprocess,
            task=Task.SINGLE_LABEL,
            origin={},
            model_options=config.model.own | structural(config.model.common),
            model_name=config.model.name,
        ).timm_note
    assert notes[()] == ""
    assert "norm_epsilon" in notes[("model.norm_epsilon=0.0000101",)]


def test_saved_model_goes_on_with_its_options(saved):
    model, description = saved
    again, _ = built(f"model={description.folder}")
    values, before = again.module.state_dict(), model.module.state_dict()
    body = [name for name in before if not name.startswith(model.spec.classifier)]
    assert all(values[name].equal(before[name]) for name in body)
    assert any(isinstance(m, nn.ELU) for m in again.module.modules())


@pytest.mark.parametrize("words", [(), ("model.activation=gelu", "model.norm=group"), ("model.activation=elu",)])
def test_saved_values_do_not_go_into_another_network(saved, words):
    _, description = saved
    with pytest.raises(UserError, match="these weights belong to a network with model"):
        built("model=timm/test_resnet", f"weights={description.folder}", *words)


def test_saved_values_go_into_the_network_that_is_described_alike(saved):
    model, description = saved
    same = ("model.activation=elu", "model.norm=group", "model.image_size=32")
    again, _ = built("model=timm/test_resnet", f"weights={description.folder}", *same)
    name = next(name for name, _ in model.module.named_parameters())
    assert again.module.get_parameter(name).equal(model.module.get_parameter(name))


@pytest.mark.parametrize("word", ["model.init=he_normal", "model.pixels=unit"])
def test_saved_values_bring_their_own_start_and_pixels(saved, word):
    with pytest.raises(UserError, match=word):
        built(f"model={saved[1].folder}", word)


def test_textbooks_default_is_the_textbooks_run_alone():
    config = configured("experiment=lesson/default_dnn")
    plan = FromScratch(**config.strategy.own).plan(FACTS, network=None, pretrained=False)
    (phase,) = plan.phases
    assert (phase.epochs, phase.regularizers, phase.crop_scale, phase.flip) == (45, {}, None, False)
    assert config.schedule.options["warmup_share"] == 0
    assert (config.augmentations, config.regularizers, config.optimizer.own["nesterov"]) == ((), (), True)
    model, _ = built("experiment=lesson/default_dnn", facts=dataclasses.replace(FACTS, channels=1, classes=10))
    dense = [m for m in model.module.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in dense] == [(784, 300), (300, 100), (100, 10)]
    for layer in dense:
        assert layer.weight.var().item() == pytest.approx(2 / layer.in_features, rel=0.15)
    assert {m.eps for m in model.module.modules() if isinstance(m, nn.BatchNorm1d)} == {0.001}
    assert {m.p for m in model.module.modules() if isinstance(m, nn.Dropout)} == {0.2}
