"""What the loop tells, what it costs where nobody listens, and what is saved where a listener crashes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from zoo.contracts.callbacks import METHODS, BatchReady, CheckpointSaved, StepEnded, Stop, ValidationEnded
from zoo.contracts.training import Batch
from zoo.errors import UserError
from zoo.training.job import Limits
from zoo.training.loop import Loop


class Listening:
    """Keeps what it hears of, and answers validations in turn."""

    def __init__(self, *hears: type, answers: tuple[Stop | None, ...] = (), crash_at: tuple[type, int] | None = None):
        self.wanted, self.answers, self.crash_at = hears or tuple(METHODS), list(answers), crash_at
        self.heard: list[object] = []

    def hears(self, event):
        return event in self.wanted

    def tell(self, event):
        self.heard.append(event)
        kind, times = self.crash_at or (None, 0)
        if type(event) is kind and sum(type(one) is kind for one in self.heard) == times:
            raise ZeroDivisionError
        answer = self.answers.pop(0) if isinstance(event, ValidationEnded) and self.answers else None
        return [] if answer is None else [answer]

    def state_dict(self):
        return {"callbacks.listening": {"heard": len(self.heard)}}

    def methods(self):
        return [METHODS[type(event)] for event in self.heard]


def weights(job) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in job.model.module.state_dict().items()}


def same_bits(left, right) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def kinds(events, kind) -> list:
    return [event for event in events if type(event) is kind]


def test_loop_tells_of_batches_steps_validations_and_checkpoints_in_their_order(make_job):
    told = Listening()
    Loop(make_job(epochs=2, told=told, limits=Limits(save_every_steps=4))).run()
    epoch = ["on_batch", "on_step_end"] * 6
    first, rest = told.methods()[:16], told.methods()[16:]
    assert first == [*epoch[:8], "on_checkpoint", *epoch[8:], "on_validation_end", "on_checkpoint", "on_checkpoint"]
    assert rest.count("on_step_end") == 6
    saved = kinds(told.heard, CheckpointSaved)
    assert [(event.name, event.step) for event in saved][:3] == [("last", 4), ("best", 6), ("last", 6)]
    assert all((event.folder / "state.json").is_file() for event in saved)
    assert kinds(told.heard, ValidationEnded)[0].row["step"] == 6
    assert kinds(told.heard, ValidationEnded)[0].best


def test_loop_tells_the_batch_that_the_network_sees_and_how_to_take_its_normalisation_back(make_job):
    class Bright:
        def change_batch(self, batch, generator, classes):
            return Batch(batch.images + 1, batch.targets)

    told = Listening(BatchReady)
    seen: list[torch.Tensor] = []
    job = make_job(epochs=1 / 6, told=told, regularizers={"bright": Bright()})
    job.model.module.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    Loop(job).run()
    (event,) = kinds(told.heard, BatchReady)
    assert event.batch.images is seen[0]
    raw = next(job.feed.epoch(0))
    back = (event.batch.images - 1) * event.std[0] + event.mean[0]
    assert torch.allclose(back[:, 0] * 255, torch.from_numpy(raw.images[..., 0]).float(), atol=1e-3)
    assert (event.step, event.phase) == (0, "tune")


def test_loop_tells_how_many_images_its_means_go_over(make_job):
    told = Listening(StepEnded)
    job = make_job(epochs=2, told=told)
    Loop(job).run()
    events = kinds(told.heard, StepEnded)
    assert [event.seen for event in events] == [4, 8, 12, 16, 20, 22] * 2
    assert [event.view.step for event in events] == list(range(1, 13))
    assert events[0].lr == pytest.approx(1e-2)
    assert events[-1].lr < events[0].lr


def test_loop_makes_no_event_of_a_step_where_nobody_hears_it(make_job, monkeypatch):
    def made(*arguments, **more):
        raise AssertionError("an event was made")

    monkeypatch.setattr("zoo.training.loop.BatchReady", made)
    monkeypatch.setattr("zoo.training.loop.StepEnded", made)
    told = Listening(ValidationEnded)
    Loop(make_job(epochs=1, told=told)).run()
    assert set(told.methods()) == {"on_validation_end", "on_checkpoint"}
    assert Loop(make_job(epochs=1)).run().step == 6


def test_loop_with_listeners_ends_in_the_same_bits_as_without(make_job):
    plain, heard = make_job(folder="plain"), make_job(folder="heard", told=Listening())
    Loop(plain).run()
    Loop(heard).run()
    assert same_bits(weights(plain), weights(heard))


def test_loop_stops_where_validation_is_answered_and_says_why(make_job):
    told = Listening(ValidationEnded, answers=(None, Stop("enough")))
    counters = Loop(make_job(epochs=5, told=told)).run()
    assert (counters.step, counters.stopped, counters.finished) == (12, "enough", True)


def test_loop_that_was_stopped_and_killed_is_over_when_it_is_resumed(make_job):
    class Killed(BaseException):
        pass

    class Kills(Listening):
        def tell(self, event):
            if isinstance(event, CheckpointSaved) and event.name == "last" and event.step == 12:
                raise Killed
            return super().tell(event)

    with pytest.raises(Killed):
        Loop(make_job(epochs=5, told=Kills(answers=(None, Stop("enough"))))).run()
    told = Listening()
    loop = Loop(make_job(epochs=5, told=told))
    loop.restore()
    assert (loop.run().step, loop.counters.stopped, told.heard) == (12, "enough", [])


def test_checkpoint_holds_what_listeners_remember(make_job):
    job = make_job(epochs=1, told=Listening(StepEnded), limits=Limits(save_every_steps=3))
    Loop(job).run()
    assert job.checkpoints.state("last")["callbacks"] == {"callbacks.listening": {"heard": 9}}


@pytest.mark.parametrize(
    ("event", "times", "saved", "every"),
    [
        *((BatchReady, 1, 0, 1), (BatchReady, 9, 8, 1), (StepEnded, 9, 9, 1)),
        *((StepEnded, 12, 12, 1), (ValidationEnded, 2, 12, 1), (CheckpointSaved, 1, 6, 1), (BatchReady, 13, 12, 1)),
        *((StepEnded, 18, 18, 1), (StepEnded, 6, 6, 2), (StepEnded, 12, 12, 2)),
    ],
)
def test_loop_that_a_listener_broke_goes_on_to_the_same_bits(make_job, event, times, saved, every):
    """A crash behind the last step of an epoch leaves out neither its validation nor a part of it."""
    limits = Limits(validate_every=every)
    whole = make_job(folder="whole", limits=limits)
    expected = Loop(whole).run()
    broken = make_job(folder="broken", limits=limits, told=Listening(crash_at=(event, times)))
    with pytest.raises(ZeroDivisionError):
        Loop(broken).run()
    assert broken.checkpoints.state("last")["counters"]["step"] == saved
    resumed = make_job(folder="broken", limits=limits)
    loop = Loop(resumed)
    loop.restore()
    found = loop.run()
    assert same_bits(weights(whole), weights(resumed))
    assert (found.best_step, found.best_loss, found.since_best) == (
        *(expected.best_step, expected.best_loss),
        expected.since_best,
    )


def test_loop_that_validation_itself_broke_validates_first_when_it_goes_on(make_job):
    whole = make_job(folder="whole", ema=False)
    Loop(whole).run()
    broken = make_job(folder="broken", ema=False)
    validate, times = broken.validate, []

    def breaks():
        times.append(1)
        if len(times) == 2:
            raise ZeroDivisionError
        return validate()

    object.__setattr__(broken, "validate", breaks)
    with pytest.raises(ZeroDivisionError):
        Loop(broken).run()
    state = broken.checkpoints.state("last")["counters"]
    assert (state["step"], state["unvalidated"]) == (12, True)
    rows: list[dict] = []
    resumed = make_job(folder="broken", ema=False)
    object.__setattr__(resumed, "log", rows.append)
    loop = Loop(resumed)
    loop.restore()
    loop.run()
    assert [row["step"] for row in rows] == [12, 18]
    assert same_bits(weights(whole), weights(resumed))


def test_loop_saves_where_a_listener_ends_the_run_on_purpose(make_job):
    class Refuses(Listening):
        def tell(self, event):
            if isinstance(event, StepEnded) and event.view.step == 4:
                raise UserError("the disk is full")
            return []

    job = make_job(told=Refuses())
    with pytest.raises(UserError, match="the disk is full"):
        Loop(job).run()
    assert job.checkpoints.state("last")["counters"]["step"] == 4


def test_loop_does_not_save_half_a_step(make_job):
    class Breaks(nn.Module):
        def forward(self, logits, targets):
            raise ZeroDivisionError

    job = make_job(loss=Breaks(), told=Listening())
    with pytest.raises(ZeroDivisionError):
        Loop(job).run()
    assert job.checkpoints.state("last") is None
