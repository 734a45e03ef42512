"""What `preview` shows is what training sees, to the pixel; and what it refuses to show."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.coloured import colour_coded
from support.listening import Listening

from zoo.assembly import training
from zoo.assembly.previewing import choose_images, preview, titles
from zoo.config.compose import configure
from zoo.contracts.data import DataBundle, Task
from zoo.contracts.training import Phase, Plan
from zoo.data.shorthand import source_name_for
from zoo.errors import UserError
from zoo.plugins import load_plugins

QUIET = ("train.threads=1", "train.loader_threads=1", "train.precision=fp32", "train.device=cpu")
TINY = ("weights=none", "data.channels=3", *QUIET)
LENET = "model=lenet5"


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(only=[])


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return colour_coded(tmp_path_factory.mktemp("data") / "shapes", each=14)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.getbasetemp() / "preview-cache"))


def config_of(plugins, data, *words):
    if not any(word.startswith("model=") for word in words):
        words = (LENET, *words)
    return configure([f"data={data}", *TINY, *words], plugins, source_for=source_name_for)


def made(plugins, data, *words, images=5, draws=3, check=False, console=None):
    config = config_of(plugins, data, *words)
    return preview(config, plugins, console=console or Listening(), images=images, draws=draws, check=check)


@pytest.mark.parametrize(
    "words",
    [
        (LENET, "strategy=scratch", "augmentations=[flip,rotate,noise]", "train.seed=3"),
        (LENET, "strategy=scratch", "strategy.crop_scale=null", "strategy.flip=true", "augmentations=[color_jitter]"),
        ("model=test_resnet", "strategy=scratch", "strategy.start_px=32", "model.image_size=48"),
    ],
)
def test_draws_are_those_of_the_run_itself(plugins, shapes, tmp_path, monkeypatch, words):
    """The feed that a real run trained on is caught, and asked again for its first epochs."""
    from zoo.verbs.finetune import finetune

    caught = []
    real = training.train_feed

    def catching(session, bundle, **options):
        caught.append((real(session, bundle, **options), bundle))
        return caught[-1][0]

    monkeypatch.setattr(training, "train_feed", catching)
    finetune([f"data={shapes}", *TINY, *words, "train.epochs=1", f"run.dir={tmp_path}/run"], plugins=plugins)
    ((feed, bundle),) = caught
    shown = made(plugins, shapes, *words, "train.epochs=1")
    assert len(shown.rows) == 5
    for epoch in range(3):
        seen = {bundle.keys[i]: image for b in feed.epoch(epoch) for i, image in zip(b.indices, b.images, strict=True)}
        for key, row in zip(shown.keys, shown.rows, strict=True):
            assert np.array_equal(row.draws[epoch], seen[key])
    changed = [not np.array_equal(draw, row.original) for row in shown.rows for draw in row.draws]
    assert np.mean(changed) > 0.5


def test_original_is_what_validation_sees(plugins, shapes):
    from PIL import Image

    shown = made(plugins, shapes, "augmentations=[noise]", "model.image_size=32", images=3)
    for key, row in zip(shown.keys, shown.rows, strict=True):
        stored = np.asarray(Image.open(shapes / key))  # 32 px, resized to 36 and cut to 32
        assert row.original.shape == (32, 32, 3)
        assert np.corrcoef(row.original[4:-4, 4:-4].ravel(), stored[4:-4, 4:-4].ravel())[0, 1] > 0.8
    assert [row.name for row in shown.rows] == ["blue", "green", "red"]


def test_the_seed_decides_the_draws(plugins, shapes):
    words = ("strategy=scratch", "augmentations=[noise]")
    first, again, other = (made(plugins, shapes, *words, f"train.seed={seed}") for seed in (1, 1, 2))
    for a, b, c in zip(first.rows, again.rows, other.rows, strict=True):
        assert np.array_equal(np.stack(a.draws), np.stack(b.draws))
        assert not np.array_equal(np.stack(a.draws), np.stack(c.draws))
        assert np.array_equal(a.original, c.original)


def test_nothing_to_show_is_an_error_that_says_what_to_give(plugins, shapes):
    with pytest.raises(UserError, match=r"nothing to show.*'scratch' takes images as they are") as caught:
        made(plugins, shapes, "strategy=scratch", "strategy.crop_scale=null")
    assert "flip" in caught.value.allowed
    assert "augmentations=" in caught.value.do[0]
    with pytest.raises(UserError, match=r"nothing to show.*'probe' fits only the head"):
        made(plugins, shapes, "strategy=probe")
    with pytest.raises(UserError, match="has no effect: strategy 'probe'"):
        made(plugins, shapes, "strategy=probe", "augmentations=[flip]")


def test_augmentations_that_could_do_nothing_are_refused(plugins, shapes):
    given_colour = config_of(plugins, shapes, "augmentations=[color_jitter]")
    options = {**given_colour.data.options, "channels": 1}
    gray = dataclasses.replace(given_colour, data=dataclasses.replace(given_colour.data, options=options))
    with pytest.raises(UserError, match="gray images"):
        preview(gray, plugins, console=Listening(), images=2, draws=1, check=False)


def test_recipe_augmentations_and_options_stand_in_the_title(plugins, shapes):
    words = ("strategy=full", "strategy.flip=true", "augmentations=[rotate,noise]", "augmentations.rotate.limit_deg=7")
    shown = made(plugins, shapes, *words, "train.seed=4")
    assert "seed 4" in shown.title[0]
    assert shown.title[1:] == (
        "recipe of full: crops of 40 to 100 % of the area",
        "recipe of full: half of the images mirrored",
        "rotate: limit_deg=7.0, border=reflect, fill=null, p=0.5",
        "noise: min_sigma=0.01, max_sigma=0.05, per_channel=true, p=0.5",
    )


def test_regularizers_that_mix_images_are_said_not_to_be_shown(plugins, shapes):
    shown = made(plugins, shapes, "augmentations=[noise]", "regularizers=[mixup,dropout]")
    assert shown.title[-1] == "not shown: mixup, which mixes or changes whole batches"
    shown = made(plugins, shapes, "augmentations=[noise]", "regularizers=[dropout]")
    assert not any("not shown" in line for line in shown.title)  # label smoothing changes targets alone


def bundle_of(targets, *, classes, images=None, train=None) -> DataBundle:
    count = len(targets)
    train = np.arange(count) if train is None else train
    task = Task.SINGLE_LABEL if np.ndim(targets) == 1 else Task.MULTI_LABEL
    names = tuple(f"class {c}" for c in range(classes))
    keys = tuple(f"{i}" for i in range(count))
    splits = {"train": train, "val": np.arange(0)}
    return DataBundle("x", "x", task, names, 3, images, keys, np.asarray(targets), splits, (), "", None)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=40), st.integers(1, 12))
def test_choose_images_takes_as_many_classes_as_there_are_rows_for(labels, count):
    bundle = bundle_of(np.array(labels), classes=8)
    chosen = choose_images(bundle, count)
    assert len(chosen) == len(set(chosen.tolist())) == min(count, len(labels))
    seen = np.array(labels)[chosen]
    assert len(set(seen)) == min(count, len(set(labels)))
    assert list(seen) == sorted(seen)
    per_class = np.bincount(seen, minlength=8)
    available = np.bincount(labels, minlength=8)
    for a in range(8):  # no class gets a second image while another that has one waits
        for b in range(8):
            if per_class[a] and per_class[b] < available[b] and len(set(labels)) <= count:
                assert per_class[a] <= per_class[b] + 1


def test_choose_images_spreads_over_the_classes_and_keeps_to_training():
    bundle = bundle_of(np.arange(100) % 50, classes=50, train=np.arange(50, 100))
    chosen = choose_images(bundle, 5)
    assert chosen.min() >= 50
    assert (chosen - 50).tolist() == [0, 12, 24, 37, 49]


def test_images_with_several_labels_are_named_by_all_of_them(plugins, shapes):
    targets = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]], np.float32)
    bundle = bundle_of(targets, classes=3)
    assert choose_images(bundle, 3).tolist() == [0, 2]  # an image without a label stands for none
    from zoo.assembly.previewing import _labels

    assert [_labels(bundle, i) for i in range(3)] == ["class 0, class 1", "(no label)", "class 2"]


def test_check_says_what_it_found(plugins, shapes):
    shown = made(plugins, shapes, "augmentations=[noise]", check=True)
    plain = shown.plain()
    assert plain["check"]["val_images"] == 6
    assert {look["augmentation"] for look in plain["check"]["augmentations"]} >= {"noise", "crop of the recipe"}
    assert shown.check.lines()[-1].strip() == "no augmentation moves one class into another"
    assert made(plugins, shapes, "augmentations=[noise]", "train.check_augmentations=true").check is not None
    assert made(plugins, shapes, "augmentations=[noise]").check is None


def test_titles_of_a_plan_without_a_recipe(plugins, shapes):
    session = SimpleNamespace(
        config=SimpleNamespace(train=SimpleNamespace(seed=0), augmentations=(), regularizers=()), registry=None
    )
    lines = titles(session, Plan("x", (), ""), phase=Phase("x", "train"), bundle=None)
    assert len(lines) == 1
