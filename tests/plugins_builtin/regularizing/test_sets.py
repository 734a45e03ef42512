"""Any set of regularizers composes: each still acts beside the others, and a resumed run ends in the same bits.

Sets are put together by the same code as in a run (`make_regularizers`), and train a small network through the loop.
"""

from __future__ import annotations

import itertools
import random
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.regularizing import job_of, residual_model, setting

from zoo.assembly.objective import make_regularizers
from zoo.config.run_config import Component
from zoo.contracts.training import Phase
from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.training.job import Limits
from zoo.training.loop import Loop

REGISTRY = load_plugins(only=[]).registry
STRONG: dict[str, dict[str, Any]] = {
    "bss": {"eta": 0.5},
    "cutmix": {"p": 1.0},
    "delta": {},
    "drop_path": {"p": 0.5},
    "dropout": {"p": 0.5},
    "elastic_net": {"l1": 0.01, "l2": 0.01},
    "ema": {"decay": 0.6},
    "gradient_clipping": {"max_norm": 0.05},
    "gradient_noise": {"eta": 0.01},
    "l1": {"factor": 0.01},
    "l2": {"factor": 0.01},
    "l2sp": {},
    "label_smoothing": {},
    "max_norm": {"max_norm": 0.4},
    "mixup": {"alpha": 1.0},
    "random_erasing": {"p": 1.0},
    "sam": {"rho": 0.5},
    "stochastic_norm": {},
    "swa": {"start": 0.4},
}
"""Options under which each acts within the four steps of these runs."""

EXCLUDE = [{"ema", "swa"}]
PAIRS = [pair for pair in itertools.combinations(STRONG, 2) if set(pair) not in EXCLUDE]
_DRAWS = random.Random(0)
TRIPLES = [
    triple
    for triple in (_DRAWS.sample(sorted(STRONG), 3) for _ in range(45))
    if not any(pair <= set(triple) for pair in EXCLUDE)
]
STATEFUL = [("ema",), ("swa",), ("ema", "sam", "dropout"), ("swa", "stochastic_norm", "cutmix")]


def session_with(names: tuple[str, ...]) -> Any:
    """What `make_regularizers` asks a session for."""
    chosen = [Component("regularizer", f"regularizers.{name}", f"zoo/{name}", STRONG[name]) for name in names]

    def build(component: Component) -> Any:
        return REGISTRY.get("regularizer", component.name).build(**component.options)

    return SimpleNamespace(config=SimpleNamespace(regularizers=chosen), build=build, registry=REGISTRY)


def job_with(names: tuple[str, ...], folder: Path, **parts: Any) -> Any:
    model = residual_model()
    phase = Phase(name="tune", kind="train")
    regularizers = make_regularizers(
        session_with(names), model, phase=phase, setting=setting(), lasting=parts.pop("lasting", {})
    )
    return job_of(model, regularizers, folder, epochs=4 / 3, **parts)


def state_of(job: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in job.model.module.state_dict().items()}


