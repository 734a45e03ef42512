"""The measured rate: taken as it is, and kept by a resumed run whatever has become of its plan."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from zoo.assembly import rates
from zoo.assembly.console import Console
from zoo.assembly.rates import settle_rate
from zoo.assembly.session import Session
from zoo.config.compose import configure
from zoo.contracts.training import Phase
from zoo.plugins import load_plugins
from zoo.training.range_test import RangeCurve

PHASE = Phase("tune", "train", epochs=4, lr_factor=2.0)
FULL = 0.004
"""Largest rate of the optimizer's groups as they were built."""


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(only=[])


@pytest.fixture
def settled(plugins, monkeypatch):
    """The full rate that a phase is trained at, once a range test has found `chosen`."""

    def settle(*words: str, chosen: float | None = None, steps: int = 400, measured=None) -> float:
        curve = RangeCurve((0.01,), (1.0,), chosen, "as the test wants it")
        monkeypatch.setattr(rates, "range_test", lambda job, passes, steps: curve)
        config = configure(["model=lenet5", *words], plugins, source_for=lambda path: "folder")
        parts = {"accelerator": SimpleNamespace(is_main_process=False), "folder": None, "record": None}
        session = Session(config, plugins, Console(), measured=measured or {}, **parts)
        found = [FULL]
        loop = SimpleNamespace(
            job=SimpleNamespace(pretrained=False),
            passes=None,
            counters=SimpleNamespace(planned_steps=steps),
            base_lrs=[FULL / 2, FULL],
            scale_rates=lambda factor: found.append(factor * FULL),
        )
        settle_rate(session, loop, phase=PHASE, index=1)
        return found[-1]

    return settle


def test_a_measured_rate_is_taken_as_it_is(settled, capsys):
    assert settled("optimizer=adamw", chosen=0.02) == pytest.approx(0.02)
    assert "lr_factor" not in capsys.readouterr().out
    assert settled("optimizer=adamw", "strategy=full", "strategy.lr_factor=2", chosen=0.02) == pytest.approx(0.02)
    assert "strategy.lr_factor does not act on it" in capsys.readouterr().out


def test_the_registered_rate_that_stands_in_for_it_has_the_strategys_factor(settled, plugins, capsys):
    registered = plugins.registry.get("optimizer", "adamw").facts["lr"]
    assert settled("optimizer=adamw", "optimizer.lr=measure") == pytest.approx(2 * registered)
    assert f"lr      {2 * registered:.2g}, the registered one times 2" in capsys.readouterr().out


def test_a_plan_that_time_has_shortened_keeps_the_rate_it_began_with(settled):
    assert settled("optimizer=adamw", steps=15) == FULL
    assert settled("optimizer=adamw", steps=15, measured={"lr 1 tune": 0.03}) == pytest.approx(0.03)
