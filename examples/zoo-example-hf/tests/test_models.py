"""Networks of transformers as zoo's: the same logits, stages, weights that fit to the last tensor, clear refusals."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
hf = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

from zoo_example_hf.models import build  # noqa: E402
from zoo_example_hf.preprocessing import preprocess_of  # noqa: E402
from zoo_example_hf.provider import HubModels  # noqa: E402
from zoo_example_hf.weights import FolderWeights  # noqa: E402

from zoo.contracts.model import FoundWeights, Model, WeightsRequest  # noqa: E402
from zoo.errors import UserError  # noqa: E402
from zoo.models.build import features_of  # noqa: E402
from zoo.weights.caches import HubCache  # noqa: E402
from zoo.weights.load import load_weights  # noqa: E402

KINDS = ("resnet", "vit", "convnext")
SaveNetwork = Callable[[str], Path]


def built(folder: Path, *, classes: int = 3, channels: int = 3, size: int | None = None, **more: object) -> Model:
    """The network of a folder with random values."""
    return build(address=str(folder), folder=str(folder), classes=classes, channels=channels, image_size=size, **more)


def filled(model: Model, *, new_head: bool = False) -> Model:
    """The network with the weights that lie in its folder, loaded as zoo loads them."""
    found = FolderWeights().find(WeightsRequest(model.spec, model.spec.weights))
    assert found is not None
    load_weights(model, found, head_is_new=new_head)
    return model


def noise(size: int = 32, channels: int = 3) -> torch.Tensor:
    """float32[2, C, S, S], always the same."""
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers(kind: str, save_network: SaveNetwork) -> None:
    folder = save_network(kind)
    model = filled(built(folder))
    original = hf.AutoModelForImageClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        torch.testing.assert_close(model.module.eval()(noise()), original(noise()).logits)
    assert model.labels is not None
    assert model.labels(model.spec.weights[0]) == ("bee", "cat", "dog")


@pytest.mark.parametrize(("kind", "stages", "width"), [("resnet", 5, 16), ("vit", 5, 16), ("convnext", 5, 16)])
def test_every_parameter_has_its_depth(kind: str, stages: int, width: int, save_network: SaveNetwork) -> None:
    model = built(save_network(kind), classes=4)
    names = [stage.name for stage in model.spec.stages]
    assert names == ["0:stem", *(f"{number}:blocks" for number in range(1, stages))]
    listed = [name for stage in model.spec.stages for name in stage.parameters]
    head = [name for name, _ in model.module.named_parameters() if name.startswith(f"{model.spec.classifier}.")]
    assert sorted([*listed, *head]) == sorted(name for name, _ in model.module.named_parameters())
    assert len(head) == 2
    assert model.head.out_features == 4
    assert features_of(model, noise()).shape == (2, width)
    assert model.spec.feature_dim == width


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_another_size_and_of_one_channel(kind: str, save_network: SaveNetwork) -> None:
    folder = save_network(kind)
    model = filled(built(folder, channels=1, size=64), new_head=True)
    assert (model.spec.preprocess.size, model.spec.preprocess.channels) == (64, 1)
    gray = noise(64, 1)
    colour = filled(built(folder, size=64), new_head=True)
    with torch.no_grad():
        torch.testing.assert_close(
            features_of(_eval(model), gray),
            features_of(_eval(colour), gray.expand(-1, 3, -1, -1)),
            rtol=1e-4,
            atol=1e-4,
        )


def _eval(model: Model) -> Model:
    model.module.eval()
    return model


def test_older_names_and_bare_backbones_are_understood(save_network: SaveNetwork) -> None:
    """Files of transformers 4 call ViT's layers otherwise, and `ViTModel` has a pooler but no prefix and no head."""
    folder = save_network("vit")
    whole = filled(built(folder))
    file = folder / "model.safetensors"
    ours = safetensors.load_file(file)
    assert not any("encoder.layer." in name for name in ours) or "vit.encoder.layer.0.layernorm_before.bias" in ours
    old = {_older(name).removeprefix("vit."): value for name, value in ours.items() if "classifier" not in name}
    old["pooler.dense.weight"], old["pooler.dense.bias"] = torch.ones(16, 16), torch.ones(16)
    safetensors.save_file(old, file)
    bare = filled(built(folder), new_head=True)
    with torch.no_grad():
        torch.testing.assert_close(features_of(_eval(bare), noise()), features_of(_eval(whole), noise()))


