"""The loop: learns, stops, saves, and goes on to the same bits from any step."""

from __future__ import annotations

import json
import math
import os
import signal
import time

import numpy as np
import pytest
import torch
from torch import nn

from zoo.contracts.training import Batch
from zoo.errors import Interrupted, UserError
from zoo.training.job import Limits
from zoo.training.loop import Loop


class Stop(BaseException):
    """Ends a run at a chosen step, as a kill would."""


class StopAt:
    def __init__(self, step: int) -> None:
        self.at = step

    def stepped(self, view) -> None:
        if view.step == self.at:
            raise Stop

    def validated(self, row) -> None:
        pass


def weights(job) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in job.model.module.state_dict().items()}


def same_bits(left, right) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_loop_learns_and_counts_every_image(make_job):
    job = make_job(epochs=20)
    first, _ = job.validate()
    counters = Loop(job).run()
    last, accuracy = job.validate()
    assert last < first / 2
    assert accuracy == 1.0
    assert counters.step == 20 * 6
    assert counters.finished


def test_loop_follows_plain_pytorch_to_the_bit(make_job):
    """No average, no regularizer: the loop is AdamW over cross entropy, written out here a second time."""
    job = make_job(epochs=2, ema=False)
    twin = make_job(epochs=2, ema=False)
    optimizer = torch.optim.AdamW(twin.model.module.parameters(), lr=1e-2)
    twin.model.module.train()
    total = 12
    for step in range(total):
        epoch, at = divmod(step, 6)
        raw = next(iter(twin.feed.epoch(epoch, start_step=at)))
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - 0.9 * step / total)
        logits = twin.model.module(twin.normalise(torch.from_numpy(raw.images)))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(raw.targets), reduction="none").sum() / raw.total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    loop = Loop(job)
    loop.job.checkpoints.folder.mkdir(parents=True)
    while not loop._over():
        loop._run_epoch()
    assert same_bits(weights(job), weights(twin))


@pytest.mark.parametrize("stop_at", [1, 4, 6, 7, 11, 13, 17])
@pytest.mark.parametrize("ema", [True, False])
def test_loop_resumed_at_any_step_ends_in_the_same_bits(make_job, stop_at, ema):
    whole = make_job(ema=ema, dropout=0.3, folder="whole")
    expected_counters = Loop(whole).run()
    limits = Limits(save_every_steps=1)
    broken = make_job(ema=ema, dropout=0.3, folder="broken", watcher=StopAt(stop_at), limits=limits)
    with pytest.raises(Stop):
        Loop(broken).run()
    resumed = make_job(ema=ema, dropout=0.3, folder="broken", limits=limits)
    loop = Loop(resumed)
    if stop_at > 1:
        loop.restore()
        assert loop.counters.step == stop_at - 1
    counters = loop.run()
    assert same_bits(weights(whole), weights(resumed))
    for name in ("step", "best_loss", "best_accuracy", "best_step", "epoch_loss", "epoch_right"):
        assert getattr(counters, name) == getattr(expected_counters, name), name


@pytest.mark.parametrize("stop_at", [5, 6, 7, 12, 17])
def test_loop_killed_right_after_any_save_ends_in_the_same_bits(make_job, stop_at):
    """A checkpoint at the end of an epoch must not make the resumed run leave its validation out."""
    rows: dict[str, list] = {"whole": [], "broken": []}
    whole = make_job(folder="whole")
    object.__setattr__(whole, "log", rows["whole"].append)
    expected = Loop(whole).run()
    broken = make_job(folder="broken", limits=Limits(save_every_steps=1))
    object.__setattr__(broken, "log", rows["broken"].append)
    loop = Loop(broken)
    save = loop._save

    def save_then_die(name, **options):
        save(name, **options)
        if name == "last" and loop.counters.step >= stop_at:
            raise Stop

    loop._save = save_then_die
    with pytest.raises(Stop):
        loop.run()
    resumed = make_job(folder="broken", limits=Limits(save_every_steps=1))
    object.__setattr__(resumed, "log", rows["broken"].append)
    again = Loop(resumed)
    again.restore()
    counters = again.run()
    assert same_bits(weights(whole), weights(resumed))
    assert counters.best_step == expected.best_step
    assert [r["step"] for r in rows["broken"]] == [r["step"] for r in rows["whole"]]
    assert [r["val_loss"] for r in rows["broken"]] == [r["val_loss"] for r in rows["whole"]]


