"""Which networks are compared, which are left out, and what is said of it."""

from __future__ import annotations

import pytest
from support.planted import DISTRIBUTION, make_weights

from zoo.assembly.recommend import candidates
from zoo.assembly.recommend.candidates import choose_candidates
from zoo.errors import UserError, UserErrors
from zoo.plugins import load_plugins


@pytest.fixture
def registry(make_distribution, tmp_path, monkeypatch):
    make_distribution("planted", **DISTRIBUTION)
    monkeypatch.setenv("PLANTED_WEIGHTS", str(make_weights(tmp_path / "weights")))
    for variable in ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / "empty"))
    return load_plugins().registry


def names_of(field) -> list[str]:
    return [candidate.name for candidate in field.candidates]


def test_a_name_means_itself_at_hand_or_not(registry):
    names = ["seer", "torchvision/resnet34", "planted/seer", "resnet18.a1_in1k", "resnet18"]
    field = choose_candidates(registry, names)
    assert names_of(field) == ["seer", "torchvision/resnet34", "resnet18.a1_in1k", "resnet18"]  # seer once
    seer, torchvision, tagged, starter = field.candidates
    assert (seer.full_name, seer.weights, seer.at_hand) == ("planted/seer", "planted", True)
    assert (torchvision.weights, torchvision.at_hand) == ("", False)
    assert (tagged.full_name, tagged.at_hand) == ("timm/resnet18.a1_in1k", False)
    assert (starter.full_name, starter.weights, starter.at_hand) == ("timm/resnet18", "", False)  # the hub goes first
    assert torchvision.parameters == 21_797_672
    assert field.notes == ()


def test_a_pattern_means_what_is_at_hand_and_says_what_is_not(registry):
    field = choose_candidates(registry, ["s?*er"])
    assert names_of(field) == ["seer", "squinter"]
    field = choose_candidates(registry, ["resnet3?", "seer"])
    assert "seer" in names_of(field)
    assert "resnet34" not in names_of(field)
    assert any("fit resnet3? have no weights at hand" in note and "download=yes" in note for note in field.notes)


def test_download_lets_a_pattern_reach_what_is_published(registry):
    field = choose_candidates(registry, ["torchvision/vgg1[13]"], download=True)
    assert names_of(field) == ["torchvision/vgg11", "torchvision/vgg13"]
    assert not any(candidate.at_hand or candidate.weights for candidate in field.candidates)
    with pytest.raises(UserError, match="without models=") as caught:
        choose_candidates(registry, [], download=True)
    assert "models=[" in str(caught.value)


def test_a_pattern_of_which_nothing_is_at_hand_is_an_error_with_the_way_on(registry):
    with pytest.raises(UserError, match="no weights at hand") as caught:
        choose_candidates(registry, ["vgg*"])
    assert "download=yes" in str(caught.value)


def test_every_unknown_name_is_said_with_its_nearest(registry):
    with pytest.raises(UserErrors) as caught:
        choose_candidates(registry, ["seeer", "resnet19", "zzz*", "seer"])
    text = str(caught.value)
    assert len(caught.value.errors) == 3
    assert "unknown model 'seeer'" in text
    assert "where:   models=seeer" in text
    assert "resnet18" in text
    assert "no model fits 'zzz*'" in text


def test_limits_and_missing_weights_refuse_with_the_reason(registry):
    large, bare = choose_candidates(registry, ["resnet50", "bare"], max_parameters=2e7).candidates
    assert large.refused == "over the limit: 25,557,032 parameters, max_params=20,000,000"
    assert bare.refused.startswith("no pretrained weights")


def test_all_at_hand_without_names(registry):
    field = choose_candidates(registry, [])
    assert {"seer", "squinter", "blind", "torn", "tf_efficientnet_lite0"} <= set(names_of(field))
    assert all(candidate.at_hand and not candidate.refused for candidate in field.candidates)
    assert "bare" not in names_of(field)
    assert any("networks have no weights on this machine" in note for note in field.notes)


def test_of_many_at_hand_some_of_every_size(registry, monkeypatch):
    monkeypatch.setattr(candidates, "MOST_UNNAMED", 3)
    field = choose_candidates(registry, [])
    sizes = [candidate.parameters for candidate in field.candidates]
    assert len(sizes) == 3
    assert sizes == sorted(sizes)
    assert sizes[0] == 10_004  # seer and torn are the smallest
    assert (field.candidates[-1].name, field.candidates[-1].weights) == ("resnet18", "starter")
    assert any("networks at hand are left out" in note for note in field.notes)


def test_nothing_at_hand_within_the_limit_is_an_error(registry):
    with pytest.raises(UserError, match="no network that could be compared") as caught:
        choose_candidates(registry, [], max_parameters=10)
    assert "raise max_params" in str(caught.value)


def test_starter_weights_are_at_hand_where_nothing_is_fetched_and_once_a_file(registry):
    unnamed = {candidate.name: candidate for candidate in choose_candidates(registry, []).candidates}
    assert (unnamed["resnet18"].weights, unnamed["resnet18"].at_hand) == ("starter", True)
    assert "torchvision/resnet18" not in unnamed
    (pattern,) = choose_candidates(registry, ["resnet18?", "timm/resnet1[8]"]).candidates
    assert (pattern.name, pattern.weights, pattern.at_hand) == ("resnet18", "starter", True)
