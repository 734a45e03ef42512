"""The source of a run: its caches are told apart, and its paths mean the same from any folder."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
from PIL import Image
from pyarrow import parquet

from zoo.assembly.full_paths import with_full_paths
from zoo.assembly.sources import list_configured
from zoo.config.compose import configure
from zoo.data.pack import pack, pack_key
from zoo.data.shorthand import source_name_for
from zoo.imaging.preprocess import Preprocess
from zoo.plugins import Plugins, load_plugins

PREPROCESS = Preprocess(8, (0.5,) * 3, (0.5,) * 3)


def png(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), colour).save(buffer, "PNG")
    return buffer.getvalue()


def fill(root: Path) -> None:
    for label in ("cat", "dog"):
        (root / label).mkdir(parents=True)
        for number in range(9):
            (root / label / f"{number}.png").write_bytes(png((number, 90, len(label))))


def configured(*words: str, plugins: Plugins | None = None):
    plugins = plugins or load_plugins()
    return configure(words, plugins, source_for=source_name_for), plugins.registry


def pixels(*words: str) -> np.ndarray:
    config, registry = configured(*words)
    source, listing = list_configured(config.data, registry)
    return pack(listing, source, preprocess=PREPROCESS).images[0][0, 0]


def test_two_image_columns_of_one_file_have_caches_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    count = 20
    columns = {
        "left": [{"bytes": png((250, 10, 10)), "path": None}] * count,
        "right": [{"bytes": png((10, 10, 250)), "path": None}] * count,
        "label": [("cat", "dog")[i % 2] for i in range(count)],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "d.parquet")
    for column, wanted in (("left", 250), ("right", 10), ("left", 250)):
        assert pixels(f"data={tmp_path / 'd.parquet'}", f"data.image_column={column}")[0] == wanted
    assert len(list((tmp_path / "cache" / "packs").glob("*.pack"))) == 2


def test_a_wrapper_around_the_source_has_a_cache_of_its_own(make_distribution: Callable[..., Path]):
    config, registry = configured("data=digits")
    bare = pack_key(list_configured(config.data, registry)[1], PREPROCESS)
    hooks = (
        "from zoo.hookspecs import hookimpl\n\n@hookimpl\ndef register_wrappers(register):\n"
        "    register('dataset', '*', 'dark_around:darker', summary='Halves all pixels')\n"
    )
    around = "def darker(source, *, name):\n    return source\n"
    make_distribution("dark", points={"dark": "dark_hooks"}, modules={"dark_hooks": hooks, "dark_around": around})
    config, registry = configured("data=digits")
    assert pack_key(list_configured(config.data, registry)[1], PREPROCESS) != bare


def test_labels_and_the_spelling_of_a_path_share_a_cache(tmp_path, monkeypatch):
    fill(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    keys = set()
    for word in ("data=photos", f"data={tmp_path / 'photos'}", "data=./photos"):
        config, registry = configured(word, "data.val_fraction=0.2")
        keys.add(pack_key(list_configured(config.data, registry)[1], PREPROCESS))
    assert len(keys) == 1


def test_a_compressed_archive_is_unzipped_into_the_cache_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "usual"))
    fill(tmp_path / "photos")
    with tarfile.open(tmp_path / "p.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "photos", "photos")
    config, registry = configured(f"data={tmp_path / 'p.tar.gz'}", f"data.cache_dir={tmp_path / 'asked'}")
    list_configured(config.data, registry)
    assert [path.suffix for path in (tmp_path / "asked" / "archives").iterdir()] == [".tar"]
    assert not (tmp_path / "usual").exists()


def test_paths_of_a_run_are_absolute_and_names_stay(tmp_path, monkeypatch):
    fill(tmp_path / "photos")
    (tmp_path / "starter").mkdir()  # beside the weight source of that name
    (tmp_path / "w.pth").touch()
    monkeypatch.chdir(tmp_path)
    config = with_full_paths(*configured("data=photos", "weights=w.pth", "data.cache_dir=kept"))
    assert config.data.options["path"] == str(tmp_path / "photos")
    assert config.data.options["cache_dir"] == str(tmp_path / "kept")
    assert config.weights == str(tmp_path / "w.pth")
    for word in ("starter", "none", "auto"):
        assert with_full_paths(*configured("data=digits", f"weights={word}")).weights == word


def test_the_home_folder_is_put_in(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(tmp_path / "photos")
    assert with_full_paths(*configured("data=~/photos")).data.options["path"] == os.path.join(tmp_path, "photos")
