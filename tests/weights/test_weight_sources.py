import pytest
import torch

from zoo.contracts.model import WeightsRequest
from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.weights.load import find_weights, load_weights


@pytest.fixture(scope="module")
def registry():
    return load_plugins(only=()).registry


@pytest.fixture
def sources(registry, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    entries = sorted(registry.entries("weights"), key=lambda entry: entry.facts["rank"])
    return [(entry.name, entry.build()) for entry in entries]


def test_sources_are_asked_from_the_nearest_to_the_farthest(sources):
    assert [name for name, _ in sources] == ["package", "torch-cache", "hf-cache", "hub", "starter"]


def test_every_source_has_a_summary_a_source_and_no_options(registry):
    for entry in registry.entries("weights"):
        assert entry.summary
        assert entry.source.startswith("https://")
        assert entry.parameters() == []


def test_every_source_keeps_the_contract_for_a_network_that_nobody_has(registry, sources):
    model = registry.get("model", "zoo/lenet").build(classes=10, channels=1, image_size=None)
    request = WeightsRequest(model.spec, model.spec.weights)
    for _, source in sources:
        assert source.locate(request) is None
        assert source.find(request) is None
        assert source.places(request) == []


def test_default_network_gets_its_weights_without_a_network(registry, sources):
    model = registry.get("model", "tf_efficientnet_lite0").build(classes=10, channels=3, image_size=None)
    said: list[str] = []
    found = find_weights(WeightsRequest(model.spec, model.spec.weights), sources, say=said.append)
    report = load_weights(model, found, head_is_new=True)
    assert report.source == "package"
    assert report.loaded == 294
    assert report.reinitialised == report.unused == ("classifier.weight", "classifier.bias")
    assert said[-1].startswith("weights found in package")


@pytest.mark.parametrize("channels", [1, 4])
def test_default_network_gets_its_weights_for_other_channels(registry, sources, channels):
    model = registry.get("model", "tf_efficientnet_lite0").build(classes=10, channels=channels, image_size=64)
    found = find_weights(WeightsRequest(model.spec, model.spec.weights), sources, say=lambda _: None)
    report = load_weights(model, found, head_is_new=True)
    assert report.adapted == ("conv_stem.weight",)
    assert report.loaded == 294
    if channels == 1:  # a gray image gives the features that it gave in three equal colours
        colour = registry.get("model", "tf_efficientnet_lite0").build(classes=10, channels=3, image_size=64)
        load_weights(colour, found, head_is_new=True)
        gray = torch.rand(2, 1, 64, 64) * 2 - 1
        with torch.no_grad():
            ours = model.module.eval().forward_features(gray)
            theirs = colour.module.eval().forward_features(gray.expand(2, 3, 64, 64))
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["timm/resnet34", "torchvision/googlenet", "timm/resnet34.a2_in1k"])
def test_other_networks_say_every_place_when_they_cannot_be_had(registry, sources, name):
    model = registry.get("model", name).build(classes=10, channels=3, image_size=None)
    with pytest.raises(UserError) as caught:
        find_weights(WeightsRequest(model.spec, model.spec.weights), sources, say=lambda _: None)
    text = str(caught.value)
    assert "torch-cache: " in text
    assert "HF_HUB_OFFLINE is set" in text
    assert ("a2_in1k" in text) is name.endswith("a2_in1k")


def test_random_values_come_only_when_asked_for(registry, sources):
    model = registry.get("model", "zoo/lenet").build(classes=10, channels=1, image_size=None)
    request = WeightsRequest(model.spec, model.spec.weights)
    assert find_weights(request, sources, choice="none", say=lambda _: None) is None
    with pytest.raises(UserError, match="no pretrained weights"):
        find_weights(request, sources, say=lambda _: None)
