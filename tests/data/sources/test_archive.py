"""Tar and zip files: every layout, every compression, and the ways in which they attack or break."""

import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zoo_plugins.dataset_sources.archive as module
from zoo_plugins.dataset_sources.archive import Archive
from zoo_plugins.dataset_sources.folder import Folder
from zoo_plugins.dataset_sources.table import Table

from zoo.data.listing import list_images
from zoo.errors import UserError

MODES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}
ENDINGS = [*MODES, ".zip"]


def bundle(root, target):
    """Packs everything below `root`, in an order that is not that of the names."""
    files = sorted((p for p in Path(root).rglob("*")), reverse=True)
    if target.name.endswith(".zip"):
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(root))
    else:
        mode = next(mode for ending, mode in MODES.items() if target.name.endswith(ending))
        with tarfile.open(target, mode) as archive:
            for path in files:
                archive.add(path, path.relative_to(root), recursive=False)
    return target


def tar_of(target, members):
    """A tar with members given as (TarInfo fields, content)."""
    with tarfile.open(target, "w") as archive:
        for name, content, fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content))
    return target


def contents(source):
    return {(s.key, s.labels, s.split, s.group, source.read(s.key)) for s in source.samples()}


# --- layouts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
def test_archive_of_class_folders_is_as_the_folder(tmp_path, fill, ending):
    root = fill(tmp_path / "pets", {"cat": 3, "dog/old": 2, "dog": 1})
    archive = Archive(path=str(bundle(root, tmp_path / f"my pets{ending}")))
    folder = Folder(path=str(root))
    assert contents(archive) == contents(folder)
    assert archive.name == "my pets"
    assert archive.location.endswith(ending)
    assert [s.key for s in archive.samples()] == sorted(s.key for s in archive.samples())


@pytest.mark.parametrize("ending", [".tar.gz", ".zip"])
def test_archive_of_splits_inside_a_wrapper(tmp_path, fill, ending):
    root = fill(tmp_path / "root", {"photos/train/cat": 2, "photos/train/dog": 2, "photos/test/cat": 1})
    archive = Archive(path=str(bundle(root, tmp_path / f"a{ending}")))
    assert {s.split for s in archive.samples()} == {"train", "test"}
    assert any("'photos'" in note for note in archive.notes)


@pytest.mark.parametrize("ending", ENDINGS)
def test_archive_of_a_table_with_its_images(tmp_path, fill, ending):
    root = fill(tmp_path / "root", {"images": 4})
    lines = [f"images/{i:03d}.png,{'ab'[i % 2]},{'train' if i < 3 else 'val'},g{i}" for i in range(4)]
    (root / "labels.csv").write_text("path,label,split,group\n" + "\n".join(lines))
    archive = Archive(path=str(bundle(root, tmp_path / f"a{ending}")))
    assert contents(archive) == contents(Table(path=str(root / "labels.csv")))


def test_archive_of_a_table_below_a_wrapper(tmp_path, fill):
    root = fill(tmp_path / "root", {"set/images": 2})
    (root / "set/labels.csv").write_text("path,label\nimages/000.png,a\nimages/001.png,b\n")
    archive = Archive(path=str(bundle(root, tmp_path / "a.zip")))
    assert [s.key for s in archive.samples()] == ["set/images/000.png", "set/images/001.png"]


def test_archive_of_a_table_whose_images_lie_in_split_folders(tmp_path, fill):
    root = fill(tmp_path / "root", {"train": 2, "test": 1})
    (root / "labels.csv").write_text("path,label\ntrain/000.png,a\ntrain/001.png,b\ntest/000.png,a\n")
    archive = Archive(path=str(bundle(root, tmp_path / "a.tar")))
    assert {s.labels[0] for s in archive.samples()} == {"a", "b"}