def test_loop_keeps_the_best_epoch_not_the_last(make_job):
    answers = iter([(1.0, 0.5), (0.5, 0.9), (0.4, 0.6)])
    kept = {}

    def validate() -> tuple[float, float]:
        answer = next(answers)
        kept[answer] = {n: t.clone() for n, t in job.model.module.state_dict().items()}
        return answer

    job = make_job(epochs=3, ema=False, validate=validate)
    counters = Loop(job).run()
    assert counters.best_accuracy == 0.9
    assert same_bits(weights(job), kept[(0.5, 0.9)])
    assert not same_bits(weights(job), kept[(0.4, 0.6)])


def test_loop_stops_when_patience_is_over(make_job):
    job = make_job(epochs=50, validate=lambda: (1.0, 0.5), limits=Limits(patience=2))
    counters = Loop(job).run()
    assert counters.step == 3 * 6  # one better validation (the first), then two that are not


class Clock:
    """A clock that goes on by a millisecond whenever it is read: no busy machine can disturb it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1e-3
        return self.now


def test_loop_ends_at_its_deadline_with_the_schedule_fitted(make_job, monkeypatch):
    seen = []

    def schedule(progress: float) -> float:
        seen.append(progress)
        return 1.0 - progress

    clock = Clock()
    monkeypatch.setattr("zoo.training.loop.time", clock)
    job = make_job(epochs=10**5, ema=False, schedule=schedule, limits=Limits(deadline=1.5))
    counters = Loop(job).run()
    assert 1.0 < clock.now < 1.6
    assert 100 < counters.step < 10**5
    assert counters.step == counters.planned_steps
    assert seen[-1] > 0.9  # the rate went all the way down within the time


def test_loop_without_time_left_still_validates_once(make_job):
    job = make_job(limits=Limits(deadline=time.monotonic() - 1))
    counters = Loop(job).run()
    assert counters.best_step == counters.step >= 1


def test_loop_interrupted_saves_and_says_where(make_job):
    class Interrupt:
        def stepped(self, view) -> None:
            if view.step == 8:
                os.kill(os.getpid(), signal.SIGINT)

        def validated(self, row) -> None:
            pass

    before = signal.getsignal(signal.SIGINT)
    job = make_job(watcher=Interrupt())
    with pytest.raises(Interrupted, match="step 8 of 18"):
        Loop(job).run()
    assert signal.getsignal(signal.SIGINT) is before
    assert job.checkpoints.state("last")["counters"]["step"] == 8


def test_loop_stops_at_a_loss_that_is_no_number_and_keeps_the_batch(make_job):
    class Broken(nn.Module):
        calls = 0

        def forward(self, logits, targets):
            self.calls += 1
            return nn.functional.cross_entropy(logits, targets, reduction="none") * (math.nan if self.calls == 4 else 1)

    job = make_job(loss=Broken())
    job.checkpoints.folder.mkdir(parents=True)
    with pytest.raises(UserError, match="nan at step 3"):
        Loop(job).run()
    kept = np.load(job.checkpoints.folder.parent / "bad_batch.npz")
    raw = next(iter(job.feed.epoch(0, start_step=3)))
    assert np.array_equal(kept["indices"], raw.indices)
    assert np.allclose(kept["images"], job.normalise(torch.from_numpy(raw.images)).numpy())


class Shifted:
    """A change of the batch that depends on the step, as mixup's does."""

    def change_batch(self, batch, generator, classes):
        return Batch(batch.images + torch.rand((), generator=generator), batch.targets)