def same_bits(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@cache
def trained(names: tuple[str, ...], folder: Path) -> dict[str, torch.Tensor]:
    """All that is left of a run of four steps: the weights that were validated and kept."""
    job = job_with(names, folder / "-".join(names or ("none",)))
    answers = iter([(2.0, 0.1), (1.0, 0.9)])  # the last validation is the best
    object.__setattr__(job, "validate", lambda: next(answers))
    Loop(job).run()
    return state_of(job)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("runs")


def test_there_are_as_many_cases_as_meant() -> None:
    assert sorted(STRONG) == sorted(entry.name for entry in REGISTRY.entries("regularizer"))
    assert len(PAIRS) == 19 * 18 // 2 - 1
    assert len(TRIPLES) >= 40


@pytest.mark.parametrize("name", STRONG)
def test_each_does_something_alone(runs, name):
    assert not same_bits(trained((name,), runs), trained((), runs))


@pytest.mark.parametrize("names", [*PAIRS, *map(tuple, TRIPLES)], ids="-".join)
def test_each_still_acts_beside_the_others(runs, names):
    """Without any one of the set the run ends elsewhere; names stay, values are finite."""
    together = trained(tuple(names), runs)
    assert together.keys() == residual_model().module.state_dict().keys()
    assert all(tensor.isfinite().all() for tensor in together.values())
    for left_out in names:
        rest = tuple(name for name in names if name != left_out)
        assert not same_bits(together, trained(rest, runs)), left_out


class Stop(BaseException):
    """Ends a run at a chosen step, as a kill would."""


class StopAt:
    def __init__(self, step: int) -> None:
        self.at = step

    def stepped(self, view: Any) -> None:
        if view.step == self.at:
            raise Stop

    def validated(self, row: Any) -> None: ...


@pytest.mark.parametrize("names", [*STATEFUL, *map(tuple, TRIPLES[:12])], ids="-".join)
@pytest.mark.parametrize("stop_at", [2, 4])
def test_resumed_run_ends_in_the_same_bits(tmp_path, names, stop_at):
    whole = job_with(names, tmp_path / "whole")
    Loop(whole).run()
    limits = Limits(save_every_steps=1)
    broken = job_with(names, tmp_path / "broken", watcher=StopAt(stop_at), limits=limits)
    with pytest.raises(Stop):
        Loop(broken).run()
    resumed = job_with(names, tmp_path / "broken", limits=limits)
    loop = Loop(resumed)
    loop.restore()
    assert loop.counters.step == stop_at - 1
    loop.run()
    assert same_bits(state_of(whole), state_of(resumed))


@pytest.mark.parametrize("names", [("ema", "swa"), ("swa", "dropout", "ema")])
def test_two_averages_exclude_each_other(tmp_path, names):
    with pytest.raises(UserError, match="one alone can") as caught:
        job_with(names, tmp_path)
    assert "ema" in str(caught.value)
    assert "swa" in str(caught.value)


@pytest.mark.parametrize("name", ["sam", "ema", "swa"])
def test_two_of_the_same_exclude_each_other(name):
    session = session_with((name,))
    second = Component("regularizer", f"regularizers.{name}@2", f"zoo/{name}", STRONG[name])
    session.config.regularizers.append(second)
    with pytest.raises(UserError, match=f"{name} and {name}@2 each want to"):
        make_regularizers(session, residual_model(), phase=Phase("t", "train"), setting=setting(), lasting={})


def test_regularizers_of_one_step_draw_each_anew(tmp_path):
    """Mixup and cutmix would pair the same images, if each drew from the beginning."""
    drawn: list[list[float]] = [[], []]

    class Draws:
        def __init__(self, into: list[float]) -> None:
            self.into = into

        def change_batch(self, batch: Any, generator: torch.Generator, classes: int) -> Any:
            self.into.append(float(torch.rand((), generator=generator)))
            return batch

    Loop(job_of(residual_model(), {"one": Draws(drawn[0]), "two": Draws(drawn[1])}, tmp_path / "run")).run()
    assert len({*drawn[0], *drawn[1]}) == len(drawn[0]) + len(drawn[1]) == 12


def test_second_phase_keeps_the_start_of_the_first_and_hooks_once(tmp_path):
    """Dropout in two phases drops with p, not twice; L2-SP still pulls to where the run began."""
    lasting: dict[str, Any] = {}
    model, phase, session = residual_model(), Phase("t", "train"), session_with(("dropout", "l2sp"))
    start = model.module.conv.weight.detach().clone()
    for _ in range(2):
        built = make_regularizers(session, model, phase=phase, setting=setting(), lasting=lasting)
        with torch.no_grad():
            model.module.conv.weight.add_(1.0)
    assert len(model.head._forward_pre_hooks) == 1
    model.head.requires_grad_(False)
    distance = built["l2sp"].penalty(model).item()
    assert distance == pytest.approx(0.05 * 4 * start.numel(), rel=1e-4)  # alpha / 2 times 2^2 for each value
