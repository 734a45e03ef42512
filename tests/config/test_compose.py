"""Words in, typed configuration out; and everything that is wrong with them, at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from zoo.config.compose import compose_text, from_plain, known_experiments, to_plain
from zoo.config.run_config import Component, FinetuneConfig
from zoo.errors import UserError, UserErrors
from zoo.plugins import Plugins

Configure = Callable[..., FinetuneConfig]


def messages(configured: Configure, *words: str) -> list[UserError]:
    with pytest.raises(UserError) as raised:
        configured(*words)
    error = raised.value
    return list(error.errors) if isinstance(error, UserErrors) else [error]


def test_defaults_compose_with_empty_lists(configured: Configure) -> None:
    config = configured()

    assert config.data.name == "zoo/digits"
    assert config.model.name == "zoo/lenet5"
    assert config.optimizer.name == "torch/adamw"
    assert (config.augmentations, config.regularizers, config.loss) == ((), (), None)
    assert (config.weights, config.train.epochs, config.run.dir) == ("auto", "auto", None)
    assert {key for key, origin in config.origins.items() if origin != "default"} == {"model.name"}


def test_groups_and_their_options(configured: Configure) -> None:
    config = configured("optimizer=sgd", "optimizer.momentum=0.5", "train.epochs=3", "loss=focal")

    assert config.optimizer.name == "torch/sgd"
    assert config.optimizer.options["momentum"] == 0.5
    assert config.optimizer.options["lr"] == "auto"
    assert "lr" not in config.optimizer.own
    assert config.train.epochs == 3.0
    assert config.loss is not None
    assert config.loss.name == "zoo/focal"


def test_full_names_choose_the_same(configured: Configure) -> None:
    assert configured("optimizer=torch/sgd").optimizer == configured("optimizer=sgd").optimizer


@pytest.mark.parametrize("text", ["1e-4", "0.0001", "1E-4", "1.0e-4"])
def test_scientific_notation_is_a_number(text: str, configured: Configure) -> None:
    lr = configured(f"optimizer.lr={text}").optimizer.options["lr"]

    assert isinstance(lr, float)
    assert lr == 1e-4


def test_list_values_become_tuples(configured: Configure) -> None:
    assert configured("optimizer.betas=[0.8, 0.95]").optimizer.options["betas"] == (0.8, 0.95)


def test_plural_groups_take_lists_and_second_copies(configured: Configure) -> None:
    config = configured(
        "augmentations=[flip,rotate,rotate@2]",
        "augmentations.rotate.limit_deg=20",
        "augmentations.rotate_2.limit_deg=7",
        "regularizers=[l2]",
    )

    assert [(c.key, c.name, c.options.get("limit_deg")) for c in config.augmentations] == [
        ("augmentations.flip", "zoo/flip", None),
        ("augmentations.rotate", "zoo/rotate", 20.0),
        ("augmentations.rotate_2", "zoo/rotate", 7.0),
    ]
    assert [c.key for c in config.regularizers] == ["regularizers.l2"]


def test_plural_group_keeps_the_order_and_takes_one_without_brackets(configured: Configure) -> None:
    assert [c.key for c in configured("augmentations=[rotate, flip]").augmentations] == [
        "augmentations.rotate",
        "augmentations.flip",
    ]
    assert [c.key for c in configured("augmentations=flip").augmentations] == ["augmentations.flip"]
    assert configured("augmentations=[]").augmentations == ()


def test_full_name_in_a_list_lands_under_its_short_key(configured: Configure) -> None:
    config = configured("augmentations=[zoo/rotate]", "augmentations.rotate.limit_deg=3")
    assert config.augmentations == (
        Component("augmentation", "augmentations.rotate", "zoo/rotate", config.augmentations[0].options),
    )
    assert config.augmentations[0].options["limit_deg"] == 3.0


def test_origins_tell_default_from_command_line(configured: Configure) -> None:
    config = configured("optimizer=sgd", "optimizer.lr=0.1", "augmentations=[flip]", "run.dir=here")

    assert config.origins["optimizer.name"] == "command line"
    assert config.origins["optimizer.lr"] == "command line"
    assert config.origins["optimizer.momentum"] == "default"
    assert config.origins["augmentations.flip.name"] == "command line"
    assert config.origins["augmentations.flip.p"] == "default"
    assert config.origins["run.dir"] == "command line"
    assert config.asked("optimizer.lr")
    assert not config.asked("optimizer.momentum")
    assert not config.asked("no.such.key")
    assert config.overrides == (
        "optimizer=sgd",
        "optimizer.lr=0.1",
        "augmentations=[flip]",
        "run.dir=here",
        "model=lenet5",
    )


def test_everything_wrong_is_shown_at_once(configured: Configure) -> None:
    errors = messages(
        configured,
        "optimizr=sgd",
        "optimizer.lrr=3",
        "train.epoch=3",
        "augmentations=[rotat,flip,flip]",
        "augmentations.rotate.limit_deg=3",
        "data=nothere",
        "head=lineer",
        "+train.seed=1",
        "foo",
    )
    whats = [error.what for error in errors]

    assert whats == [
        "'+train.seed=1': '+' is Hydra's way to add or delete keys, and zoo has no keys to add or delete",
        "'foo' is not of the form key=value",
        "data='nothere' is neither a path that exists nor a data set",
        "augmentations: 'flip' stands twice in the list",
        "unknown augmentation 'rotat'",
        "unknown head 'lineer'",
        "unknown key 'optimizr'",
        "unknown option 'optimizer.lrr' of torch/adamw",
        "unknown key 'train.epoch'",
    ]
    allowed = {error.what: str(error.allowed).partition(",")[0] for error in errors}
    assert allowed["unknown augmentation 'rotat'"] == "rotate"
    assert allowed["unknown head 'lineer'"] == "linear"
    assert allowed["unknown key 'optimizr'"] == "optimizer"
    assert allowed["unknown option 'optimizer.lrr' of torch/adamw"] == "optimizer.lr"
    assert allowed["unknown key 'train.epoch'"] == "train.epochs"
    assert all(error.where for error in errors)
    assert not any("+" in way or "append" in way for error in errors[2:] for way in error.do)


def test_values_that_do_not_fit_are_shown_together_with_their_type(configured: Configure) -> None:
    errors = messages(
        configured,
        "train.epochs=abc",
        "train.batch_size=0",
        "train.device=gpu",
        "optimizer.lr=-1",
        "optimizer.betas=3",
        "optimizer.amsgrad=perhaps",
        "data.val_fraction=1.5",
    )

    assert [(error.what, error.allowed) for error in errors] == [
        ("data.val_fraction=1.5 does not fit", "float above 0 and below 1 | 'auto'"),
        ("optimizer.lr=-1 does not fit", "float above 0 | 'auto' | 'measure'"),
        ("optimizer.betas=3 does not fit", "[float, float]"),
        ("optimizer.amsgrad='perhaps' does not fit", "bool"),
        ("train.epochs='abc' does not fit", "float above 0 | 'auto'"),
        ("train.batch_size=0 does not fit", "int of at least 1 | 'auto'"),
        ("train.device='gpu' does not fit", "'auto' | 'cpu' | 'cuda' | 'mps'"),
    ]
    assert all("command line" in str(error.where) for error in errors)


def test_option_of_an_unknown_choice_is_not_blamed_too(configured: Configure) -> None:
    errors = messages(configured, "optimizer=sgdd", "optimizer.momentum=0.9")

    assert [error.what for error in errors] == ["unknown optimizer 'sgdd'"]


def test_option_of_a_component_that_was_not_chosen_says_how_to_choose_it(configured: Configure) -> None:
    (error,) = messages(configured, "augmentations=[flip]", "augmentations.rotate.limit_deg=3")

    assert error.what == "'augmentations.rotate.limit_deg': rotate is not among the chosen augmentations"
    assert error.do == ("choose it too: 'augmentations=[flip,rotate]'",)


def test_key_in_the_wrong_place_is_pointed_to_its_own(configured: Configure) -> None:
    (error,) = messages(configured, "lr=0.1")
    assert error.do == ("did you mean optimizer.lr?",)
    (error,) = messages(configured, "epochs=5")
    assert error.do == ("did you mean train.epochs?",)


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("train=5", "'train' is a section and cannot be set as a whole"),
        ("optimizer.name=torch/sgd", "'optimizer.name' cannot be set"),
        ("train.seed.x=1", "unknown key 'train.seed.x'"),
        ("optimizer.lr=(", "the value of optimizer.lr cannot be read"),
        ("optimizer.lr=${nothing}", "Interpolation key 'nothing' not found"),
        ("data=folder", "dataset 'zoo/folder' needs a value for 'path'"),
        ("data=", "data is empty"),
        ("weights=null", "weights=None does not fit"),
        ("optimizer=sgd@2", "'sgd@2': only items of a list can have a second copy"),
        ("optimizer=null", "unknown optimizer 'null'"),
        ("experiment=nothing", "unknown experiment 'nothing'"),
        ("hydra.run.dir=x", "'hydra.run.dir' has no effect here"),
    ],
)
def test_other_words_that_cannot_be_used(word: str, what: str, configured: Configure) -> None:
    (error,) = messages(configured, word)
    assert error.what.startswith(what)


@pytest.mark.parametrize("word", ["optimizer.lr=1e-3,1e-4", "optimizer=sgd,adam", "augmentations=flip,rotate"])
def test_several_values_want_a_sweep(word: str, configured: Configure) -> None:
    (error,) = messages(configured, word)

    assert error.what == f"{word} gives several values"
    assert error.do[0].startswith("add -m")


def test_sweep_syntax_of_hydra_wants_a_sweep_too(configured: Configure) -> None:
    (error,) = messages(configured, "train.seed=range(0,3)")
    assert error.do[0].startswith("add -m")


def test_free_form_maps_take_any_key(plugins: Plugins, configured: Configure) -> None:
    config = configured("model=timm/resnet18", "model.args.block_args.x=1", "model.args.stem_width=16")

    assert config.model.options["args"] == {"block_args": {"x": 1}, "stem_width": 16}
    assert config.asked("model.args.stem_width")


def test_saved_configuration_comes_back_equal(plugins: Plugins, configured: Configure) -> None:
    config = configured("optimizer=sgd", "optimizer.lr=1e-4", "augmentations=[flip,rotate@2]", "loss=cross_entropy")
    text = yaml.safe_dump(to_plain(config))
    back = from_plain(yaml.safe_load(text), plugins, origins=config.origins)

    assert to_plain(back) == to_plain(config)
    assert back.components() == config.components()
    assert (back.train, back.run, back.weights) == (config.train, config.run, config.weights)


def test_saved_configuration_of_a_missing_component_says_so(plugins: Plugins, configured: Configure) -> None:
    values = to_plain(configured())
    values["optimizer"] = {"name": "acme/lion", "lr": 0.1}
    values["train"]["epoch"] = 3

    with pytest.raises(UserErrors) as raised:
        from_plain(values, plugins, origins={})
    assert [error.what for error in raised.value.errors] == [
        "unknown optimizer 'acme/lion'",
        "unknown key 'train.epoch'",
    ]


def test_compose_text_is_the_configuration_as_yaml(plugins: Plugins, configured: Configure) -> None:
    words = ["model=lenet5", "optimizer=sgd", "run.dir=año ${x}"]
    text = compose_text(words, plugins, source_for=lambda path: "folder")

    assert yaml.safe_load(text) == to_plain(configured(*words))
    assert "año ${x}" in text


EXPERIMENT = """\
# @package _global_
defaults:
  - override /optimizer: sgd
  - override /augmentations: [flip, rotate]
