"""What the hook modules offer: complete, light to import, loadable, documented, and readable as options."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
from typing import Any

import pytest

from zoo.config.schema import convert, defaults, options
from zoo.errors import UserError
from zoo.kinds import BY_NAME
from zoo.plugins import Register
from zoo.registry import Entry, Origin

MODULES = {
    "augmentations": ("augmentation", "zoo.augmentations"),
    "albumentations_transforms": ("augmentation", "albumentations.transforms"),
    "regularizers": ("regularizer", "zoo.regularizers"),
    "optimizers": ("optimizer", "torch.optimizers"),
    "timm_optimizers": ("optimizer", "timm.optimizers"),
    "schedules": ("schedule", "zoo.schedules"),
    "losses": ("loss", "zoo.losses"),
    "heads": ("head", "zoo.heads"),
    "callbacks": ("callback", "zoo.callbacks"),
    "trackers": ("tracker", "zoo.trackers"),
}
EXPECTED = {
    "augmentations": {
        *("translate", "rotate", "flip", "scale", "crop", "intensity", "color_jitter", "noise"),
        *("rand_augment", "trivial_augment", "aug_mix", "random_erasing"),
    },
    "albumentations_transforms": set(),
    "regularizers": {
        *("dropout", "drop_path", "stochastic_norm", "l1", "l2", "elastic_net", "l2sp", "delta", "bss"),
        *("label_smoothing", "mixup", "cutmix", "random_erasing"),
        *("gradient_clipping", "gradient_noise", "max_norm", "sam", "ema", "swa"),
    },
    "optimizers": {"sgd", "adam", "adamw", "nadam", "rmsprop", "adagrad"},
    "timm_optimizers": set(),
    "schedules": {
        *("constant", "step", "cosine", "one_cycle", "plateau", "linear"),
        *("piecewise", "exponential", "power"),
    },
    "losses": {"cross_entropy", "binary_cross_entropy", "focal", "logit_adjusted", "perceptron"},
    "heads": {"linear", "mlp", "cosine"},
    "callbacks": {"stop_when", "batch_picture", "worst"},
    "trackers": {"csv", "jsonl", "tensorboard", "mlflow", "wandb", "trackio"},
}
LIBRARIES = ("tensorboard", "mlflow", "wandb", "trackio")
SUPPLIED: dict[str, dict[str, Any]] = {"head": {"features": 4, "classes": 3}}


def registered(module: str) -> Register:
    """What a hook module offers."""
    kind, plugin = MODULES[module]
    register = Register(BY_NAME[kind], Origin(plugin, "zoo", "0"))
    getattr(importlib.import_module(f"zoo_plugins.{module}"), f"register_{BY_NAME[kind].hook}")(register)
    return register


ENTRIES: list[Entry] = [entry for module in MODULES for entry in registered(module).entries]
IDS = [f"{entry.kind}-{entry.name}" for entry in ENTRIES]


@pytest.mark.parametrize("module", MODULES)
def test_hook_module_offers_the_first_set(module):
    assert {entry.name for entry in registered(module).entries} == EXPECTED[module]
    assert len(registered(module).providers) == (module in ("timm_optimizers", "albumentations_transforms"))


def test_hooks_import_nothing_heavy():
    """Every command runs them, and must start in a fraction of a second."""
    heavy = ("torch", "numpy", "timm", "albumentations", "cv2", "PIL", "scipy", "torchvision")
    code = (
        "import sys, importlib\n"
        "from zoo.kinds import BY_NAME\n"
        "from zoo.plugins import Register\n"
        "from zoo.registry import Origin\n"
        f"for module, (kind, plugin) in {MODULES!r}.items():\n"
        "    register = Register(BY_NAME[kind], Origin(plugin, 'zoo', '0'))\n"
        "    hook = 'register_' + BY_NAME[kind].hook\n"
        "    getattr(importlib.import_module('zoo_plugins.' + module), hook)(register)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_component_says_what_it_is_and_whence(entry):
    assert entry.summary
    assert not entry.summary.endswith(".")
    assert entry.source


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_options_are_typed_plain_and_documented(entry):
    """The help of an option is its line under `Args:`."""
    text = inspect.getdoc(entry.load()) or ""
    assert text
    for option in options(entry):
        if option.name in BY_NAME[entry.kind].common:
            continue
        assert option.annotation is not inspect.Parameter.empty, option.name
        assert not option.required, option.name
        assert re.search(rf"^\s+{option.name}: \S", text, re.MULTILINE), f"{option.name} is not under Args:"


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_component_is_built_from_its_own_defaults_as_a_configuration_holds_them(entry):
    """Lists for tuples, as YAML has them: checked, converted back and passed on."""
    common, held = BY_NAME[entry.kind].common, defaults(entry)
    own = [option for option in options(entry) if option.name not in common]
    values = {option.name: convert(held[option.name], option.annotation) for option in own}
    assert values == {option.name: option.default for option in own}
    supplied = dict(SUPPLIED.get(entry.kind, {}))
    if entry.kind == "optimizer":
        import torch

        supplied |= {"params": [torch.nn.Parameter(torch.ones(2))], "lr": entry.facts["lr"]}
    if entry.kind == "tracker" and entry.name in LIBRARIES and importlib.util.find_spec(entry.name) is None:
        with pytest.raises(UserError, match=f"(?s)not installed.*pip install {entry.name}"):
            entry.build(**values)
        return
    assert entry.build(**supplied, **values) is not None


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.kind == "optimizer"], ids=lambda e: e.name)
def test_optimizer_states_a_rate(entry):
    assert 0 < entry.facts["lr"] < 1


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.kind == "loss"], ids=lambda e: e.name)
def test_loss_states_tasks_and_targets(entry):
    assert set(entry.facts["tasks"]) <= {"single_label", "multi_label"}
    assert entry.facts["tasks"]
    assert isinstance(entry.facts["soft_targets"], bool)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.kind == "loss"], ids=lambda e: e.name)
def test_loss_keeps_what_its_facts_say(entry):
    import torch

    from zoo.contracts.data import Task
    from zoo.contracts.training import Setting

    loss = entry.build()
    if hasattr(loss, "check"):
        task = Task(entry.facts["tasks"][0])
        loss.check(Setting(task, 4, "all", entry.facts["soft_targets"], images=10, class_counts=(4, 3, 2, 1)))
    logits = torch.randn(3, 4)
    if "single_label" in entry.facts["tasks"]:
        assert loss(logits, torch.tensor([0, 1, 2])).shape == (3,)
    if "multi_label" in entry.facts["tasks"]:
        assert loss(logits, torch.ones(3, 4)).shape == (3,)
    if entry.facts["soft_targets"]:
        assert loss(logits, torch.full((3, 4), 0.25)).isfinite().all()


def test_all_components_were_seen():
    assert len(ENTRIES) == sum(len(names) for names in EXPECTED.values()) >= 36