def test_archive_of_class_folders_beside_a_table_goes_by_the_folders(tmp_path, fill):
    root = fill(tmp_path / "root", {"cat": 2, "dog": 2})
    (root / "a.csv").write_text("x,y\n")
    (root / "b.csv").write_text("x,y\n")
    archive = Archive(path=str(bundle(root, tmp_path / "a.zip")))
    assert {s.labels[0] for s in archive.samples()} == {"cat", "dog"}
    assert any(".csv (2)" in note for note in archive.notes)


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".zip"])
def test_archive_of_parquet_shards(tmp_path, photo, ending):
    root = tmp_path / "root"
    root.mkdir()
    for split in ("train", "validation"):
        images = [{"bytes": photo(i), "path": None} for i in range(6)]
        column = pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        pq.write_table(
            pa.table({"image": column, "label": ["a", "b"] * 3}), root / f"{split}-0.parquet", row_group_size=2
        )
    archive = Archive(path=str(bundle(root, tmp_path / f"a{ending}")))
    assert contents(archive) == contents(Table(path=str(root)))
    assert {s.split for s in archive.samples()} == {"train", "val"}


def test_archive_options_for_columns(tmp_path, fill):
    root = fill(tmp_path / "root", {"images": 2})
    (root / "t.csv").write_text("path,label,species\nimages/000.png,x,a;b\nimages/001.png,x,b\n")
    path = str(bundle(root, tmp_path / "a.tar"))
    archive = Archive(path=path, label_column="species", label_separator=";")
    assert [s.labels for s in archive.samples()] == [("a", "b"), ("b",)]
    with pytest.raises(UserError, match="no column named 'kind'"):
        Archive(path=path, label_column="kind")


def test_archive_refuses_options_for_columns_where_there_is_no_table(tmp_path, fill):
    path = str(bundle(fill(tmp_path / "root", {"cat": 1, "dog": 1}), tmp_path / "a.tar"))
    with pytest.raises(UserError, match=r"data\.label_column='x' has no effect"):
        Archive(path=path, label_column="x")
    with pytest.raises(UserError, match=r"data\.split_column=None has no effect"):
        Archive(path=path, split_column=None)


def test_archive_into_a_listing(tmp_path, fill):
    listing = list_images(Archive(path=str(bundle(fill(tmp_path / "r", {"cat": 9, "dog": 9}), tmp_path / "a.zip"))))
    assert listing.classes == ("cat", "dog")


# --- where it writes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
def test_archive_leaves_the_users_folder_alone(tmp_path, fill, tree_hash, own_cache, ending):
    place = tmp_path / "place"
    place.mkdir()
    path = bundle(fill(tmp_path / "root", {"cat": 3, "dog": 3}), place / f"a{ending}")
    before = tree_hash(place)
    archive = Archive(path=str(path))
    assert all(archive.read(s.key) for s in archive.samples())
    assert tree_hash(place) == before
    written = [p for p in own_cache.rglob("*") if p.is_file()]
    assert len(written) == (0 if ending in (".tar", ".zip") else 1)


def test_archive_unzips_once_and_under_one_name(tmp_path, fill, own_cache, monkeypatch):
    path = bundle(fill(tmp_path / "root", {"cat": 3, "dog": 3}), tmp_path / "a.tar.gz")
    first = contents(Archive(path=str(path)))
    (unzipped,) = [p for p in own_cache.rglob("*") if p.is_file()]
    assert tarfile.is_tarfile(unzipped)

    def fail(*_):
        raise AssertionError("unzipped again")

    monkeypatch.setattr(gzip, "open", fail)
    assert contents(Archive(path=str(path))) == first


def test_archive_that_changed_is_unzipped_anew(tmp_path, fill):
    path = tmp_path / "a.tar.gz"
    bundle(fill(tmp_path / "one", {"cat": 2, "dog": 2}), path)
    Archive(path=str(path))
    bundle(fill(tmp_path / "two", {"owl": 5, "bat": 5}), path)
    assert {s.labels[0] for s in Archive(path=str(path)).samples()} == {"owl", "bat"}


def test_archive_stays_readable_when_the_cache_is_cleared(tmp_path, fill, own_cache):
    root = fill(tmp_path / "root", {"cat": 2, "dog": 2})
    source = Archive(path=str(bundle(root, tmp_path / "a.tgz")))
    for path in own_cache.rglob("*.tar"):
        path.unlink()
    assert contents(source) == contents(Folder(path=str(root)))


