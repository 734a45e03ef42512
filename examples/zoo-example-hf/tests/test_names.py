"""Names of networks: what is typed, what is kept in configurations, and what is left to others."""

from __future__ import annotations

from pathlib import Path

import pytest
from zoo_example_hf.provider import HubModels
from zoo_example_hf.repository import address_of, is_folder, name_of

from zoo.errors import UserError


@pytest.mark.parametrize(
    ("given", "address", "name"),
    [
        ("hf_vision:microsoft/resnet-18", "microsoft/resnet-18", "microsoft--resnet-18"),
        ("hf_vision:apple/net-1.0", "apple/net-1.0", "apple--net-1.0"),
        ("hf_vision:/data/my nets/vit", "/data/my nets/vit", "%2fdata%2fmy%20nets%2fvit"),
        ("hf_vision:/data/a--b", "/data/a--b", "%2fdata%2fa--b"),
    ],
)
def test_names_that_are_typed_and_kept_mean_the_same(given: str, address: str, name: str) -> None:
    assert address_of(given) == address
    assert name_of(address) == name
    assert address_of(name) == address
    assert "/" not in name
    assert is_folder(address) == given.startswith("hf_vision:/")


def test_folders_are_named_from_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets" / "vit").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "nets")
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("./vit", "vit", "~/nets/vit", "../nets/vit"):
        found = address_of(f"hf_vision:{given}")
        assert found is not None
        assert Path(found).resolve() == (tmp_path / "nets" / "vit").resolve(), given


@pytest.mark.parametrize("name", ["resnet18", "vit_base_patch16_224.augreg", "timm/resnet18", "--x", "x--"])
def test_names_of_others_are_left_to_them(name: str) -> None:
    assert address_of(name) is None
    assert HubModels().offer(name) is None


@pytest.mark.parametrize("given", ["", "resnet-18", "a/b/c", "a--b/c"])
def test_what_is_no_repository_is_refused(given: str) -> None:
    with pytest.raises(UserError, match="names no repository"):
        address_of(f"hf_vision:{given}")
