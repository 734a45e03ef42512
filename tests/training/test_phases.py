"""Several phases on one network: weights are handed on, the best of all are kept, and a stop between two is no loss."""

from __future__ import annotations

import copy

import pytest
import torch
from training.conftest import tiny_model

from zoo.contracts.training import Phase
from zoo.training.loop import Loop


class Killed(Exception):
    """Stands for a process that ends at once."""


def state_of(model) -> dict[str, torch.Tensor]:
    return copy.deepcopy(model.module.state_dict())


def same(left, right) -> bool:
    return all(torch.equal(left[key], right[key]) for key in right)


def scripted(*accuracies: float):
    """Validation that answers in turn."""
    answers = iter(accuracies)
    return lambda: (1.0, next(answers))


def test_a_phase_that_does_not_settle_hands_its_last_weights_on_and_the_best_of_all_are_kept(make_job):
    model = tiny_model()
    first = make_job(model=model, epochs=2, ema=False, settles=False, validate=scripted(0.9, 0.5))
    counters = Loop(first).run()
    last = state_of(model)
    best = first.checkpoints.tensors("best", "model.")
    assert counters.best_accuracy == 0.9
    assert not same(last, best)
    second = make_job(model=model, epochs=2, ema=False, index=1, validate=scripted(0.6, 0.7))
    loop = Loop(second)
    loop.carry_on(counters)
    counters = loop.run()
    assert (counters.best_accuracy, counters.best_step) == (0.9, 0)
    assert same(state_of(model), best)  # nothing later was better


def test_later_phases_surpass_what_was_carried_on(make_job):
    model = tiny_model()
    counters = Loop(make_job(model=model, epochs=1, ema=False, settles=False, validate=scripted(0.4))).run()
    loop = Loop(make_job(model=model, epochs=2, ema=False, index=1, validate=scripted(0.3, 0.8)))
    loop.carry_on(counters)
    counters = loop.run()
    assert (counters.best_accuracy, counters.best_step) == (0.8, counters.step)


def two_phases(make_job, *, kill_at_save: int | None = None, folder: str) -> dict[str, torch.Tensor]:
    """Both phases from the start, or, after a kill right behind a save, from the last checkpoint on."""
    saves = 0

    def run(resume: bool) -> dict[str, torch.Tensor]:
        nonlocal saves
        model, carried, state = tiny_model(), None, None
        for index in (0, 1):
            phase = Phase(name=f"part-{index}", kind="train", epochs=2)
            job = make_job(model=model, phase=phase, index=index, settles=index == 1, folder=folder)
            state = job.checkpoints.state("last") if resume and state is None else state
            if state is not None and index < state["counters"]["phase"]:
                continue
            save = job.checkpoints.save

            def counted(*args, save=save, **kwargs) -> None:
                nonlocal saves
                save(*args, **kwargs)
                saves += 1
                if saves == kill_at_save:
                    raise Killed

            job.checkpoints.save = counted
            loop = Loop(job)
            if state is not None and index == state["counters"]["phase"]:
                loop.restore()
            elif carried is not None:
                loop.carry_on(carried)
            carried = loop.run()
        return state_of(model)

    try:
        return run(resume=False)
    except Killed:
        return run(resume=True)


@pytest.mark.parametrize("kill_at_save", range(1, 9))
def test_two_phases_killed_right_after_any_save_end_in_the_same_bits(make_job, kill_at_save):
    whole = two_phases(make_job, folder="whole")
    assert same(two_phases(make_job, kill_at_save=kill_at_save, folder=f"killed-{kill_at_save}"), whole)
