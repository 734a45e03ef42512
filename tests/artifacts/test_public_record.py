"""A published record holds no place on its owner's machine, and is still a record."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.artifacts.public_record import public_record, without_places
from zoo.artifacts.record import DataUse, Environment, RunRecord
from zoo.contracts.data import BadFile, Task
from zoo.contracts.model import LoadReport


def record(data: str, *, weights: str = "auto", run: str = "runs/a", notes: tuple[str, ...] = (), **more) -> RunRecord:
    values = {
        "status": "finished",
        "started": "2026-11-25T08:00:00+00:00",
        "environment": Environment({"zoo": "0.1.0"}, "3.11.7", "Linux", "cpu", 2),
        "model": "timm/resnet18",
        "seed": 0,
        "data": DataUse(
            data.replace("\\", "/").rpartition("/")[2], data, Task.SINGLE_LABEL, ("a",), 3, "f" * 64, {"train": 3},
            (BadFile("anna mueller/1.png", "torn"),), notes,
        ),
        "weights": LoadReport("file", f"{weights}/model.safetensors", "e" * 64, "", 1, (), ()),
        "config": {
            "data": {"name": "zoo/folder", "path": data, "cache_dir": "/home/anna/cache", "val_fraction": 0.5},
            "model": {"name": "timm/resnet18"},
            "weights": weights,
            "run": {"root": "runs", "dir": run},
        },
        "origins": {"model.depth": "file /home/anna/m/zoo.json", "run.dir": "command line", "data.path": "default"},
        "overrides": (f"data={data}", f"weights={weights}", f"run.dir={run}", "train.epochs=1/2", f"data='{data}'"),
    }  # fmt: skip
    return RunRecord(**values | more)


PLACES = ["/home/anna/my photos", "~/photos", "../anna/photos", "C:\\Users\\anna\\photos", "secret/anna/photos"]


@pytest.mark.parametrize("place", PLACES)
def test_places_are_left_out_and_their_last_part_stays(place):
    note = f"splits made; left out {place}/x.png, see {place}"
    public = public_record(record(place, weights=f"{place}/run", run=f"{place}/runs/1", notes=(note,)))
    text = json.dumps(public.to_dict())
    assert "anna" not in text.replace("my photos", "")
    assert "/home" not in text
    assert public.config["data"]["path"] in ("my photos", "photos")
    assert public.config["weights"] == "run"
    assert public.weights.location == "model.safetensors"
    assert public.overrides[0] == f"data={public.config['data']['path']}"
    assert RunRecord.from_dict(json.loads(text)) == RunRecord.from_dict(public.to_dict())


def test_all_that_is_no_place_stays():
    before = record("/home/anna/photos", notes=("3 of 4 kept (75 %)", "https://example.org/a/b is the source"))
    public = public_record(before)
    assert public.config["model"] == before.config["model"]
    assert public.config["data"]["val_fraction"] == 0.5
    assert "train.epochs=1/2" in public.overrides
    assert public.data.notes[:2] == before.data.notes
    assert public.data.fingerprint == before.data.fingerprint
    assert public.weights.sha256 == before.weights.sha256
    assert public.config["weights"] == "auto"


def test_quarantined_files_are_counted_and_not_named():
    public = public_record(record("/home/anna/photos"))
    assert public.data.quarantined == ()
    assert public.data.notes[-1] == "1 files could not be read and were left out"
    assert "mueller" not in json.dumps(public.to_dict())


def test_the_runs_own_folder_and_caches_go():
    public = public_record(record("/home/anna/photos"))
    assert "run" not in public.config
    assert "cache_dir" not in public.config["data"]
    assert not any(key.startswith("run.") for key in public.origins)
    assert public.origins["model.depth"] == "file zoo.json"


def test_a_record_without_data_and_weights_is_one_too():
    bare = dataclasses.replace(
        record("/home/anna/photos"), data=None, weights=None, config={}, origins={}, overrides=()
    )
    assert public_record(bare) == bare


def test_any_values_lose_their_places():
    said = {"import": {"against": "/home/anna/ref.npz", "max_abs": 1e-6, "notes": ["see ~/x/y.md", "1/2 px"]}}
    assert without_places(said) == {"import": {"against": "ref.npz", "max_abs": 1e-6, "notes": ["see y.md", "1/2 px"]}}


NAMES = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(NAMES.filter(lambda name: name not in (".", "..")))
def test_no_folder_survives_whatever_the_last_part_is_called(name):
    place = f"/home/anna-k/{name}"
    public = public_record(record(place, weights=place, run=place, notes=(f"left out {place}",)))
    assert "anna-k" not in json.dumps(public.to_dict(), ensure_ascii=False)
