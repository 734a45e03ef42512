"""Several training phases of one run, in this process: what each is shown, and a stop in and between them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.e2e import TINY, assert_same, run_here

from zoo.data.sampling import shuffled
from zoo.training.loop import Loop

WORDS = (*TINY, "strategy=gradual", "train.epochs=4", "train.batch_size=8")


@pytest.fixture
def watched(monkeypatch):
    """The loop, which remembers what it was given; `before` is called as a phase begins, `after` at its validations."""

    class Watched(Loop):
        candidates: list[tuple[int, bool]] = []
        shown: dict[int, list[int]] = {}
        before = after = staticmethod(lambda loop: None)

        def run(self):
            self.candidates.append((self.job.index, self.job.start_is_candidate))
            Watched.before(self)
            return super().run()

        def _train_step(self, raw):
            self.shown.setdefault(self.job.index, []).extend(raw.indices.tolist())
            super()._train_step(raw)

        def _validate(self):
            super()._validate()
            Watched.after(self)

    monkeypatch.setattr("zoo.assembly.training.Loop", Watched)
    return Watched


@pytest.fixture(scope="module")
def whole(tmp_path_factory, photos) -> Path:
    """The run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run_here("finetune", f"data={photos}", *WORDS, f"run.dir={folder}")
    return folder


def record_of(folder: Path) -> dict:
    return json.loads((folder / "record.json").read_text())


def test_a_later_phase_goes_on_with_other_orders_and_the_first_keeps_its_own(tmp_path, photos, watched):
    run_here("finetune", f"data={photos}", *WORDS, f"run.dir={tmp_path / 'run'}")
    first, second = (np.array(watched.shown[index]).reshape(2, -1) for index in (1, 2))
    assert first[0].tolist() == shuffled(np.sort(first[0]), seed=0, epoch=0).tolist()
    orders = [order.tolist() for order in (*first, *second)]
    assert len({tuple(order) for order in orders}) == 4
    assert len({tuple(sorted(order)) for order in orders}) == 1


def test_a_run_stopped_twice_as_a_later_phase_begins_ends_in_the_same_bits(tmp_path, photos, watched, whole):
    def stop(loop):
        if loop.job.index == 2:
            loop._leave_earlier_phase()
            raise KeyboardInterrupt

    folder = tmp_path / "run"
    watched.before = staticmethod(stop)
    run_here("finetune", f"data={photos}", *WORDS, f"run.dir={folder}", code=130)
    first = record_of(folder)["timings"]
    run_here("finetune", f"resume={folder}", code=130)
    second = record_of(folder)["timings"]
    assert all(second[stage] >= seconds for stage, seconds in first.items())
    watched.before = staticmethod(lambda loop: None)
    run_here("finetune", f"resume={folder}")
    assert watched.candidates == [(1, True), (2, False), (2, False), (2, False)]
    assert record_of(folder)["choices"]["seconds_before"] == pytest.approx(sum(second.values()))
    assert_same(folder, whole)


def test_ctrl_c_in_the_last_validation_of_a_phase_that_another_follows_is_heard(tmp_path, photos, watched, whole):
    def ask(loop):
        loop._stop_asked = loop.job.index == 1 and loop.counters.step == loop.counters.planned_steps

    folder = tmp_path / "run"
    watched.after = staticmethod(ask)
    said = run_here("finetune", f"data={photos}", *WORDS, f"run.dir={folder}", code=130)
    assert "stopped after phase 'gradual-1'; the state is saved" in said.stderr
    watched.after = staticmethod(lambda loop: None)
    run_here("finetune", f"resume={folder}")
    assert_same(folder, whole)
