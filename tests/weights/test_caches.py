import hashlib
from pathlib import Path

import pytest
import torch
from huggingface_hub import hf_hub_url
from safetensors.torch import save_file

from zoo.contracts.model import ModelSpec, WeightsRecord, WeightsRequest
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.weights.caches import HubCache, TorchCache, hub_files, split_hub_id, torch_cache_file

BLANK = Preprocess(32, (0.5,) * 3, (0.5,) * 3)
SPEC = ModelSpec("x/net", "x", "net", "fc", 4, (), BLANK)
TENSORS = {"a": torch.arange(4.0)}


def request(*records: WeightsRecord) -> WeightsRequest:
    return WeightsRequest(SPEC, records)


@pytest.fixture
def home(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    return tmp_path


def test_torch_cache_lies_where_torch_looks(home, monkeypatch):
    for name, value in [("TORCH_HOME", str(home / "torch")), ("XDG_CACHE_HOME", str(home / "xdg"))]:
        monkeypatch.delenv("TORCH_HOME", raising=False)
        monkeypatch.setenv(name, value)
        assert (
            torch_cache_file("https://x.test/a/net-1.pth?x=1")
            == Path(torch.hub.get_dir()) / "checkpoints" / "net-1.pth"
        )


def fill_torch_cache(url: str) -> Path:
    path = torch_cache_file(url)
    path.parent.mkdir(parents=True)
    torch.save(TENSORS, path)
    return path


def test_torch_cache_finds_a_published_file(home):
    record = WeightsRecord("v1", BLANK, url="https://x.test/net.pth")
    assert TorchCache().locate(request(record)) is None
    assert TorchCache().find(request(record)) is None
    path = fill_torch_cache("https://x.test/net.pth")
    assert TorchCache().locate(request(record)) == path
    hit = TorchCache().find(request(record))
    assert (hit.source, hit.path, hit.record) == ("torch-cache", path, record)
    assert torch.equal(hit.tensors["a"], TENSORS["a"])
    assert TorchCache().places(request(record)) == [str(path)]


def test_torch_cache_compares_with_the_published_hash(home):
    path = fill_torch_cache("https://x.test/net.pth")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    good = WeightsRecord("v1", BLANK, url="https://x.test/net.pth", sha256=digest[:8])
    assert TorchCache().find(request(good)) is not None
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="not the published one"):
        TorchCache().find(request(good))


def test_torch_cache_passes_over_records_without_an_address(home):
    assert TorchCache().places(request(WeightsRecord("v1", BLANK, hub_id="x/y"))) == []
    assert TorchCache().find(request()) is None


def fill_hub_cache(home: Path, repository: str, file: str, *, revision: str = "main", commit: str = "c" * 40) -> Path:
    folder = home / "hf" / f"models--{repository.replace('/', '--')}"
    (folder / "snapshots" / commit).mkdir(parents=True, exist_ok=True)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / revision).write_text(commit)
    path = folder / "snapshots" / commit / file
    (save_file if file.endswith("safetensors") else torch.save)(TENSORS, path)
    return path


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_hub_cache_finds_a_repositorys_file(home, file):
    record = WeightsRecord("v1", BLANK, hub_id="them/net.v1")
    assert HubCache().find(request(record)) is None
    path = fill_hub_cache(home, "them/net.v1", file)
    assert HubCache().locate(request(record)) == path
    hit = HubCache().find(request(record))
    assert (hit.source, hit.path) == ("hf-cache", path)
    assert torch.equal(hit.tensors["a"], TENSORS["a"])
    assert HubCache().places(request(record)) == [str(home / "hf" / "models--them--net.v1")]


def test_hub_cache_prefers_safetensors(home):
    fill_hub_cache(home, "them/net", "pytorch_model.bin")
    path = fill_hub_cache(home, "them/net", "model.safetensors")
    assert HubCache().locate(request(WeightsRecord("", BLANK, hub_id="them/net"))) == path


def test_hub_cache_keeps_to_the_revision_asked_for(home):
    old = fill_hub_cache(home, "them/net", "model.safetensors", revision="old", commit="a" * 40)
    assert HubCache().locate(request(WeightsRecord("", BLANK, hub_id="them/net"))) is None
    assert HubCache().locate(request(WeightsRecord("", BLANK, hub_id="them/net@old"))) == old


def test_hub_cache_takes_a_record_at_its_word_about_the_file(home):
    fill_hub_cache(home, "them/net", "model.safetensors")
    record = WeightsRecord("", BLANK, hub_id="them/net", file="open_clip_pytorch_model.bin")
    assert HubCache().locate(request(record)) is None
    path = fill_hub_cache(home, "them/net", "open_clip_pytorch_model.safetensors")
    assert HubCache().locate(request(record)) == path


def test_hub_files_try_safetensors_first():
    assert hub_files(WeightsRecord("", BLANK)) == ("model.safetensors", "pytorch_model.bin")
    assert hub_files(WeightsRecord("", BLANK, file="x.bin")) == ("x.safetensors", "x.bin")
    assert hub_files(WeightsRecord("", BLANK, file="x.safetensors")) == ("x.safetensors",)


def test_split_hub_id_reads_a_revision():
    assert split_hub_id("a/b") == ("a/b", None)
    assert split_hub_id("a/b@v1") == ("a/b", "v1")
    assert "resolve/v1/" in hf_hub_url("a/b", "f", revision=split_hub_id("a/b@v1")[1])
