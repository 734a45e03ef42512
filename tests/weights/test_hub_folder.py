"""Models in repositories of the hub, against a stand-in on loopback that keeps commits."""

from __future__ import annotations

import hashlib
import json
import os
import socket

import pytest
from support.hub import HubStand, Repository, hub_stand

from zoo.errors import UserError
from zoo.weights import hub_folder
from zoo.weights.hub_folder import check_hub, fetch_folder, repository_of, send_folder

WEIGHTS = b"tensors" * 100


def described(**more: object) -> bytes:
    return json.dumps({"sha256": {"model.safetensors": hashlib.sha256(WEIGHTS).hexdigest()}, **more}).encode()


def files(**more: object) -> dict[str, bytes]:
    return {"model.safetensors": WEIGHTS, "zoo.json": described(**more), "README.md": b"# pets\n"}


def closed_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def point_at(monkeypatch, address: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture(autouse=True)
def _own_cache_and_token(monkeypatch, tmp_path):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_test")


@pytest.fixture
def hub(monkeypatch):
    with hub_stand() as stand:
        point_at(monkeypatch, stand.address)
        yield stand


def send(address: str = "hf:me/pets", *, private: bool | None = None, same=lambda card: False, **more: object) -> bool:
    return send_folder(files(**more), address, private=private, message="zoo publish", same=same)


def test_a_model_is_sent_in_one_commit_to_a_private_repository(hub: HubStand):
    check_hub("hf:me/pets")
    assert send() is True
    repository = hub.repositories["me/pets"]
    assert repository.private is True
    assert len(repository.commits) == 2
    assert repository.commits[-1][1] == files()


def test_it_is_public_where_that_is_asked_for(hub: HubStand):
    send(private=False)
    assert hub.repositories["me/pets"].private is False


@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [(False, None, "is public"), (False, True, "is public"), (True, False, "is private")],
)
def test_a_repository_of_other_visibility_is_not_written(hub: HubStand, there, asked, said):
    hub.repositories["me/pets"] = Repository(private=there)
    with pytest.raises(UserError, match=said) as caught:
        send(private=asked)
    assert f"private={str(there).lower()}" in caught.value.do[0]
    assert len(hub.repositories["me/pets"].commits) == 1


def test_the_same_model_is_sent_once_and_another_is_refused(hub: HubStand):
    send(note="one")
    assert send(same=lambda card: card["note"] == "one") is False
    with pytest.raises(UserError, match="another model is in hf:me/pets"):
        send(note="two", same=lambda card: card["note"] == "two")
    assert len(hub.repositories["me/pets"].commits) == 2


def test_a_repository_of_something_else_is_left_alone(hub: HubStand):
    hub.repositories["me/pets"] = Repository()
    hub.repositories["me/pets"].add({".gitattributes": b"", "README.md": b"", "pytorch_model.bin": b"x"})
    with pytest.raises(UserError, match=r"something else than a model of zoo: pytorch_model\.bin"):
        send()
    hub.repositories["me/new"] = Repository()
    hub.repositories["me/new"].add({".gitattributes": b"", "README.md": b""})
    assert send("hf:me/new")


def test_of_two_publishers_at_once_the_later_is_told_and_nothing_is_lost(hub: HubStand):
    hub.repositories["me/pets"] = Repository()
    hub.before_commit.append(lambda: hub.repositories["me/pets"].add(files(note="the other's")))
    with pytest.raises(UserError, match="did not take the model") as caught:
        send(note="mine")
    assert "at the same moment" in caught.value.do[0]
    assert json.loads(hub.repositories["me/pets"].commits[-1][1]["zoo.json"])["note"] == "the other's"


def test_a_refusal_of_the_hub_is_explained(hub: HubStand, monkeypatch):
    hub.refuse = 403
    with pytest.raises(UserError, match="did not take") as caught:
        send()
    assert "may not write" in caught.value.do[0]
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UserError) as caught:
        send("hf:me/other")
    assert "token is not valid" in caught.value.do[0]
    assert "me/other" not in hub.repositories


def test_without_token_or_network_nothing_is_tried(hub: HubStand, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="needs a token"):
        check_hub("hf:me/pets")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        check_hub("hf:me/pets")
    assert {path for _, path in hub.asked} == {"/"}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    point_at(monkeypatch, closed_address())
    with pytest.raises(UserError, match="did not answer within 3 s") as caught:
        check_hub("hf:me/pets")
    assert "hf upload me/pets FOLDER/NAME" in caught.value.do[1]


def test_fetch_takes_the_files_that_the_description_names_and_the_cache_serves_without_a_network(hub, monkeypatch):
    send()
    folder = fetch_folder("hf:me/pets")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert sorted(os.listdir(folder)) == ["model.safetensors", "zoo.json"]
    point_at(monkeypatch, closed_address())
    assert fetch_folder("hf:me/pets") == folder
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert fetch_folder("hf:me/pets") == folder
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set") as caught:
        fetch_folder("hf:me/never")
    assert "models--me--never" in caught.value.allowed
    assert "hf download me/never" in caught.value.do[1]


def test_fetch_takes_the_newest_commit_or_the_one_that_is_named(hub: HubStand):
    send(note="one")
    first = hub.repositories["me/pets"].commits[-1][0]
    hub.repositories["me/pets"].add(files(note="two"))
    assert json.loads((fetch_folder("hf:me/pets") / "zoo.json").read_text())["note"] == "two"
    assert json.loads((fetch_folder(f"hf:me/pets@{first}") / "zoo.json").read_text())["note"] == "one"
    with pytest.raises(UserError, match="cannot be fetched"):
        fetch_folder("hf:me/pets@nowhere")


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (None, "cannot be fetched"),
        ({"config.json": b"{}"}, r"no model that zoo published: it has no zoo\.json"),
        ({"zoo.json": b"{"}, "damaged"),
        ({"zoo.json": b"{}"}, "damaged"),
        ({"zoo.json": described()}, "cannot be fetched|no model"),
    ],
)
def test_what_is_no_whole_model_is_refused(hub: HubStand, there, said):
    if there is not None:
        hub.repositories["me/pets"] = Repository()
        hub.repositories["me/pets"].add(there)
    with pytest.raises(UserError, match=said):
        fetch_folder("hf:me/pets")


def test_a_description_never_reaches_beyond_its_folder(hub: HubStand):
    hub.repositories["me/pets"] = Repository()
    hub.repositories["me/pets"].add({"zoo.json": json.dumps({"sha256": {"../../x": "a", "/etc/passwd": "b"}}).encode()})
    assert os.listdir(fetch_folder("hf:me/pets")) == ["zoo.json"]
    assert not any("passwd" in path for _, path in hub.asked)


@pytest.mark.parametrize("rest", ["", "pets", "me/", "/pets", "me/a/b", "me/../x", "me/a b", ".me/x"])
def test_an_address_of_another_form_is_refused(rest):
    with pytest.raises(UserError, match="names no repository"):
        repository_of(f"hf:{rest}", key="to")


def test_a_defect_of_the_client_is_a_message_too(hub, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(hub_folder, "_why_unreachable", lambda: "")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", broken)
    with pytest.raises(UserError, match="cannot be fetched: first line"):
        fetch_folder("hf:me/pets")
