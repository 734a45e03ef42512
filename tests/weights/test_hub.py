import hashlib
import io
import os
import socket
import subprocess
import sys
import textwrap

import pytest
import torch
from safetensors.torch import save

from zoo.contracts.model import ModelSpec, WeightsRecord, WeightsRequest
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.weights import hub
from zoo.weights.caches import torch_cache_file
from zoo.weights.hub import Hub, fetch_url, reachable_hosts

BLANK = Preprocess(32, (0.5,) * 3, (0.5,) * 3)
SPEC = ModelSpec("x/net", "x", "net", "fc", 4, (), BLANK)
TENSORS = {"a": torch.arange(4.0)}


def torch_bytes() -> bytes:
    buffer = io.BytesIO()
    torch.save(TENSORS, buffer)
    return buffer.getvalue()


def request(*records: WeightsRecord, allow_network: bool = True) -> WeightsRequest:
    return WeightsRequest(SPEC, records, allow_network)


def closed_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _caches(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def test_hub_downloads_a_file_into_torchs_cache(stand):
    content = torch_bytes()
    stand.files["/w/net.pth"] = content
    url = f"{stand.address}/w/net.pth"
    record = WeightsRecord("v1", BLANK, url=url, sha256=hashlib.sha256(content).hexdigest()[:8])
    hit = Hub().find(request(record))
    assert (hit.source, hit.path, hit.record) == ("hub", torch_cache_file(url), record)
    assert torch.equal(hit.tensors["a"], TENSORS["a"])
    assert hit.path.read_bytes() == content
    assert [path.name for path in hit.path.parent.iterdir()] == ["net.pth"]
    assert stand.asked == [("HEAD", "/"), ("GET", "/w/net.pth")]


def test_fetch_leaves_a_file_that_others_may_read(stand):
    stand.files["/net.pth"] = torch_bytes()
    before = os.umask(0o022)
    try:
        path = fetch_url(f"{stand.address}/net.pth")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_fetch_keeps_nothing_of_a_file_with_another_hash(stand):
    stand.files["/net.pth"] = torch_bytes()
    with pytest.raises(UserError, match="not the published one"):
        fetch_url(f"{stand.address}/net.pth", sha256="0" * 8)
    assert list(torch_cache_file("net.pth").parent.iterdir()) == []


def test_fetch_keeps_nothing_of_a_broken_connection(stand):
    stand.files["/net.pth"], stand.short_by = torch_bytes(), 100
    with pytest.raises(OSError, match=r"broke off|IncompleteRead"):
        fetch_url(f"{stand.address}/net.pth")
    assert list(torch_cache_file("net.pth").parent.iterdir()) == []


def test_hub_says_what_became_of_each_address(stand):
    gone = WeightsRecord("v1", BLANK, url=f"{stand.address}/gone.pth")
    dark = WeightsRecord("v2", BLANK, url=f"{closed_address()}/dark.pth")
    source = Hub()
    assert source.find(request(gone, dark)) is None
    places = source.places(request(gone, dark))
    assert "failed: HTTP Error 404" in places[0]
    assert "not reachable within 3 s" in places[1]


def test_hub_without_a_network_asks_nobody_but_the_probe(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a client was used although its host cannot be reached")

    monkeypatch.setattr(hub, "_fetch_repository", refuse)
    monkeypatch.setattr(hub, "fetch_url", refuse)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", closed_address())
    record = WeightsRecord("v1", BLANK, hub_id="them/net", url=f"{closed_address()}/net.pth")
    source = Hub()
    assert source.find(request(record)) is None
    assert all("not reachable" in place for place in source.places(request(record)))


@pytest.mark.parametrize("reason", ["HF_HUB_OFFLINE", "the network is not to be used"])
def test_hub_asks_nobody_where_the_network_is_switched_off(stand, monkeypatch, reason):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", reason == "HF_HUB_OFFLINE")
    stand.files["/net.pth"] = torch_bytes()
    wanted = request(
        WeightsRecord("v1", BLANK, url=f"{stand.address}/net.pth"), allow_network=reason == "HF_HUB_OFFLINE"
    )
    source = Hub()
    assert source.find(wanted) is None
    assert source.locate(wanted) is None
    assert stand.asked == []
    assert reason in source.places(wanted)[0]


def test_reachable_hosts_takes_any_answer_but_a_gateways_excuse(stand):
    dark = closed_address()
    assert reachable_hosts([f"{stand.address}/a", f"{stand.address}/b", f"{dark}/c"]) == {stand.address}
    assert stand.asked == [("HEAD", "/")]
    for status, expected in [(500, {stand.address}), (403, {stand.address}), (502, set()), (503, set()), (504, set())]:
        stand.status = status
        assert reachable_hosts([stand.address]) == expected
    assert reachable_hosts([]) == set()
    assert reachable_hosts(["nonsense"]) == set()


def test_reachable_hosts_leaves_a_silent_host_behind(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as silent:  # it takes the connection and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert reachable_hosts([address], timeout_s=0.1) == set()


def run_with_endpoint(endpoint: str, tmp_path, code: str) -> subprocess.CompletedProcess[str]:
    """The Hugging Face client reads HF_ENDPOINT when it is imported, so each case has a process of its own."""
    environment = {
        **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(tmp_path / "hf"),
        "TORCH_HOME": str(tmp_path / "torch"),
        "HF_HUB_OFFLINE": "0",
    }
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, timeout=120
    )


ASK = """
    from zoo.contracts.model import ModelSpec, WeightsRecord, WeightsRequest
    from zoo.errors import UserError
    from zoo.imaging.preprocess import Preprocess
    from zoo.weights.caches import HubCache, TorchCache
    from zoo.weights.hub import Hub
    from zoo.weights.load import find_weights

    blank = Preprocess(32, (0.5,) * 3, (0.5,) * 3)
    records = (WeightsRecord("v1", blank, hub_id="them/net.v1"),)
    request = WeightsRequest(ModelSpec("x/net", "x", "net", "fc", 4, (), blank, records), records)
    sources = [("torch-cache", TorchCache()), ("hf-cache", HubCache()), ("hub", Hub())]
    try:
        hit = find_weights(request, sources, say=print)
        print("RESULT", hit.source, hit.tensors["a"].tolist())
    except UserError as error:
        print(error)
"""


@pytest.mark.parametrize("file", ["model.safetensors", pytest.param("pytorch_model.bin", marks=pytest.mark.slow)])
def test_hub_downloads_a_repository_and_finds_it_again_in_the_cache(stand, tmp_path, file):
    content = save(TENSORS) if file.endswith("safetensors") else torch_bytes()
    stand.files[f"/them/net.v1/resolve/main/{file}"] = content
    first = run_with_endpoint(stand.address, tmp_path, ASK)
    assert "RESULT hub [0.0, 1.0, 2.0, 3.0]" in first.stdout, first.stderr
    assert ("HEAD", "/") in stand.asked
    stand.files.clear()
    stand.asked.clear()
    again = run_with_endpoint(stand.address, tmp_path, ASK)
    assert "RESULT hf-cache [0.0, 1.0, 2.0, 3.0]" in again.stdout, again.stderr
    assert stand.asked == []


def test_offline_names_every_place_and_three_ways_on(tmp_path):
    endpoint = closed_address()
    done = run_with_endpoint(endpoint, tmp_path, ASK)
    for words in (
        f"hub: {endpoint}/them/net.v1 (not reachable within 3 s)",
        f"hf-cache: {tmp_path}/hf/hub/models--them--net.v1",
        "weights=PATH",
        "where there is a network, fetch",
        "weights=none",
    ):
        assert words in done.stdout, done.stdout + done.stderr
