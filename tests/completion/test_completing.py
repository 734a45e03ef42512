"""What the last word of a command line may become: the completer as a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.cli import main
from zoo.completion.names import leave_names, left_file, light_names
from zoo.completion.verbs import complete
from zoo.errors import PluginError
from zoo.plugins import Plugins, load_plugins

MakeDistribution = Callable[..., Path]


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    """zoo's own plugins alone."""
    return load_plugins(only=[])


@pytest.fixture
def words(plugins: Plugins) -> Callable[..., list[str]]:
    """`words("finetune", "opti")`: what the last word may become."""
    return lambda *line: [one.text for one in complete(line[:-1], line[-1], plugins=plugins).candidates]


Words = Callable[..., list[str]]


def test_verbs(words: Words) -> None:
    assert words("fi") == ["finetune"]
    assert {"finetune", "predict", "plugins", "completion"} <= set(words(""))
    assert words("--v") == ["--version"]
    assert words("nonsense", "") == []


@pytest.mark.parametrize("verb", ["finetune", "preview", "lesson"])
def test_verbs_that_take_a_configuration_complete_its_words(verb: str, words: Words) -> None:
    assert "optimizer.momentum=" in words(verb, "optimizer=sgd", "optimizer.")


def test_keys_are_completed_dot_by_dot(words: Words) -> None:
    empty = words("finetune", "")
    assert {"optimizer=", "optimizer.", "train.", "run.", "weights=", "experiment=", "resume="} <= set(empty)
    assert not any(word.startswith("train.") and word != "train." for word in empty)
    assert words("finetune", "optim") == ["optimizer=", "optimizer."]
    assert words("finetune", "optimizer=sgd", "optim") == ["optimizer."]  # a word that was given is not offered again
    assert words("finetune", "train.e") == ["train.epochs="]
    assert words("finetune", "train.epochs=3", "train.e") == []


def test_options_are_those_of_the_chosen_component(words: Words) -> None:
    assert words("finetune", "optimizer=sgd", "optimizer.") == [
        "optimizer.lr=",
        "optimizer.momentum=",
        "optimizer.nesterov=",
        "optimizer.weight_decay=",
    ]
    assert "optimizer.betas=" in words("finetune", "optimizer.")  # of adamw, which finetune.yaml chooses
    assert "optimizer.momentum=" in words("finetune", "optimizer=torch/sgd", "optimizer.m")


def test_options_of_a_list_stand_below_each_item(words: Words) -> None:
    chosen = ("finetune", "augmentations=[flip,rotate@2]")
    assert words(*chosen, "augmentations.") == ["augmentations.flip.", "augmentations.rotate_2."]
    assert "augmentations.rotate_2.limit_deg=" in words(*chosen, "augmentations.rotate_2.")
    assert words(*chosen, "augmentations.rotate_2.bor") == ["augmentations.rotate_2.border="]
    assert words("finetune", "augmentations.") == []


def test_values_are_those_that_the_type_lists(words: Words) -> None:
    assert words("finetune", "train.precision=") == [f"train.precision={p}" for p in ("auto", "fp32", "bf16")]
    assert words("finetune", "train.check_augmentations=t") == ["train.check_augmentations=true"]
    assert words("finetune", "optimizer=sgd", "optimizer.nesterov=") == [
        "optimizer.nesterov=true",
        "optimizer.nesterov=false",
    ]
    assert words("finetune", "loss=focal", "loss.class_weight=e") == ["loss.class_weight=effective"]
    assert "augmentations.rotate.border=wrap" in words(
        "finetune", "augmentations=rotate", "augmentations.rotate.border="
    )
    assert words("finetune", "optimizer=sgd", "optimizer.momentum=") == ["optimizer.momentum=0.9"]  # its default
    assert {"model.norm=auto", "model.norm=fresh", "model.norm=group"} <= set(words("finetune", "model.norm="))
    assert words("finetune", "optimizer=sgd", "optimizer.nothing=") == []


def test_names_of_single_groups(words: Words) -> None:
    assert words("finetune", "optimizer=sg") == ["optimizer=sgd", "optimizer=sgdc", "optimizer=sgdp", "optimizer=sgdw"]
    assert words("finetune", "optimizer=torch/s") == ["optimizer=torch/sgd"]
    assert "loss=auto" in words("finetune", "loss=")
    assert "experiment=lesson/moons" in words("finetune", "experiment=lesson/")
    assert {"weights=auto", "weights=none", "weights=starter"} <= set(words("finetune", "weights="))


def test_a_sweep_completes_the_value_behind_the_comma(words: Words) -> None:
    assert words("finetune", "-m", "optimizer=sgd,adag") == ["optimizer=sgd,adagrad"]
    assert words("finetune", "optimizer=sgd,adag") == []


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_networks_of_libraries_are_known_without_them(library: str, words: Words) -> None:
    assert f"model={library}/resnet18" in words("finetune", f"model={library}/resnet1")
    assert "model=resnet18" in words("finetune", "model=resnet1")


