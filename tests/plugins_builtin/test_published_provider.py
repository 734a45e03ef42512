"""Published models as components: what is offered, and what of the hub is checked before it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.hub import Repository, hub_stand
from zoo_plugins.published_provider import PublishedModels, build

import zoo
from zoo.artifacts.model_folder import save_model
from zoo.contracts.data import Task
from zoo.errors import UserError
from zoo.plugins import load_plugins

CLASSES = ("cat", "dog")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    entry = load_plugins(only=[]).registry.get("model", "zoo/lenet5")
    model = entry.build(classes=2, channels=1, image_size=None, activation="tanh")
    save_model(
        folder / "made",
        model,
        classes=CLASSES,
        preprocess=model.spec.preprocess,
        task=Task.SINGLE_LABEL,
        origin={},
        model_options={"activation": "tanh"},
    )
    zoo.publish(folder / "made", to=folder / "zoo", name="pets", license="mit")
    return folder / "zoo"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with hub_stand() as stand:
        template = stand.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", stand.address)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield stand


def test_names_and_offers_come_from_the_folders_of_the_moment(shelf, monkeypatch, tmp_path):
    provider = PublishedModels()
    monkeypatch.delenv("ZOO_PATH", raising=False)
    assert provider.names() == []
    assert provider.offer("pets") is None
    monkeypatch.setenv("ZOO_PATH", str(shelf))
    assert provider.names() == ["pets"]
    offer = provider.offer("pets")
    assert offer.facts["saved_in"] == str(shelf / "pets")
    (record,) = offer.facts["records"]
    assert (record.classes, record.license) == (2, "mit")
    assert record.url == (shelf / "pets" / "model.safetensors").as_uri()
    assert provider.offer("cats") is None
    monkeypatch.setenv("ZOO_PATH", str(tmp_path / "gone"))
    with pytest.raises(UserError, match="which is no folder"):
        provider.names()


def test_the_network_that_a_listing_counts_is_the_published_one(shelf):
    model = build(folder=str(shelf / "pets"), classes=2, channels=1, image_size=None)
    assert model.spec.name == "zoo/lenet5"
    assert model.spec.args["activation"] == "tanh"
    assert model.module(torch.zeros(1, 1, 32, 32)).shape == (1, 2)
    assert [record.classes for record in model.spec.weights] == [2]


def test_a_model_of_the_hub_is_checked_and_asked_for_once(shelf, hub):
    hub.repositories["me/pets"] = Repository(private=False)
    hub.repositories["me/pets"].add({file.name: file.read_bytes() for file in (shelf / "pets").iterdir()})
    provider = PublishedModels()
    first = provider.offer("hf:me/pets")
    asked = len(hub.asked)
    assert provider.offer("hf:me/pets") == first
    assert len(hub.asked) == asked
    assert zoo.load("hf:me/pets").classes == CLASSES


def test_a_changed_model_of_the_hub_is_refused(shelf, hub):
    files = {file.name: file.read_bytes() for file in (shelf / "pets").iterdir()}
    files["model.safetensors"] = files["model.safetensors"][:-1] + b"\x7f"
    hub.repositories["me/pets"] = Repository(private=False)
    hub.repositories["me/pets"].add(files)
    with pytest.raises(UserError, match=r"model\.safetensors is not what was saved"):
        PublishedModels().offer("hf:me/pets")