def test_archive_takes_the_cache_folder_that_it_is_given(tmp_path, fill, own_cache):
    path = bundle(fill(tmp_path / "root", {"cat": 2, "dog": 2}), tmp_path / "a.tar.xz")
    Archive(path=str(path), cache_dir=str(tmp_path / "other"))
    (unzipped,) = (tmp_path / "other/archives").iterdir()
    assert unzipped.suffix == ".tar"
    assert not list(own_cache.rglob("*.tar"))
    (tmp_path / "new").touch()
    assert unzipped.stat().st_mode == (tmp_path / "new").stat().st_mode  # others may read it, where they may read mine


def test_archive_full_disk_while_unzipping_leaves_nothing(tmp_path, fill, own_cache):
    """A limit on the size of files is what a full disk is to a program, and needs no disk."""
    path = bundle(fill(tmp_path / "root", {"cat": 9, "dog": 9}), tmp_path / "a.tar.gz")
    code = (
        "import resource, signal, sys\n"
        "from zoo_plugins.dataset_sources.archive import Archive\n"
        "from zoo.errors import UserError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        f"try:\n    Archive(path={str(path)!r})\n"
        "except UserError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert "the disk is full" in done.stdout
    assert "data.cache_dir=PATH" in done.stdout
    assert not [p for p in own_cache.rglob("*") if p.is_file()]


# --- attacks -------------------------------------------------------------------------------------------------------

ESCAPES = [
    "../evil.png",
    "cat/../../evil.png",
    "/tmp/evil.png",
    "..\\evil.png",
    "\\evil.png",
    "C:\\evil.png",
    "C:/evil.png",
]


@pytest.mark.parametrize("name", ESCAPES)
def test_archive_members_that_lead_out_are_left_out(tmp_path, photo, fill, tree_hash, name):
    place = tmp_path / "deep/place"
    place.mkdir(parents=True)
    members = [("cat/1.png", photo(1), {}), ("dog/1.png", photo(2), {}), (name, photo(3), {})]
    with zipfile.ZipFile(place / "a.zip", "w") as archive:
        for member, content, _ in members:
            archive.writestr(zipfile.ZipInfo(member), content)
    tar_of(place / "a.tar", members)
    before = tree_hash(tmp_path)
    for path in (place / "a.zip", place / "a.tar"):
        source = Archive(path=str(path))
        assert [s.key for s in source.samples()] == ["cat/1.png", "dog/1.png"]
        assert any("lead out of the archive" in note for note in source.notes)
        for key in (name, name.lstrip("/\\")):
            with pytest.raises(OSError, match="no such member"):
                source.read(key)
    assert tree_hash(tmp_path) == before


def test_archive_table_cannot_name_files_outside(tmp_path, photo, fill):
    secret = tmp_path / "secret.png"
    secret.write_bytes(photo(9))
    root = fill(tmp_path / "root", {"images": 2})
    (root / "t.csv").write_text(
        f"path,label\nimages/000.png,a\n{secret},b\n../secret.png,b\nimages/../../secret.png,b\n"
    )
    source = Archive(path=str(bundle(root, tmp_path / "a.zip")))
    keys = [s.key for s in source.samples()]
    assert source.read(keys[0])
    for key in keys[1:]:
        with pytest.raises(OSError, match="no such member"):
            source.read(key)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_archive_links_and_devices_in_a_tar_are_left_out(tmp_path, photo, kind):
    members = [("cat/1.png", photo(1), {}), ("dog/1.png", photo(2), {})]
    members.append(("dog/2.png", b"", {"type": kind, "linkname": "/etc/passwd"}))
    source = Archive(path=str(tar_of(tmp_path / "a.tar", members)))
    assert len(source.samples()) == 2
    assert any("1 members that are links or devices" in note for note in source.notes)


def test_archive_links_in_a_zip_are_left_out(tmp_path, photo):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cat/1.png", photo(1))
        archive.writestr("dog/1.png", photo(2))
        link = zipfile.ZipInfo("dog/2.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    source = Archive(path=str(tmp_path / "a.zip"))
    assert len(source.samples()) == 2
    assert any("links" in note for note in source.notes)


def test_archive_refuses_members_that_claim_to_be_gigantic(tmp_path, photo, monkeypatch):
    monkeypatch.setattr(module, "MAX_MEMBER_BYTES", 100)
    for path in (tmp_path / "a.zip", tmp_path / "a.tar"):
        root = tmp_path / "root"
        for label in ("cat", "dog"):
            (root / label).mkdir(parents=True, exist_ok=True)
            (root / label / "1.png").write_bytes(photo(1))
        source = Archive(path=str(bundle(root, path)))
        with pytest.raises(OSError, match="are more than the 100"):
            source.read("cat/1.png")


def test_archive_passes_over_what_systems_leave_behind(tmp_path, photo):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("cat/1.png", "dog/1.png", "__MACOSX/cat/._1.png", "cat/.DS_Store", ".git/x.png", "cat/Thumbs.db"):
            archive.writestr(name, photo(1))
    assert [s.key for s in Archive(path=str(tmp_path / "a.zip")).samples()] == ["cat/1.png", "dog/1.png"]


# --- broken archives -----------------------------------------------------------------------------------------------


def test_archive_refuses_encrypted_zip(tmp_path, photo):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/1.png", photo(1))
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flag for encryption, in both headers
        place = data.index(mark) + offset
        data[place : place + 2] = struct.pack("<H", struct.unpack("<H", data[place : place + 2])[0] | 1)
    path.write_bytes(data)
    with pytest.raises(UserError, match="encrypted"):
        Archive(path=str(path))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("damage", ["empty", "text", "cut"])
def test_archive_refuses_damaged_files(tmp_path, fill, own_cache, ending, damage):
    path = bundle(fill(tmp_path / "root", {"cat": 9, "dog": 9}), tmp_path / f"a{ending}")
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"I am no archive\n" * 100, "cut": data[: len(data) // 3]}[damage])
    with pytest.raises(UserError, match="archive"):
        Archive(path=str(path))
    assert not [p for p in own_cache.rglob("*") if p.suffix == ".tmp"]


def test_archive_member_with_a_wrong_checksum_is_an_os_error(tmp_path, photo):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/1.png", photo(1))
        archive.writestr("dog/1.png", photo(2))
    data = bytearray(path.read_bytes())
    data[data.index(photo(1)) + 50] ^= 0xFF
    path.write_bytes(data)
    source = Archive(path=str(path))
    assert source.read("dog/1.png") == photo(2)
    with pytest.raises(OSError, match="damaged"):
        source.read("cat/1.png")


def test_archive_cut_off_while_it_is_used(tmp_path, fill):
    path = bundle(fill(tmp_path / "root", {"cat": 2, "dog": 2}), tmp_path / "a.tar")
    source = Archive(path=str(path))
    path.write_bytes(path.read_bytes()[:600])
    last = source.samples()[0].key  # packed in falling order
    with pytest.raises(OSError, match="cut off"):
        source.read(last)


@pytest.mark.parametrize("name", ["a.rar", "a.7z", "a.gz", "a"])
def test_archive_refuses_other_kinds(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UserError, match=r"no archive that is read here[\s\S]*\.zip"):
        Archive(path=str(tmp_path / name))


def test_archive_refuses_what_is_not_there(tmp_path):
    with pytest.raises(UserError, match="no archive at"):
        Archive(path=str(tmp_path / "a.zip"))


def test_archive_refuses_an_empty_one(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    with pytest.raises(UserError, match="no files at all"):
        Archive(path=str(tmp_path / "a.zip"))


def test_archive_later_member_of_a_name_wins(tmp_path, photo):
    members = [("cat/1.png", photo(1), {}), ("dog/1.png", photo(2), {}), ("cat/1.png", photo(3), {})]
    source = Archive(path=str(tar_of(tmp_path / "a.tar", members)))
    assert source.read("cat/1.png") == photo(3)
    assert len(source.samples()) == 2


@pytest.mark.parametrize("ending", [".tar", ".zip", ".tgz"])
def test_archive_reads_from_many_threads(tmp_path, fill, ending):
    root = fill(tmp_path / "root", {"cat": 20, "dog": 20})
    source = Archive(path=str(bundle(root, tmp_path / f"a{ending}")))
    keys = [s.key for s in source.samples()] * 5
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(source.read, keys)) == [(root / key).read_bytes() for key in keys]
