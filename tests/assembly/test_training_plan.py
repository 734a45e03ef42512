"""What is planned, and what is refused because it would do nothing."""

from __future__ import annotations

import dataclasses

import pytest

from zoo.assembly.network import SMALLEST_INPUT_PX, input_size
from zoo.assembly.planning import (
    asked_for_training,
    cannot_grow,
    cannot_keep_norms,
    momentum_without_effect,
    recipe_without_effect,
    with_epochs,
    without_effect,
)
from zoo.assembly.session import Session, seconds_of
from zoo.config.compose import configure
from zoo.contracts.data import DataFacts, Task
from zoo.contracts.model import NetworkFacts
from zoo.contracts.training import Phase, Plan
from zoo.errors import UserError
from zoo.plugins import load_plugins

FACTS = DataFacts("x", 3, Task.SINGLE_LABEL, 3, 300, 90, 100, 200)
NETWORK = NetworkFacts("x/net", ("c1", "c3", "c5", "f6"), 60_300, 32, norm_layers=2, linear_layers=3, biases=4)
HEAD_ONLY = Plan("probe", (Phase("probe", "fit_head"),), "")
TRAINS = Plan("full", (Phase("full", "train", epochs=1),), "")


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(only=[])


def config_of(plugins, *words):
    return configure(["model=lenet5", *words], plugins, source_for=lambda path: "folder")


def strategy(plugins, name, **options):
    return plugins.registry.get("strategy", name).build(**options)


def test_asked_for_training_names_what_the_user_set(plugins):
    assert asked_for_training(config_of(plugins)) == []
    asked = asked_for_training(config_of(plugins, "optimizer.lr=0.1", "train.epochs=3", "regularizers=[l2]"))
    assert {"optimizer.lr", "train.epochs", "regularizers.l2.name"} <= set(asked)
    assert asked_for_training(config_of(plugins, "train.seed=4", "data=digits", "weights=none")) == []


def test_without_effect_names_each_key_once(plugins):
    config = config_of(plugins, "optimizer=sgd", "schedule=step", "augmentations=[flip]")
    errors = without_effect(config, HEAD_ONLY)
    assert {error.where for error in errors} == {"optimizer=", "schedule=", "augmentations=[flip]"}
    assert without_effect(config, TRAINS) == []


def test_steps_and_time_have_no_effect_on_a_probe_that_was_asked_for(plugins):
    config = config_of(plugins, "strategy=probe", "train.batch_size=8", "train.max_time=1m")
    assert {error.where for error in without_effect(config, HEAD_ONLY)} == {"train.batch_size", "train.max_time"}
    limited = config_of(plugins, "train.max_time=1m")
    assert asked_for_training(limited) == without_effect(limited, HEAD_ONLY) == []


def session_of(plugins, *words) -> Session:
    parts = dict.fromkeys(("console", "accelerator", "folder", "record"))
    return Session(config_of(plugins, *words), plugins, **parts)


@pytest.mark.parametrize(
    ("words", "task", "said"),
    [
        (("strategy.lr_factor=3", "optimizer.lr=0.1"), Task.SINGLE_LABEL, "optimizer.lr=0.1 is taken as it is"),
        (("strategy.lr_factor=3",), Task.SINGLE_LABEL, ""),
        (("optimizer.lr=0.1",), Task.SINGLE_LABEL, ""),
        (("strategy.label_smoothing=0.2",), Task.MULTI_LABEL, "where an image has one label"),
        (("strategy.label_smoothing=0",), Task.MULTI_LABEL, ""),
        (("strategy.label_smoothing=0.2", "loss=focal"), Task.SINGLE_LABEL, "takes class numbers only"),
        (("strategy.label_smoothing=0.2", "regularizers=[label_smoothing]"), Task.SINGLE_LABEL, "stands in its place"),
        (("strategy.label_smoothing=0.2", "regularizers=[mixup]"), Task.SINGLE_LABEL, ""),
        (("strategy.ema_decay=0.9", "strategy.ema=false"), Task.SINGLE_LABEL, "keeps no average"),
        (("strategy.ema_decay=0.9", "regularizers=[swa]"), Task.SINGLE_LABEL, "[swa] keeps the average"),
        (("strategy.ema_decay=0.9", "regularizers=[dropout]"), Task.SINGLE_LABEL, ""),
    ],
)
def test_options_of_the_recipe_that_something_else_leaves_unused_are_refused(plugins, words, task, said):
    session = session_of(plugins, "strategy=full", *words)
    facts = dataclasses.replace(FACTS, task=task)
    plan = session.build(session.config.strategy).plan(facts, network=NETWORK, pretrained=True)
    errors = recipe_without_effect(session, plan, task=task)
    assert [(said in error.what, error.where == words[0].partition("=")[0]) for error in errors] == (
        [(True, True)] if said else []
    )


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("optimizer=sgd", "optimizer.momentum=0.5"), "optimizer.momentum"),
        (("optimizer=sgd", "optimizer.momentum=0.5", "schedule.momenta=null"), None),
        (("optimizer=sgd",), None),
        (("optimizer=adamw", "optimizer.betas=[0.8,0.99]"), "optimizer.betas"),
        (("optimizer=adamw", "optimizer.betas=[0.95,0.99]"), None),
        (("optimizer=adagrad", "schedule.momenta=[0.8,0.9]"), "schedule.momenta"),
        (("optimizer=adagrad",), None),
        (("optimizer=sgd", "schedule.momenta=[0.8,0.9]"), None),
    ],
)
def test_one_momentum_is_asked_for_and_something_takes_it(plugins, words, where):
    session = session_of(plugins, "schedule=one_cycle", *words)
    errors = momentum_without_effect(session, TRAINS)
    assert [error.where for error in errors] == [where] * bool(where)
    assert all("schedule.momenta" in error.what + str(error.do) for error in errors)
    assert momentum_without_effect(session, HEAD_ONLY) == []