def test_lists(words: Words) -> None:
    start = "augmentations=[flip,"
    assert words("finetune", f"{start}rot") == [f"{start}rotate]", f"{start}rotate,"]  # the only one left: or more
    several = words("finetune", f"{start}ra")
    assert f"{start}rand_augment" in several
    assert not any(word.endswith((",", "]")) for word in several)
    assert f"{start}flip" not in words("finetune", f"{start}f")
    assert "augmentations=[flip" in words("finetune", "augmentations=")
    assert words("finetune", "augmentations=fl") == ["augmentations=flip"]
    assert words("finetune", "regularizers=[dropout,drop_p") == [
        "regularizers=[dropout,drop_path]",
        "regularizers=[dropout,drop_path,",
    ]


@pytest.mark.parametrize(
    ("line", "path", "before"),
    [
        (("finetune", "data=pho"), "pho", "data="),
        (("finetune", "model=./r"), "./r", "model="),
        (("finetune", "run.dir=~/x"), "~/x", "run.dir="),
        (("finetune", "resume="), "", "resume="),
        (("predict", "images=a b"), "a b", "images="),
        (("predict", "run=x"), "x", "run="),
        (("publish", "to=z"), "z", "to="),
        (("convert", "source=w"), "w", "source="),
        (("data", "check", "pho"), "pho", ""),
        (("plugins", "check", "./pl"), "./pl", ""),
        (("explain", "config", "run=r"), "r", "run="),
    ],
)
def test_paths_are_left_to_the_shell(line: tuple[str, ...], path: str, before: str, plugins: Plugins) -> None:
    found = complete(line[:-1], line[-1], plugins=plugins)
    assert (found.path, found.before) == (path, before)


@pytest.mark.parametrize("line", [("finetune", "model=res"), ("finetune", "optimizer="), ("predict", "device=")])
def test_names_and_values_are_no_paths(line: tuple[str, ...], plugins: Plugins) -> None:
    assert complete(line[:-1], line[-1], plugins=plugins).path is None


def test_keys_and_values_of_other_verbs(words: Words) -> None:
    assert {"run=", "model=", "images=", "output="} <= set(words("predict", ""))
    assert "images=" not in words("predict", "images=x", "")
    assert words("predict", "device=") == [f"device={d}" for d in ("auto", "cpu", "cuda", "mps")]
    assert words("evaluate", "split=") == ["split=test", "split=val", "split=train"]
    assert words("publish", "private=") == ["private=true", "private=false"]
    assert words("convert", "model=lenet") == ["model=lenet", "model=lenet5"]
    assert "convert" not in words("convert", "")
    assert "reader=onnx" in words("convert", "reader=")


def test_sub_words(words: Words) -> None:
    assert words("plugins", "") == ["show", "disable", "enable", "new", "check"]
    assert words("explain", "") == ["config"]
    assert "optimizer=" in words("explain", "config", "")
    assert words("data", "") == ["check"]
    assert words("completion", "") == ["bash", "zsh", "fish"]
    assert {"classic", "show", "resnet18"} <= set(words("models", ""))
    assert words("models", "show", "lenet") == ["lenet", "lenet5"]
    assert {"zoo.losses", "sgd"} <= set(words("plugins", "show", ""))


@pytest.mark.parametrize(
    ("verb", "flags"),
    [
        ("finetune", {"-m", "--json", "--cfg", "--help"}),
        ("plugins", {"--author", "--files", "--json", "--kind", "--quick", "--help"}),
        ("predict", {"--json", "--help"}),
    ],
)
def test_flags_of_each_verb(verb: str, flags: set[str], words: Words) -> None:
    assert set(words(verb, "-")) == flags
    assert words(verb, "--help", "--h") == []


def test_what_stands_behind_a_flag(words: Words) -> None:
    assert words("finetune", "--cfg", "") == ["job"]
    assert words("plugins", "new", "zoo-x", "--kind", "optim") == ["optimizer"]
    assert words("plugins", "new", "zoo-x", "--kind", "optimizer,aug") == ["optimizer,augmentation"]


HOOKS = """
from zoo.hookspecs import hookimpl

@hookimpl
def register_optimizers(register):
    register("tiger", "acme_tiger:Tiger", summary="A cat", lr=1e-3)
    register.provider("acme_many:Many", summary="Many cats")

@hookimpl
def register_commands(register):
    register("stroke", "acme_stroke:main", summary="strokes a cat", usage="stroke NAME [speed=N] [--gently]")

@hookimpl
def register_config_dirs(register):
    register("acme_yaml.conf")
"""
TIGER = """
import no_such_library_at_all
from typing import Annotated, Literal
from acme_words import Mood

class Base:
    def __init__(self, params, lr, *, stripes: int = 30, mood: Mood = "calm", tame: bool = False): ...

class Tiger(Base):
    '''Nothing of its own.'''
"""
MANY = """
class Many:
    def names(self): return ["lynx", "ocelot"]
    def offer(self, name): return None
"""


