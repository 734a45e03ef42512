"""Small pictures, folders of them, and a source that lies in memory. No test touches the user's cache."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.contracts.data import Sample, Task

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """A cache folder for this test alone."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ZOO_CACHE", str(folder))
    return folder


@pytest.fixture
def photo():
    """Builds the bytes of a small image that differs for every seed."""

    def make(seed=0, size=(20, 16), mode="RGB", fmt="PNG"):
        width, height = size
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(buffer, fmt)
        return buffer.getvalue()

    return make


@pytest.fixture
def fill(photo):
    """Writes images below a folder: `fill(root, {"cat": 3})`; keys may hold slashes. Returns the root."""
    counter = iter(range(10**9))

    def write(root, counts, *, suffix=".png", **options):
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                (root / folder / f"{i:03d}{suffix}").write_bytes(photo(next(counter), **options))
        return root

    return write


class MemorySource:
    """A data source of given samples and contents; `reads` counts how often each key was read."""

    def __init__(self, samples, contents=None, *, task=Task.SINGLE_LABEL, classes=(), name="memory", notes=()):
        self._samples, self.contents = list(samples), dict(contents or {})
        self.task, self.classes, self.name, self.notes = task, tuple(classes), name, tuple(notes)
        self.location = f"memory:{name}"
        self.reads = []

    def samples(self):
        return list(self._samples)

    def read(self, key):
        self.reads.append(key)
        content = self.contents[key]
        if isinstance(content, Exception):
            raise content
        return content


@pytest.fixture
def memory_source(photo):
    """Builds a source: `memory_source({"cat": 10, "dog": 4})`, all readable and different, sizes in the manifest."""

    def make(counts, *, split=None, group=None, **options):
        samples, contents = [], {}
        for label, count in counts.items():
            for i in range(count):
                key = f"{label}/{i:04d}"
                contents[key] = photo(len(contents))
                samples.append(
                    Sample(
                        key,
                        (label,),
                        split(key) if split else None,
                        group(key) if group else None,
                        size_bytes=len(contents[key]),
                        mtime_ns=1,
                    )
                )
        return MemorySource(samples, contents, **options)

    return make


@pytest.fixture
def source_of():
    """The in-memory source class, for tests that write their samples themselves."""
    return MemorySource


@pytest.fixture
def tree_hash():
    """Hash over names, contents and times of everything below a folder."""

    def digest(root):
        rows = []
        for folder, names, files in os.walk(root):
            for name in sorted(names + files):
                path = Path(folder) / name
                status = path.lstat()
                content = b"" if path.is_dir() or path.is_symlink() else path.read_bytes()
                rows.append((str(path.relative_to(root)), status.st_mtime_ns, status.st_mode, content))
        return hashlib.sha256(repr(sorted(rows)).encode("utf-8", "surrogateescape")).hexdigest()

    return digest


@pytest.fixture
def real_data():
    """The folder of real data sets; tests that need it are skipped where it is not."""
    folder = Path(os.environ.get("ZOO_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}")
    return folder