def test_batch_norms_from_random_values_have_no_statistics_to_keep(plugins):
    def refused(name, *words, pretrained=False):
        model = plugins.registry.get("model", name).build(classes=3, channels=3, image_size=32)
        return [e.where for e in cannot_keep_norms(config_of(plugins, *words), model, pretrained=pretrained)]

    words = ("strategy=full", "strategy.freeze_norm=true")
    assert refused("resnet10t", *words) == ["strategy.freeze_norm"]
    assert refused("resnet10t", *words, pretrained=True) == refused("zoo/lenet", *words) == []
    assert refused("resnet10t", "strategy=full") == refused("resnet10t", words[0], "strategy.freeze_norm=auto") == []


@pytest.mark.parametrize("name", ["full", "lpft"])
def test_freezing_is_planned_for_training_alone_and_fits_the_network(plugins, name):
    plan = strategy(plugins, name, freeze_stages=4).plan(FACTS, network=NETWORK, pretrained=True)
    assert [phase.frozen for phase in plan.phases if phase.kind == "train"] == [(0, 1, 2, 3)]
    with pytest.raises(UserError, match="c1, c3, c5, f6") as error:
        strategy(plugins, name, freeze_stages=5).plan(FACTS, network=NETWORK, pretrained=True)
    assert (error.value.where, error.value.allowed) == ("strategy.freeze_stages=5", "0 to 4")


def test_epochs_are_those_of_all_phases_together_in_their_shares():
    phases = (Phase("probe", "fit_head"), Phase("a", "train", epochs=1), Phase("b", "train", epochs=3))
    assert [phase.epochs for phase in with_epochs(Plan("x", phases, ""), 10).phases] == [0, 2.5, 7.5]


@pytest.mark.parametrize("word", ["strategy.freeze_stages=-1", "strategy.freeze_stages=1.5"])
def test_freezing_takes_whole_numbers_from_zero_on(plugins, word):
    with pytest.raises(UserError, match="freeze_stages"):
        config_of(plugins, "strategy=full", word)


@pytest.mark.parametrize(
    ("per_class", "pretrained", "chosen"),
    [(3, True, "probe"), (9, True, "probe"), (10, True, "lpft"), (3, False, "scratch")],
)
def test_auto_goes_by_images_per_class_and_says_so(plugins, per_class, pretrained, chosen):
    facts = dataclasses.replace(FACTS, median_class=per_class)
    plan = strategy(plugins, "auto").plan(facts, network=NETWORK, pretrained=pretrained)
    assert plan.strategy == chosen
    assert str(per_class) in plan.reason or not pretrained
    assert plan == strategy(plugins, "auto").plan(facts, network=NETWORK, pretrained=pretrained)


@pytest.mark.parametrize(
    ("side", "per_class", "chosen"), [(8, 2, "probe"), (8, 5, "lpft"), (31, 5, "lpft"), (32, 5, "probe")]
)
def test_auto_trains_on_fewer_images_where_they_are_small(plugins, side, per_class, chosen):
    facts = dataclasses.replace(FACTS, median_class=per_class, median_side_px=side)
    plan = strategy(plugins, "auto").plan(facts, network=NETWORK, pretrained=True)
    assert plan.strategy == chosen
    assert ("blown up" in plan.reason) is (side < 32)
    assert f"{side} px" in plan.reason
    made_for_it = dataclasses.replace(NETWORK, input_px=side)
    assert strategy(plugins, "auto").plan(facts, network=made_for_it, pretrained=True).strategy == "probe"


@pytest.mark.parametrize(
    ("images", "epochs"), [(1, 40), (50, 40), (160, 40), (161, 34), (1258, 5), (1600, 4), (3068, 4), (10**6, 4)]
)
def test_few_small_images_are_trained_for_more_epochs(plugins, images, epochs):
    for side, expected in ((8, epochs), (200, 4)):
        facts = dataclasses.replace(FACTS, train_images=images, median_side_px=side)
        for name in ("full", "lpft", "gradual", "surgical", "bitfit", "norm", "lora"):
            plan = strategy(plugins, name).plan(facts, network=NETWORK, pretrained=True)
            assert sum(phase.epochs for phase in plan.phases) == pytest.approx(expected)