@pytest.fixture
def acme(make_distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plugins:
    """A third party with a component that cannot be imported here, a provider, a verb and YAML."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    modules = {
        "acme_hooks": HOOKS,
        "acme_tiger": TIGER,
        "acme_words": "from typing import Literal\nMood = Literal['calm', 'wild'] | None\n",
        "acme_many": MANY,
        "acme_stroke": "KEYS = {'speed': 'slow   slow, quick'}\ndef main(argv): return 0\n",
        "acme_yaml.conf.__init__": "",
    }
    site = make_distribution("acme", points={"acme.cats": "acme_hooks"}, modules=modules)
    (site / "acme_yaml" / "conf" / "experiment").mkdir()
    (site / "acme_yaml" / "conf" / "experiment" / "jungle.yaml").write_text("# @package _global_\n")
    return load_plugins()


def texts(plugins: Plugins, *line: str) -> list[str]:
    return [one.text for one in complete(line[:-1], line[-1], plugins=plugins).candidates]


def test_components_of_installed_plugins_are_completed_without_importing_them(acme: Plugins) -> None:
    assert texts(acme, "finetune", "optimizer=ti") == ["optimizer=tiger"]
    chosen = ("finetune", "optimizer=tiger")
    assert texts(acme, *chosen, "optimizer.") == [
        "optimizer.lr=",
        "optimizer.stripes=",
        "optimizer.mood=",
        "optimizer.tame=",
    ]
    assert texts(acme, *chosen, "optimizer.mood=") == [f"optimizer.mood={m}" for m in ("calm", "wild", "null")]
    assert "experiment=jungle" in texts(acme, "finetune", "experiment=ju")
    assert "acme.cats" in texts(acme, "plugins", "show", "ac")


def test_verbs_of_installed_plugins_are_completed(acme: Plugins) -> None:
    assert texts(acme, "str") == ["stroke"]
    assert texts(acme, "stroke", "sp") == ["speed="]
    assert texts(acme, "stroke", "speed=") == ["speed=slow", "speed=quick"]
    assert texts(acme, "stroke", "--") == ["--gently", "--json", "--help"]


def test_plugins_to_disable_and_enable(acme: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    assert texts(acme, "plugins", "disable", "") == ["acme.cats", "acme"]
    assert texts(acme, "plugins", "disable", "acme", "") == ["acme.cats"]
    assert texts(acme, "plugins", "enable", "") == []
    main(["plugins", "disable", "acme"])
    assert texts(acme, "plugins", "enable", "") == ["acme"]


def test_names_of_a_provider_are_those_that_a_command_left(acme: Plugins) -> None:
    (provider,) = [p for p in acme.registry.providers("optimizer") if p.origin.plugin == "acme.cats"]
    assert light_names(provider) == []
    assert leave_names(acme) == []  # nothing was imported for it
    assert provider.names() == ["lynx", "ocelot"]
    assert leave_names(acme) == [left_file(provider)]
    assert leave_names(acme) == []  # as it is there
    assert texts(acme, "finetune", "optimizer=ly") == ["optimizer=lynx"]
    assert json.loads(left_file(provider).read_text()) == ["lynx", "ocelot"]
    left_file(provider).write_text("{torn")
    assert light_names(provider) == []


def test_a_command_leaves_the_names_of_what_it_used(acme: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    (provider,) = [p for p in acme.registry.providers("optimizer") if p.origin.plugin == "acme.cats"]
    assert main(["plugins"]) == 0
    assert not left_file(provider).exists()
    provider.names()
    assert main(["plugins"]) == 0
    assert left_file(provider).exists()


def test_failing_light_names_blame_their_plugin(make_distribution: MakeDistribution) -> None:
    hooks = HOOKS.partition("@hookimpl\ndef register_commands")[0]
    hooks = hooks.replace('summary="Many cats"', 'summary="Many cats", light_names="acme_many:nothing"')
    make_distribution("acme", points={"acme.cats": "acme_hooks"}, modules={"acme_hooks": hooks, "acme_many": MANY})
    (provider,) = [p for p in load_plugins().registry.providers("optimizer") if p.origin.plugin == "acme.cats"]
    with pytest.raises(PluginError, match=r"acme\.cats \(acme 1\.0\)"):
        light_names(provider)


def test_shared_bare_names_are_offered_in_full(make_distribution: MakeDistribution) -> None:
    source = HOOKS.partition("    register.provider")[0]
    for name in ("acme", "bell"):
        make_distribution(name, points={f"{name}.cats": f"{name}_hooks"}, modules={f"{name}_hooks": source})
    found = texts(load_plugins(), "finetune", "optimizer=")
    assert {"optimizer=acme/tiger", "optimizer=bell/tiger"} <= set(found)
    assert "optimizer=tiger" not in found
