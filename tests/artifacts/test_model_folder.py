from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import timm
import torch
from safetensors import safe_open
from torch import nn

from zoo.artifacts.model_folder import Part, fill, load_model_folder, rebuild, save_model
from zoo.artifacts.saved_model import SavedModel, card_digest
from zoo.contracts.data import Task
from zoo.contracts.model import Model
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.models.build import replace_head
from zoo.models.surgery import change_network
from zoo.plugins import load_plugins
from zoo.registry import Registry

FILES = ["config.json", "model.safetensors", "zoo.json"]
CLASSES = ("cat", 'a "dog", big', "鸟")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_plugins(only=[]).registry


def randomised(model: Model) -> Model:
    """All parameters and statistics away from what a new network starts with: zero scales would hide differences."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in model.module.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.2 * torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    return model


def build(registry: Registry, name: str, *, head: Part | None = None, size: int = 32, channels: int = 3, **options):
    torch.manual_seed(0)
    model = registry.get("model", name).build(classes=len(CLASSES), channels=channels, image_size=size, **options)
    if head is not None:
        module = registry.get("head", head.name).build(
            features=model.spec.feature_dim, classes=len(CLASSES), **head.options
        )
        model = replace_head(model, module)
    return randomised(model)


def save(folder: Path, model: Model, **more) -> SavedModel:
    given = {
        "classes": CLASSES,
        "preprocess": model.spec.preprocess,
        "task": Task.SINGLE_LABEL,
        "origin": {"run": "2026-11-23/12-00-01-resnet18-photos"},
    }
    return save_model(folder, model, **given | more)


def logits(module: nn.Module, size: int = 32, channels: int = 3) -> torch.Tensor:
    images = torch.randn(3, channels, size, size, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return module.eval()(images)


@pytest.fixture(scope="module")
def lenet(registry) -> Model:
    return build(registry, "zoo/lenet5")


@pytest.fixture
def saved(lenet, tmp_path) -> SavedModel:
    return save(tmp_path / "model", lenet)


NETWORKS = [
    ("timm/resnet18", {}, 32, 3),
    ("timm/resnet18", {"pool": "max"}, 64, 1),
    ("timm/tf_efficientnet_lite0", {}, 64, 3),
    ("timm/tf_efficientnet_lite0", {"drop_path": 0.2}, 32, 4),
    ("timm/vit_tiny_patch16_224", {}, 64, 3),
    ("timm/mobilenetv3_small_050", {}, 64, 3),
]


@pytest.mark.parametrize(("name", "options", "size", "channels"), NETWORKS)
def test_timm_loads_the_folder_with_the_same_logits(registry, tmp_path, name, options, size, channels):
    linear = Part("zoo/linear")
    model = build(registry, name, head=linear, size=size, channels=channels, **options)
    saved = save(tmp_path / "model", model, head=linear, model_options=options)
    assert (saved.timm_loadable, saved.timm_note) == (True, "")
    other = timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True)
    expected = logits(model.module, size, channels)
    assert expected.std() > 1e-3
    torch.testing.assert_close(logits(other, size, channels), expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(
        logits(timm.create_model(saved.arch, num_classes=3, **_shape(saved)), size, channels), expected
    )


def _shape(saved: SavedModel) -> dict:
    return {"in_chans": saved.preprocess.channels} | dict(saved.args)


@pytest.mark.parametrize(("name", "options", "size", "channels"), NETWORKS)
def test_rebuild_gives_the_same_logits_to_the_bit(registry, tmp_path, name, options, size, channels):
    head = Part("zoo/mlp", {"hidden": 7, "dropout": 0.1})
    model = build(registry, name, head=head, size=size, channels=channels, **options)
    save(tmp_path / "model", model, head=head, model_options=options)
    again = rebuild(
        load_model_folder(tmp_path / "model"), registry, replace_head=replace_head, change_network=change_network
    )
    assert torch.equal(logits(again.module, size, channels), logits(model.module, size, channels))
    assert again.spec.preprocess == model.spec.preprocess
    assert again.spec.name == model.spec.name


def test_timm_reads_preprocessing_and_labels(registry, tmp_path):
    model = build(registry, "timm/resnet18", head=Part("zoo/linear"))
    odd = Preprocess(40, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "pad", 0.9, "bilinear")
    save(tmp_path / "model", model, preprocess=odd, head=Part("zoo/linear"))
    other = timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True)
    found = timm.data.resolve_data_config({}, model=other)
    assert tuple(found["input_size"]) == (3, 40, 40)
    assert tuple(found["mean"]) == (0.1, 0.2, 0.3)
    assert tuple(found["std"]) == (0.4, 0.5, 0.6)
    assert found["interpolation"] == "bilinear"
    assert found["crop_mode"] == "border"
    assert found["crop_pct"] == 1.0
    assert list(other.pretrained_cfg["label_names"]) == list(CLASSES)
    assert other.num_classes == 3


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_timms_transform_shows_the_network_what_zoo_shows_it(registry, tmp_path, resize):
    import numpy as np
    from PIL import Image

    preprocess = Preprocess(32, (0.5, 0.4, 0.3), (0.2, 0.3, 0.2), resize, 1.0, "bicubic")
    model = build(registry, "timm/resnet18", head=Part("zoo/linear"))
    save(tmp_path / "model", model, preprocess=preprocess, head=Part("zoo/linear"))
    other = timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True)
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=other))
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    ours = preprocess.normalise(torch.from_numpy(np.array(preprocess(pixels)))[None])[0]
    torch.testing.assert_close(transform(Image.fromarray(pixels)), ours, atol=0.02, rtol=0)


@pytest.mark.parametrize("head", [Part("zoo/mlp", {"hidden": 5}), Part("zoo/cosine")])
def test_another_head_is_not_timms_and_timm_says_so(registry, tmp_path, head):
    model = build(registry, "timm/resnet18", head=head)
    saved = save(tmp_path / "model", model, head=head)
    assert not saved.timm_loadable
    assert saved.timm_note
    with pytest.raises(RuntimeError, match=r"load it with zoo\.load"):
        timm.create_model(f"local-dir:{tmp_path / 'model'}", pretrained=True)


def test_a_network_that_answers_otherwise_than_timms_is_found_out(registry, tmp_path):
    model = build(registry, "timm/resnet18", head=Part("zoo/linear"))
    model.module.maxpool = nn.AvgPool2d(3, 2, 1)
    saved = save(tmp_path / "model", model, head=Part("zoo/linear"))
    assert not saved.timm_loadable
    assert "logits differ" in saved.timm_note


def test_networks_of_other_libraries_say_that_timm_is_not_theirs(saved):
    assert not saved.timm_loadable
    with pytest.raises(RuntimeError, match=r"load it with zoo\.load"):
        timm.create_model(f"local-dir:{saved.folder}", pretrained=True)


def test_save_model_leaves_three_files_and_nothing_else(saved):
    assert sorted(os.listdir(saved.folder)) == FILES
    assert os.listdir(saved.folder.parent) == ["model"]


def test_saved_tensors_are_float32_and_the_state_dict(lenet, saved):
    with safe_open(saved.tensors_path, "pt") as stored:
        assert stored.metadata() == {"format": "pt"}
        found = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    wanted = lenet.module.state_dict()
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor)


def test_save_model_widens_half_precision_and_strange_layouts(registry, tmp_path):
    model = build(registry, "zoo/lenet5")
    expected = {name: tensor.bfloat16().float() for name, tensor in model.module.state_dict().items()}
    model.module.to(torch.bfloat16).to(memory_format=torch.channels_last)
    saved = save(tmp_path / "model", model)
    for name, tensor in saved.tensors().items():
        assert tensor.is_contiguous()
        assert tensor.dtype == (torch.float32 if expected[name].is_floating_point() else expected[name].dtype)
        assert torch.equal(tensor, expected[name])


def test_save_model_leaves_mode_and_random_state_as_they_were(registry, tmp_path):
    model = build(registry, "timm/resnet18", head=Part("zoo/linear"))
    model.module.train()
    model.module.bn1.eval()
    before = torch.get_rng_state()
    save(tmp_path / "model", model, head=Part("zoo/linear"))
    assert model.module.training
    assert model.module.layer1.training
    assert not model.module.bn1.training
    assert torch.equal(torch.get_rng_state(), before)


def test_load_model_folder_gives_everything_back(registry, tmp_path):
    model = build(registry, "zoo/lenet5")
    saved = save(
        tmp_path / "model",
        model,
        task=Task.MULTI_LABEL,
        thresholds=(0.25, 0.5, 0.75),
        temperature=1.25,
        head=Part("zoo/mlp", {"hidden": 9}),
        model_options={"activation": "tanh"},
        model_name="zoo/lenet5",
        origin={"data": {"fingerprint": "abc"}, "weights": None},
    )
    found = load_model_folder(tmp_path / "model")
    assert found == saved
    assert found.classes == CLASSES
    assert found.task is Task.MULTI_LABEL
    assert found.thresholds == (0.25, 0.5, 0.75)
    assert found.temperature == 1.25
    assert found.head == Part("zoo/mlp", {"hidden": 9})
    assert found.model == Part("zoo/lenet5", {"activation": "tanh"})
    assert found.preprocess == model.spec.preprocess
    assert found.origin == {"data": {"fingerprint": "abc"}, "weights": None}
    assert found.sha256["model.safetensors"] == hashlib.sha256(found.tensors_path.read_bytes()).hexdigest()


def test_load_model_folder_takes_a_run_folder_too(saved):
    assert load_model_folder(saved.folder.parent) == saved


def test_the_folder_can_be_moved(saved, tmp_path, registry):
    moved = tmp_path / "elsewhere" / "it's a (model)"
    moved.parent.mkdir()
    shutil.move(saved.folder, moved)
    found = load_model_folder(moved)
    assert dataclasses.replace(found, folder=saved.folder) == saved
    rebuild(found, registry, replace_head=replace_head, change_network=change_network)


def test_no_file_of_the_folder_is_a_pickle(saved):
    for name in FILES:
        assert not (saved.folder / name).read_bytes().startswith((b"\x80", b"PK"))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, 0.5, -1])
def test_a_flipped_byte_is_refused(saved, name, place):
    path = saved.folder / name
    content = bytearray(path.read_bytes())
    index = place if isinstance(place, int) else int(place * len(content))
    content[index] ^= 0x01
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"hash differs|no valid JSON|does not say its format"):
        load_model_folder(saved.folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(saved, name):
    (saved.folder / name).unlink()
    with pytest.raises(UserError, match=r"is missing from|there is no saved model"):
        load_model_folder(saved.folder)


def edit(saved: SavedModel, *, seal: bool, **change) -> None:
    """Changes zoo.json, and with `seal` its own hash too, as an exact forger would."""
    path = saved.folder / "zoo.json"
    card = json.loads(path.read_text()) | change
    if seal:
        card["sha256"]["zoo.json"] = card_digest(card)
    path.write_text(json.dumps(card))


@pytest.mark.parametrize(
    "change", [{"classes": ["cat", "dog"]}, {"classes": ["x", "y", "z"]}, {"temperature": 9.0}, {"origin": {}}]
)
def test_an_edited_card_is_refused(saved, change):
    edit(saved, seal=False, **change)
    with pytest.raises(UserError, match=r"zoo\.json is not what was saved"):
        load_model_folder(saved.folder)


def test_a_card_that_is_only_laid_out_anew_is_taken(saved):
    edit(saved, seal=False)
    assert load_model_folder(saved.folder) == saved


def test_another_number_of_classes_does_not_fit_the_tensors_even_when_sealed(saved, registry):
    edit(saved, seal=True, classes=["cat", "dog"])
    found = load_model_folder(saved.folder)
    with pytest.raises(UserError, match="2 of another shape"):
        rebuild(found, registry, replace_head=replace_head, change_network=change_network)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "has format 2; this zoo reads up to 1"),
        ({"format": "1"}, "does not say its format"),
        ({"classes": ["a", "a", "b"]}, "different strings"),
        ({"classes": []}, "at least one"),
        ({"classes": 3}, "damaged"),
        ({"thresholds": [0.5, 0.5, 0.5]}, "no effect"),
        ({"temperature": 0}, "not above 0"),
        ({"temperature": None}, "damaged"),
        ({"task": "regression"}, "damaged"),
        ({"preprocess": {}}, "damaged"),
        ({"stranger": 1}, "damaged"),
        ({"sha256": {}}, "hash differs"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(saved, change, message):
    edit(saved, seal="sha256" not in change, **change)
    with pytest.raises(UserError, match=message):
        load_model_folder(saved.folder)


def test_a_card_that_is_no_object_is_refused(saved):
    (saved.folder / "zoo.json").write_text("[]")
    with pytest.raises(UserError, match="not what was saved"):
        load_model_folder(saved.folder)


def test_an_empty_or_missing_folder_is_no_model(tmp_path):
    with pytest.raises(UserError, match="no saved model"):
        load_model_folder(tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        load_model_folder(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ("a", "a", "b")}, "different strings"),
        ({"classes": ()}, "at least one"),
        ({"temperature": 0.0}, "not above 0"),
        ({"temperature": float("nan")}, "not above 0"),
        ({"thresholds": (0.5, 0.5, 0.5)}, "no effect"),
        ({"task": Task.MULTI_LABEL, "thresholds": (0.5,)}, "1 thresholds for 3 labels"),
        ({"task": Task.MULTI_LABEL, "thresholds": (0.5, 0.5, 1.0)}, "between 0 and 1"),
    ],
)
def test_save_model_refuses_parts_that_do_not_fit(lenet, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        save(tmp_path / "model", lenet, **change)
    assert os.listdir(tmp_path) == []


def test_save_model_replaces_an_older_one(lenet, saved):
    again = save(saved.folder, lenet, classes=("x", "y", "z"))
    assert load_model_folder(saved.folder) == again
    assert again.classes == ("x", "y", "z")
    assert os.listdir(saved.folder.parent) == ["model"]


def test_save_model_replaces_no_folder_of_others(lenet, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="something else than a saved model"):
        save(tmp_path / "model", lenet)
    assert (tmp_path / "model" / "thesis.txt").read_text() == "mine"
    with pytest.raises(UserError, match="something else"):
        save(tmp_path / "model" / "thesis.txt", lenet)


def test_save_model_takes_an_empty_folder(lenet, tmp_path):
    (tmp_path / "model").mkdir()
    save(tmp_path / "model", lenet)
    load_model_folder(tmp_path / "model")


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_full_disk_leaves_the_last_good_model(lenet, saved, monkeypatch, call):
    with monkeypatch.context() as patch:
        patch.setattr(os, call, _full)
        with pytest.raises(UserError, match="the disk is full") as caught:
            save(saved.folder, lenet, classes=("x", "y", "z"))
    assert caught.value.where == str(saved.folder)
    assert load_model_folder(saved.folder) == saved
    assert os.listdir(saved.folder.parent) == ["model"]


def test_a_disk_that_fills_up_while_tensors_are_written_leaves_the_last_good_model(lenet, saved):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(UserError, match="the disk is full"):
            save(saved.folder, lenet, classes=("x", "y", "z"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load_model_folder(saved.folder) == saved
    assert os.listdir(saved.folder.parent) == ["model"]


def test_the_old_model_comes_back_when_the_new_one_cannot_take_its_place(lenet, saved, monkeypatch):
    rename, calls = os.rename, []

    def fail_second(source, target):
        calls.append(target)
        if len(calls) == 2:
            _full()
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail_second)
        with pytest.raises(UserError, match="the disk is full"):
            save(saved.folder, lenet, classes=("x", "y", "z"))
    assert len(calls) == 3
    assert load_model_folder(saved.folder) == saved


def test_a_kill_between_the_two_renames_is_explained(lenet, saved, monkeypatch):
    rename, calls = os.rename, []

    def die_at_second(source, target):
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", die_at_second)
        with pytest.raises(KeyboardInterrupt):
            save(saved.folder, lenet)
    with pytest.raises(UserError, match="the old one is whole: mv ") as caught:
        load_model_folder(saved.folder)
    aside = Path(caught.value.do[0].split()[-2])
    os.rename(aside, saved.folder)
    assert load_model_folder(saved.folder) == saved


def test_rebuild_names_a_plugin_component_that_is_gone(saved, registry):
    edit(saved, seal=True, head={"name": "acme/magic", "options": {}})
    with pytest.raises(UserError, match="unknown head 'acme/magic'"):
        rebuild(load_model_folder(saved.folder), registry, replace_head=replace_head, change_network=change_network)


def test_fill_refuses_tensors_of_another_network(saved, registry):
    other = build(registry, "timm/resnet18")
    before = other.module.fc.weight.clone()
    with pytest.raises(UserError, match=r"the saved tensors do not fit zoo/lenet5: 122 missing .* left over"):
        fill(other.module, saved)
    assert torch.equal(other.module.fc.weight, before)


def test_the_card_reads_as_the_design_says(registry, tmp_path):
    linear = Part("zoo/linear")
    model = build(registry, "timm/vit_tiny_patch16_224", head=linear, size=64)
    save(tmp_path / "model", model, head=linear, temperature=1.5)
    card = json.loads((tmp_path / "model" / "zoo.json").read_text())
    assert card["format"] == 1
    assert card["library"] == "timm"
    assert card["arch"] == "vit_tiny_patch16_224"
    assert card["model"] == {"name": "timm/vit_tiny_patch16_224", "options": {}}
    assert card["head"] == {"name": "zoo/linear", "options": {}}
    assert card["args"] == {"img_size": 64}
    assert card["classes"] == list(CLASSES)
    assert card["temperature"] == 1.5
    assert card["thresholds"] is None
    assert card["timm_loadable"] is True
    assert set(card["sha256"]) == set(FILES)
    assert "folder" not in card
    assert str(tmp_path) not in json.dumps(card)
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["model_args"] == {"img_size": 64, "num_classes": 3, "in_chans": 3}
    assert config["pretrained_cfg"]["custom_load"] is False
    assert "hf_hub_id" not in config["pretrained_cfg"]
    assert config["label_names"] == list(CLASSES)