def test_auto_limit_is_an_option(plugins):
    facts = dataclasses.replace(FACTS, median_class=15)
    assert strategy(plugins, "auto", few_images=20).plan(facts, network=NETWORK, pretrained=True).strategy == "probe"


def test_lpft_fits_the_head_before_it_trains_with_frozen_statistics(plugins):
    head, tune = strategy(plugins, "lpft").plan(FACTS, network=NETWORK, pretrained=True).phases
    assert (head.kind, tune.kind) == ("fit_head", "train")
    assert tune.freeze_norm
    assert tune.stage_decay < 1
    assert tune.regularizers["zoo/label_smoothing"] == {"share": 0.1}


def test_strategies_have_no_label_smoothing_where_it_is_not_defined(plugins):
    facts = dataclasses.replace(FACTS, task=Task.MULTI_LABEL)
    for name in ("lpft", "full", "scratch"):
        plan = strategy(plugins, name).plan(facts, network=NETWORK, pretrained=True)
        assert plan.phases[-1].regularizers.keys() == {"zoo/ema"}


def test_strategy_options_reach_the_phase(plugins):
    options = {"epochs": 7, "stage_decay": 0.5, "ema": False, "crop_scale": None, "flip": True, "label_smoothing": 0.0}
    phase = strategy(plugins, "full", **options).plan(FACTS, network=NETWORK, pretrained=True).phases[0]
    assert (phase.epochs, phase.stage_decay, phase.crop_scale, phase.flip) == (7, 0.5, None, True)
    assert phase.regularizers == {}


@pytest.mark.parametrize(
    ("side", "native", "size"),
    [(8, 224, 64), (28, 224, 64), (32, 224, 64), (64, 224, 128), (100, 224, 224), (8, 32, 32)],
)
def test_input_size_follows_small_images(side, native, size):
    chosen, why = input_size(dataclasses.replace(FACTS, median_side_px=side), native)
    assert chosen == size
    assert chosen % 32 == 0
    assert chosen >= min(native, SMALLEST_INPUT_PX)
    assert why


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (7, 7), (0.5, 0.5)]
)
def test_seconds_of_reads_times(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "-3", "0", "5 days", "nan", "m"])
def test_seconds_of_refuses_what_is_no_time(text):
    with pytest.raises(UserError, match="max_time"):
        seconds_of(text)


def test_auto_trains_where_something_was_asked_that_acts_only_there(plugins):
    few = dataclasses.replace(FACTS, median_class=3)
    plan = strategy(plugins, "auto").plan(few, network=NETWORK, pretrained=True, must_train=True)
    assert plan.strategy == "lpft"
    assert "only in training" in plan.reason


@pytest.mark.parametrize(
    ("start", "words", "message"),
    [
        (32, (), ""),
        (None, ("train.max_time=1m",), ""),
        (7, (), "no size to grow from"),
        (64, (), "no size to grow from"),
        (32, ("train.max_time=1m",), "train.max_time cannot be kept"),
    ],
)
def test_images_grow_from_a_smaller_size_or_not_at_all(plugins, start, words, message):
    model = plugins.registry.get("model", "resnet10t").build(classes=3, channels=3, image_size=64)
    spec = dataclasses.replace(model.spec, preprocess=model.spec.preprocess.with_size(64))
    plan = strategy(plugins, "scratch", start_px=start).plan(FACTS, network=NETWORK, pretrained=False)
    errors = cannot_grow(config_of(plugins, *words), plan, model=dataclasses.replace(model, spec=spec))
    assert [message in error.what for error in errors] == [True] * bool(message)


def test_a_network_of_one_size_cannot_have_images_that_grow(plugins):
    model = plugins.registry.get("model", "zoo/lenet").build(classes=3, channels=3, image_size=32)
    plan = strategy(plugins, "scratch", start_px=16).plan(FACTS, network=NETWORK, pretrained=False)
    (error,) = cannot_grow(config_of(plugins), plan, model=model)
    assert error.where == "strategy.start_px=16"
    assert "cannot take images of 16 x 16 px" in error.what


def test_a_loss_by_which_heads_are_fitted_acts_without_training(plugins):
    config = config_of(plugins, "loss=cross_entropy", "loss.class_weight=inverse")
    assert {error.where for error in without_effect(config, HEAD_ONLY)} >= {"loss.class_weight"}
    assert without_effect(config, HEAD_ONLY, loss_fits_heads=True) == []
    assert asked_for_training(config, loss_fits_heads=True) == []
    fitting = {e.name for e in plugins.registry.entries("loss") if "single_label" in e.facts.get("fits_heads", ())}
    assert fitting == {"cross_entropy", "logit_adjusted"}
