"""Options out of range or without effect are refused; regularizers have what the loop knows, and can be pickled."""

from __future__ import annotations

import inspect
import pickle

import pytest

from zoo.contracts.training import Regularizer
from zoo.errors import UserError
from zoo.plugins import load_plugins

REGISTRY = load_plugins(only=[]).registry
NAMES = sorted(entry.name for entry in REGISTRY.entries("regularizer"))
KNOWN = {name for name, _ in inspect.getmembers(Regularizer, inspect.isfunction) if not name.startswith("_")}
INF, NAN = float("inf"), float("nan")

REFUSED: dict[str, dict[str, tuple[object, ...]]] = {
    "bss": {"eta": (0, -1, INF), "k": (0, -1)},
    "cutmix": {"alpha": (0, -1, NAN), "p": (0, 1.5)},
    "delta": {"alpha": (0, -1), "beta": (-1, INF)},
    "drop_path": {"p": (0, 1, -0.5)},
    "dropout": {"p": (0, 1, -0.5)},
    "elastic_net": {"l1": (0, -1), "l2": (0, INF), "on": ("weights",)},
    "ema": {"decay": (0, 1, 2)},
    "gradient_clipping": {"max_norm": (0, INF)},
    "gradient_noise": {"eta": (0, -1), "gamma": (-1, INF)},
    "l1": {"factor": (0, -1, INF), "on": ("weights",)},
    "l2": {"factor": (0, -1, INF), "on": ("weights",)},
    "l2sp": {"alpha": (0, -1), "beta": (-1, INF)},
    "label_smoothing": {"share": (0, 1)},
    "max_norm": {"max_norm": (0, -1)},
    "mixup": {"alpha": (0, -1)},
    "random_erasing": {
        "p": (0, 1.1),
        "min_area": (0, 1.5),
        "max_area": (0.01, 1.5),
        "max_stretch": (0.5,),
        "fill": ("black",),
    },
    "sam": {"rho": (0, -1)},
    "stochastic_norm": {"p": (0, 1)},
    "swa": {"start": (1, -0.1)},
}
"""Values that each option of each regularizer refuses."""

CASES = [(n, option, value) for n, options in REFUSED.items() for option, values in options.items() for value in values]


def test_every_option_of_every_regularizer_is_tried() -> None:
    assert sorted(REFUSED) == NAMES
    assert len(NAMES) == 19
    tried = {(name, option) for name, option, _ in CASES}
    options = {(e.name, p.name) for e in REGISTRY.entries("regularizer") for p in e.parameters()}
    assert options - tried == {("sam", "adaptive")}  # true or false


@pytest.mark.parametrize(("name", "option", "value"), CASES)
def test_values_without_sense_or_effect_are_refused(name, option, value):
    with pytest.raises(UserError) as caught:
        REGISTRY.get("regularizer", name).build(**{option: value})
    assert caught.value.where == f"regularizers.{name}.{option}"
    assert caught.value.allowed or caught.value.do


@pytest.mark.parametrize("name", NAMES)
def test_regularizer_has_only_methods_that_the_loop_knows(name):
    kind = REGISTRY.get("regularizer", name).load()
    methods = {method for method in dir(kind) if not method.startswith("_") and callable(getattr(kind, method))}
    assert methods
    assert methods <= KNOWN


@pytest.mark.parametrize("name", NAMES)
def test_regularizer_can_be_pickled(name):
    built = REGISTRY.get("regularizer", name).build()
    assert vars(pickle.loads(pickle.dumps(built))).keys() == vars(built).keys()
