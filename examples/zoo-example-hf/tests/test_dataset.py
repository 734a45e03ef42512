"""Data sets of the hub's forms: their splits, classes, images to the byte, and what is left out."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

datasets = pytest.importorskip("datasets")

from zoo_example_hf.dataset import HubDataset  # noqa: E402

from zoo.contracts.data import Task  # noqa: E402
from zoo.data.listing import list_images  # noqa: E402
from zoo.errors import UserError  # noqa: E402
from zoo.imaging.decode import decode  # noqa: E402

NAMES = ("zebra", "ant", "bee")  # not in the order of the alphabet, so that it can be told


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The library's cache of read data sets, in the test's own folder."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets-cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def png(number: int) -> bytes:
    """An image that its number tells."""
    stream = io.BytesIO()
    Pillow.fromarray(np.full((6, 5, 3), 10 * (number % 25), np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


def rows(labels: list[Any], kind: Any = None, *, first: int = 0, label: str = "label") -> datasets.Dataset:
    """A split with one image a label."""
    images = [{"bytes": png(first + number), "path": None} for number in range(len(labels))]
    features = datasets.Features({"image": datasets.Image(), label: kind or datasets.ClassLabel(names=list(NAMES))})
    return datasets.Dataset.from_dict({"image": images, label: labels}, features=features)


def test_saved_data_set_keeps_splits_classes_and_images(tmp_path: Path) -> None:
    given = datasets.DatasetDict(
        {
            "train": rows([0, 1, 2, 0]),
            "validation": rows([1], first=4),
            "test": rows([2, -1], first=5),
            "unsupervised": rows([-1], first=7),
        }
    )
    given.save_to_disk(str(tmp_path / "pets"))
    source = HubDataset(path=str(tmp_path / "pets"))
    samples = source.samples()

    assert (source.name, source.task, source.classes) == ("pets", Task.SINGLE_LABEL, NAMES)
    assert [(s.key, s.labels, s.split) for s in samples] == [
        ("train/0", ("zebra",), "train"),
        ("train/1", ("ant",), "train"),
        ("train/2", ("bee",), "train"),
        ("train/3", ("zebra",), "train"),
        ("val/0", ("ant",), "val"),
        ("test/0", ("bee",), "test"),
    ]
    assert [source.read(sample.key) for sample in samples] == [png(number) for number in range(6)]
    assert [sample.size_bytes for sample in samples] == [len(png(number)) for number in range(6)]
    assert all(sample.mtime_ns > 0 for sample in samples)
    assert decode(source.read("val/0"), channels=3)[0, 0, 0] == 40
    assert "left out split 'unsupervised' of 1 rows: it neither trains, validates nor tests" in source.notes
    assert "left out 1 images of split 'test' that have no label" in source.notes
    assert list_images(source).classes == NAMES


def test_a_single_split_is_left_to_zoo_to_split(tmp_path: Path) -> None:
    rows([0, 1, 2] * 10).save_to_disk(str(tmp_path / "pets"))
    source = HubDataset(path=str(tmp_path / "pets"))
    assert {sample.split for sample in source.samples()} == {None}
    assert source.samples()[7].key == "train/07"
    assert set(list_images(source).splits) == {"train", "val", "test"}


def test_folders_of_parquet_and_of_classes(tmp_path: Path) -> None:
    folder = tmp_path / "parquet"
    (folder / "data").mkdir(parents=True)
    rows([0, 1, 2]).to_parquet(str(folder / "data" / "train-00000-of-00001.parquet"))
    rows([2], first=3).to_parquet(str(folder / "data" / "test-00000-of-00001.parquet"))
    source = HubDataset(path=str(folder))
    assert [(s.labels, s.split) for s in source.samples()] == [
        (("zebra",), "train"),
        (("ant",), "train"),
        (("bee",), "train"),
        (("bee",), "test"),
    ]
    assert [source.read(sample.key) for sample in source.samples()] == [png(number) for number in range(4)]

    tree = tmp_path / "tree"
    for number, name in enumerate(("ant", "bee", "bee")):
        (tree / name).mkdir(parents=True, exist_ok=True)
        (tree / name / f"{number}.png").write_bytes(png(number))
    source = HubDataset(path=str(tree))
    assert [s.labels for s in source.samples()] == [("ant",), ("bee",), ("bee",)]
    assert [source.read(sample.key) for sample in source.samples()] == [png(number) for number in range(3)]
    assert [sample.size_bytes for sample in source.samples()] == [len(png(number)) for number in range(3)]


def test_several_labels_and_words(tmp_path: Path) -> None:
    several = datasets.List(datasets.ClassLabel(names=list(NAMES)))
    rows([[0, 1], [], [2]], several, label="objects").save_to_disk(str(tmp_path / "several"))
    source = HubDataset(path=str(tmp_path / "several"))
    assert source.task == Task.MULTI_LABEL
    assert [sample.labels for sample in source.samples()] == [("ant", "zebra"), (), ("bee",)]

    rows(["tabby", "husky"], datasets.Value("string")).save_to_disk(str(tmp_path / "words"))
    source = HubDataset(path=str(tmp_path / "words"))
    assert source.classes == ()
    assert [sample.labels for sample in source.samples()] == [("tabby",), ("husky",)]


def test_columns_are_asked_for_where_several_could_be_meant(tmp_path: Path) -> None:
    both = rows([0, 1, 2]).add_column("coarse", [0, 0, 1])
    both = both.cast_column("coarse", datasets.ClassLabel(names=["mammal", "insect"]))
    both.save_to_disk(str(tmp_path / "pets"))
    with pytest.raises(UserError, match="2 columns are of labels: label, coarse") as caught:
        HubDataset(path=str(tmp_path / "pets"))
    assert "data.label_column=COLUMN" in str(caught.value)
    source = HubDataset(path=str(tmp_path / "pets"), label_column="coarse")
    assert [sample.labels for sample in source.samples()] == [("mammal",), ("mammal",), ("insect",)]
    with pytest.raises(UserError, match="there is no column 'labl'"):
        HubDataset(path=str(tmp_path / "pets"), label_column="labl")
    with pytest.raises(UserError, match="column 'coarse' holds no images"):
        HubDataset(path=str(tmp_path / "pets"), image_column="coarse", label_column="label")


def test_rows_without_an_image_are_bad_files(tmp_path: Path) -> None:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(NAMES))})
    given = {"image": [{"bytes": png(0), "path": None}, None], "label": [0, 1]}
    datasets.Dataset.from_dict(given, features=features).save_to_disk(str(tmp_path / "pets"))
    source = HubDataset(path=str(tmp_path / "pets"))
    assert source.read("train/0") == png(0)
    with pytest.raises(OSError, match="row 1 of split 'train' has no image"):
        source.read("train/1")


def test_options_without_effect_are_refused(tmp_path: Path) -> None:
    rows([0, 1]).save_to_disk(str(tmp_path / "pets"))
    with pytest.raises(UserError, match=r"data\.revision has no effect"):
        HubDataset(path=str(tmp_path / "pets"), revision="main")
    with pytest.raises(UserError, match=r"data\.config has no effect"):
        HubDataset(path=str(tmp_path / "pets"), config="plain")


def test_without_a_network_what_is_not_at_hand_is_said_at_once() -> None:
    begun = time.monotonic()
    with pytest.raises(UserError, match="the data set cannot be had: HF_HUB_OFFLINE is set") as caught:
        HubDataset(path="me/pets")
    assert "hf:me/pets" in str(caught.value)
    assert time.monotonic() - begun < 8


def test_what_was_downloaded_once_is_read_without_a_network(tmp_path: Path) -> None:
    folder = tmp_path / "parquet"
    folder.mkdir()
    rows([0, 1, 2]).to_parquet(str(folder / "train.parquet"))
    HubDataset(path=str(folder))
    cache = tmp_path / "datasets-cache"
    (version,) = (cache / "parquet").glob("*/*/*/")  # what the library left of the folder, as if it came from the hub
    place = cache / "me___pets" / "default" / "0.0.0" / version.name
    shutil.copytree(version, place)
    (place / "parquet-train.arrow").rename(place / "pets-train.arrow")

    source = HubDataset(path="me/pets")
    assert (source.name, source.location) == ("pets", "hf:me/pets")
    assert [source.read(sample.key) for sample in source.samples()] == [png(number) for number in range(3)]


def test_downloads_are_not_counted_and_settings_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def load(*_: object, **__: object) -> datasets.Dataset:
        seen.append((datasets.config.HF_HUB_OFFLINE, datasets.config.HF_UPDATE_DOWNLOAD_COUNTS))
        return rows([0, 1])

    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("datasets.config.HF_UPDATE_DOWNLOAD_COUNTS", True)
    monkeypatch.setattr("datasets.load_dataset", load)
    monkeypatch.setattr("zoo_example_hf.loading.why_unreachable", lambda: "")
    assert len(HubDataset(path="me/pets").samples()) == 2
    monkeypatch.setattr("zoo_example_hf.loading.why_unreachable", lambda: "no network")
    HubDataset(path="me/pets")
    assert seen == [(False, False), (True, False)]
    assert (datasets.config.HF_HUB_OFFLINE, datasets.config.HF_UPDATE_DOWNLOAD_COUNTS) == (False, True)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see", encoding="utf-8")
    with pytest.raises(UserError):
        HubDataset(path=str(tmp_path))
