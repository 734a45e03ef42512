"""A finished run becomes a float16 file and a card; anything else is refused."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file
from zoo_plugins.starter import packing
from zoo_plugins.starter_weights import StarterCard

import zoo
from zoo.artifacts.record import RunRecord
from zoo.errors import UserError


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    zoo.finetune("weights=none", "train.epochs=1", "train.precision=fp32", f"run.dir={folder}", model="lenet5")
    return folder


def pack(run, out, **changes):
    given = {"name": "net", "networks": ["zoo/lenet5"], "what": "a test", "license": "none"} | changes
    return packing.pack_starter(run, out, **given)


def test_tensors_are_those_of_the_run_in_half_the_bits(finished, tmp_path):
    card = StarterCard.read(pack(finished, tmp_path))
    packed, own = load_file(tmp_path / card.file), load_file(finished / "model" / "model.safetensors")
    assert set(packed) == set(own)
    for name, value in own.items():
        if value.is_floating_point():
            assert packed[name].dtype is torch.float16
            assert torch.equal(packed[name], value.half())
        else:
            assert torch.equal(packed[name], value)


def test_card_says_what_the_run_says(finished, tmp_path):
    card, record = StarterCard.read(pack(finished, tmp_path)), RunRecord.load(finished / "record.json")
    assert card.score == record.scores["val"]["accuracy"]["value"]
    assert card.labels == tuple("0123456789")
    assert card.facts["data"]["fingerprint"] == record.data.fingerprint
    assert card.facts["seed"] == 0
    assert card.facts["training_s"] > 0
    assert str(finished) not in str(card.facts)
    assert card.preprocess.size == 32


def test_labels_replace_class_numbers_one_for_each(finished, tmp_path):
    table = tmp_path / "classes.tsv"
    table.write_text("".join(f"n{i}\tthing {i}, stuff\n" for i in range(10)))
    words = f"{finished} --name net --networks zoo/lenet5 --what x --license y --labels {table} --out {tmp_path}"
    packing.main(words.split())
    assert StarterCard.read(tmp_path / "net.json").labels == tuple(f"thing {i}" for i in range(10))
    with pytest.raises(UserError, match="2 different labels for 10 classes"):
        pack(finished, tmp_path, labels=["a", "b"])


def test_a_run_that_is_not_finished_is_refused(finished, tmp_path):
    half = tmp_path / "half"
    half.mkdir()
    (half / "model").symlink_to(finished / "model")
    dataclasses.replace(RunRecord.load(finished / "record.json"), status="interrupted").save(half / "record.json")
    with pytest.raises(UserError, match="not finished"):
        pack(half, tmp_path)
