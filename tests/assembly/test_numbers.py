"""Arrays of numbers: what is made for images alone is refused by name, before anything is looked for or kept."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from zoo.artifacts.run_folder import RunFolder
from zoo.assembly.console import Console
from zoo.assembly.data import open_data
from zoo.assembly.network import build_backbone
from zoo.assembly.numbers import refuse_arrays, refused_for_numbers
from zoo.assembly.planning import without_effect
from zoo.assembly.previewing import preview
from zoo.assembly.recommending import Asked, recommend
from zoo.assembly.start import open_scratch
from zoo.config.compose import configure
from zoo.contracts.data import DataFacts, Task
from zoo.contracts.training import Phase, Plan
from zoo.errors import UserError, UserErrors
from zoo.plugins import load_plugins

PLUGINS = load_plugins(only=())
MLP = ("data=xor", "model=mlp", "weights=none")
FACTS = DataFacts("xor", 2, Task.SINGLE_LABEL, 2, 100, 50, 50, 1, arrays=True)


def configured(*words: str):
    return configure(list(words), PLUGINS, source_for=lambda path: "table" if str(path).endswith("csv") else "folder")


def opened(*words: str):
    config = configured("train.device=cpu", *words)
    session = open_scratch(config, PLUGINS, console=Console(speaks=False), folder=RunFolder("."), verb="test")
    return open_data(session)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("augmentations=[noise]",), "augmentations.noise"),
        (("strategy=scratch", "strategy.crop_scale=[0.5,1]"), "strategy.crop_scale"),
        (("strategy=scratch", "strategy.flip=true"), "strategy.flip"),
        (("strategy=scratch", "strategy.start_px=8"), "strategy.start_px"),
        (("model.image_size=8",), "model.image_size"),
        (("model.pixels=raw",), "model.pixels"),
        (("train.check_augmentations=true",), "train.check_augmentations"),
    ],
)
def test_what_acts_on_images_alone_is_refused(words, key):
    errors = refused_for_numbers(configured(*MLP, *words), "xor")
    assert [error.where for error in errors] == [key]
    assert f"{key} has no effect: xor holds arrays of numbers" in errors[0].what


def test_defaults_are_not_held_against_the_user_and_all_that_was_asked_for_is_said_at_once():
    assert refused_for_numbers(configured(*MLP, "strategy=scratch"), "xor") == []
    words = ("augmentations=[flip,noise]", "model.pixels=raw")
    with pytest.raises(UserErrors) as caught:
        opened(*MLP, *words)
    assert [error.where for error in caught.value.errors] == [
        "augmentations.flip",
        "augmentations.noise",
        "model.pixels",
    ]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("model=lenet5",), "weights=auto: pretrained networks"),
        (("model=tf_efficientnet_lite0",), "weights=auto: pretrained networks"),
        (("model=mlp",), "weights=auto: pretrained networks"),
        (("model=mlp", "weights=starter"), "weights=starter: pretrained networks"),
        (("model=lenet5", "weights=none"), "lenet5 is made for images; the data are arrays of 2 x 1 x 1 numbers"),
        (("model=resnet18", "weights=none"), "is made for images; the data are arrays of 2 x 1 x 1 numbers"),
    ],
)
def test_networks_that_know_images_are_refused_with_what_to_take_instead(words, what):
    config = configured("data=xor", *words)
    with pytest.raises(UserError) as caught:
        build_backbone(config, PLUGINS.registry, facts=FACTS, say=lambda _: None)
    assert what in caught.value.what
    assert "model=mlp weights=none" in caught.value.do
    assert "image_size" not in str(caught.value)


def test_network_that_fails_on_the_first_array_is_refused_as_one_of_images():
    facts = dataclasses.replace(FACTS, channels=3, median_side_px=1)  # built, but its poolings leave nothing
    with pytest.raises(UserError, match="made for images"):
        build_backbone(
            configured("data=xor", "model=vgg11", "weights=none"), PLUGINS.registry, facts=facts, say=lambda _: None
        )


def test_wrong_option_of_a_network_is_said_as_such():
    config = configured(*MLP, "model.hidden=[]")
    with pytest.raises(UserError) as caught:
        build_backbone(config, PLUGINS.registry, facts=FACTS, say=lambda _: None)
    assert "made for images" not in str(caught.value)
    assert "hidden" in str(caught.value)


def test_verbs_that_need_images_refuse_arrays(tmp_path):
    console = Console(speaks=False)
    with pytest.raises(UserError, match="nothing to draw") as caught:
        preview(configured(*MLP), PLUGINS, console=console, images=2, draws=2, check=False)
    assert (caught.value.where or "").startswith("data=xor")
    with pytest.raises(UserError, match="arrays of numbers, not images: the networks that are compared know images"):
        recommend(Asked(("data=xor",), ("lenet5",)), PLUGINS, console=console, folder=RunFolder(tmp_path))
    refuse_arrays(SimpleNamespace(arrays=False), "photos", why="no")


def test_classes_that_are_balanced_already_are_not_balanced():
    with pytest.raises(UserError, match=r"train.sampling=balanced has no effect: each class has 140 training images"):
        opened(*MLP, "train.sampling=balanced")
    opened("data=blobs", "data.n=41", "data.clouds=3", "model=mlp", "weights=none", "train.sampling=balanced")


def test_images_of_several_labels_are_not_balanced(tmp_path):
    rows = [f"{number}.png,{'a|b' if number % 2 else 'b'}" for number in range(20)]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *rows]) + "\n")
    for number in range(20):
        (tmp_path / f"{number}.png").write_bytes(b"never read")
    words = (f"data={tmp_path / 'labels.csv'}", "model=lenet5", "weights=none", "train.sampling=balanced")
    with pytest.raises(UserError, match="an image with several labels belongs to no one class") as caught:
        opened(*words)
    assert "loss.class_weight=inverse" in caught.value.do[0]


def test_sampling_has_no_effect_where_only_a_head_is_fitted():
    config = configured("data=digits", "model=lenet5", "strategy=probe", "train.sampling=balanced")
    errors = without_effect(config, Plan("probe", (Phase("probe", "fit_head"),), ""))
    assert [error.where for error in errors] == ["train.sampling"]
