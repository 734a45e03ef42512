from __future__ import annotations

import dataclasses
import json
from importlib import metadata

import numpy as np
import pytest

from zoo.artifacts.record import (
    FORMAT,
    ComponentUse,
    DataUse,
    Environment,
    RunRecord,
    check_format,
)
from zoo.contracts.data import BadFile, DataBundle, DataFacts, Task
from zoo.contracts.model import LoadReport
from zoo.errors import UserError
from zoo.machine import usable_cores
from zoo.registry import Entry, Offer, Origin


def bundle() -> DataBundle:
    return DataBundle(
        name="clothing",
        location="../data/clothing",
        task=Task.SINGLE_LABEL,
        classes=("hat", "衣服"),
        channels=3,
        images=[],
        keys=("a", "b", "c"),
        targets=np.array([0, 1, 0]),
        splits={"train": np.array([0, 1]), "val": np.array([2])},
        quarantined=(BadFile("bad.jpg", "empty file (0 bytes)"),),
        fingerprint="abc123",
        facts=DataFacts("clothing", 2, Task.SINGLE_LABEL, 3, 2, 1, 1, 64),
        notes=("a test split was not made",),
    )


def record() -> RunRecord:
    return RunRecord(
        status="finished",
        started="2026-11-23T12:00:01+01:00",
        finished="2026-11-23T12:05:00+01:00",
        environment=Environment.here(device="cpu"),
        model="timm/resnet18",
        seed=7,
        components=(ComponentUse("head", "zoo/linear", "zoo.heads", "zoo", "0.1.0"),),
        data=DataUse.of(bundle()),
        weights=LoadReport(
            "package", "/x/y.pth", "f" * 64, "in1k", 294, ("fc.weight", "fc.bias"), (), ("conv1.weight",)
        ),
        choices={"threads": 2, "precision": "bf16", "measured": {"fp32": 0.25, "bf16": 0.125}},
        timings={"data": 1.5, "training": 60.25},
        scores={"val": {"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95}}},
        config={"optimizer": {"name": "torch/sgd", "lr": 0.01}},
        origins={"optimizer.lr": "command line"},
        overrides=("optimizer=sgd", "optimizer.lr=0.01"),
    )


def test_record_round_trips_through_a_file(tmp_path):
    path = record().save(tmp_path / "record.json")
    assert RunRecord.load(path) == record()


def test_record_of_a_run_that_has_only_begun_round_trips(tmp_path):
    begun = RunRecord(status="running", started="t", environment=Environment.here(device="cpu"), model="m", seed=0)
    assert RunRecord.load(begun.save(tmp_path / "record.json")) == begun


def test_record_file_is_plain_json_that_says_its_format(tmp_path):
    values = json.loads(record().save(tmp_path / "record.json").read_text())
    assert next(iter(values)) == "format"
    assert values["format"] == FORMAT
    assert values["weights"]["sha256"] == "f" * 64
    assert values["data"]["splits"] == {"train": 2, "val": 1}
    assert values["data"]["classes"] == ["hat", "衣服"]
    assert values["data"]["quarantined"] == [{"key": "bad.jpg", "reason": "empty file (0 bytes)"}]
    assert values["components"][0]["version"] == "0.1.0"
    assert values["origins"] == {"optimizer.lr": "command line"}


def test_record_writes_nan_as_null(tmp_path):
    odd = dataclasses.replace(record(), scores={"val": {"loss": float("nan")}})
    assert RunRecord.load(odd.save(tmp_path / "r.json")).scores == {"val": {"loss": None}}


def test_environment_names_the_versions_that_matter():
    found = Environment.here(device="cuda (NVIDIA X)", processes=2, also=["pytest", "no-such-distribution"])
    assert found.versions["torch"] == metadata.version("torch")
    assert found.versions["timm"] == metadata.version("timm")
    assert found.versions["pytest"] == metadata.version("pytest")
    assert "no-such-distribution" not in found.versions
    assert found.processes == 2
    assert found.python.startswith("3.")
    assert 1 <= found.cores == usable_cores()


def test_component_use_takes_the_origin_from_the_registry():
    entry = Entry("optimizer", "lion", Offer("m:Lion", "s"), Origin("acme.optimizers", "zoo-acme", "2.1"))
    assert ComponentUse.of(entry) == ComponentUse("optimizer", "acme/lion", "acme.optimizers", "zoo-acme", "2.1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": FORMAT + 1}, "has format 2; this zoo reads up to 1"),
        ({"format": None}, "does not say its format"),
        ({"format": True}, "does not say its format"),
        ({"format": 0}, "does not say its format"),
        ({"environment": {}}, "damaged"),
        ({"stranger": 1}, "damaged"),
        ({"components": [{"kind": "head"}]}, "damaged"),
    ],
)
def test_from_dict_refuses_what_it_cannot_read(change, message):
    with pytest.raises(UserError, match=message):
        RunRecord.from_dict(record().to_dict() | change)


def test_from_dict_refuses_a_missing_part():
    values = record().to_dict()
    del values["environment"]
    with pytest.raises(UserError, match="KeyError: 'environment'"):
        RunRecord.from_dict(values)


@pytest.mark.parametrize(("content", "message"), [("[]", "no object"), ("{", "no valid JSON")])
def test_load_refuses_a_damaged_file(tmp_path, content, message):
    path = tmp_path / "record.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        RunRecord.load(path)
    path.unlink()
    with pytest.raises(UserError, match=r"record\.json is missing"):
        RunRecord.load(path)


def test_check_format_takes_known_generations():
    for number in (1, 2, 3):
        check_format({"format": number}, 3, what="it")
