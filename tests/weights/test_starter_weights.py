"""Starter weights: what zoo carries is whole, fills its networks, says what it is, and stands in for nothing else."""

import dataclasses
import json

import pytest
import torch
from zoo_plugins import starter_weights
from zoo_plugins.starter_weights import FOLDER, Starter, cards

from zoo.contracts.model import WeightsRequest
from zoo.errors import UserError
from zoo.files import sha256_of
from zoo.plugins import load_plugins
from zoo.weights.load import load_weights

LIMITS_BYTES = {"resnet18.safetensors": 23_000_000, "lenet5.safetensors": 300_000}
CASES = [(card, network) for card in cards() for network in card.networks]


@pytest.fixture(scope="module")
def registry():
    return load_plugins(only=()).registry


def request_for(registry, network: str, *, classes: int = 4, channels: int = 3, named: bool = False) -> WeightsRequest:
    model = registry.get("model", network).build(classes=classes, channels=channels, image_size=None)
    return WeightsRequest(model.spec, model.spec.weights, named=named)


def test_every_file_is_whole_small_enough_and_described():
    found = cards()
    assert len(CASES) >= 1
    assert {card.file for card in found} == {path.name for path in FOLDER.glob("*.safetensors")}
    for card in found:
        path = FOLDER / card.file
        assert sha256_of(path) == card.sha256
        assert path.stat().st_size <= LIMITS_BYTES[card.file]
        assert len(set(card.labels)) == len(card.labels) >= 10
        assert 0 < card.score < 1
        assert card.what
        assert card.license
        assert "/" not in json.dumps(card.facts["overrides"]), "no places of the machine that trained it"
        assert {"data", "overrides", "training_s", "versions", "scores"} <= set(card.facts)


@pytest.mark.parametrize(("card", "network"), CASES, ids=[network for _, network in CASES])
def test_weights_fill_their_network_with_its_own_head(registry, card, network):
    channels = len(card.preprocess.mean)
    model = registry.get("model", network).build(classes=len(card.labels), channels=channels, image_size=None)
    found = Starter().find(WeightsRequest(model.spec, model.spec.weights))
    report = load_weights(model, found, head_is_new=False)
    assert (report.source, report.reinitialised, report.unused, report.adapted) == ("starter", (), (), ())
    assert report.loaded == len(model.module.state_dict())
    assert all(value.dtype is not torch.float16 for value in model.module.state_dict().values())
    assert found.labels == card.labels
    assert ("weights=hub" in found.warning) == bool(model.spec.weights)
    assert f"{card.score:.1%}" in found.warning


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("network", sorted({network for _, network in CASES if network != "torchvision/resnet18"}))
def test_weights_fit_other_channels(registry, network, channels):
    model = registry.get("model", network).build(classes=4, channels=channels, image_size=None)
    found = Starter().find(WeightsRequest(model.spec, model.spec.weights))
    report = load_weights(model, found, head_is_new=True)
    assert len(report.reinitialised) == 2
    assert len(report.adapted) == (0 if channels == len(found.record.preprocess.mean) else 1)


def test_a_set_that_the_user_named_is_never_replaced(registry):
    request = request_for(registry, "lenet5", channels=1, named=True)
    assert Starter().find(request) is None
    assert Starter().locate(request) is None
    assert Starter().places(request) == []


def test_other_networks_get_nothing(registry):
    request = request_for(registry, "resnet10t")
    assert (Starter().find(request), Starter().locate(request), Starter().places(request)) == (None, None, [])


@pytest.fixture
def copied(tmp_path, monkeypatch):
    for path in FOLDER.glob("lenet5.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(starter_weights, "FOLDER", tmp_path)
    monkeypatch.setattr(starter_weights.cards, "__defaults__", (tmp_path,))
    return tmp_path


def test_a_torn_file_is_refused(registry, copied):
    path = copied / "lenet5.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="not the published one"):
        Starter().find(request_for(registry, "lenet5", channels=1))
    path.unlink()
    with pytest.raises(UserError, match="missing"):
        Starter().find(request_for(registry, "lenet5", channels=1))


def test_card_round_trip(copied):
    (card,) = cards(copied)
    values = json.loads((copied / "lenet5.json").read_text())
    assert card.networks == tuple(values["networks"])
    assert dataclasses.asdict(card)["labels"] == tuple("0123456789")
