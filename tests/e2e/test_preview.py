"""`zoo preview` as a user runs it: real processes, a picture, exit codes."""

from __future__ import annotations

import json

import pytest
from PIL import Image
from support.e2e import TINY, hashes, run


def test_preview_writes_a_picture_and_leaves_the_photos_alone(tmp_path, photos):
    before = hashes(photos)
    words = ("augmentations=[rotate,noise]", "augmentations.rotate.limit_deg=40", "images=3", "draws=2")
    done = run("preview", f"data={photos}", *TINY, *words, "--json", cwd=tmp_path)
    assert hashes(photos) == before
    told = json.loads(done.stdout)
    assert told["picture"] == "preview.png"
    assert [image["class"] for image in told["images"]] == ["blue", "green", "red"]
    assert Image.open(tmp_path / "preview.png").format == "PNG"
    assert [path.name for path in tmp_path.iterdir()] == ["preview.png"]  # no run folder, no cache
    assert "plan    scratch" in done.stderr


def test_preview_refuses_in_one_message_and_writes_nothing(tmp_path, photos):
    done = run("preview", f"data={photos}", *TINY, "augmentations=[rotat]", "images=0", code=2, cwd=tmp_path)
    assert "rotate" in done.stderr
    assert "images='0' is no whole number" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_preview_help_is_quick_to_read_and_names_the_keys():
    said = run("preview", "--help").stdout
    assert len(said.splitlines()) < 25
    for key in ("output=", "images=", "draws=", "check=", "strict="):
        assert key in said
