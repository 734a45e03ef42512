"""Which augmentations are warned of: those that change labels, and none of those that do not."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from support.coloured import colour_coded, sixes_and_nines
from support.listening import Listening

from zoo.assembly import augmentation_check
from zoo.assembly.augmentation_check import check_augmentations, warn_of_label_moves
from zoo.assembly.data import open_data, pack_data
from zoo.assembly.network import build_backbone, finish_network
from zoo.assembly.planning import make_plan
from zoo.assembly.start import open_scratch
from zoo.config.compose import configure
from zoo.contracts.data import Task
from zoo.data.shorthand import source_name_for
from zoo.errors import UserError
from zoo.plugins import load_plugins

QUIET = ("train.threads=1", "train.loader_threads=1", "train.precision=fp32", "train.device=cpu")
PIXELS = ("model=lenet5", "weights=none", *QUIET)
UPSIDE_DOWN = ("augmentations=[flip]", "augmentations.flip.horizontal=false", "augmentations.flip.vertical=true")
HARMLESS = "augmentations=[translate,rotate,intensity,noise,scale]"
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(only=[])


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    return colour_coded(tmp_path_factory.mktemp("data") / "colours", each=150)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return sixes_and_nines(tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.getbasetemp() / "check-cache"))


@pytest.fixture
def ready(plugins, tmp_path):
    """Everything that a check needs, made as a run makes it."""

    def make(*words, session=None):
        from zoo.artifacts.run_folder import RunFolder

        config = configure(words, plugins, source_for=source_name_for)
        folder = RunFolder(tmp_path)
        session = open_scratch(config, plugins, console=Listening(), folder=folder, verb="check")
        source, listing, facts = open_data(session)
        model, found = build_backbone(config, session.registry, facts=facts, say=session.console.say)
        plan = make_plan(session, facts, model=model, pretrained=found is not None)
        bundle = pack_data(session, source, listing=listing, preprocess=model.spec.preprocess)
        model, report = finish_network(
            model, found, config=config, registry=session.registry, classes=len(bundle.classes)
        )
        return session, model, {"bundle": bundle, "report": report, "plan": plan}

    return make


@pytest.fixture
def checked(ready):
    def check(*words):
        session, model, rest = ready(*words)
        return check_augmentations(session, model, **rest)

    return check


def pairs(found) -> dict[str, set[str]]:
    """Augmentation to the moves that it is warned of."""
    return {
        seen.name: {f"{found.classes[m.source]}>{found.classes[m.target]}" for m in seen.judged.moves}
        for seen in found.warned
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_hue_on_colour_classes_is_caught(checked, colours, seed):
    found = checked(
        f"data={colours}",
        *PIXELS,
        "augmentations=[color_jitter,flip,noise]",
        "augmentations.color_jitter.hue=0.5",
        f"train.seed={seed}",
        f"data.split_seed={seed}",
    )
    assert set(pairs(found)) == {"color_jitter"}
    assert pairs(found)["color_jitter"]
    warning = "\n".join(found.lines())
    assert "warning: color_jitter (brightness=0.2" in warning
    assert "hue=0.5" in warning
    assert "leave color_jitter out, or weaken it (augmentations.color_jitter.brightness" in warning


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_harmless_augmentations_of_colour_classes_are_let_pass(checked, colours, seed):
    """Turned, mirrored and shifted shapes keep their colour, and so does a hue that hardly turns."""
    found = checked(
        f"data={colours}",
        *PIXELS,
        "augmentations=[flip,translate,noise,rotate,color_jitter]",
        "augmentations.flip.vertical=true",
        "augmentations.color_jitter.hue=0.02",
        f"train.seed={seed}",
        f"data.split_seed={seed}",
    )
    assert pairs(found) == {}
    assert found.accuracy > 0.95
    assert found.lines()[-1].strip() == "no augmentation moves one class into another"


def test_a_vertical_flip_of_6_and_9_is_caught_on_pixels(checked, digits):
    found = checked(f"data={digits}", *PIXELS, *UPSIDE_DOWN)
    assert pairs(found) == {"flip": {"6>9"}}
    assert "the network has learnt nothing yet" in found.lines()[0]
    (move,) = found.warned[0].judged.moves
    assert move.share > 0.3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_harmless_augmentations_of_6_and_9_are_let_pass(checked, digits, seed):
    found = checked(f"data={digits}", *PIXELS, HARMLESS, f"train.seed={seed}", f"data.split_seed={seed}")
    assert pairs(found) == {}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_vertical_flips_of_digits_are_caught_on_features(checked, digits, seed):
    seeds = (f"train.seed={seed}", f"data.split_seed={seed}")
    found = checked("data=digits", *QUIET, *UPSIDE_DOWN, *seeds)
    assert "6>9" in pairs(found)["flip"]
    assert "features of timm/tf_efficientnet_lite0" in found.lines()[0]
    assert "6>9" in pairs(checked(f"data={digits}", *QUIET, *UPSIDE_DOWN, *seeds))["flip"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_harmless_augmentations_of_digits_are_let_pass_on_features(checked, digits, seed):
    seeds = (f"train.seed={seed}", f"data.split_seed={seed}")
    assert pairs(checked("data=digits", *QUIET, HARMLESS, *seeds)) == {}
    # Noise in which nothing is left: every six is a nine to the probe, and none resembles one.
    drowned = ("augmentations=[noise]", "augmentations.noise.min_sigma=0.4", "augmentations.noise.max_sigma=0.5")
    found = checked(f"data={digits}", *QUIET, *drowned, *seeds)
    assert found.seen[1].judged.accuracy < 0.7
    assert pairs(found) == {}


@pytest.mark.slow
def test_hue_on_colour_classes_is_caught_on_features(checked, colours):
    found = checked(
        f"data={colours}", *QUIET, "augmentations=[color_jitter,flip]", "augmentations.color_jitter.hue=0.5"
    )
    assert set(pairs(found)) == {"color_jitter"}


@pytest.mark.slow
def test_flips_and_jitter_of_real_photos_are_let_pass(checked, monkeypatch):
    folder = Path(os.environ.get("ZOO_TEST_DATA", REPOSITORY.parent / "shared" / "data")) / "clothing"
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}")
    monkeypatch.setattr(augmentation_check, "MOST_TRAIN", 1000)
    found = checked(f"data={folder}", *QUIET, "model.image_size=96", "augmentations=[flip,color_jitter]")
    assert found.val_images == 341
    assert found.accuracy > 0.7
    assert pairs(found) == {}


def test_each_is_looked_at_alone_and_always_then_all_as_training_draws_them(ready, colours):
    session, model, rest = ready(
        f"data={colours}",
        *PIXELS,
        "strategy=scratch",
        "strategy.flip=true",
        "augmentations=[flip,noise,crop]",
        "augmentations.flip.p=0.1",
        "augmentations.noise.p=0",
    )
    val = rest["bundle"].splits["val"][:40]
    looks = augmentation_check._looks(session, rest["bundle"], model=model, plan=rest["plan"], indices=val)
    assert [look.name for look in looks] == [
        "crop of the recipe",
        "flip of the recipe",
        "flip",
        "noise",
        "crop",
        "all as training draws them",
    ]
    assert [look.options.get("p") for look in looks[2:5]] == [1.0, 0, 1.0]
    clean = np.stack([model.spec.preprocess.crop(rest["bundle"].images[int(i)]) for i in val])
    seen = {look.name: np.concatenate([b.images for b in look.feed.epoch(0)]) for look in looks}
    assert np.array_equal(seen["flip of the recipe"], clean[:, :, ::-1])
    assert np.array_equal(seen["flip"], clean[:, :, ::-1])
    assert np.array_equal(seen["noise"], clean)
    assert "strategy=scratch strategy.flip=false" in looks[1].advice


def test_a_single_augmentation_that_always_acts_is_looked_at_once(ready, colours):
    session, model, rest = ready(
        f"data={colours}",
        *PIXELS,
        "strategy=scratch",
        "strategy.crop_scale=null",
        "augmentations=[crop]",
        "augmentations.crop.p=1",
    )
    val = rest["bundle"].splits["val"]
    looks = augmentation_check._looks(session, rest["bundle"], model=model, plan=rest["plan"], indices=val)
    assert [look.name for look in looks] == ["crop"]


def test_every_draw_is_another_and_the_images_are_few_enough(checked, colours, monkeypatch):
    drawn = []
    judge = augmentation_check.Judge.judge

    def keep(self, draws):
        drawn.append([draw.copy() for draw in draws])
        return judge(self, draws)

    monkeypatch.setattr(augmentation_check.Judge, "judge", keep)
    monkeypatch.setattr(augmentation_check, "MOST_TRAIN", 60)
    monkeypatch.setattr(augmentation_check, "MOST_VAL", 30)
    found = checked(f"data={colours}", *PIXELS, "augmentations=[noise]")
    assert (found.train_images, found.val_images, found.draws) == (60, 30, 1)
    monkeypatch.setattr(augmentation_check, "MOST_VAL", 200)
    assert checked(f"data={colours}", *PIXELS, "augmentations=[noise]").draws == 200 // 68
    first, second = drawn[-1]
    assert not np.array_equal(first, second)
    assert first.shape == (68, 16 * 16 * 3)


def test_nothing_to_check_and_several_labels_are_errors(ready, colours):
    session, model, rest = ready(f"data={colours}", *PIXELS, "strategy=scratch", "strategy.crop_scale=null")
    with pytest.raises(UserError, match="check=true has no effect: nothing changes the training images"):
        check_augmentations(session, model, **rest)
    session, model, rest = ready(f"data={colours}", *PIXELS, "augmentations=[noise]")
    several = dataclasses.replace(rest["bundle"], task=Task.MULTI_LABEL)
    with pytest.raises(UserError, match="several labels"):
        check_augmentations(session, model, **{**rest, "bundle": several})


def test_a_run_warns_before_it_trains_and_records_it(plugins, colours, tmp_path, capsys):
    from zoo.verbs.finetune import finetune

    words = ("augmentations=[color_jitter]", "augmentations.color_jitter.hue=0.5", "train.check_augmentations=true")
    finetune([f"data={colours}", *PIXELS, *words, "train.epochs=1", f"run.dir={tmp_path}/run"], plugins=plugins)
    said = capsys.readouterr().out
    assert said.index("warning: color_jitter") < said.index("epoch 1")
    choices = json.loads((tmp_path / "run" / "record.json").read_text())["choices"]["check_augmentations"]
    looks = {look["augmentation"]: look for look in choices["augmentations"]}
    assert looks["color_jitter"]["options"]["hue"] == 0.5
    assert {"source", "target", "share", "p_value"} <= looks["color_jitter"]["moves"][0].keys()
    assert looks["color_jitter"]["moves"][0]["source"] in ("blue", "green", "red")
    assert looks["crop of the recipe"]["moves"] == []


def test_a_run_without_anything_to_check_is_refused_and_leaves_no_folder(plugins, colours, tmp_path):
    from zoo.verbs.finetune import finetune

    words = ("strategy=scratch", "strategy.crop_scale=null", "train.check_augmentations=true")
    with pytest.raises(UserError, match=r"train\.check_augmentations=true has no effect"):
        finetune([f"data={colours}", *PIXELS, *words, f"run.dir={tmp_path}/run"], plugins=plugins)
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_does_not_check_again(ready, colours):
    session, model, rest = ready(f"data={colours}", *PIXELS, "augmentations=[noise]", "train.check_augmentations=true")
    warn_of_label_moves(session, model, **rest)
    assert "check_augmentations" in session.measured
    said = len(session.console.lines)
    warn_of_label_moves(session, model, **rest)
    assert len(session.console.lines) == said


def test_the_check_leaves_the_run_as_it_was(plugins, colours, tmp_path):
    """The same weights to the bit, whether the run looked first or not."""
    from zoo.verbs.finetune import finetune

    saved = []
    for name in ("true", "false"):
        words = ("augmentations=[noise]", f"train.check_augmentations={name}", "train.epochs=1")
        finetune([f"data={colours}", *PIXELS, *words, f"run.dir={tmp_path}/{name}"], plugins=plugins)
        saved.append((tmp_path / name / "model" / "model.safetensors").read_bytes())
    assert saved[0] == saved[1]


def test_a_clean_bank_gives_what_a_pass_gives(ready, digits):
    """Pretrained features from the run's bank and from a pass over the chosen images are the same."""
    session, model, rest = ready(f"data={digits}", *QUIET, *UPSIDE_DOWN)
    eyes = augmentation_check._Eyes(session, model, bundle=rest["bundle"], report=rest["report"])
    positions = np.array([7, 3, 250, 0])
    alone = eyes.clean(positions, use_bank=False)
    assert np.allclose(alone, eyes.clean(positions, use_bank=True), atol=1e-4)
    assert not np.allclose(alone[0], alone[1])
