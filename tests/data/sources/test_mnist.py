"""MNIST from its idx files: made here, plain and compressed, torn and wrong; fetched from a stand-in."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from support.e2e import run_here
from zoo_plugins.dataset_sources import mnist
from zoo_plugins.dataset_sources.mnist import IMAGES, LABELS, PARTS, Mnist, read_idx
from zoo_plugins.lessons.command import USAGE

from zoo.data.listing import list_images
from zoo.errors import UserError


def idx(values: np.ndarray) -> bytes:
    """A file as the page of the database describes it."""
    kind = IMAGES if values.ndim == 3 else LABELS
    return struct.pack(f">I{values.ndim}I", kind, *values.shape) + values.astype(np.uint8).tobytes()


def write(folder: Path, *, packed: bool, each: int = 8) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    made = {}
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        images = rng.integers(0, 256, (10 * each, 5, 5), dtype=np.uint8)
        labels = np.arange(10 * each, dtype=np.uint8) % 10
        made[part.split] = images, labels
        for name, values in ((part.images, images), (part.labels, labels)):
            content = idx(values)
            (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return made


@pytest.mark.parametrize("packed", [True, False])
def test_folder_of_idx_files_keeps_the_published_split(tmp_path, packed):
    made = write(tmp_path / "m", packed=packed)
    source = Mnist(path=str(tmp_path / "m"))
    samples = source.samples()
    assert {sample.split for sample in samples} == {"train", "test"}
    for sample in (samples[0], samples[-1]):
        _, part, number = sample.key.split("/")
        images, labels = made[part]
        assert np.array_equal(source.read(sample.key)[..., 0], images[int(number)])
        assert sample.labels == (str(labels[int(number)]),)
    listing = list_images(source)
    assert len(listing.splits["test"]) == 80
    assert len(listing.splits["train"]) + len(listing.splits["val"]) == 80


def test_lessons_run_on_it_in_the_words_of_their_help(tmp_path):
    write(tmp_path / "m", packed=False)
    words = ["data=mnist", "data.test_fraction=auto"]
    assert " ".join(words) in USAGE
    asked = [*words, f"data.path={tmp_path / 'm'}", "model.hidden=[8]", "train.epochs=1", f"out={tmp_path / 'runs'}"]
    done = run_here("lesson", "default_dnn", *asked, code=1)  # images of noise teach nothing
    assert "DOES NOT HOLD" in done.stdout


def test_torn_or_foreign_files_are_refused(tmp_path):
    whole = idx(np.zeros((3, 5, 5), np.uint8))
    for name, content in {"torn": whole[:-1], "labels": idx(np.zeros(3, np.uint8)), "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="no whole idx file of images"):
            read_idx(tmp_path / name, kind=IMAGES)
    (tmp_path / "bad.gz").write_bytes(gzip.compress(whole)[:-6])
    with pytest.raises(UserError, match="cannot be read"):
        read_idx(tmp_path / "bad.gz", kind=IMAGES)


def test_missing_folder_and_missing_files_are_said(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        Mnist(path=str(tmp_path / "none"))
    (tmp_path / "m").mkdir()
    with pytest.raises(UserError, match="no file train-images-idx3-ubyte"):
        Mnist(path=str(tmp_path / "m")).samples()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A stand-in for the address, whose files have the hashes that are asked for."""
    write(tmp_path / "site", packed=True)
    handler = type(
        "Quiet",
        (http.server.SimpleHTTPRequestHandler,),
        {
            "log_message": lambda *_: None,
            "__init__": lambda self, *a: super(handler, self).__init__(*a, directory=str(tmp_path / "site")),
        },
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(mnist, "ADDRESS", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))

    def md5(name: str) -> str:
        return hashlib.md5((tmp_path / "site" / f"{name}.gz").read_bytes(), usedforsecurity=False).hexdigest()

    parts = tuple(mnist.Part(p.split, p.images, md5(p.images), p.labels, md5(p.labels)) for p in PARTS)
    monkeypatch.setattr(mnist, "PARTS", parts)
    yield tmp_path / "site"
    server.shutdown()
    server.server_close()


def test_files_are_fetched_once_and_compared(served, tmp_path):
    assert len(Mnist().samples()) == 160
    for file in served.iterdir():
        file.unlink()
    assert len(Mnist().samples()) == 160  # from the cache
    kept = tmp_path / "cache" / "mnist"
    next(kept.iterdir()).write_bytes(b"changed")
    with pytest.raises(UserError, match="cannot be fetched"):
        Mnist().samples()


def test_files_go_into_the_cache_that_was_asked_for(served, tmp_path):
    assert len(Mnist(cache_dir=str(tmp_path / "asked")).samples()) == 160
    assert len(list((tmp_path / "asked" / "mnist").iterdir())) == 4
    assert not (tmp_path / "cache").exists()


def test_other_content_is_refused_and_not_kept(served, tmp_path):
    for file in served.iterdir():
        file.write_bytes(b"something else")
    with pytest.raises(UserError, match="is not MNIST"):
        Mnist().samples()
    assert not list((tmp_path / "cache").rglob("*.gz"))


def test_offline_names_what_needs_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.setattr(mnist, "ADDRESS", "http://127.0.0.1:9/")
    with pytest.raises(UserError, match="data=mnist5k"):
        Mnist().samples()