def _older(name: str) -> str:
    """The name that transformers 4 had for a tensor of ViT."""
    for new, was in (
        ("vit.layers.", "vit.encoder.layer."),
        ("attention.q_proj", "attention.attention.query"),
        ("attention.k_proj", "attention.attention.key"),
        ("attention.v_proj", "attention.attention.value"),
        ("attention.o_proj", "attention.output.dense"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ):
        name = name.replace(new, was)
    return name


def test_a_missing_or_strange_tensor_is_refused(save_network: SaveNetwork) -> None:
    folder = save_network("resnet")
    file = folder / "model.safetensors"
    tensors = safetensors.load_file(file)
    victim = next(name for name in tensors if "encoder" in name and name.endswith("convolution.weight"))
    safetensors.save_file({name: value for name, value in tensors.items() if name != victim}, file)
    with pytest.raises(UserError, match="1 missing in the file"):
        filled(built(folder), new_head=True)
    safetensors.save_file({**tensors, "stranger.weight": torch.ones(3)}, file)
    with pytest.raises(UserError, match="1 unknown to the network"):
        filled(built(folder), new_head=True)
    safetensors.save_file({**tensors, victim: torch.ones(3)}, file)
    with pytest.raises(UserError, match="do not fit"):
        filled(built(folder), new_head=True)


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_prepared_as_by_the_image_processor(kind: str, save_network: SaveNetwork) -> None:
    folder = save_network(kind)
    preprocess = preprocess_of(folder)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 9, 3), dtype=np.uint8)
    image = np.kron(coarse, np.ones((6, 6, 1), np.uint8))  # 72 x 54 px, in blocks
    ours = preprocess.normalise(torch.from_numpy(np.array(preprocess(image))[None]))[0]
    theirs = hf.AutoImageProcessor.from_pretrained(folder)(image, return_tensors="pt")["pixel_values"][0]
    assert ours.shape == theirs.shape == (3, 32, 32)
    assert float((ours - theirs).abs().mean()) < 0.02  # two libraries' filters differ by a level or two


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"do_normalize": False}, "do_normalize=false"),
        ({"resample": 4}, "resample=4"),
        ({"size": {"height": 32, "width": 48}}, "square"),
    ],
)
def test_what_zoo_cannot_prepare_is_refused(changed: dict[str, object], reason: str, save_network: SaveNetwork) -> None:
    folder = save_network("vit")
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changed), encoding="utf-8")
    with pytest.raises(UserError, match=reason):
        preprocess_of(folder)


def test_networks_in_the_cache_are_listed_and_their_weights_found(
    save_network: SaveNetwork, put_in_cache: Callable[[Path, str], Path]
) -> None:
    snapshot = put_in_cache(save_network("resnet"), "me/tiny")
    provider = HubModels()
    assert provider.names() == ["me--tiny"]
    offer = provider.offer("me--tiny")
    assert offer is not None
    assert offer == provider.offer("hf_vision:me/tiny")
    assert (offer.name, offer.source) == ("me--tiny", "https://huggingface.co/me/tiny")
    (record,) = offer.facts["records"]
    assert (record.hub_id, record.classes, record.preprocess.size) == ("me/tiny", 3, 32)

    model = build(**offer.bound, classes=3, channels=3, image_size=None)
    assert model.spec.name == "hf/me--tiny"
    request = WeightsRequest(model.spec, model.spec.weights)
    found = HubCache().find(request)  # zoo's own source: nothing of the plugin is needed to find them
    assert isinstance(found, FoundWeights)
    assert found.path == snapshot / "model.safetensors"
    assert FolderWeights().find(request) is None
    assert FolderWeights().places(request) == []
    report = load_weights(model, found, head_is_new=True)
    assert report.reinitialised == (f"{model.spec.classifier}.weight", f"{model.spec.classifier}.bias")


def test_without_a_network_what_is_not_at_hand_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    with pytest.raises(UserError, match="me/gone cannot be had: HF_HUB_OFFLINE is set") as caught:
        HubModels().offer("hf_vision:me/gone")
    assert "config.json" in str(caught.value)
    assert "hf download me/gone" in str(caught.value)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", closed)
    with pytest.raises(UserError, match="is not reachable within 3 s"):
        HubModels().offer("hf_vision:me/gone")
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no config.json and no preprocessor_config.json"),
        ({"config.json": "{}"}, "no preprocessor_config.json"),
        ({"config.json": "{}", "preprocessor_config.json": "{}"}, "no network of transformers"),
        ({"config.json": '{"model_type": "resnet"}', "preprocessor_config.json": "{"}, "how this network wants"),
    ],
)
def test_folders_that_are_no_networks_are_refused(files: dict[str, str], reason: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=reason):
        HubModels().offer(f"hf_vision:{tmp_path}")


def test_a_network_that_classifies_no_images_is_refused(save_network: SaveNetwork) -> None:
    folder = save_network("vit")
    hf.BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2).save_pretrained(folder)
    with pytest.raises(UserError, match="cannot be built to classify images"):
        built(folder)


def test_values_of_the_configuration_can_be_set(save_network: SaveNetwork) -> None:
    folder = save_network("convnext")
    model = built(folder, args={"drop_path_rate": 0.5})
    assert model.module.network.config.drop_path_rate == 0.5
    assert model.spec.args == {"drop_path_rate": 0.5}
    with pytest.raises(UserError, match="it follows the data"):
        built(folder, args={"num_labels": 7})
    with pytest.raises(UserError, match="has no 'drop_path'") as caught:
        built(folder, args={"drop_path": 0.5})
    assert "drop_path_rate" in str(caught.value)
