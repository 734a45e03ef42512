import argparse
import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from zoo.contracts.model import ModelSpec
from zoo.errors import UserError
from zoo.files import sealed_digest, sha256_of
from zoo.imaging.preprocess import Preprocess
from zoo.weights.files import SUFFIXES, check_sha256, preprocess_from_config, read_path, read_tensors

NATIVE = Preprocess(224, (0.5,) * 3, (0.5,) * 3)
SPEC = ModelSpec("timm/net", "timm", "net", "fc", 3, (), NATIVE)
TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2), "n": torch.tensor(7)}


def same(left, right) -> bool:
    return list(left) == list(right) and all(torch.equal(left[name], right[name]) for name in right)


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix != ".safetensors"])
def test_read_tensors_reads_torch_files(tmp_path, suffix):
    torch.save(TENSORS, tmp_path / f"w{suffix}")
    assert same(read_tensors(tmp_path / f"w{suffix}"), TENSORS)


def test_read_tensors_reads_safetensors(tmp_path):
    save_file(TENSORS, tmp_path / "w.safetensors")
    read = read_tensors(tmp_path / "w.safetensors")
    assert same({name: read[name] for name in TENSORS}, TENSORS)


def test_read_tensors_reads_files_of_the_oldest_format(tmp_path):
    torch.save(TENSORS, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert same(read_tensors(tmp_path / "w.pth"), TENSORS)


def test_read_tensors_takes_the_averaged_weights_out_of_a_checkpoint(tmp_path):
    raw = {name: value + 1 for name, value in TENSORS.items()}
    checkpoint = {"epoch": 3, "state_dict": raw, "state_dict_ema": {f"module.{k}": v for k, v in TENSORS.items()}}
    torch.save(checkpoint, tmp_path / "w.pth")
    assert same(read_tensors(tmp_path / "w.pth"), TENSORS)
    torch.save({"model": {f"_orig_mod.{k}": v for k, v in TENSORS.items()}}, tmp_path / "m.pth")
    assert same(read_tensors(tmp_path / "m.pth"), TENSORS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        ({"state_dict": TENSORS, "args": argparse.Namespace(lr=1)}, "argparse.Namespace"),
    ],
)
def test_read_tensors_refuses_a_pickle_that_would_run_code(tmp_path, content, words):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match="run code") as caught:
        read_tensors(tmp_path / "w.pth")
    assert words in str(caught.value)
    assert "state_dict()" in str(caught.value)


def test_read_tensors_never_runs_what_a_pickle_says(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "burst"), "w"))

    torch.save({"a": Bomb()}, tmp_path / "w.pth")
    with pytest.raises(UserError):
        read_tensors(tmp_path / "w.pth")
    assert not (tmp_path / "burst").exists()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("damage", ["empty", "torn", "html", "words"])
def test_read_tensors_says_that_a_file_is_damaged(tmp_path, name, damage):
    path = tmp_path / name
    (torch.save if name.endswith("pth") else save_file)(TENSORS, path)
    found, words = b"<!DOCTYPE html><p>Not found</p>", b"these are words\n"
    content = {"empty": b"", "torn": path.read_bytes()[:-200], "html": found, "words": words}[damage]
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read") as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [[torch.ones(2)], {"a": 3}, {}, {"a": torch.ones(1), "lr": 0.1}])
def test_read_tensors_refuses_what_is_no_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match="tensors by name"):
        read_tensors(tmp_path / "w.pth")


def test_hashes_are_those_of_the_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"zoo")
    expected = hashlib.sha256(b"zoo").hexdigest()
    assert sha256_of(tmp_path / "f") == expected
    check_sha256(tmp_path / "f", expected)
    check_sha256(tmp_path / "f", expected[:8])
    check_sha256(tmp_path / "f", "")
    with pytest.raises(UserError, match="not the published one"):
        check_sha256(tmp_path / "f", "0" * 8)


def test_read_path_takes_a_file_and_says_that_its_input_is_assumed(tmp_path):
    torch.save(TENSORS, tmp_path / "w.pth")
    found = read_path(tmp_path / "w.pth", SPEC)
    assert (found.source, found.path, found.record.preprocess) == ("file", tmp_path / "w.pth", NATIVE)
    assert "does not say" in found.note
    assert same(found.tensors, TENSORS)


def test_read_path_refuses_what_is_not_there_or_of_unknown_form(tmp_path):
    with pytest.raises(UserError, match="no file or folder") as caught:
        read_path(tmp_path / "gone.pth", SPEC)
    assert "auto, none" in str(caught.value)
    (tmp_path / "w.h5").write_bytes(b"x")
    with pytest.raises(UserError, match=r"\.h5 is no form"):
        read_path(tmp_path / "w.h5", SPEC)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="holds no weights"):
        read_path(tmp_path / "folder", SPEC)