optimizer: {lr: 1e-4}
train: {epochs: 3}
"""


def test_experiment_of_the_users_own(configured: Configure, my_conf: Callable[[str, str], Path]) -> None:
    folder = my_conf("experiment/e1", EXPERIMENT)
    config = configured(f"hydra.searchpath=[file://{folder}]".replace(" ", "\\ "), "experiment=e1")

    assert config.optimizer.name == "torch/sgd"
    assert config.optimizer.options["lr"] == 1e-4
    assert isinstance(config.optimizer.options["lr"], float)
    assert [c.key for c in config.augmentations] == ["augmentations.flip", "augmentations.rotate"]
    label = "file experiment/e1.yaml"
    asked = {"optimizer.name", "optimizer.lr", "train.epochs", "augmentations.flip.name", "augmentations.rotate.name"}
    assert {key for key, origin in config.origins.items() if origin == label} == asked
    assert all(config.asked(key) for key in asked)
    assert not config.asked("optimizer.momentum")


def test_command_line_goes_before_an_experiment(configured: Configure, my_conf: Callable[[str, str], Path]) -> None:
    folder = my_conf("experiment/e1", EXPERIMENT)
    config = configured(f"hydra.searchpath={folder}", "experiment=e1", "optimizer=adam", "train.epochs=9")

    assert config.optimizer.name == "torch/adam"
    assert (config.optimizer.options["lr"], config.train.epochs) == (1e-4, 9.0)
    assert config.origins["optimizer.name"] == config.origins["train.epochs"] == "command line"
    assert config.origins["optimizer.lr"] == "file experiment/e1.yaml"


def test_yaml_refines_an_option(configured: Configure, my_conf: Callable[[str, str], Path]) -> None:
    folder = my_conf("optimizer/slow", "defaults: [adamw, _self_]\nlr: 1e-5\n")
    my_conf("augmentations/light", "defaults: [flip, rotate, _self_]\nrotate: {limit_deg: 5}\n")
    config = configured(f"hydra.searchpath={folder}", "optimizer=slow", "augmentations=[light,noise]")

    assert (config.optimizer.name, config.optimizer.options["lr"]) == ("torch/adamw", 1e-5)
    assert config.origins["optimizer.lr"] == "file optimizer/slow.yaml"
    assert config.origins["optimizer.name"] == "command line"
    assert [c.key.partition(".")[2] for c in config.augmentations] == ["flip", "rotate", "noise"]
    assert config.augmentations[1].options["limit_deg"] == 5.0


def test_users_yaml_may_stand_in_for_a_component(configured: Configure, my_conf: Callable[[str, str], Path]) -> None:
    folder = my_conf("optimizer/sgd", "defaults: [torch/sgd, _self_]\nmomentum: 0.5\n")
    config = configured(f"hydra.searchpath={folder}", "optimizer=sgd")

    assert (config.optimizer.name, config.optimizer.options["momentum"]) == ("torch/sgd", 0.5)
    assert config.asked("optimizer.momentum")


def test_users_yaml_of_a_name_in_zoos_own_conf_is_refused(
    configured: Configure, my_conf: Callable[[str, str], Path]
) -> None:
    folder = my_conf("loss/auto", "name: auto\n")
    (error,) = messages(configured, f"hydra.searchpath={folder}", "loss=auto")
    assert error.what.startswith("loss=auto is written twice")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train: {epochs: 3}\n", ["an experiment file sets values below `experiment`, where they have no effect"]),
        (
            "# @package _global_\ntrain: {epoch: 3}\ntrian: {epochs: 3}\noptimizer: {momentun: 3}\n",
            ["unknown key 'optimizer.momentun'", "unknown key 'train.epoch'", "unknown key 'trian'"],
        ),
        ("# @package _global_\noptimizer: {lr: fast}\n", ["optimizer.lr='fast' does not fit"]),
        (
            "# @package _global_\ndefaults:\n  - override /optimizer: sgdd\n",
            ["a file asks for optimizer=sgdd, which there is not"],
        ),
    ],
)
def test_files_are_checked_like_the_command_line(
    text: str, expected: list[str], configured: Configure, my_conf: Callable[[str, str], Path]
) -> None:
    folder = my_conf("experiment/e1", text)
    errors = messages(configured, f"hydra.searchpath={folder}", "experiment=e1")

    found = [error.what for error in errors]
    assert len(found) == len(expected)
    assert all(what.startswith(start) for what, start in zip(found, expected, strict=True)), found
    assert all("e1" in str(error.where) or "experiment" in str(error.where) for error in errors)


@pytest.mark.parametrize("value", ["nowhere", "[nowhere]", "[pkg://no_such_package.conf]", "[3]", "[a"])
def test_search_path_that_is_not_there(value: str, configured: Configure) -> None:
    errors = messages(configured, f"hydra.searchpath={value}", "foo")
    assert len(errors) == 2
    assert "searchpath" in str(errors[1].where)


def test_hydra_of_a_program_around_zoo_is_left_alone(configured: Configure) -> None:
    from hydra import compose, initialize_config_module, version
    from hydra.core.global_hydra import GlobalHydra

    with initialize_config_module("zoo.conf", version_base="1.2"):
        before = GlobalHydra.instance().hydra
        configured("optimizer=sgd")
        assert GlobalHydra.instance().hydra is before
        assert str(version.getbase()) == "1.2"
        assert compose(overrides=["hydra.verbose=true"]) == {}


def test_nothing_is_written(configured: Configure, tmp_path: Path) -> None:
    configured("optimizer=sgd")
    assert list(tmp_path.iterdir()) == []


def test_known_experiments_are_zoos_own(plugins: Plugins) -> None:
    folder = Path(__file__).parents[2] / "conf" / "experiment"
    assert known_experiments(plugins) == sorted(
        str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.yaml")
    )