class NanAt(nn.Module):
    """A loss that is no number from its `at`-th call on."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.calls = at, 0

    def forward(self, logits, targets):
        self.calls += 1
        return nn.functional.cross_entropy(logits, targets, reduction="none") * (
            math.nan if self.calls > self.at else 1
        )


@pytest.mark.parametrize("every", [2, 4, 10])
def test_loop_that_looks_every_few_steps_ends_in_the_same_bits(make_job, every):
    rows: dict[int, list] = {1: [], every: []}
    jobs, counters = {}, {}
    for size in rows:
        shifted = {"shifted": Shifted()}
        jobs[size] = make_job(folder=f"every{size}", regularizers=shifted, limits=Limits(save_every_steps=5))
        object.__setattr__(jobs[size], "log", rows[size].append)
        loop = Loop(jobs[size])
        assert loop.tally.every == 1  # on a CPU
        loop.tally.every = size
        counters[size] = loop.run()
    assert same_bits(weights(jobs[1]), weights(jobs[every]))
    for name in ("step", "best_loss", "best_step", "epoch_loss", "epoch_right", "epoch_seen"):
        assert getattr(counters[1], name) == getattr(counters[every], name), name
    assert [row["train_loss"] for row in rows[1]] == [row["train_loss"] for row in rows[every]]


@pytest.mark.parametrize("stop_at", [3, 8, 14])
def test_loop_that_looks_every_few_steps_resumes_to_the_same_bits(make_job, stop_at):
    """Stopped in the middle of a group, after a checkpoint in the middle of another."""
    whole = make_job(folder="whole")
    expected = Loop(whole).run()
    broken = make_job(folder="broken", watcher=StopAt(stop_at), limits=Limits(save_every_steps=2))
    first = Loop(broken)
    first.tally.every = 4
    with pytest.raises(Stop):
        first.run()
    resumed = make_job(folder="broken")
    second = Loop(resumed)
    second.tally.every = 4
    second.restore()
    assert 0 < second.counters.step < stop_at
    counters = second.run()
    assert same_bits(weights(whole), weights(resumed))
    assert (counters.epoch_loss, counters.epoch_right) == (expected.epoch_loss, expected.epoch_right)


@pytest.mark.parametrize("at", [0, 1, 3, 4, 8])
def test_loop_that_looks_every_few_steps_names_the_step_and_keeps_its_batch(make_job, at):
    """The bad step is noticed later; what is said and kept is of that step."""
    kept = {}
    for every in (1, 4):
        folder = f"every{every}/checkpoints"
        shifted, limits = {"shifted": Shifted()}, Limits(save_every_steps=1000)
        job = make_job(loss=NanAt(at), regularizers=shifted, folder=folder, limits=limits)
        job.checkpoints.folder.mkdir(parents=True)
        loop = Loop(job)
        loop.tally.every = every
        with pytest.raises(UserError, match=f"nan at step {at} ") as refused:
            loop.run()
        kept[every] = np.load(job.checkpoints.folder.parent / "bad_batch.npz"), refused.value.where.split(";")[0]
    assert kept[1][1] == kept[4][1]  # the learning rate of that step
    for name in ("images", "targets", "indices"):
        assert np.array_equal(kept[1][0][name], kept[4][0][name])


def test_loop_never_saves_what_it_has_not_looked_at(make_job):
    job = make_job(loss=NanAt(4), limits=Limits(save_every_steps=2))
    loop = Loop(job)
    loop.tally.every = 100
    with pytest.raises(UserError, match="nan at step 4 "):
        loop.run()
    assert job.checkpoints.state("last")["counters"]["step"] == 4
    assert all(tensor.isfinite().all() for tensor in job.checkpoints.tensors("last", "model.").values())


def test_loop_calls_what_a_regularizer_has_and_nothing_else(make_job):
    called = []

    class All:
        def change_batch(self, batch, generator, classes):
            called.append("batch")
            return Batch(batch.images * 1, batch.targets)

        def penalty(self, model):
            called.append("penalty")
            return model.head.weight.square().sum()

        def look_ahead(self, parameters):
            called.append("ahead")
            assert all(p.grad is not None for p in parameters)

        def step_back(self, parameters):
            called.append("back")

        def change_gradients(self, parameters, moment):
            called.append("gradients")
            assert all(p.grad is not None for p in parameters)
            assert (moment.step, moment.steps, moment.progress) == (0, 1, 0.0)

        def after_step(self, model, moment):
            called.append("after")

    class Nothing:
        pass

    Loop(make_job(epochs=1 / 6, regularizers={"all": All(), "nothing": Nothing()})).run()
    assert called == ["batch", "penalty", "ahead", "penalty", "back", "gradients", "after"]


def test_loop_seeds_batch_changes_by_step_alone(make_job):
    draws: dict[str, list[float]] = {"one": [], "two": []}

    def recorder(name):
        class Draw:
            def change_batch(self, batch, generator, classes):
                draws[name].append(float(torch.rand((), generator=generator)))
                return batch

        return Draw()

    Loop(make_job(regularizers={"one": recorder("one")}, folder="a")).run()
    torch.rand(5)
    Loop(make_job(regularizers={"two": recorder("two")}, folder="b")).run()
    assert draws["one"] == draws["two"]
    assert len(set(draws["one"])) == len(draws["one"]) == 18


def test_loop_momentum_follows_the_schedule(make_job):
    class Both:
        def __call__(self, progress: float) -> float:
            return 1.0

        def momentum(self, progress: float) -> float:
            return 0.95 - 0.1 * progress

    job = make_job(epochs=1)
    sgd = torch.optim.SGD(job.model.module.parameters(), lr=0.1, momentum=0.9)
    Loop(make_job(epochs=1, model=job.model, optimizer=sgd, schedule=Both())).run()
    assert sgd.param_groups[0]["momentum"] == pytest.approx(0.95 - 0.1 * 5 / 6)


def test_loop_plateau_state_survives_a_checkpoint(make_job):
    class Watching:
        def __init__(self) -> None:
            self.losses: list[float] = []

        def __call__(self, progress: float) -> float:
            return 1.0

        def observe(self, loss: float) -> None:
            self.losses.append(loss)

        def state_dict(self):
            return {"losses": self.losses}

        def load_state_dict(self, state) -> None:
            self.losses = list(state["losses"])

    first = make_job(schedule=Watching(), watcher=StopAt(14))
    with pytest.raises(Stop):
        Loop(first).run()
    second = make_job(schedule=Watching())
    loop = Loop(second)
    loop.restore()
    assert second.schedule.losses == first.schedule.losses
    assert len(second.schedule.losses) == 2


def test_loop_rows_are_json_and_hold_what_curves_need(make_job):
    rows: list[dict] = []
    job = make_job(epochs=2)
    object.__setattr__(job, "log", rows.append)
    Loop(job).run()
    assert len(json.loads(json.dumps(rows))) == 2
    assert {"phase", "step", "epoch", "train_loss", "val_loss", "val_accuracy", "lr", "seconds"} <= rows[0].keys()
    assert [row["epoch"] for row in rows] == [1.0, 2.0]


@pytest.mark.parametrize(("every", "epochs", "validated"), [(1, 3, 3), (2, 5, 3), (3, 6, 2), (9, 4, 1), (2, 2.5, 2)])
def test_loop_validates_every_few_epochs_and_at_the_end(make_job, every, epochs, validated):
    job = make_job(epochs=epochs, limits=Limits(validate_every=every))
    Loop(job).run()
    assert [row["step"] for row in job.watcher.rows][-1] == Loop(job).counters.planned_steps
    assert len(job.watcher.rows) == validated


@pytest.mark.parametrize("stop_at", [2, 6, 7, 12, 13, 20])
def test_loop_resumed_between_validations_ends_in_the_same_bits(make_job, stop_at):
    limits = Limits(save_every_steps=1, validate_every=2)
    whole = make_job(epochs=4, folder="whole", limits=limits)
    Loop(whole).run()
    broken = make_job(epochs=4, folder="broken", limits=limits, watcher=StopAt(stop_at))
    with pytest.raises(Stop):
        Loop(broken).run()
    resumed = make_job(epochs=4, folder="broken", limits=limits)
    loop = Loop(resumed)
    loop.restore()
    loop.run()
    assert same_bits(weights(whole), weights(resumed))
    rows, expected = resumed.watcher.rows, whole.watcher.rows
    assert [row["step"] for row in expected] == [12, 24]
    assert [row["step"] for row in rows] == [row["step"] for row in expected][-len(rows) :]
    assert rows[-1]["val_loss"] == expected[-1]["val_loss"]


def test_loop_second_pass_takes_the_gradient_elsewhere_and_counts_the_batch_once(make_job):
    """SGD with a look-ahead of one gradient step, against the same written out by hand."""

    class Ahead:
        def look_ahead(self, parameters):
            self.before = [p.detach().clone() for p in parameters]
            with torch.no_grad():
                for p in parameters:
                    p.sub_(p.grad, alpha=0.5)

        def step_back(self, parameters):
            with torch.no_grad():
                for p, before in zip(parameters, self.before, strict=True):
                    p.copy_(before)

    def job_with(regularizers, folder):
        job = make_job(epochs=1 / 6, ema=False, dropout=0.5, regularizers=regularizers, folder=folder)
        object.__setattr__(job, "optimizer", torch.optim.SGD(job.model.module.parameters(), lr=0.1))
        return job

    job = job_with({"ahead": Ahead()}, "ahead")
    seen = Loop(job).run().epoch_seen
    plain = job_with({}, "plain")
    assert seen == Loop(plain).run().epoch_seen == 4
    for name, one in plain.model.module.named_buffers():
        if "num_batches" not in name:
            assert torch.equal(one, job.model.module.get_buffer(name)), name  # statistics moved once
    assert not torch.equal(plain.model.head.weight, job.model.head.weight)

    by_hand = job_with({}, "hand")
    loop = Loop(by_hand)
    raw = next(by_hand.feed.epoch(0))
    module, parameters = by_hand.model.module.train(), by_hand.parameters
    rate = by_hand.optimizer.param_groups[0]["lr"]
    loop._set_rates()
    batch = loop.passes.batch(raw, step=0, steps=1)
    loop.passes.forward_backward(raw, batch, step=0)
    before = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for p in parameters:
            p.sub_(p.grad, alpha=0.5)
            p.grad = None
    loop.passes.forward_backward(raw, batch, step=0)
    with torch.no_grad():
        for p, old in zip(parameters, before, strict=True):
            p.copy_(old - rate * p.grad)
    for name, value in module.named_parameters():
        assert torch.allclose(value, dict(job.model.module.named_parameters())[name], atol=1e-7), name


def test_loop_keeps_the_start_where_nothing_later_is_better(make_job):
    answers = iter([(0.3, 0.95), (0.5, 0.9), (0.4, 0.6)])
    job = make_job(epochs=2, validate=lambda: next(answers), start_is_candidate=True)
    start = {n: t.clone() for n, t in job.model.module.state_dict().items()}
    counters = Loop(job).run()
    assert (counters.best_step, counters.best_accuracy, counters.step) == (0, 0.95, 12)
    assert same_bits(weights(job), start)


def test_loop_saves_and_restores_what_regularizers_remember(make_job):
    class Counting:
        def __init__(self):
            self.count = torch.zeros((), dtype=torch.int64)

        def after_step(self, model, moment):
            self.count += 1
            assert int(self.count) == moment.step + 1

        def state_dict(self):
            return {"count": self.count}

        def load_state_dict(self, state):
            self.count.copy_(state["count"])

    limits = Limits(save_every_steps=2)
    broken = make_job(regularizers={"counting": Counting()}, folder="b", watcher=StopAt(9), limits=limits)
    with pytest.raises(Stop):
        Loop(broken).run()
    resumed = make_job(regularizers={"counting": Counting()}, folder="b", limits=limits)
    loop = Loop(resumed)
    loop.restore()
    assert int(resumed.regularizers["counting"].count) == loop.counters.step > 0
    loop.run()
    assert int(resumed.regularizers["counting"].count) == 18


@pytest.mark.parametrize("where", ["change_batch", "penalty", "after_step"])
def test_loop_that_breaks_leaves_a_state_from_which_the_same_bits_follow(make_job, where):
    """Broken before a step, its state is saved; broken within one, the checkpoint before it stays."""

    class Breaking:
        steps = 0

    def broken(self, *arguments):
        self.steps += 1
        if self.steps == 9:
            raise ZeroDivisionError
        return arguments[0] if where == "change_batch" else torch.zeros(())

    setattr(Breaking, where, broken)
    whole = make_job(folder="whole")
    Loop(whole).run()
    breaking = make_job(folder="broken", regularizers={"breaking": Breaking()}, limits=Limits(save_every_steps=7))
    with pytest.raises(ZeroDivisionError):
        Loop(breaking).run()
    saved = 8 if where == "change_batch" else 7
    assert breaking.checkpoints.state("last")["counters"]["step"] == saved
    resumed = make_job(folder="broken")
    loop = Loop(resumed)
    loop.restore()
    loop.run()
    assert same_bits(weights(whole), weights(resumed))