def saved_folder(folder, **changes):
    folder.mkdir(parents=True)
    save_file(TENSORS, folder / "model.safetensors")
    card = {
        "library": "timm",
        "arch": "net",
        "classes": ["cat", "dog"],
        "preprocess": NATIVE.with_size(64).to_dict(),
        "sha256": {"model.safetensors": sha256_of(folder / "model.safetensors")},
    }
    card |= changes
    card["sha256"]["zoo.json"] = sealed_digest(card, "zoo.json")
    (folder / "zoo.json").write_text(json.dumps(card))
    return folder


def test_read_path_reads_a_saved_model_and_the_run_it_lies_in(tmp_path):
    saved_folder(tmp_path / "run" / "model")
    model = tmp_path / "run" / "model"
    for place in (tmp_path / "run", model, model / "model.safetensors"):
        found = read_path(place, SPEC)
        assert found.record.preprocess == NATIVE.with_size(64)
        assert found.record.classes == 2
        assert found.path == tmp_path / "run" / "model" / "model.safetensors"


def test_read_path_refuses_a_saved_model_of_another_network_or_a_changed_one(tmp_path):
    with pytest.raises(UserError, match="weights of timm/other, not of timm/net"):
        read_path(saved_folder(tmp_path / "a", arch="other"), SPEC)
    with pytest.raises(UserError, match="damaged"):
        read_path(saved_folder(tmp_path / "b", preprocess=None), SPEC)
    folder = saved_folder(tmp_path / "c")
    save_file({**TENSORS, "a.bias": torch.zeros(2)}, folder / "model.safetensors")
    with pytest.raises(UserError, match=r"model\.safetensors is not what was saved"):
        read_path(folder, SPEC)
    card = saved_folder(tmp_path / "d") / "zoo.json"
    card.write_text(card.read_text().replace('"size": 64', '"size": 32'))
    with pytest.raises(UserError, match=r"zoo\.json is not what was saved"):
        read_path(tmp_path / "d", SPEC)
    (folder / "zoo.json").write_text("{")
    with pytest.raises(UserError, match="JSON"):
        read_path(folder, SPEC)


def test_read_path_knows_the_name_and_licence_of_a_published_model(tmp_path):
    facts = {"published": {"name": "pets", "license": "cc0-1.0"}}
    record = read_path(saved_folder(tmp_path / "pets", origin=facts), SPEC).record
    assert (record.tag, record.license) == ("published/pets", "cc0-1.0")
    assert read_path(saved_folder(tmp_path / "own", origin={"run": "x"}), SPEC).record.license is None


def test_read_path_reads_a_folder_in_timms_form(tmp_path):
    save_file(TENSORS, tmp_path / "model.safetensors")
    cfg = {"input_size": [3, 96, 96], "mean": [0.1] * 3, "std": [0.2] * 3, "crop_pct": 0.9, "interpolation": "bilinear",
           "crop_mode": "squash", "tag": "mine", "license": "mit"}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "net", "num_classes": 2, "pretrained_cfg": cfg}))
    record = read_path(tmp_path, SPEC).record
    assert record.preprocess == Preprocess(96, (0.1,) * 3, (0.2,) * 3, "squash", 0.9, "bilinear")
    assert (record.classes, record.tag, record.license) == (2, "mine", "mit")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "other", "pretrained_cfg": cfg}))
    with pytest.raises(UserError, match="weights of timm/other"):
        read_path(tmp_path, SPEC)


def test_read_path_reads_what_timm_itself_saves(tmp_path):
    import timm

    network = timm.create_model("test_vit", num_classes=4)
    timm.models.save_for_hf(network, tmp_path)
    spec = ModelSpec("timm/test_vit", "timm", "test_vit", "head", 64, (), NATIVE)
    found = read_path(tmp_path, spec)
    assert found.record.classes == 4
    assert found.record.preprocess.size == network.pretrained_cfg["input_size"][1]
    assert same({name: found.tensors[name] for name in network.state_dict()}, network.state_dict())


def test_preprocess_from_config_takes_timms_defaults():
    assert preprocess_from_config({}) == Preprocess(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert preprocess_from_config({"input_size": (3, 1024, 768), "crop_mode": "border"}).size == 768
    assert preprocess_from_config({"crop_pct": 1.15}).crop_share == 1.0
